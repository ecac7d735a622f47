"""Figures of what a keep-alive costs and saves, for scenarios that ask for `keepalive`."""

import math

from analysis import plan as plans
from analysis.report.svg import Chart
from analysis.summary import value
from analysis.wilson import spread

# Short: there is little room beside the axis.
_TIMES = [(1, "1 s"), (10, "10 s"), (60, "60 s"), (600, "10 m"), (3600, "1 h"), (14400, "4 h")]
_BYTES = [(1e3, "1 k"), (1e4, "10 k"), (1e5, "100 k"), (1e6, "1 M"), (1e7, "10 M")]


def keepalive_figures(result):
    """[(title, about, html)]."""
    rows = [r for r in result.records if r["why"] in ("until", "budget")]
    made = [_chart(result, rows, "unreachable_ms", 1e-3, _TIMES, "nobody reached the device for",
                   "Unreachable against keep-alive", "From the moment at which the carrier's NAT has "
                   "forgotten the device to its next subscription: median, and all runs. Where a "
                   "mapping outlives the pauses there is no point."),
            _chart(result, rows, "bytes_per_day", 1, _BYTES, "IP bytes a day",
                   "What a keep-alive costs", "Pings, their acknowledgements, and connecting anew when "
                   "it was needed; of a device that is idle otherwise.")]
    return [m for m in made if m]


def _chart(result, rows, name, scale, marks, label, title, about):
    labels = list(dict.fromkeys(plans.plain(value(r, "keep_alive")) for r in rows))
    have = [r for r in rows if type(value(r, name)) in (int, float) and value(r, name) > 0]
    if len(have) < 2:
        return None
    groups = {}
    for r in have:
        key = (r["voice"], str(value(r, "event")))
        groups.setdefault(key, {}).setdefault(plans.plain(value(r, "keep_alive")), []).append(
            value(r, name) * scale)
    everything = [v for by in groups.values() for vs in by.values() for v in vs]
    low, high = math.log10(min(everything) / 1.6), math.log10(max(everything) * 1.6)
    chart = Chart((-0.5, len(labels) - 0.5), (low, high), "keep-alive", label,
                  x_ticks=list(enumerate(labels)),
                  y_ticks=[(math.log10(v), t) for v, t in marks if low <= math.log10(v) <= high])
    order = sorted(groups, key=lambda k: (plans.voice_order(k[0]), k[1]))
    for series, key in enumerate(order):
        offset = (series - (len(order) - 1) / 2) * 0.12
        line = []
        for i, label in enumerate(labels):
            if label not in groups[key]:
                continue
            s = spread(groups[key][label])
            line.append((i + offset, math.log10(s["median"])))
            chart.interval(i + offset, math.log10(s["min"]), math.log10(s["max"]), series)
            chart.point(i + offset, math.log10(s["median"]), series, "%s, %s, keep-alive %s: %.4g "
                        "(%.4g to %.4g, %d runs)" % (plans.voice_name(key[0]), key[1], label,
                                                     s["median"], s["min"], s["max"], s["n"]))
        chart.line(line, series)
        chart.key("%s, the NAT %s" % (plans.voice_name(key[0]), {
            "expires": "forgets idle mappings after 10 min", "reboot": "reboots"}.get(key[1], key[1])),
            series)
    return title, about, chart.text(title)
