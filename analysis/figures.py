"""Figures for papers: PNG and SVG files by matplotlib, from the same rows as the report."""

from pathlib import Path

from analysis import plan as plans
from analysis.console import where_text
from analysis.message_figures import message_figures
from analysis.report.load import load
from analysis.summary import value
from analysis.wilson import spread, wilson

# Okabe and Ito's palette: told apart by colour-blind readers; markers differ besides.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


def write_figures(folders, out):
    """Writes the figures of every folder into `out`; the paths written."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written, names = [], set()
    for index, folder in enumerate(folders):
        result = load(folder, "r%d" % index)
        base = str(result.summary["scenario"])
        if base in names:
            base += "-%d" % index
        names.add(base)
        for name, figure in _figures(result, plt):
            for kind in ("png", "svg"):
                path = out / ("%s-%s.%s" % (base, name, kind))
                figure.savefig(path, dpi=200, bbox_inches="tight")
                written.append(path)
            plt.close(figure)
    return written


def _figures(result, plt):
    if "messages" in (result.plan.get("figures") or []):
        yield from message_figures(result, plt)
        return
    pair = plans.pair_columns(result.plan)
    if pair and result.summary["success"]:
        for index, group in enumerate(result.summary["groups"]):
            yield "map-%s-%d" % (group["voice"], index), _map(result, pair, group, plt)
    time = result.summary["time"]
    timed = [r for r in result.records if time and value(r, time) is not None]
    if timed:
        yield "time", _curves(result, time, timed, plt)
        bounded = [r for r in timed if value(r, "bound_ms") is not None]
        if bounded:
            yield "bound", _bound(time, bounded, plt)
    if "loss" in plans.columns(result.plan) and time and result.summary["success"]:
        yield "loss", _loss(result, time, plt)


def _map(result, pair, group, plt):
    cells = [c for c, _, _ in result.cells if c["voice"] == group["voice"]
             and all(str(c["at"].get(k)) == str(v) for k, v in group["at"].items())]
    rows = list(dict.fromkeys(str(c["at"][pair[0]]) for c in cells))
    across = list(dict.fromkeys(str(c["at"][pair[1]]) for c in cells))
    figure, axes = plt.subplots(figsize=(1.8 + 0.62 * len(across), 1.6 + 0.5 * len(rows)))
    grid = [[float("nan")] * len(across) for _ in rows]
    for cell in cells:
        y, x = rows.index(str(cell["at"][pair[0]])), across.index(str(cell["at"][pair[1]]))
        if cell["decided"]:
            grid[y][x] = cell["successes"] / cell["decided"]
        axes.text(x, y, "%d/%d" % (cell["successes"], cell["decided"]) if cell["decided"] else "?",
                  ha="center", va="center", fontsize=8,
                  color="white" if cell["rate"] and cell["rate"] > 0.6 else "black")
    axes.imshow(grid, cmap="Blues", vmin=-0.12, vmax=1.1, aspect="auto")
    axes.set_xticks(range(len(across)), across, rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(pair[1])
    axes.set_ylabel(pair[0])
    axes.set_title("%s, %s" % (plans.voice_name(group["voice"]), where_text(group["at"])))
    return figure


def _curves(result, time, timed, plt):
    figure, axes = plt.subplots(figsize=(5.6, 3.6))
    groups = {}
    for r in result.records:
        if r["why"] in ("until", "budget"):
            groups.setdefault((r["voice"], str(value(r, "technique") or "")), []).append(r)
    for index, (key, members) in enumerate(list(groups.items())[:7]):
        times = sorted(value(r, time) for r in members if value(r, time) is not None)
        axes.step([0] + times, [i / len(members) for i in range(len(times) + 1)], where="post",
                  color=COLOURS[index], label="%s %s" % (plans.voice_name(key[0]), key[1]))
    axes.set(xlabel="ms since the request", ylabel="share of runs direct", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _bound(time, bounded, plt):
    figure, axes = plt.subplots(figsize=(4.4, 4.2))
    groups = {}
    for r in bounded:
        groups.setdefault((r["voice"], str(r["bound_rule"])), []).append(r)
    for index, (key, members) in enumerate(list(groups.items())[:7]):
        axes.scatter([value(r, "bound_ms") for r in members], [value(r, time) for r in members],
                     s=14, color=COLOURS[index], marker=MARKERS[index], alpha=0.7,
                     label="%s, %s" % (plans.voice_name(key[0]), key[1]))
    top = max(value(r, "bound_ms") for r in bounded) * 1.05
    axes.plot([0, top], [0, top], color="black", linewidth=1)
    axes.set(xlabel="lower bound, ms", ylabel="measured, ms", xlim=(0, top))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _loss(result, time, plt):
    success = result.summary["success"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6), gridspec_kw={"wspace": 0.28})
    groups = {}
    for r in result.records:
        if r["why"] in ("until", "budget") and value(r, success) is not None:
            key = (r["voice"], str(value(r, "technique") or ""))
            groups.setdefault(key, {}).setdefault(float(value(r, "loss")), []).append(r)
    for index, (key, by) in enumerate(list(groups.items())[:7]):
        style = {"color": COLOURS[index], "marker": MARKERS[index], "capsize": 3,
                 "label": "%s %s" % (plans.voice_name(key[0]), key[1])}
        levels = sorted(by)
        xs = [100 * level + 0.06 * index for level in levels]
        rates = [(sum(value(r, success) for r in by[l]), len(by[l])) for l in levels]
        shares = [k / n for k, n in rates]
        bands = [wilson(k, n) for k, n in rates]
        left.errorbar(xs, shares, yerr=[[max(0, s - b[0]) for s, b in zip(shares, bands)],
                                        [max(0, b[1] - s) for s, b in zip(shares, bands)]], **style)
        spreads = [spread(value(r, time) for r in by[l] if value(r, time) is not None)
                   for l in levels]
        some = [(x, s) for x, s in zip(xs, spreads) if s["n"]]
        right.errorbar([x for x, _ in some], [s["median"] for _, s in some],
                       yerr=[[s["median"] - s["p10"] for _, s in some],
                             [s["p90"] - s["median"] for _, s in some]], **style)
    left.set(xlabel="loss, %", ylabel="direct, 95 % interval")
    right.set(xlabel="loss, %", ylabel="ms to direct, p10–median–p90", yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(fontsize=8)
    return figure
