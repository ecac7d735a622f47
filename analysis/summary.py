"""The summary of a plan's rows: cells with intervals, pairs per technique, agreement, expectations.

What summary.json holds. Runs without an answer (failed, missing, unfinished, or nobody said
anything) are counted apart: they are neither successes nor failures.
"""

from analysis import agreement as agreements
from analysis import expect, plan as plans
from analysis.wilson import spread, wilson

FORMAT = 1


def summarise(plan, frame):
    """A JSON-ready dict from the rows of `rows_from`."""
    success, time = plans.success_measure(plan), plans.time_measure(plan)
    records = frame.to_dict("records")
    cells = _cells(plan, records, success, time)
    return {
        "format": FORMAT, "scenario": plan.get("scenario"), "topology": plan.get("topology"),
        "about": plan.get("about", ""), "columns": plans.columns(plan),
        "measures": plans.measure_names(plan), "success": success, "time": time,
        "voices": sorted({c["voice"] for c in cells}, key=plans.voice_order),
        "counts": _counts(records, success),
        "groups": _groups(plan, cells),
        "agreement": agreements.agreement(plan, cells),
        "times": time_agreement(plan, records, time),
        "expect": expect.check_all(plan, records),
        "differences": list(plan.get("differences") or []),
        "cells": cells,
    }


def value(record, name):
    """A row's value, None for what pandas calls missing."""
    found = record.get(name)
    return None if isinstance(found, float) and found != found else found


def cell_key(plan, record):
    """What tells one cell from another: the voice and every column."""
    return (record["voice"],) + tuple(str(value(record, c)) for c in plans.columns(plan))


def answered(record, success):
    """Whether the run came to an end and, where success is measured, said yes or no."""
    return record["why"] in ("until", "budget") and (
        success is None or value(record, success) is not None)


def _counts(records, success):
    whys = {}
    for record in records:
        whys[record["why"]] = whys.get(record["why"], 0) + 1
    return {"runs": len(records), "why": whys,
            "without_answer": sum(not answered(r, success) for r in records)}


def _cells(plan, records, success, time):
    groups = {}
    for record in records:
        groups.setdefault(cell_key(plan, record), []).append(record)
    return [_cell(plan, members, success, time) for members in groups.values()]


def _cell(plan, members, success, time):
    first = members[0]
    decided = [r for r in members if answered(r, success)]
    wins = sum(value(r, success) is True for r in decided) if success else 0
    cell = {"voice": first["voice"], "world": first["world"], "cell": first["cell"],
            "at": {c: value(first, c) for c in plans.columns(plan)},
            "n": len(members), "decided": len(decided), "successes": wins,
            "without_answer": _tally(("no answer" if r["why"] in ("until", "budget") else r["why"])
                                     for r in members if not answered(r, success)),
            "rate": wins / len(decided) if decided and success else None,
            "interval": list(wilson(wins, len(decided))),
            "time": _times(decided, time),
            "reasons": _tally(value(r, "reason") for r in decided if value(r, "reason")),
            "measures": {}}
    for name in plans.measure_names(plan):
        numbers = [value(r, name) for r in decided]
        numbers = [v for v in numbers if type(v) in (int, float)]
        if numbers and name != time:
            cell["measures"][name] = spread(numbers)
    return cell


def _times(decided, time):
    if time is None:
        return None
    times = [value(r, time) for r in decided]
    return spread(v for v in times if v is not None)


def _tally(words):
    counts = {}
    for word in words:
        counts[str(word)] = counts.get(str(word), 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _groups(plan, cells):
    """Per voice and facet (technique, loss, …): how many pairs always, sometimes, never."""
    facets = plans.facet_columns(plan)
    if plans.pair_columns(plan) is None:  # no pairs: then one line per technique, or one at all
        facets = [c for c in facets if c in ("technique", "loss")]
    groups = {}
    for cell in cells:
        key = (cell["voice"],) + tuple(str(cell["at"].get(c)) for c in facets)
        groups.setdefault(key, []).append(cell)
    out = []
    for members in groups.values():
        known = [c for c in members if c["decided"]]
        wins, n = sum(c["successes"] for c in known), sum(c["decided"] for c in known)
        # "Always" claims every run: one that gave no answer takes the word away.
        always = sum(c["successes"] == c["n"] for c in known)
        never = sum(c["successes"] == 0 and c["decided"] == c["n"] for c in known)
        open_ = sum(1 for c in members if c["decided"] < c["n"]
                    and c["successes"] in (0, c["decided"]))
        out.append({"voice": members[0]["voice"],
                    "at": {c: members[0]["at"].get(c) for c in facets},
                    "pairs": len(members), "always": always, "never": never, "undecided": open_,
                    "sometimes": len(members) - always - never - open_,
                    "runs": sum(c["n"] for c in members), "decided": n, "successes": wins,
                    "interval": list(wilson(wins, n))})
    return sorted(out, key=lambda g: plans.voice_order(g["voice"]))


def time_agreement(plan, records, time):
    """Times of the same cell and seed in ns-3 and on Linux: how far apart. None without pairs."""
    pairs = time_pairs(plan, records, time)
    if not pairs:
        return None
    return {"pairs": len(pairs), "difference_ms": spread(p["linux"] - p["ns3"] for p in pairs),
            "ratio": spread(p["linux"] / p["ns3"] for p in pairs if p["ns3"] > 0)}


def time_pairs(plan, records, time):
    """[{"ns3", "linux", "id"}] of runs with the same cell and seed, both with a time."""
    if time is None:
        return []
    compared = plans.compared_columns(plan)
    found = {}
    for record in records:
        if value(record, time) is not None and record["voice"] in ("ns3", "linux"):
            key = tuple(str(value(record, c)) for c in compared) + (record["seed"],)
            found.setdefault(key, {})[record["voice"]] = record
    return [{"ns3": float(value(p["ns3"], time)), "linux": float(value(p["linux"], time)),
             "id": p["linux"]["id"]} for p in found.values() if len(p) == 2]
