"""Do the voices agree? Cell by cell: ns-3, the same code on Linux, and the kernel's own NAT."""

from analysis import plan as plans
from analysis.wilson import fisher, wilson

# Two voices that differ with less chance than this are said to disagree (ours: as the intervals).
SIGNIFICANT = 0.05


def verdict(tallies):
    """How tallies {voice: (successes, decided)} of one cell compare: a word of the list below.

    agree     - every voice says the same: always, never, or shares that chance explains
    disagree  - one says always and another never, or the shares differ beyond chance (Fisher)
    unsteady  - one says always or never, another sometimes, and chance may explain it
    alone     - only one voice has an answer
    nothing   - none has
    """
    heard = {v: t for v, t in tallies.items() if t[1] > 0}
    if not heard:
        return "nothing"
    if len(heard) == 1:
        return "alone"
    kinds = {_kind(k, n) for k, n in heard.values()}
    if len(kinds) == 1 and kinds != {"sometimes"}:
        return "agree"
    if {"always", "never"} <= kinds:
        return "disagree"
    names = sorted(heard)
    lowest = min(fisher(*heard[a], *heard[b])
                 for i, a in enumerate(names) for b in names[i + 1:])
    if lowest < SIGNIFICANT:
        return "disagree"
    return "agree" if kinds == {"sometimes"} else "unsteady"


def _kind(successes, n):
    return "always" if successes == n else "never" if successes == 0 else "sometimes"


def agreement(plan, cells):
    """{"voices", "counts", "cells": those that do not agree first} from the summary's cells."""
    voices = sorted({c["voice"] for c in cells}, key=plans.voice_order)
    compared = plans.compared_columns(plan)
    groups = {}
    for cell in cells:
        key = tuple(str(cell["at"].get(c)) for c in compared)
        groups.setdefault(key, []).append(cell)
    rows = []
    for members in groups.values():
        tallies = {c["voice"]: (c["successes"], c["decided"]) for c in members}
        times = {c["voice"]: c["time"]["median"] for c in members if c.get("time")}
        rows.append({"at": {c: members[0]["at"].get(c) for c in compared},
                     "verdict": verdict(tallies),
                     "voices": {v: {"successes": k, "decided": n, "interval": list(wilson(k, n)),
                                    "median_ms": times.get(v)}
                                for v, (k, n) in sorted(tallies.items(),
                                                        key=lambda t: plans.voice_order(t[0]))}})
    order = ["disagree", "unsteady", "nothing", "alone", "agree"]
    rows.sort(key=lambda r: order.index(r["verdict"]))  # stable: the plan's order within each
    counts = {word: sum(r["verdict"] == word for r in rows) for word in order}
    counts["compared"] = counts["disagree"] + counts["unsteady"] + counts["agree"]
    return {"voices": voices, "counts": counts, "cells": rows}
