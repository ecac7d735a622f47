"""What messages should cost on the device's line: packets and IP bytes, out of what went into TCP and
came out of it (events latency.wrote and latency.read) and the rule by which that world's TCP
acknowledges and closes (docs/reference/measures.md, "Theory").

Where the line was watched (events link.passed) it is told for every operation, and what is nobody's
rule but a matter of who was quicker is taken from there: where segments end, whether the two FINs
crossed, and whether an acknowledgement that was due at the very moment at which data left went alone.
"""

from analysis.bounds import Paths
from analysis.tcp_rule import TCP, Receiver
from analysis.theory import case_of

TUNNEL = 52  # bytes: IPv4 20, UDP 8, the service vpn's own 24 (model/tunnel)
_ALERTS = {"1.2": 31, "1.3": 24, "resumed": 24}  # bytes of an encrypted alert, AES-GCM


def bytes_on_the_line(run, log):
    """{"packets", "bytes"} predicted for all operations of a run on the device's line, from the
    first count to the last; None without the events, or where packets are lost."""
    predicted = _predicted(run, log)
    if predicted is None:
        return None
    return {"packets": len(predicted), "bytes": sum(size for _, size in predicted)}


def by_operation(run, log):
    """[{"packets", "bytes", "packets_theory", "bytes_theory"}] of each operation on a watched line;
    None without the events, or where packets are lost."""
    predicted, passed = _predicted(run, log), _passed(run, log)
    if predicted is None or not passed:
        return None
    begins = sorted(e["time_ms"] for e in log.named("latency.begun"))
    out = [{"packets": 0, "bytes": 0, "packets_theory": 0, "bytes_theory": 0} for _ in begins]
    seen = [(e["time_ms"], e["bytes"]) for e in passed]
    for suffix, packets in (("", seen), ("_theory", predicted)):
        for at, size in packets:
            index = sum(begin <= at for begin in begins) - 1
            if index >= 0:
                out[index]["packets" + suffix] += 1
                out[index]["bytes" + suffix] += size
    return out


def sent_again(run, log):
    """How many segments with data, SYN or FIN passed the device's line a second time; None: it was not
    watched."""
    passed = _passed(run, log)
    if not passed:
        return None
    again, highest = 0, {}
    for e in passed:
        length = e.get("data", 0) + sum(c in "SF" for c in e.get("flags", ""))
        if not length or "port" not in e:
            continue
        key = (e["port"], e["way"])
        end = e["sequence"] + length
        if key in highest and "S" not in e["flags"] and _after(highest[key], end) >= 0:
            again += 1
        elif key in highest and "S" in e["flags"] and highest[key] == end:
            again += 1
        else:
            highest[key] = end
    return again


def _after(a, b):
    """a - b in the circle of sequence numbers."""
    return (a - b + 2**31) % 2**32 - 2**31


def _device(log):
    begins = log.named("latency.begun")
    return begins[0]["node"] if begins else None


def _over(log):
    return next((e["time_ms"] for e in log.named("latency.done")), float("inf"))


def _passed(run, log):
    device, over = _device(log), _over(log)
    return [e for e in log.named("link.passed") if e.get("end") == device and e["time_ms"] <= over]


def _predicted(run, log):
    """[(time, bytes)] of the packets predicted; None: there is nothing to predict from."""
    tcp = TCP.get(run.get("world"))
    rtt = _least_rtt(run, log)
    begins = log.named("latency.begun")
    if tcp is None or not rtt or not begins or log.named("link.lost"):
        return None
    start, over, device = begins[0]["time_ms"], _over(log), begins[0]["node"]
    moves = [e for e in log.events if e["service"] == "latency" and e["node"] == device
             and e["event"] in ("tcp", "wrote", "read", "ended")
             and e["time_ms"] <= over]  # in the log's order
    passed = _passed(run, log)
    tls = (case_of(run) or {}).get("tls", "none")
    packets = []
    # What the machine's own load adds to a round trip, the far end's clock may be wrong by.
    slack = max(0.0, (log.named("latency.ready") or [{}])[0].get("rtt_ms", 0) - rtt)
    slack = slack if _radio(run) is None else 0.0
    for connection in _connections(moves):
        seen = [e for e in passed if e.get("port") == _port(connection[0])]
        conversation = Conversation(tcp, rtt, _radio(run), tls, seen, slack)
        packets += conversation.packets(connection, start)
    # A tunnel puts each packet into a datagram of its own.
    more = TUNNEL if run.get("parameters", {}).get("vpn") is True else 0
    return [(at, size + more) for at, size in packets]


