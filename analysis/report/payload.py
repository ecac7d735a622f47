"""What the page carries for each cell: runs, logs and ladders, compressed, within a limit of bytes.

Every cell's rows are in the page. Logs and ladders of the runs that stand for a cell are packed
with deflate and base64, and unpacked by the browser. When the limit is near, cells that hold no
surprise lose theirs first, and the page says so beside the command that makes them again.
"""

import base64
import json
import zlib
from html import escape

from analysis import plan as plans
from analysis.events import read_log
from analysis.ladder import build
from analysis.ladder_svg import draw
from analysis.summary import value

MAX_LINES = 1500        # of a log shown in the page; head and tail are kept (ours)
MAX_ROWS = 400          # runs listed for one cell; results.csv has all (ours)
MAX_FIELD = 400         # characters of a text field: a hostile log must not blow up the page


def pack(data):
    """JSON → deflate → base64, as the page's script unpacks it."""
    raw = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def cell_entry(result, index):
    """The rows and commands of a cell as JSON-ready data."""
    cell, rows, shown = result.cells[index]
    success, time = result.summary["success"], result.summary["time"]
    return {
        "voice": plans.voice_name(cell["voice"]),
        "at": {k: plans.plain(v) for k, v in cell["at"].items()},
        "n": cell["n"], "decided": cell["decided"], "successes": cell["successes"],
        "interval": cell["interval"], "time": cell["time"], "reasons": cell["reasons"],
        "without": cell["without_answer"], "measures": cell["measures"],
        "hidden": max(0, len(rows) - MAX_ROWS),
        "shown": [r["id"] for r in shown],
        "command": plans.rerun_command(result.plan, result.runs[rows[0]["id"]]),
        "rows": [_row(result, r, success, time) for r in rows[:MAX_ROWS]],
    }


def _row(result, record, success, time):
    return [record["id"], record["seed"], record["why"],
            value(record, success) if success else None, value(record, time) if time else None,
            _cut(value(record, "reason")),
            _cut(value(record, "detail") or value(record, "end_detail")),
            value(record, "bound_ms")]


def _cut(text):
    text = "" if text is None else str(text)
    return text if len(text) <= MAX_FIELD else text[:MAX_FIELD] + "…"


def run_blob(result, run_id):
    """The packed log and ladder of one run; None when there is no log."""
    run = result.runs[run_id]
    path = plans.log_path(result.folder, run)
    log = read_log(path)
    if log.missing:
        return None
    return pack({"log": log_text(path), "ladder": _drawn(run, log)})


def _drawn(run, log):
    """The ladder; a log with fields of the wrong type costs its drawing, not the page."""
    try:
        return draw(build(run, log))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return ('<svg xmlns="http://www.w3.org/2000/svg" class="ladder" width="900" height="50">'
                '<text x="12" y="28">This log cannot be drawn: %s</text></svg>'
                % escape("%s %s" % (type(error).__name__, error))[:200])


def log_text(path):
    """The log's lines, the middle left out of a very long one, each cut to a sane length."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().split("\n")
    if len(lines) > MAX_LINES:
        half = MAX_LINES // 2
        left_out = len(lines) - 2 * half
        gap = "… %d lines left out here; the file has them" % left_out
        lines = lines[:half] + [gap] + lines[-half:]
    return "\n".join(line if len(line) <= 2000 else line[:2000] + "…" for line in lines)


def blobs(results, limit):
    """{"KEY/ID": packed} within `limit` bytes, and how many runs were left out.

    First every cell's first run, those with a surprise before all; then the second ones, and so on.
    """
    wanted = []
    for result in results:
        odd = surprising(result)
        for index, (_, _, shown) in enumerate(result.cells):
            for rank, record in enumerate(shown):
                turn = rank + (0 if index in odd else 1)
                wanted.append((turn, len(wanted), result, record["id"]))
    wanted.sort(key=lambda w: w[:2])
    packed, left_out, used = {}, 0, 0
    for _, _, result, run_id in wanted:
        blob = run_blob(result, run_id) if used < limit else None
        if blob is not None and used + len(blob) <= limit:
            packed["%s/%s" % (result.key, run_id)] = blob
            used += len(blob)
        elif used >= limit or blob is not None:
            left_out += 1
    return packed, left_out


def surprising(result):
    """Indices of the cells where voices differ, answers are missing, or runs differ."""
    compared = plans.compared_columns(result.plan)
    differ = {tuple(str(r["at"].get(c)) for c in compared)
              for r in result.summary["agreement"]["cells"]
              if r["verdict"] in ("disagree", "unsteady")}
    return {i for i, (cell, _, _) in enumerate(result.cells)
            if tuple(str(cell["at"].get(c)) for c in compared) in differ
            or cell["decided"] < cell["n"] or 0 < cell["successes"] < cell["decided"]}
