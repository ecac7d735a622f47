"""What a message should cost: round trips out of the delays of a run's links, packets and bytes out
of what went into TCP and came out of it (events latency.wrote and latency.read) and the rule by which
that world acknowledges. Beside it stands what was measured (docs/reference/measures.md, "Theory").
"""

from dataclasses import dataclass

from analysis.bounds import Paths

# Round trips of a TLS handshake before data may go: RFC 8446 section 2, RFC 5246 section 7.3.
_ALERTS = {"1.2": 31, "1.3": 24, "resumed": 24}  # bytes of an encrypted alert, AES-GCM
TLS_ROUNDS = {"none": 0, "1.2": 2, "1.3": 1, "resumed": 1}


@dataclass(frozen=True)
class Tcp:
    """How a world's TCP looks on the wire. Bytes are of IP packets, times in ms."""

    header: int            # IPv4 20, TCP 20, time stamps 12 (RFC 7323)
    syn: int
    segment: int           # most bytes of data in one
    delay: float           # an acknowledgement waits so long for data to ride on
    every: int             # or for so many segments
    first_at_once: bool    # the first segment is acknowledged at once by who has sent nothing yet
    learns: bool           # all are, until it has seen data follow data (Linux' ping-pong mode)
    joins: bool            # writes of one moment leave as one segment
    tolerance: float       # what events of one moment may differ by
    closing: int           # packets when the device closes: FIN, FIN, and an acknowledgement of
                           # each, unless the second FIN carries one
    closed: int = 4        # and when the other end does


TCP = {
    # ns-3 3.37, tcp-socket-base.cc: a SYN's options are window scale, time stamps and SACK permitted;
    # DelAckCount 2; model/ns3/host.cc sets DelAckTimeout to 40 ms, as Linux; "always respond to first data packet"; Send only schedules.
    "ns3": Tcp(52, 56, 1448, 40.0, 2, True, False, True, 0.001, 4),
    # Linux 6: SYN of 40 bytes; TCP_DELACK_MIN 40 ms; tcp_cleanup_rbuf acknowledges what was read
    # unless in ping-pong mode, which tcp_event_data_sent begins and a missed delay ends.
    "linux": Tcp(52, 60, 1448, 40.0, 2, False, True, False, 1.5, 3),
}


def round_trips(run):
    """{"rtts", "latency_ms", "r1_ms", "r2_ms", "r3_ms"} expected of a run of mqtt_vs_http's kind;
    None if it is none, or its device is on a radio, whose delay no plan states."""
    at = _case(run)
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


def _case(run):
    """The run's protocol, operation, …; None if it does not measure messages."""
    parameters = {**run.get("parameters", {}), **run.get("labels", {})}
    names = ("protocol", "operation", "qos", "tls", "connection")
    if not all(isinstance(parameters.get(n), str) for n in names):
        return None
    case = {n: parameters[n] for n in names}
    known = case["tls"] in TLS_ROUNDS and case["operation"] in ("publish", "request")
    return case if known else None


def bytes_on_the_line(run, log):
    """{"packets", "bytes"} predicted for all operations of a run on the device's line, from the
    first count to the last; None without the events, or where packets are lost."""
    tcp = TCP.get(run.get("world"))
    rtt = _least_rtt(run, log)
    begins = log.named("latency.begun")
    if tcp is None or not rtt or not begins or log.named("link.lost"):
        return None
    start = begins[0]["time_ms"]
    over = next((e["time_ms"] for e in log.named("latency.done")), float("inf"))  # the last count
    device = begins[0]["node"]
    moves = [e for e in log.events if e["service"] == "latency" and e["node"] == device
             and e["event"] in ("tcp", "wrote", "read", "ended")
             and e["time_ms"] <= over]  # in the log's order
    tls = (_case(run) or {}).get("tls", "none")
    packets = size = 0
    for connection in _connections(moves):
        counted = _Conversation(tcp, rtt, _radio(run), tls).count(connection, start)
        packets, size = packets + counted[0], size + counted[1]
    return {"packets": packets, "bytes": size}


def _least_rtt(run, log):
    """Of the way to whom the device talks: the delays of its links and, on a radio, what it states
    or what was measured there. Nothing is answered sooner."""
    case = _case(run)
    far = "server" if case and case["protocol"] == "http" else "broker"
    way = Paths(run).way("dev", far)
    measured = next((e.get("rtt_ms") for e in log.named("latency.ready")), None)
    if way is None or not measured:
        return measured
    for link in run.get("links", []):
        if link.get("access") == "lte":
            if run.get("world") == "ns3":  # in steps of a millisecond, LTE's sub-frame
                return measured - 4
            return 2 * way[0] + link["up_delay_ms"] + link["down_delay_ms"]
    return 2 * way[0]


def _radio(run):
    """(wake, idle) in ms of the radio that may sleep, None without one."""
    for link in run.get("links", []):
        if link.get("access") == "lte" and link.get("idle_ms") and link.get("wake_ms"):
            return link["wake_ms"], link["idle_ms"]
    return None


