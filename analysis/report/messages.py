"""Figures of what a message costs over MQTT and HTTP, for scenarios that ask for `messages`."""

from analysis import plan as plans
from analysis.report import message_latency
from analysis.report.dots import Dots
from analysis.report.svg import Chart
from analysis.summary import value
from analysis.wilson import quantile, spread

BASE = {"placement": "near", "access": "ethernet", "radio": "active", "loss": "0", "payload": "32",
        "tls": "none", "onward": "publish"}
TLS = ["none", "resumed", "1.3", "1.2"]


def message_figures(result):
    """[(title, about, html)] in the order of the page."""
    rows = [r for r in result.records if r["why"] in ("until", "budget")
            and type(value(r, "latency_ms")) in (int, float)]
    if not rows:
        return []
    made = [against_theory(result, rows), on_the_line(result, rows, "bytes"),
            on_the_line(result, rows, "packets")]
    made += [break_even(result, rows, voice) for voice in _voices(rows)]
    made += [handshakes(result, rows), over_the_air(result, rows)]
    made += message_latency.figures(result, rows, _at, _name)
    return [m for m in made if m]


def _at(row, **wanted):
    """Is the row the base case but for what is `wanted`? A value of None: any."""
    for name, base in BASE.items():
        expected = wanted.get(name, base)
        found = value(row, name)
        if None not in (expected, found) and plans.plain(found) != expected:
            return False
    return all(v is None or plans.plain(value(row, n)) == v for n, v in wanted.items())


def _name(row, connection=True):
    name = str(value(row, "protocol"))
    qos = plans.plain(value(row, "qos"))
    name += " QoS %s" % qos if qos in ("0", "1", "2") else ""
    name += " at PUBREL" if value(row, "onward") == "pubrel" else ""
    return name + (", %s" % value(row, "connection") if connection else "")


def _groups(rows, key):
    groups = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _voices(rows):
    return sorted({r["voice"] for r in rows}, key=plans.voice_order)


def _middle(rows, name):
    numbers = sorted(value(r, name) for r in rows if type(value(r, name)) in (int, float))
    return quantile(numbers, 0.5) if numbers else None