def _port(event):
    text = str(event.get("local", "")).rpartition(":")[2]
    return int(text) if text.isdigit() else None


def _least_rtt(run, log):
    """From where the line is watched to whom the device talks and back: the delays of the links and, of a
    radio, what it states. Nothing is answered sooner."""
    case = case_of(run)
    far = "server" if case and case["protocol"] == "http" else "broker"
    way = Paths(run).way("dev", far)
    measured = next((e.get("rtt_ms") for e in log.named("latency.ready")), None)
    if way is None or not measured:
        return measured
    for link in run.get("links", []):
        if link.get("access") == "lte" and run.get("world") == "linux":
            return 2 * way[0] + link["up_delay_ms"] + link["down_delay_ms"]
        if link.get("access") == "lte" and not _passed(run, log):
            return measured - 4  # in steps of a millisecond, LTE's sub-frame
    return 2 * way[0]  # in ns-3 a device on LTE is watched behind its radio


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


class Conversation:
    """Packets of one connection, out of what its device wrote and read, and what was seen of it."""

    def __init__(self, tcp, rtt_ms, radio=None, tls="none", seen=(), slack=0.0):
        self.tcp, self.rtt, self.radio, self.tls = tcp, rtt_ms, radio, tls
        self.seen, self.slack = seen, slack

    def packets(self, events, start):
        """[(time, bytes)] from `start` on."""
        tcp = self.tcp
        new = events[0]["event"] == "tcp" and events[0]["time_ms"] >= start
        last = next((e for e in events if e["event"] == "ended"), None)
        ended = last and last["time_ms"]
        moves = self._moves(events, start)
        out = []
        for at, _, length, *_ in moves:
            segments = -(-length // tcp.segment)
            out += [(at, length // segments + tcp.header)] * segments if at >= start else []
            if at >= start and segments:
                out[-1] = (at, length - (segments - 1) * (length // segments) + tcp.header)
        bare = [at for at in self._alone(moves, start, ended, last and last.get("how") == "closed",
                                         events[0]["time_ms"])]
        since = events[0]["time_ms"]
        if new:
            # The handshake was before `tcp`, within its operation.
            out += [(since, tcp.syn)] * 2
            bare.append(since)
        if ended is not None and ended >= start and last.get("how") == "closed" and not tcp.joins \
                and not self.seen:
            # The other end's close_notify is a segment of its own, though it is read with what came
            # before it; alone it was one already.
            read = [m[2] for m in moves if m[1] == "read"]
            alert = _ALERTS.get(self.tls)
            if alert and read and read[-1] != alert:
                bare.append(ended)  # its bytes are among those read
        if ended is not None and ended >= start:
            bare += [ended] * (tcp.closing if last.get("how") == "shutdown" else tcp.closed)
            if tcp.crossed and self._crossed():
                bare += [ended] * tcp.crossed
        return out + [(at, tcp.header) for at in bare]

    def _crossed(self):
        """Did each end send its FIN before the other's had come? Then neither carries the
        acknowledgement of the other's (RFC 9293 section 3.6, simultaneous close)."""
        fins = {}
        for e in self.seen:
            if "F" in e.get("flags", ""):
                fins.setdefault(e["way"], e)
        if len(fins) < 2:
            return False
        mine, theirs = fins["sent"], fins["received"]
        return all(_after(a["acknowledges"], b["sequence"] + b["data"]) <= 0
                   for a, b in ((mine, theirs), (theirs, mine)))

    def _moves(self, events, start):
        """[(time, what, bytes, when it passed the line, its event)]: segments where that was watched,
        writes and reads before."""
        moves = []
        for e in events:
            if e["event"] not in ("wrote", "read"):
                continue
            if moves and self.tcp.joins and moves[-1][:2] == (e["time_ms"], e["event"]):
                moves[-1] = (*moves[-1][:2], moves[-1][2] + e["bytes"], e["time_ms"], None)
            else:
                moves.append((e["time_ms"], e["event"], e["bytes"], e["time_ms"], None))
        if not self.seen:
            return moves
        counted = [(at, i, *rest) for i, (at, *rest) in enumerate(moves) if at >= start]
        cut = []
        for what, way in (("wrote", "sent"), ("read", "received")):
            cut += _segments([m for m in counted if m[2] == what],
                             [e for e in self.seen if e["way"] == way and e["time_ms"] >= start])
        return [m for m in moves if m[0] < start] + [
            (at, *rest) for at, _, *rest in sorted(cut, key=lambda m: m[:2])]

    @staticmethod
    def _in_order(steps, moves):
        """The far end's steps. What it acknowledges had come before it sent, and nothing else: its
        clock is put right by that."""
        arrivals = [s for s in steps if s[4]]
        now, out, at = 0.0, [], 0
        for step in (s for s in steps if not s[4]):
            event = moves[step[2]][4]
            if event is None:
                out.append(step)
                continue
            while at < len(arrivals):
                mine = moves[arrivals[at][2]][4]
                if mine and _after(mine["sequence"] + mine["data"], event["acknowledges"]) > 0:
                    break
                now = max(now, arrivals[at][0])
                out.append((now, *arrivals[at][1:]))
                at += 1
            late = arrivals[at][0] if at < len(arrivals) else float("inf")
            now = max(now, min(step[0], late))
            out.append((now, *step[1:]))
        return out + arrivals[at:]

    def _bare_seen(self, way, shift):
        return [e["time_ms"] + shift for e in self.seen
                if e["way"] == way and e.get("flags") == "A" and not e["data"]]

    def _alone(self, moves, start, ended, by_peer, since):
        """When acknowledgements without data passed, of both ways, from `start` on."""
        # The last that was read may have come with a FIN, whose acknowledgement is its own too.
        final = max((m[0] for m in moves if m[1] == "read"), default=None)
        with_fin = ended is not None and (
            (self.tcp.joins and by_peer and moves and moves[-1][1] == "read")
            or (not self.tcp.joins and not by_peer and final is not None and final >= ended))
        near = Receiver(self.tcp, start, self._bare_seen("sent", 0))
        # The far end's clock runs so that what passes the line arrives there at once; what comes from
        # there left a round trip ago, but never before what it answers.
        far = Receiver(self.tcp, start, self._bare_seen("received", -self.rtt), self.slack)
        steps, distant = [], []
        # What a sleeping radio holds arrives later; the handshake has just woken it.
        awake, quiet = 0.0, since
        for order, (at, what, length, passed, _) in enumerate(moves):
            if self.radio and at - quiet > self.radio[1]:
                awake = at + self.radio[0]
            quiet = at
            segments = -(-length // self.tcp.segment)
            theirs = max(passed, awake) if what == "wrote" else (
                passed - self.rtt + self.tcp.tolerance)
            if not (with_fin and what == "read" and at == final):
                steps.append((at, 0, order, near, what == "read", segments, passed))
            distant.append((theirs, 1, order, far, what == "wrote", segments))
        steps += self._in_order(distant, moves)
        if ended is not None:  # a FIN carries what is due, and is acknowledged with what came before
            steps.append((ended, 0, len(moves), near, False, 0))
            left = max([ended] + [m[3] for m in moves if m[1] == "wrote"])
            steps.append((left, 1, len(moves), far, False, 0))
            last = max(ended, final or 0)
            steps.append((last, 0, len(moves) + 1, near, False, 0))
        for at, _, _, end, arrives, segments, *passed in sorted(steps, key=lambda s: s[:2]):
            if arrives:
                end.segments(at, segments, *passed)
            else:
                end.sent(at)
        near.end()
        far.end()
        return near.alone + far.alone


def _segments(moves, seen):
    """The moves [(time, place in the log, what, bytes, passed, event)] of one way, cut where segments
    ended on the line: what was read in one piece may have come in several, what was written in several left in one. A
    segment counts when its first byte was written, or its last read."""
    total = sum(move[3] for move in moves)
    out, at, highest = [], 0, None
    for e in seen:
        end = e["sequence"] + e.get("data", 0) if "sequence" in e else None
        if not e.get("data") or (highest is not None and _after(end, highest) <= 0):
            continue  # no data, or sent again
        highest = end
        byte = at if e["way"] == "sent" else at + e["data"] - 1
        at += e["data"]
        reached = 0
        for time_ms, place, what, length, *_ in moves:
            reached += length
            if byte < reached:
                out.append((time_ms, place, what, e["data"], e["time_ms"], e))
                break
        else:  # it was never read: its reader had closed
            what = "wrote" if e["way"] == "sent" else "read"
            out.append((e["time_ms"], float("inf"), what, e["data"], e["time_ms"], e))
    return out if at >= total else moves
