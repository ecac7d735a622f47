"""What messages cost as a table on the terminal: the cases without TLS and loss, near and awake."""

from rich.table import Table

from analysis import plan as plans

_BASE = {"tls": "none", "loss": "0", "payload": "32", "placement": "near", "radio": "active",
         "onward": "publish"}
_SHOWN = (("rtts", "%.2f"), ("packets", "%.3g"), ("bytes", "%.4g"))
MOST_ROWS = 48  # of the table: a terminal or two


def message_table(summary):
    """A rich Table, or None when no cell is of that kind."""
    rows = {}
    for cell in summary["cells"]:
        at = {k: plans.plain(v) for k, v in cell["at"].items()}
        if any(at.get(k, v) != v for k, v in _BASE.items()) or not (cell["time"] or {}).get("n"):
            continue
        qos = "" if at.get("qos") in (None, "-") else " QoS " + at["qos"]
        key = (at.get("access", ""), at.get("operation", ""), at.get("protocol", "") + qos,
               at.get("connection", ""))
        rows.setdefault(key, {})[cell["voice"]] = cell
    if not rows:
        return None
    voices = sorted({v for cells in rows.values() for v in cells}, key=plans.voice_order)
    table = Table(title="A message without TLS, server near the broker: median latency, round trips to "
                  "the broker, packets and IP bytes on the device's line", title_justify="left")
    for name in ("line", "operation", "protocol", "connection"):
        table.add_column(name)
    for voice in voices:
        for name in ("ms", "round trips", "packets", "bytes"):
            table.add_column("%s %s" % (plans.voice_name(voice), name), justify="right")
    for key, cells in list(sorted(rows.items()))[:MOST_ROWS]:
        numbers = []
        for voice in voices:
            cell = cells.get(voice)
            numbers.append("%.1f" % cell["time"]["median"] if cell else "")
            for name, form in _SHOWN:
                spread = cell["measures"].get(name) if cell else None
                numbers.append(form % spread["median"] if spread else "")
        table.add_row(*key, *numbers)
    return table
