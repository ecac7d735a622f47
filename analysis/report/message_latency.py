"""Figures of how latencies of messages are distributed, over 4G and where packets are lost; from the
logs of the runs that they show."""

import math

from analysis import plan as plans
from analysis.events import scan_log
from analysis.report.svg import Chart, ticks
from analysis.summary import value
from analysis.wilson import quantile

_TICKS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


def figures(result, rows, at, name):
    """[(title, about, html)]. `at` and `name` are of messages.py."""
    voices = sorted({r["voice"] for r in rows}, key=plans.voice_order)
    made = [distribution(result, [r for r in rows if r["voice"] == v and at(
        r, access="lte", radio="active", operation="request", connection="warm")
        and value(r, "protocol") != "mqtt3"], name, v, "over 4G",
        "A request and its answer on a warm connection over 4G, radio active, server near the broker.")
        for v in voices]
    lossy = [r for r in rows if at(r, loss=None, operation="request", connection="warm")
             and value(r, "protocol") != "mqtt3"]
    levels = sorted({float(value(r, "loss")) for r in lossy})
    made += [distribution(result, [r for r in lossy if r["voice"] == v
                                   and float(value(r, "loss")) == levels[-1]], name, v,
                          "at %g %% loss" % (100 * levels[-1]),
                          "A request and its answer on a warm connection, server near the broker.")
             for v in voices if len(levels) > 1]
    made += [over_loss(result, [r for r in rows if r["voice"] == v
                                and at(r, loss=None, operation="publish", connection="warm")
                                and value(r, "protocol") != "mqtt3"], name, v) for v in voices]
    return [m for m in made if m]


def latencies(result, rows):
    """Every operation's latency in ms of these runs, in order of size."""
    out = []
    for row in rows:
        run = result.runs[row["id"]]
        log = scan_log(plans.log_path(result.folder, run), {"latency.begun", "latency.over"})
        begun = {e.get("number"): e["time_ms"] for e in log.named("latency.begun")}
        ends = {}
        for e in log.named("latency.over"):
            ends.setdefault(e.get("number"), e["time_ms"])
        out += [ends[n] - t for n, t in begun.items() if n in ends and ends[n] > t]
    return sorted(out)


def _axis(values):
    """(function of a value, range, ticks): logarithmic where values differ much."""
    if max(values) < 4 * min(values):
        low, high = min(values) / 1.03, max(values) * 1.03
        return (lambda v: v), (low, high), [(v, "%g" % v) for v in ticks(low, high)]
    (low, high), marks = _log_axis(values)
    return math.log10, (low, high), marks


def _log_axis(values):
    low, high = math.log10(min(values) / 1.15), math.log10(max(values) * 1.15)
    return (low, high), [(math.log10(v), "%g" % v) for v in _TICKS if low <= math.log10(v) <= high]


def _by_name(result, rows, name):
    groups = {}
    for r in rows:
        groups.setdefault(name(r, False), []).append(r)
    found = {key: latencies(result, mine) for key, mine in sorted(groups.items())}
    return {key: times for key, times in found.items() if len(times) >= 5}


def distribution(result, rows, name, voice, where, about):
    groups = _by_name(result, rows, name)
    if not groups:
        return None
    everything = [t for times in groups.values() for t in times]
    scale, axis, marks = _axis(everything)
    chart = Chart(axis, (0, 1), "ms until the answer", "share of requests answered by then",
                  x_ticks=marks, y_ticks=[(v / 4, "%g %%" % (25 * v)) for v in range(5)])
    for series, (key, times) in enumerate(groups.items()):
        steps = []
        for i, t in enumerate(times):
            steps += [(scale(t), i / len(times)), (scale(t), (i + 1) / len(times))]
        steps.append((axis[1], 1.0))
        note = "%s: median %.1f ms, 95 of 100 within %.0f ms (%d requests)" % (
            key, quantile(times, 0.5), quantile(times, 0.95), len(times))
        chart.line(steps, series, note)
        chart.key(note, series)
    title = "Latency distribution %s, %s" % (where, plans.voice_name(voice))
    return title, about, chart.text(title)


def over_loss(result, rows, name, voice):
    levels = sorted({float(value(r, "loss")) for r in rows})
    if len(levels) < 2:
        return None
    found = {}
    for level in levels:
        at = [r for r in rows if float(value(r, "loss")) == level]
        for key, times in _by_name(result, at, name).items():
            found.setdefault(key, {})[level] = (sum(times) / len(times), quantile(times, 0.95))
    everything = [v for by in found.values() for pair in by.values() for v in pair]
    if not everything:
        return None
    axis, marks = _log_axis(everything)
    chart = Chart((-0.5, len(levels) - 0.5), axis, "packets lost on the access line, each way",
                  "ms: mean, and 95 of 100",
                  x_ticks=[(i, "%g %%" % (100 * l)) for i, l in enumerate(levels)], y_ticks=marks)
    for series, key in enumerate(sorted(found)):
        offset = (series - (len(found) - 1) / 2) * 0.1
        by = found[key]
        chart.line([(levels.index(l) + offset, math.log10(by[l][0])) for l in levels if l in by],
                   series, key)
        for level, (mean, high) in by.items():
            x = levels.index(level) + offset
            chart.interval(x, math.log10(min(mean, high)), math.log10(max(mean, high)), series)
            chart.point(x, math.log10(mean), series, "%s, loss %g %%: mean %.1f ms, 95 of 100 within "
                        "%.1f ms" % (key, 100 * level, mean, high))
        chart.key(key, series)
    title = "Latency against loss, %s" % plans.voice_name(voice)
    return (title, "A publish on a warm connection, to the last acknowledgement (QoS 0: to the "
            "receiver): marks are means, bars reach to the 95th of 100.", chart.text(title))