def _connections(moves):
    """The events of each connection: one lives at a time, from `tcp` to `ended`."""
    out = []
    for event in moves:
        if event["event"] == "tcp" or not out:
            out.append([])
        out[-1].append(event)
    return out


class _Receiver:
    """One end's acknowledgements that no data carries."""

    def __init__(self, tcp, start):
        self.tcp, self.start, self.alone = tcp, start, 0
        self.waiting = self.due = self.last = None
        self.conversing = self.has_sent = False

    def _pass(self, now):
        if self.waiting and self.due is not None and now > self.due + self.tcp.tolerance:
            self.alone += self.due >= self.start
            self.waiting = self.due = None
            self.conversing = False

    def segments(self, now, count):
        self._pass(now)
        tcp = self.tcp
        at_once = (tcp.learns and not self.conversing) or (
            tcp.first_at_once and self.last is None and not self.has_sent)
        self.last = now
        for _ in range(count):
            self.waiting = (self.waiting or 0) + 1
            if at_once or self.waiting >= tcp.every:
                self.alone += now >= self.start
                self.waiting = self.due = None
                at_once = at_once and tcp.learns
        if self.waiting and self.due is None:
            self.due = now + tcp.delay

    def sent(self, now):
        """Data or a FIN went out, and what was due with it."""
        self._pass(now)
        self.has_sent = True
        if self.last is not None and now - self.last < self.tcp.delay:
            self.conversing = True
        self.waiting = self.due = None

    def end(self):
        self._pass(float("inf"))


class _Conversation:
    """Packets of one connection, out of what its device wrote and read."""

    def __init__(self, tcp, rtt_ms, radio=None, tls="none"):
        self.tcp, self.rtt, self.radio, self.tls = tcp, rtt_ms, radio, tls

    def count(self, events, start):
        """(packets, bytes) from `start` on."""
        tcp = self.tcp
        new = events[0]["event"] == "tcp" and events[0]["time_ms"] >= start
        last = next((e for e in events if e["event"] == "ended"), None)
        ended = last and last["time_ms"]
        moves = self._moves(events)
        packets = size = 0
        for at, _, length in moves:
            if at >= start:
                segments = -(-length // tcp.segment)
                packets += segments
                size += length + segments * tcp.header
        bare = self._alone(moves, start, ended, last and last.get("how") == "closed",
                           events[0]["time_ms"])
        if new:
            packets, size = packets + 2, size + 2 * tcp.syn
            bare += 1
        if ended is not None and ended >= start and last.get("how") == "closed" and not tcp.joins:
            # The other end's close_notify is a segment of its own, though it is read with what came
            # before it; alone it was one already.
            read = [length for _, what, length in moves if what == "read"]
            alert = _ALERTS.get(self.tls)
            if alert and read and read[-1] != alert:
                packets, size = packets + 1, size + tcp.header
        if ended is not None and ended >= start:
            bare += tcp.closing if last.get("how") == "shutdown" else tcp.closed
        return packets + bare, size + bare * tcp.header

    def _moves(self, events):
        moves = []
        for e in events:
            if e["event"] not in ("wrote", "read"):
                continue
            if moves and self.tcp.joins and moves[-1][:2] == (e["time_ms"], e["event"]):
                moves[-1] = (e["time_ms"], e["event"], moves[-1][2] + e["bytes"])
            else:
                moves.append((e["time_ms"], e["event"], e["bytes"]))
        return moves

    def _alone(self, moves, start, ended, by_peer, since):
        """Acknowledgements without data, both ways, from `start` on."""
        if by_peer and moves and moves[-1][1] == "read":  # its FIN came along: one acknowledgement
            by_peer = len(moves) - 1
        else:
            by_peer = None
        near, far = _Receiver(self.tcp, start), _Receiver(self.tcp, start)
        # The far end's clock runs so that what is written here arrives there at once; what is read
        # here left there a round trip ago, but never before what it answers.
        steps = []
        # What a sleeping radio holds arrives later; the handshake has just woken it.
        awake, quiet = 0.0, since
        for order, (at, what, length) in enumerate(moves):
            if self.radio and at - quiet > self.radio[1]:
                awake = at + self.radio[0]
            quiet = at
            segments = -(-length // self.tcp.segment)
            mine, theirs = (at, max(at, awake)) if what == "wrote" else (at, at - self.rtt)
            if order != by_peer:
                steps.append((mine, 0, order, near, what == "read", segments))
            steps.append((theirs + (0 if what == "wrote" else self.tcp.tolerance), 1, order, far,
                          what == "wrote", segments))
        if ended is not None:  # a FIN carries what is due, and is acknowledged with what came before
            steps.append((ended, 0, len(moves), near, False, 0))
            steps.append((ended, 1, len(moves), far, False, 0))
            last = max([at for at, what, _ in moves if what == "read"] + [ended])
            steps.append((last, 0, len(moves) + 1, near, False, 0))
        for at, _, _, end, arrives, segments in sorted(steps, key=lambda s: s[:3]):
            if arrives:
                end.segments(at, segments)
            else:
                end.sent(at)
        near.end()
        far.end()
        return near.alone + far.alone