def against_theory(result, rows):
    rows = [r for r in rows if value(r, "rtts_off") is not None
            and plans.plain(value(r, "loss")) == "0"]
    if len(rows) < 3:
        return None
    top = max(max(value(r, "rtts_theory"), value(r, "rtts")) for r in rows) * 1.05
    chart = Chart((0, top), (0, top), "round trips that theory asks for", "round trips measured")
    chart.rule([(0, 0), (top, top)], "as theory has it")
    for series, voice in enumerate(_voices(rows)):
        mine = [r for r in rows if r["voice"] == voice]
        for r in mine[::max(1, len(mine) // 600)]:
            chart.point(value(r, "rtts_theory"), value(r, "rtts"), series, "%s, %s, TLS %s: theory "
                        "%.2f, measured %.3f" % (_name(r), value(r, "operation"), value(r, "tls"),
                                                 value(r, "rtts_theory"), value(r, "rtts")),
                        "%s/%s" % (result.key, r["id"]))
        off = spread(value(r, "rtts_off") for r in mine)
        chart.key("%s: %d runs, measured ÷ theory %.3f in the median, %.3f to %.3f" % (
            plans.voice_name(voice), len(mine), off["median"], off["min"], off["max"]), series)
    return ("Round trips: theory and measurement", "On wires without loss. Round trips are of device "
            "to broker; theory adds up the rounds of TCP, TLS, CONNECT, SUBSCRIBE and the message.",
            chart.text("Round trips, measured over theory"))


def on_the_line(result, rows, what):
    rows = [r for r in rows if _at(r, operation="publish", tls=None)
            and plans.plain(value(r, "tls")) in ("none", "1.3")
            and (value(r, "protocol") != "mqtt3" or plans.plain(value(r, "tls")) == "none")
            and type(value(r, what)) in (int, float)]
    groups = _groups(rows, lambda r: (_name(r) + (", TLS 1.3" if value(r, "tls") == "1.3" else "")))
    if len(groups) < 3:
        return None
    order = sorted(groups, key=lambda n: _middle(groups[n], what))
    top = max(value(r, what) for r in rows) * 1.05
    chart = Dots(order, (0, top), "%s per message on the device's line" % (
        "IP bytes" if what == "bytes" else "packets"))
    voices = _voices(rows)
    for series, voice in enumerate(voices):
        offset = (series - (len(voices) - 1) / 2) * 0.3
        for name in order:
            mine = [r for r in groups[name] if r["voice"] == voice]
            if mine:
                middle, expected = _middle(mine, what), _middle(mine, what + "_theory")
                if expected:
                    chart.mark(name, expected, "%s, %s: predicted %.5g" % (
                        name, plans.voice_name(voice), expected), offset)
                chart.point(name, middle, series, "%s, %s: %.5g, predicted %.5g" % (
                    name, plans.voice_name(voice), middle, expected or 0),
                    "%s/%s" % (result.key, mine[0]["id"]), offset)
        offs = [value(r, what + "_off") for r in rows if r["voice"] == voice
                and value(r, what + "_off") is not None]
        exact = [value(r, "as_predicted") for r in rows if r["voice"] == voice
                 and type(value(r, "as_predicted")) in (int, float)]
        note = ", median message ÷ predicted %.3f to %.3f" % (min(offs), max(offs)) if offs else ""
        if exact:
            note += "; %.3g %% of all messages to the byte" % (100 * sum(exact) / len(exact))
        chart.key(plans.voice_name(voice) + note, series)
    return ("%s per message" % what.capitalize(), "A publish of 32 bytes, near, acknowledgements and, "
            "when cold, connecting and closing included; mean of a run. HTTP: a POST. Upright strokes: what "
            "message sizes and the world's acknowledgement rule predict.",
            chart.text("%s per message" % what))


def break_even(result, rows, voice):
    rows = [r for r in rows if _at(r, operation="request", placement=None, onward=None)
            and (plans.plain(value(r, "qos")) in ("1", "-") or value(r, "onward") == "pubrel")
            and value(r, "r2_over_r1") is not None and value(r, "protocol") != "mqtt3"
            and r["voice"] == voice]
    groups = _groups(rows, _name)
    xs = sorted({value(r, "r2_over_r1") for r in rows})
    if len(xs) < 2:
        return None
    top = max(max(value(r, "rtts"), value(r, "rtts_theory") or 0) for r in rows) * 1.05
    chart = Chart((0, max(xs)), (0, top), "R2 ÷ R1: how far the server is from the broker",
                  "round trips (R1) until the answer")
    for series, (key, mine) in enumerate(sorted(groups.items())):
        by = _groups(mine, lambda r: value(r, "r2_over_r1"))
        chart.line([(x, _middle(by[x], "rtts_theory")) for x in sorted(by)], series, key + ", theory")
        for x in sorted(by):
            y = _middle(by[x], "rtts")
            chart.point(x, y, series, "%s at R2 = %.2f R1: %.2f round trips, theory %.2f" % (
                key, x, y, _middle(by[x], "rtts_theory")), "%s/%s" % (result.key, by[x][0]["id"]))
        chart.key(key, series)
    return ("Break-even of MQTT and HTTP, %s" % plans.voice_name(voice), "A request and its answer, "
            "device to server. HTTP goes there directly, which a server behind NAT does not allow; MQTT "
            "and the long poll go by way of the broker, R1 + R2. Lines are theory, marks measured; where "
            "lines cross is the break-even.", chart.text("Break-even, %s" % plans.voice_name(voice)))


def handshakes(result, rows):
    rows = [r for r in rows if _at(r, operation="publish", connection="cold", tls=None)
            and plans.plain(value(r, "qos")) in ("1", "-") and value(r, "protocol") != "mqtt3"]
    kinds = [t for t in TLS if any(plans.plain(value(r, "tls")) == t for r in rows)]
    if len(kinds) < 2:
        return None
    chart = Chart((-0.5, len(kinds) - 0.5), (0, max(value(r, "rtts") for r in rows) * 1.1),
                  "TLS on a new connection", "round trips of a publish",
                  x_ticks=[(i, k) for i, k in enumerate(kinds)])
    groups = _groups(rows, lambda r: (r["voice"], _name(r)))
    for series, key in enumerate(sorted(groups, key=lambda k: (plans.voice_order(k[0]), k[1]))):
        offset = (series - (len(groups) - 1) / 2) * 0.07
        by = _groups(groups[key], lambda r: plans.plain(value(r, "tls")))
        points = [(kinds.index(k) + offset, _middle(by[k], "rtts"), k) for k in kinds if k in by]
        theory = [(kinds.index(k), _middle(by[k], "rtts_theory")) for k in kinds if k in by]
        if all(y is not None for _, y in theory):
            chart.line(theory, series, "%s, theory" % key[1])
        for x, y, k in points:
            chart.point(x, y, series, "%s, %s, TLS %s: %.2f" % (
                plans.voice_name(key[0]), key[1], k, y), "%s/%s" % (result.key, by[k][0]["id"]))
        chart.key("%s, %s" % (plans.voice_name(key[0]), key[1]), series)
    return ("What TLS and a cold start cost", "From nothing to the acknowledgement, on a connection of "
            "its own; a message on a connection that is there takes 1. Lines are theory, marks measured.",
            chart.text("Cost of a cold start"))


def over_the_air(result, rows):
    rows = [r for r in rows if _at(r, access="lte", radio=None, operation=None)
            and value(r, "protocol") != "mqtt3"]
    if not rows:
        return None
    groups = _groups(rows, lambda r: "%s: %s" % (value(r, "operation"), _name(r)))
    order = sorted(groups, key=lambda n: (n.split(":")[0], _middle(groups[n], "latency_ms")))
    series_of = sorted({(r["voice"], str(value(r, "radio"))) for r in rows},
                       key=lambda k: (plans.voice_order(k[0]), k[1]))
    top = max(value(r, "p90_ms") or value(r, "latency_ms") for r in rows) * 1.03
    chart = Dots(order, (0, top), "ms over 4G; median, and from 10 to 90 of 100")
    for series, key in enumerate(series_of):
        offset = (series - (len(series_of) - 1) / 2) * 0.2
        for name in order:
            mine = [r for r in groups[name] if (r["voice"], str(value(r, "radio"))) == key]
            if not mine:
                continue
            middle, low, high = (_middle(mine, n) for n in ("latency_ms", "p10_ms", "p90_ms"))
            if high is not None:
                chart.interval(name, middle if low is None else low, high, series, offset)
            chart.point(name, middle, series, "%s, %s, radio %s: %.1f ms" % (
                name, plans.voice_name(key[0]), key[1], middle),
                "%s/%s" % (result.key, mine[0]["id"]), offset)
        chart.key("%s, radio %s" % (plans.voice_name(key[0]), key[1]), series)
    return ("Over 4G", "Without TLS, server near the broker. A radio that slept takes 260 ms to wake "
            "before anything moves.", chart.text("Latency over 4G"))
