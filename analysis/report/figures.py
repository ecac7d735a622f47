"""Which figures a result has, drawn with `svg`: times, bounds, loss, worlds, numbers."""

from html import escape

from analysis import plan as plans
from analysis.console import where_text
from analysis.report.keepalive import keepalive_figures
from analysis.report.messages import message_figures
from analysis.report.svg import Chart
from analysis.summary import time_pairs, value
from analysis.wilson import quantile, spread, wilson

MOST_POINTS = 1500  # of a scatter plot: more cannot be told apart and make the page heavy (ours)
MOST_CURVES = 8


def figures(result):
    """[(title, what it shows, html)] in the order of the page."""
    for name, draw in (("messages", message_figures), ("keepalive", keepalive_figures)):
        if name in (result.plan.get("figures") or []):
            return draw(result)
    made = [loss_success(result), loss_time(result), against_bound(result), excess(result),
            time_curves(result), worlds_time(result)] + numbers(result)
    return [m for m in made if m]


def _series(result, records, names):
    """{(voice, facet…): records} for curves: at most MOST_CURVES of them."""
    groups = {}
    for r in records:
        key = (r["voice"],) + tuple(plans.plain(value(r, n)) for n in names)
        groups.setdefault(key, []).append(r)
    ordered = sorted(groups.items(), key=lambda g: plans.voice_order(g[0][0]))
    return dict(ordered[:MOST_CURVES])


def _name(key):
    return " · ".join([plans.voice_name(key[0])] + list(key[1:]))


def _facets(result):
    names = plans.facet_columns(result.plan)
    voices = len(result.summary["voices"])
    return [n for n in names if n in ("technique", "pair", "nat", "kind", "hairpin", "far")
            and 1 < len({str(value(r, n)) for r in result.records}) * voices <= MOST_CURVES]


