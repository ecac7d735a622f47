"""Event logs (docs/reference/events.md): JSON lines, one file per run.

`read_log` reads a file in full; `scan_log` parses only the lines of the events asked for, which is
what keeps hundreds of logs to a second or two. A truncated or foreign line never stops the reading:
it is left out and told as a warning.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

# A log larger than this is not one that our writers make (they bound themselves): ours, so that a
# stray file cannot take the machine's memory.
MAX_LOG_BYTES = 256 * 1024 * 1024
MAX_WARNINGS = 5  # per file; the rest are counted

_NEEDED = ("time_ms", "node", "service", "event")


@dataclass
class Log:
    """The events of one run in order of time, and what was wrong with the file."""

    path: Path
    events: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    missing: bool = False

    def named(self, name):
        """Events called `service.event`, in order of time."""
        service, _, event = name.partition(".")
        return [e for e in self.events if e["service"] == service and e["event"] == event]

    def end(self):
        """The `run.end` event, or None when the log stops before it."""
        ends = self.named("run.end")
        return ends[-1] if ends else None


def read_log(path):
    """Every event of the file at `path`, as a Log. A file that is not there gives `missing`."""
    return _read(Path(path), None)


def scan_log(path, names):
    """Like `read_log`, but only events whose `service.event` is in `names` (and `run.*`)."""
    wanted = sorted({name.partition(".")[2] for name in names} | {"start", "end"})
    pattern = re.compile(r'"event"\s*:\s*"(?:%s)"' % "|".join(re.escape(w) for w in wanted))
    log = _read(Path(path), pattern)
    keep = set(names) | {"run.start", "run.end"}
    log.events = [e for e in log.events if "%s.%s" % (e["service"], e["event"]) in keep]
    return log


def _read(path, pattern):
    log = Log(path)
    try:
        if path.stat().st_size > MAX_LOG_BYTES:
            log.warnings.append("%s: larger than %d MB, not read"
                                % (path.name, MAX_LOG_BYTES >> 20))
            log.missing = True
            return log
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        log.missing = True
        log.warnings.append("%s: no log" % path.name)
        return log
    except OSError as error:
        log.missing = True
        log.warnings.append("%s: %s" % (path.name, error.strerror or error))
        return log
    # Split on newlines only: U+2028 and its like may stand inside a JSON string.
    lines = text.split("\n")
    cut = lines[-1].strip() != ""  # the last line has no newline: perhaps cut short
    picked = [(i, s) for i, s in enumerate(lines, 1)
              if s.strip() and (pattern is None or pattern.search(s) or (cut and i == len(lines)))]
    events = _parse_at_once(picked)
    if events is None:
        events = _parse_one_by_one(picked, log, len(lines))
    if any(a["time_ms"] > b["time_ms"] for a, b in zip(events, events[1:])):
        events.sort(key=lambda e: e["time_ms"])  # stable: the writer's order among equals stays
    log.events = events
    return log


def _parse_at_once(picked):
    """One call of the parser for a whole file: about three times faster than one per line."""
    try:
        events = json.loads("[" + ",".join(s for _, s in picked) + "]")
    except (ValueError, RecursionError):
        return None
    # A line such as `1,2` would shift all others: then the slow way, which names the line.
    if len(events) != len(picked) or not all(_well_formed(e) for e in events):
        return None
    return events


def _parse_one_by_one(picked, log, last):
    events, bad = [], 0
    for number, text in picked:
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            event = None
        if event is not None and _well_formed(event):
            events.append(event)
            continue
        bad += 1
        if bad <= MAX_WARNINGS:
            what = "the last line is cut short" if number == last else "not an event"
            log.warnings.append("%s:%d: %s, left out" % (log.path.name, number, what))
    if bad > MAX_WARNINGS:
        log.warnings.append("%s: %d more such lines" % (log.path.name, bad - MAX_WARNINGS))
    return events


def _well_formed(event):
    return (isinstance(event, dict) and all(key in event for key in _NEEDED)
            and type(event["time_ms"]) in (int, float)
            and all(isinstance(event[key], str) for key in _NEEDED[1:]))
