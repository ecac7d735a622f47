"""What the report knows of one output folder: plan, rows, summary, which runs are shown in full."""

from dataclasses import dataclass
from pathlib import Path

from analysis import plan as plans
from analysis.errors import AnalysisError
from analysis.rows import rows_from
from analysis.summary import answered, cell_key, value


@dataclass
class Result:
    """One folder. `cells`: (cell of the summary, its rows, the rows shown in full)."""

    key: str
    folder: Path
    plan: dict
    summary: dict
    records: list
    warnings: list
    cells: list
    runs: dict
    twin: bool = False  # another folder on the page has the same scenario


def load(folder, key):
    """The Result of a folder with plan.json and logs/. Rows are always made anew from the logs."""
    folder = Path(folder)
    if not folder.is_dir():
        raise AnalysisError("%s: there is no such folder" % folder)
    plan = plans.load_plan(folder)
    frame = rows_from(plan, folder, write=False)
    records = frame.to_dict("records")
    summary = frame.attrs["summary"]
    members = {}
    for record in records:
        members.setdefault(cell_key(plan, record), []).append(record)
    cells = [(cell, rows, representatives(rows, summary["success"], summary["time"]))
             for cell, rows in zip(summary["cells"], members.values())]
    return Result(key, folder, plan, summary, records, frame.attrs["warnings"], cells,
                  {run["id"]: run for run in plan["runs"]})


def representatives(rows, success, time):
    """The runs of a cell that stand for it: one for every different outcome.

    Of those that succeeded the one with the median time, and the slowest if it took half as long
    again; of the others the first for each reason; and the first that gave no answer.
    """
    chosen = []
    good = [r for r in rows if answered(r, success)
            and (success is None or value(r, success) is True)]
    timed = sorted((r for r in good if value(r, time) is not None),
                   key=lambda r: value(r, time)) if time else []
    if timed:
        middle, slowest = timed[(len(timed) - 1) // 2], timed[-1]
        chosen.append(middle)
        if value(slowest, time) > 1.5 * value(middle, time):
            chosen.append(slowest)
    elif good:
        chosen.append(good[0])
    seen = set()
    for row in rows:
        if row in good:
            continue
        outcome = (row["why"], str(value(row, "reason")), answered(row, success))
        if outcome not in seen and len(seen) < 4:
            seen.add(outcome)
            chosen.append(row)
    return chosen
