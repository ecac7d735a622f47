"""Rows: one per run, from the plan and the logs; writes results.csv and summary.json.

The columns are described in docs/reference/measures.md. A run that failed or left no log has a row
without measures, and `why` says so.
"""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import json
import os

import pandas as pd

from analysis import bounds, events, line, measures, summary, theory
from analysis import plan as plans
from analysis.wilson import quantile

# What the extra columns read besides the measures.
EXTRA_EVENTS = {"punch.connect_requested", "punch.result", "punch.planned", "punch.probe_sent",
                "nat.dropped", "nat.config", "link.lost", "punch.nat_measured", "latency.ready",
                "latency.begun", "latency.tcp", "latency.wrote", "latency.read", "latency.ended",
                "latency.done", "link.passed"}
EXTRAS = ["reason", "detail", "probes", "nat_drops", "lost"]
# Of these a scenario without punching has nothing to say.
PUNCHING = {"reason", "detail", "probes", "initiator", "bound_ms", "bound_rule"}
TAIL = ["id", "cell", "engine", "voice", "why", "end_detail", "initiator", "bound_ms", "bound_rule"]
# Below this many runs starting worker processes costs more than it saves (ours: measured).
PARALLEL_FROM = 400


def rows_from(plan, out_dir, write=True):
    """DataFrame with a row per run of the plan, from `out_dir`/logs; AnalysisError on bad input.

    Writes `out_dir`/results.csv and summary.json unless told not to. The logs' warnings are in
    `frame.attrs["warnings"]`, the summary in `frame.attrs["summary"]`.
    """
    plan = plans.load_plan(plan)
    measures.check_measures(plan.get("measures", []))
    out_dir = Path(out_dir)
    rows, warnings = _all_rows(plan, out_dir)
    frame = pd.DataFrame(rows, columns=_header(plan, rows), dtype=object)
    result = summary.summarise(plan, frame)
    result["warnings"] = warnings[:200]
    frame.attrs["warnings"] = warnings
    frame.attrs["summary"] = result
    if write:
        out_dir.mkdir(parents=True, exist_ok=True)
        _replace(out_dir / "results.csv", _csv(frame))
        _replace(out_dir / "summary.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return frame


def _all_rows(plan, out_dir):
    runs = plan["runs"]
    if len(runs) < PARALLEL_FROM or (os.cpu_count() or 1) < 2:
        return _rows(plan, runs, out_dir)
    # Only what the workers need travels to them, in two halves each so that both stay busy.
    slim = {k: v for k, v in plan.items() if k != "runs"}
    step = max(1, len(runs) // (2 * os.cpu_count()) + 1)
    parts = [runs[i:i + step] for i in range(0, len(runs), step)]
    rows, warnings = [], []
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for part_rows, part_warnings in pool.map(_rows, [slim] * len(parts), parts,
                                                 [out_dir] * len(parts)):
            rows += part_rows
            warnings += part_warnings
    return rows, warnings


def _rows(plan, runs, out_dir):
    names = measures.needed_events(plan.get("measures", [])) | EXTRA_EVENTS
    rows, warnings = [], []
    for run in runs:
        log = events.scan_log(plans.log_path(out_dir, run), names)
        warnings += log.warnings
        rows.append(run_row(plan, run, log))
    return rows, warnings


def run_row(plan, run, log):
    """The row of one run as a dict."""
    row = {"world": run["world"]}
    row.update(zip(plans.columns(plan), plans.cell_values(plan, run)))
    row["seed"] = run.get("seed")
    end = log.end()
    why = "missing" if log.missing else "unfinished" if end is None else str(end.get("why"))
    if why in ("until", "budget"):
        row.update(measures.evaluate(plan.get("measures", []), run, log))
        _extras(row, run, log)
    else:
        row.update({name: None for name in plans.measure_names(plan)})
    engines = sorted({plans.nat_engine(n) for n in run.get("nodes", []) if n.get("kind") == "nat"})
    row.update(id=run["id"], cell=run.get("cell"), engine="+".join(engines),
               voice=plans.voice(run), why=why, end_detail=(end or {}).get("detail"))
    for name, value in run.get("parameters", {}).items():
        if name not in row and not isinstance(value, (dict, list)):
            row[name] = value
    return row


def _extras(row, run, log):
    results = log.named("punch.result")
    requests = log.named("punch.connect_requested")
    for name in ("reason", "detail"):
        if results and name not in row:
            row[name] = next((e.get(name) for e in results if e.get(name)), "")
    row.setdefault("probes", len(log.named("punch.probe_sent")))
    row.setdefault("nat_drops", len(log.named("nat.dropped")))
    row.setdefault("lost", len(log.named("link.lost")))
    if requests:
        row["initiator"] = requests[0]["node"]
    if log.named("latency.begun"):
        _theory(row, run, log)
    found = bounds.run_bound(run, log)
    if found:
        row["bound_ms"], row["bound_rule"] = round(found.ms, 6), found.rule


def _theory(row, run, log):
    """What the messages should have cost, beside what they did; `*_off` is measured / expected."""
    rounds = theory.round_trips(run)
    if rounds:
        row["rtts_theory"] = round(rounds["rtts"], 6)
        row["latency_theory_ms"] = round(rounds["latency_ms"], 6)
        row["r2_over_r1"] = round(rounds["r2_ms"] / rounds["r1_ms"], 6)
        _off(row, "rtts_off", row.get("rtts"), rounds["rtts"])
        _off(row, "latency_off", row.get("latency_ms"), rounds["latency_ms"])
    _line_theory(row, run, log)


def _line_theory(row, run, log):
    """Packets and bytes: the mean of all operations beside its prediction; `*_off` is of the median
    operation, where the line was watched: what one had sent again is in the mean only."""
    totals = line.bytes_on_the_line(run, log)
    count = len(log.named("latency.begun"))
    if not totals or not count:
        return
    for name, total in totals.items():
        row[name + "_theory"] = round(total / count, 6)
        _off(row, name + "_off", row.get(name), total / count)
    operations = line.by_operation(run, log)
    if not operations:
        return
    for name in totals:
        ratios = sorted(o[name] / o[name + "_theory"] for o in operations if o[name + "_theory"])
        if ratios:
            row[name + "_off"] = round(quantile(ratios, 0.5), 6)
    row["as_predicted"] = round(sum(o["bytes"] == o["bytes_theory"] for o in operations) / count, 6)
    row["sent_again"] = line.sent_again(run, log)


def _off(row, name, measured, expected):
    if type(measured) in (int, float) and expected:
        row[name] = round(measured / expected, 6)


def _header(plan, rows):
    """Columns in their order: the fixed ones always, so that an empty result has the same shape."""
    head = list(plan.get("results") or [])
    head += ["world"] + plans.columns(plan) + ["seed"] + plans.measure_names(plan)
    extra = EXTRAS + TAIL
    asked = measures.needed_events(plan.get("measures", []))
    if asked and not any(name.startswith("punch.") for name in asked):
        extra = [n for n in extra if n not in PUNCHING or any(row.get(n) for row in rows)]
        for row in rows:
            for name in PUNCHING.difference(extra, head):
                row.pop(name, None)
    head = list(dict.fromkeys(head + extra))
    others = {name: None for row in rows for name in row if name not in head}
    return head + sorted(others)


def _csv(frame):
    shown = frame.copy()
    for name in shown.columns:
        shown[name] = [_cell(v) for v in shown[name]]
    return shown.to_csv(index=False)


def _cell(value):
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return plans.plain(value) if isinstance(value, bool) else value


def _replace(path, text):
    """Writes beside and renames, so that nobody ever reads half a file."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
