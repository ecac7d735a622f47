"""What messages should take in round trips, out of the delays of a run's links. What they should
cost in packets and bytes is in line.py. Beside both stands what was measured
(docs/reference/measures.md, "Theory").
"""

from analysis.bounds import Paths

# Round trips of a TLS handshake before data may go: RFC 8446 section 2, RFC 5246 section 7.3.
TLS_ROUNDS = {"none": 0, "1.2": 2, "1.3": 1, "resumed": 1}


def round_trips(run):
    """{"rtts", "latency_ms", "r1_ms", "r2_ms", "r3_ms"} expected of a run of mqtt_vs_http's kind;
    None if it is none, or its device is on a radio, whose delay no plan states."""
    at = case_of(run)
    ways = Paths(run)
    try:
        r1, r2, r3 = (2 * ways.way(a, b)[0] for a, b in
                      (("dev", "broker"), ("broker", "server"), ("dev", "server")))
    except TypeError:
        return None
    if at is None or r1 <= 0:
        return None
    if any(link.get("access") == "lte" for link in run.get("links", [])):
        return None
    mqtt = at["protocol"].startswith("mqtt")
    asks = at["operation"] == "request"
    straight = r3 if at["protocol"] == "http" else r1
    if not asks:
        ms = {"0": 0.5, "1": 1.0, "2": 2.0}[at["qos"]] * r1 if mqtt else straight
    else:
        ms = straight if at["protocol"] == "http" else r1 + r2
        if at["qos"] == "2" and run.get("parameters", {}).get("qos2") == "at-pubrel":
            ms *= 3  # PUBLISH, PUBREC, PUBREL on each leg before it goes on
    if at["connection"] == "cold":
        ms += straight * (1 + TLS_ROUNDS[at["tls"]])     # TCP, TLS
        ms += r1 * (2 if asks else 1) if mqtt else 0.0   # CONNECT, SUBSCRIBE
    ms += (2 if asks else 1) * _on_the_wire_ms(run)
    return {"rtts": ms / r1, "latency_ms": ms, "r1_ms": r1, "r2_ms": r2, "r3_ms": r3}


def _on_the_wire_ms(run):
    """What the payload's bits take on the device's line, beyond those of a small packet."""
    payload = run.get("parameters", {}).get("payload", 0)
    rates = [link.get("rate_mbps", 0) for link in run.get("links", []) if "dev" in link["ends"]]
    return 8e-3 * payload / min(rates) if rates and min(rates) > 0 else 0.0


def case_of(run):
    """The run's protocol, operation, …; None if it does not measure messages."""
    parameters = {**run.get("parameters", {}), **run.get("labels", {})}
    names = ("protocol", "operation", "qos", "tls", "connection")
    if not all(isinstance(parameters.get(n), str) for n in names):
        return None
    case = {n: parameters[n] for n in names}
    known = case["tls"] in TLS_ROUNDS and case["operation"] in ("publish", "request")
    return case if known else None