def _thin(items):
    step = max(1, len(items) // MOST_POINTS + (len(items) % MOST_POINTS > 0))
    return items[::step] if len(items) > MOST_POINTS else items


def _timed(result):
    time = result.summary["time"]
    return [r for r in result.records if value(r, time) is not None] if time else []


def time_curves(result):
    """Share of all runs that are direct after so many ms."""
    timed, time = _timed(result), result.summary["time"]
    if len(timed) < 3:
        return None
    facets = _facets(result)[:1]
    groups = _series(result, [r for r in result.records if r["why"] in ("until", "budget")], facets)
    longest = max(value(r, time) for r in timed)
    shortest = max(1.0, min(value(r, time) for r in timed))
    logarithmic = longest > 20 * shortest
    chart = Chart((shortest * 0.8 if logarithmic else 0, longest), (0, 1), "ms since the request",
                  "share of runs direct", log_x=logarithmic,
                  y_ticks=[(v / 100, "%d %%" % v) for v in (0, 25, 50, 75, 100)])
    for series, (key, members) in enumerate(groups.items()):
        times = sorted(value(r, time) for r in members if value(r, time) is not None)
        points, n = [(chart.x0, 0)], len(members)
        for i, t in enumerate(times):
            points += [(t, i / n), (t, (i + 1) / n)]
        points.append((longest, len(times) / n))
        chart.line(points[::max(1, len(points) // 800)] + points[-1:], series,
                   "%s: %d of %d runs" % (_name(key), len(times), n))
        median = "%.0f" % quantile(times, 0.5) if times else "–"
        chart.key("%s, median %s ms" % (_name(key), median), series)
    return ("Time to direct", "How many of all runs were direct after how long. A curve that ends "
            "below 100 % leaves the runs that never were.", chart.text("Time to direct, "
            "cumulative"))


def against_bound(result):
    """Measured time over the lower bound; on the line is as fast as can be."""
    timed = [r for r in _timed(result) if value(r, "bound_ms") is not None]
    if len(timed) < 3:
        return None
    time = result.summary["time"]
    top = max(value(r, "bound_ms") for r in timed) * 1.06
    tops = sorted(value(r, time) for r in timed)
    high = min(tops[-1], max(quantile(tops, 0.99), top)) * 1.03
    chart = Chart((0, top), (0, high), "lower bound, ms", "measured, ms")
    chart.rule([(0, 0), (min(top, high), min(top, high))], "measured = bound")
    rules = {}
    for r in timed:
        rules.setdefault((r["voice"], str(r["bound_rule"])), []).append(r)
    outside = sum(t > high for t in tops)
    for series, (key, members) in enumerate(sorted(rules.items(),
                                                   key=lambda i: plans.voice_order(i[0][0]))):
        for r in _thin(members):
            if value(r, time) <= high:
                chart.point(value(r, "bound_ms"), value(r, time), series,
                            "%s\nmeasured %.3f ms, bound %.3f ms (%s)" % (
                                r["id"], value(r, time), value(r, "bound_ms"), r["bound_rule"]),
                            "%s/%s" % (result.key, r["id"]))
        ratio = spread(value(r, time) / value(r, "bound_ms") for r in members
                       if value(r, "bound_ms") > 0)
        chart.key("%s · %s: %d runs, median %.3f × bound" % (
            plans.voice_name(key[0]), key[1], len(members), ratio["median"] or 0), series)
    note = " %d slower runs are above the frame." % outside if outside else ""
    return ("Time against its lower bound", "direct: max(a, (a+b)/2) + 2d; far: the same where a "
            "NAT "
            "far from its host makes one side start later; reflexive: t_hard + 3d; silent: "
            "t_lead + 3d." + note, chart.text("Measured time against the lower bound"))


def excess(result):
    """How far above the bound: cumulative, from microseconds on."""
    timed = [r for r in _timed(result) if value(r, "bound_ms") is not None]
    if len(timed) < 3:
        return None
    time, groups = result.summary["time"], {}
    for r in timed:
        groups.setdefault((r["voice"], plans.plain(value(r, "technique") or "")), []).append(
            value(r, time) - value(r, "bound_ms"))
    high = max(max(v) for v in groups.values())
    chart = Chart((0.01, max(high, 1.0)), (0, 1), "ms above the bound", "share of timed runs",
                  log_x=True, y_ticks=[(v / 100, "%d %%" % v) for v in (0, 25, 50, 75, 100)],
                  x_ticks=[(10.0 ** e, "%g" % 10.0 ** e) for e in range(-2, 6)])
    for series, (key, values) in enumerate(list(groups.items())[:MOST_CURVES]):
        values.sort()
        points = [(0.01, 0)]
        for i, v in enumerate(values):
            points += [(max(v, 0.01), i / len(values)), (max(v, 0.01), (i + 1) / len(values))]
        chart.line(points[::max(1, len(points) // 800)] + points[-1:], series, _name(key))
        below = sum(v < -0.001 for v in values)
        chart.key("%s: %.0f %% within 1 ms%s" % (
            _name(key), 100 * sum(v <= 1 for v in values) / len(values),
            ", %d below the bound" % below if below else ""), series)
    return ("Above the bound", "How much later than the bound both ends had confirmed the path.",
            chart.text("Time above the bound, cumulative"))


def _loss_groups(result):
    if "loss" not in plans.columns(result.plan):
        return None
    levels = sorted({float(value(r, "loss")) for r in result.records
                     if value(r, "loss") is not None})
    if len(levels) < 2:
        return None
    groups = {}
    for r in result.records:
        if r["why"] in ("until", "budget"):
            key = (r["voice"], plans.plain(value(r, "technique") or ""))
            groups.setdefault(key, {}).setdefault(float(value(r, "loss")), []).append(r)
    return levels, dict(list(groups.items())[:MOST_CURVES])


def _loss_chart(levels, y_range, y_label, y_ticks=None):
    # Levels are evenly spaced: 0, 1 and 5 % would otherwise crowd the left.
    return Chart((-0.5, len(levels) - 0.5), y_range, "packet loss on each link", y_label,
                 x_ticks=[(i, "%g %%" % (100 * l)) for i, l in enumerate(levels)], y_ticks=y_ticks)


def loss_success(result):
    """Success with its 95 % interval by loss, a series per technique."""
    found, success = _loss_groups(result), result.summary["success"]
    if not found or not success:
        return None
    levels, groups = found
    shares, least = [], 1.0
    for key, by in groups.items():
        for i, level in enumerate(levels):
            answers = [value(r, success) for r in by.get(level, [])]
            answers = [a for a in answers if a is not None]
            if answers:
                low, high = wilson(sum(answers), len(answers))
                least = min(least, low)
                shares.append((key, i, level, sum(answers), len(answers), low, high))
    base = max(0, int(least * 10) / 10 - 0.05) if least > 0.5 else 0
    steps = [base + i * (1 - base) / 5 for i in range(6)]
    chart = _loss_chart(levels, (base, 1.0), "direct",
                        [(v, "%.3g %%" % (100 * v)) for v in steps])
    for series, key in enumerate(groups):
        mine = [s for s in shares if s[0] == key]
        offset = (series - (len(groups) - 1) / 2) * 0.09
        chart.line([(s[1] + offset, s[3] / s[4]) for s in mine], series, _name(key))
        for _, i, level, k, n, low, high in mine:
            chart.interval(i + offset, low, high, series)
            chart.point(i + offset, k / n, series, "%s, loss %g %%: %d of %d = %.2f %%, "
                        "95 %% %.2f–%.2f %%"
                        % (_name(key), 100 * level, k, n, 100 * k / n, 100 * low, 100 * high))
        chart.key(_name(key), series)
    return ("Success over loss", "Share of runs that became direct, with 95 % Wilson intervals. "
            "The axis does not begin at zero when all is above it." if base else
            "Share of runs that became direct, with 95 % Wilson intervals.",
            chart.text("Success over packet loss"))


def loss_time(result):
    """Median time with 10th to 90th percentile by loss."""
    found, time = _loss_groups(result), result.summary["time"]
    if not found or not time or not _timed(result):
        return None
    levels, groups = found
    spreads = {(key, i): spread(value(r, time) for r in by.get(level, [])
                                if value(r, time) is not None)
               for key, by in groups.items() for i, level in enumerate(levels)}
    top = max(s["p90"] for s in spreads.values() if s["n"])
    chart = _loss_chart(levels, (0, top * 1.05), "ms to direct")
    for series, key in enumerate(groups):
        offset = (series - (len(groups) - 1) / 2) * 0.09
        mine = [(i, spreads[key, i]) for i in range(len(levels)) if spreads[key, i]["n"]]
        chart.line([(i + offset, s["median"]) for i, s in mine], series, _name(key))
        for i, s in mine:
            chart.interval(i + offset, s["p10"], s["p90"], series)
            chart.point(i + offset, s["median"], series, "%s, loss %g %%: median %.1f ms, 10th to "
                        "90th percentile %.1f–%.1f, %d runs" % (
                            _name(key), 100 * levels[i], s["median"], s["p10"], s["p90"], s["n"]))
        chart.key(_name(key), series)
    return ("Time over loss", "Median of the direct runs; the bars reach from the 10th to the 90th "
            "percentile.", chart.text("Time to direct over packet loss"))


def worlds_time(result):
    """The same cell and seed in ns-3 and on Linux."""
    pairs = time_pairs(result.plan, result.records, result.summary["time"])
    if len(pairs) < 3:
        return None
    top = max(max(p["ns3"], p["linux"]) for p in pairs) * 1.05
    chart = Chart((0, top), (0, top), "ns-3, ms", "Linux, ms")
    chart.rule([(0, 0), (top, top)], "the same in both")
    for p in _thin(pairs):
        chart.point(p["ns3"], p["linux"], 0, "%s\nns-3 %.1f ms, Linux %.1f ms"
                    % (p["id"], p["ns3"], p["linux"]), "%s/%s" % (result.key, p["id"]))
    ratio = result.summary["times"]["ratio"]
    chart.key("%d pairs of the same cell and seed, median ratio %.3f" % (
        len(pairs), ratio["median"] or 0), 0)
    return ("The same run in both worlds", "Time to direct of the same cell and seed, ns-3 across "
            "and Linux up.", chart.text("Time in ns-3 against time on Linux"))


def numbers(result):
    """A strip for every other measure in ms, over the first column that varies."""
    out = []
    varied = [c for c in plans.compared_columns(result.plan)
              if len({str(value(r, c)) for r in result.records}) > 1]
    if not varied:
        return out
    # The column with a question in it first: what is done, then which NAT.
    across = next((c for c in varied if not c.startswith("nat_")), varied[0])
    for name in plans.measure_names(result.plan):
        if not str(name).endswith("_ms") or name == result.summary["time"]:
            continue
        have = [r for r in result.records if type(value(r, name)) in (int, float)]
        if have:
            out.append(_strip(result, name, across, have))
    return out


def _strip(result, name, across, have):
    labels = list(dict.fromkeys(plans.plain(value(r, across)) for r in have))[:24]
    groups = {}
    for r in have:
        label = plans.plain(value(r, across))
        if label in labels:
            groups.setdefault((r["voice"], label), []).append(r)
    top = max(value(r, name) for r in have) * 1.05
    chart = Chart((-0.5, len(labels) - 0.5), (0, top), across, name.replace("_ms", ", ms"),
                  x_ticks=[(i, l[:14]) for i, l in enumerate(labels)])
    voices = sorted({v for v, _ in groups}, key=plans.voice_order)
    for series, voice in enumerate(voices):
        offset = (series - (len(voices) - 1) / 2) * 0.16
        for i, label in enumerate(labels):
            members = groups.get((voice, label))
            if not members:
                continue
            s = spread(value(r, name) for r in members)
            for r in _thin(members)[:200]:
                chart.point(i + offset, value(r, name), series, "%s\n%s %.1f" % (
                    r["id"], name, value(r, name)), "%s/%s" % (result.key, r["id"]))
            chart.rule([(i + offset - 0.06, s["median"]), (i + offset + 0.06, s["median"])],
                       "median %.1f of %d" % (s["median"], s["n"]))
        chart.key(plans.voice_name(voice), series)
    return (name.replace("_ms", "").replace("_", " ").capitalize(),
            "%s over %s; every run is a mark, the short line is the median." % (name, across),
            chart.text("%s over %s" % (escape(name), escape(across))))
