"""Figures for papers of what a message costs (matplotlib), from the same rows as the report."""

from analysis import plan as plans
from analysis.summary import value
from analysis.wilson import quantile

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


def message_figures(result, plt):
    """Yields (name, figure)."""
    rows = [r for r in result.records if type(value(r, "rtts")) in (int, float)]
    if len([r for r in rows if value(r, "rtts_theory") is not None]) > 2:
        yield "theory", _theory(rows, plt)
    asked = [r for r in rows if value(r, "operation") == "request" and r["voice"] == "ns3"
             and str(value(r, "tls")) == "none" and value(r, "r2_over_r1") is not None
             and plans.plain(value(r, "qos")) in ("1", "-") and value(r, "protocol") != "mqtt3"
             and plans.plain(value(r, "payload")) == "32" and plans.plain(value(r, "loss")) == "0"]
    if len({value(r, "r2_over_r1") for r in asked}) > 1:
        yield "break-even", _lines(asked, "r2_over_r1", "rtts", "R2 / R1",
                                   "round trips until the answer", plt)
    lost = [r for r in rows if value(r, "operation") == "publish" and r["voice"] == "ns3"
            and value(r, "connection") == "warm" and str(value(r, "tls")) == "none"
            and value(r, "access") == "ethernet" and value(r, "protocol") != "mqtt3"
            and plans.plain(value(r, "payload")) == "32"]
    if len({plans.plain(value(r, "loss")) for r in lost}) > 1:
        yield "loss", _lines(lost, "loss", "p90_ms", "loss", "ms, 90 of 100 below", plt)


def _theory(rows, plt):
    figure, axes = plt.subplots(figsize=(4.6, 4.2))
    rows = [r for r in rows if value(r, "rtts_theory") is not None
            and plans.plain(value(r, "loss")) == "0"]
    for i, voice in enumerate(sorted({r["voice"] for r in rows}, key=plans.voice_order)):
        mine = [r for r in rows if r["voice"] == voice]
        axes.scatter([value(r, "rtts_theory") for r in mine], [value(r, "rtts") for r in mine], s=14,
                     color=COLOURS[i], marker=MARKERS[i], alpha=0.7, label=plans.voice_name(voice))
    top = max(value(r, "rtts_theory") for r in rows) * 1.1
    axes.plot([0, top], [0, top], color="black", linewidth=1)
    axes.set(xlabel="round trips, theory", ylabel="round trips, measured", xlim=(0, top), ylim=(0, top))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _lines(rows, x_name, y_name, x_label, y_label, plt):
    figure, axes = plt.subplots(figsize=(5.4, 3.6))
    groups = {}
    for r in rows:
        qos = plans.plain(value(r, "qos"))
        name = "%s%s, %s" % (value(r, "protocol"), "" if qos == "-" else " QoS " + qos,
                             value(r, "connection"))
        if type(value(r, y_name)) in (int, float):
            groups.setdefault(name, {}).setdefault(float(value(r, x_name)), []).append(
                value(r, y_name))
    for i, name in enumerate(sorted(groups)):
        xs = sorted(groups[name])
        axes.plot(xs, [quantile(groups[name][x], 0.5) for x in xs], color=COLOURS[i % 7],
                  marker=MARKERS[i % 7], label=name)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
