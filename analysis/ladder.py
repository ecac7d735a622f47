"""A ladder (sequence) diagram's content: who sent what when, through which NAT, and its fate.

Pure: events of one run in, columns and steps out; `ladder_svg` draws. Packets are followed through
address translations by their mark (`packet`) and their addresses (docs/reference/events.md).
"""

from dataclasses import dataclass, field

from analysis.bounds import Paths, server_of
from analysis.plan import voice

# A log may hold thousands of keepalives: more than this nobody reads (ours). The rest is counted.
MAX_FLIGHTS = 150
# Keepalives after the result say nothing new; the first few show that the path lives (ours).
KEPT_KEEPALIVES = 4


@dataclass
class Hop:
    """A point of a packet's way: at `time_ms` in column `node`."""

    time_ms: float
    node: str
    what: str  # sent, translated, received, dropped, lost
    label: str = ""
    detail: str = ""


@dataclass
class Flight:
    """One packet from its sender to where it ended; `end` is received, dropped, lost or unknown."""

    kind: str
    mark: str
    hops: list
    source: str = ""
    destination: str = ""
    ttl: object = None
    authentic: object = None
    end: str = "unknown"


@dataclass
class Note:
    """Something that happened in one column, or (node "-") to the whole run."""

    time_ms: float
    node: str
    text: str
    tone: str = "plain"  # plain, good, bad, step
    detail: str = ""


@dataclass
class Exchange:
    """A summarised conversation with the server: registering, or being introduced."""

    start_ms: float
    start: str
    end_ms: float
    end: str
    text: str
    detail: str = ""


@dataclass
class Ladder:
    columns: list
    kinds: dict
    titles: dict
    flights: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    exchanges: list = field(default_factory=list)
    remarks: list = field(default_factory=list)


def build(run, log):
    """The Ladder of one run from its plan entry and its full log."""
    ladder = Ladder(*_columns(run, log))
    _follow(ladder, run, log.events)
    _talk_to_server(ladder, run, log)
    _notes(ladder, log.events)
    if voice(run) == "kernel":
        ladder.remarks.append("The kernel's NAT keeps no log: its translations and drops do not "
                              "show; a packet with an open end was not seen again")
    ladder.remarks += log.warnings
    return ladder


# ---------------------------------------------------------------- columns

def _columns(run, log):
    """Nodes in the order of the way: a, its NATs, the server, the other side's NATs, b."""
    kinds = {n["name"]: n.get("kind", "host") for n in run.get("nodes", [])}
    server = server_of(run)
    spoken = {e["node"] for e in log.events if e["service"] == "punch"}
    active = {e["node"] for e in log.events
              if e["service"] == "punch" and e["event"] in ("connect_requested", "introduced",
                                                            "result", "probe_sent")}
    devices = [n for n in kinds if n in (active or spoken)]
    paths, tree = Paths(run), {}
    root = server or "-"
    for device in devices:
        way = paths.way(device, server) if server else None
        nodes = way[1][::-1] if way else [root, device]
        steps = [n for n in nodes if n in (root, device) or kinds.get(n) == "nat"]
        for parent, child in zip(steps, steps[1:]):
            children = tree.setdefault(parent, [])
            if child not in children:
                children.append(child)
    order = [n for n in _in_order(tree, root, "left") if n != "-"] if devices or server else []
    extra = {e["node"] for e in log.events if e["service"] in ("punch", "nat")} & set(kinds)
    order += [n for n in kinds if n in extra and n not in order and kinds[n] == "nat" and not order]
    titles = {n["name"]: (n.get("nat") or {}).get("kind", "") for n in run.get("nodes", [])}
    if server:
        titles[server] = "server"
    return order, {n: "server" if n == server else kinds.get(n, "host") for n in order}, titles


def _in_order(tree, node, side):
    """A tree laid flat with each NAT between those behind it; a lone child on the outer side."""
    children = tree.get(node, [])
    if len(children) <= 1:
        inner = [n for c in children for n in _in_order(tree, c, side)]
        return inner + [node] if side == "left" else [node] + inner
    half = (len(children) + 1) // 2
    left = [n for c in children[:half] for n in _in_order(tree, c, "left")]
    right = [n for c in children[half:] for n in _in_order(tree, c, "right")]
    return left + [node] + right


# ---------------------------------------------------------------- packets

def _follow(ladder, run, events):
    """Links probe_sent → translated… → probe_received, dropped or lost into flights."""
    open_by_mark, flights, unowned, tests = {}, [], 0, {}
    asked = min((e["time_ms"] for e in events
                 if (e["service"], e["event"]) == ("punch", "connect_requested")),
                default=float("inf"))
    ready = max((e["time_ms"] for e in events
                 if (e["service"], e["event"]) == ("punch", "result")), default=float("inf"))
    kept = skipped = 0
    for event in events:
        key = (event["service"], event["event"])
        mark = event.get("packet")
        if key == ("punch", "probe_sent"):
            if event.get("kind") == "keepalive" and event["time_ms"] > ready:
                kept += 1
                if kept > KEPT_KEEPALIVES:
                    skipped += 1
                    continue
            flight = Flight(str(event.get("kind", "probe")), str(mark),
                            [Hop(event["time_ms"], event["node"], "sent", "", _detail(event))],
                            "", str(event.get("to", "")), event.get("ttl"))
            flights.append(flight)
            open_by_mark.setdefault(mark, []).append(flight)
        elif key in (("nat", "translated"), ("nat", "dropped"), ("link", "lost"),
                     ("punch", "probe_received")):
            flight = _owner(open_by_mark.get(mark, []), event)
            if flight is None:
                if key == ("nat", "dropped") and event["time_ms"] < asked:
                    tests.setdefault(event["node"], []).append(event)
                elif key == ("nat", "dropped"):
                    ladder.notes.append(Note(event["time_ms"], event["node"],
                                             "dropped: %s" % event.get("why", "?"), "bad",
                                             _detail(event)))
                else:
                    unowned += key == ("nat", "translated")
                continue
            _extend(flight, event)
            if flight.end != "unknown":
                open_by_mark[mark].remove(flight)
    for node, dropped in tests.items():
        _test_drops(ladder, node, dropped)
    if len(flights) > MAX_FLIGHTS:
        ladder.remarks.append("%d more packets are not drawn; they are in the log"
                              % (len(flights) - MAX_FLIGHTS))
    if skipped:
        ladder.remarks.append("%d keepalives after the result are not drawn" % skipped)
    if unowned:
        ladder.remarks.append("%d translations of packets to and from the server are summarised "
                              "as one arrow per exchange" % unowned)
    ladder.flights = flights[:MAX_FLIGHTS]
    for flight in ladder.flights:
        for hop in flight.hops:
            if hop.node not in ladder.columns and hop.what != "lost":
                ladder.columns.append(hop.node)
                ladder.kinds.setdefault(hop.node, "host")
    ladder.notes = [n for n in ladder.notes if n.node in ladder.columns]


def _test_drops(ladder, node, dropped):
    """What a NAT dropped before anybody asked to connect: the tests of its kind, in one note."""
    reasons = {}
    for event in dropped:
        reasons[str(event.get("why", "?"))] = reasons.get(str(event.get("why", "?")), 0) + 1
    said = ["%d %s" % (n, why) for why, n in reasons.items()]
    for line in said[:3]:
        ladder.notes.append(Note(dropped[0]["time_ms"], node, "test drops: " + line, "plain",
                                 "dropped while the NAT's kind was measured\n" + "\n".join(said)))


def _owner(flights, event):
    """The open flight that the event continues: same mark, and addresses that fit."""
    if event["event"] == "probe_received":
        fits = [f for f in flights if f.hops[0].node != event["node"]
                and (not f.source or f.source == event.get("from"))]
    else:
        fits = [f for f in flights if f.destination == event.get("destination")
                and (not f.source or f.source == event.get("source"))
                and not (event["event"] == "translated" and f.hops[-1].node == event["node"]
                         and f.hops[-1].what == "translated"
                         and event.get("direction") != "hairpin")]
    return fits[0] if fits else None  # the oldest: packets are not reordered


def _extend(flight, event):
    what = {"translated": "translated", "dropped": "dropped", "lost": "lost",
            "probe_received": "received"}[event["event"]]
    label = ""
    if what == "translated":
        source, target = event.get("new_source", ""), event.get("new_destination", "")
        changed = [(event.get("source"), source), (event.get("destination"), target)]
        label = "; ".join("%s → %s" % pair for pair in changed if pair[0] != pair[1])
        flight.source, flight.destination = str(source), str(target)
        if event.get("ttl") is not None:
            flight.ttl = event["ttl"]
    elif what in ("dropped", "lost"):
        label = str(event.get("why", "?"))
        flight.end = what
    else:
        flight.authentic = event.get("authentic")
        flight.end = "received"
    flight.hops.append(Hop(event["time_ms"], event["node"], what, label, _detail(event)))


def _detail(event):
    """The whole event as lines of `name: value`, for a tooltip."""
    skip = ("service", "event")
    head = "%s.%s" % (event["service"], event["event"])
    return "\n".join([head] + ["%s: %s" % (k, v) for k, v in event.items() if k not in skip])


# ---------------------------------------------------------------- server and notes

def _talk_to_server(ladder, run, log):
    server = server_of(run)
    if server is None or server not in ladder.columns:
        return
    begun = {}
    for event in log.events:
        if event["service"] != "punch" or event["node"] not in ladder.columns:
            continue
        node, name, at = event["node"], event["event"], event["time_ms"]
        if name == "registering":
            begun.setdefault(node, at)
        elif name == "registered" and node in begun:
            ladder.exchanges.append(Exchange(begun.pop(node), node, at, node, "registered as %s"
                                             % event.get("observed", "?"), _detail(event)))
        elif name == "introduced":
            told = [e for e in log.named("rendezvous.introduced") if e["time_ms"] <= at
                    and (e.get("session") is None or e.get("session") == event.get("session"))]
            asked = [e for e in log.named("punch.connect_requested") if e["time_ms"] <= at
                     and e["node"] == node]
            if event.get("role") == "initiator" and asked:
                at_server = told[-1]["time_ms"] if told else (asked[-1]["time_ms"] + at) / 2
                ladder.exchanges.append(Exchange(asked[-1]["time_ms"], node, at_server, server,
                                                 "",
                                                 _detail(asked[-1])))
            start = told[-1]["time_ms"] if told else at
            ladder.exchanges.append(Exchange(start, server, at, node, "peer at %s"
                                             % event.get("peer_observed", "?"), _detail(event)))


def _notes(ladder, events):
    for event in events:
        node, at, key = event["node"], event["time_ms"], (event["service"], event["event"])
        text, tone = _note(event, key)
        if text and (node in ladder.columns or node == "-" or key[0] == "link"):
            ladder.notes.append(Note(at, node if node in ladder.columns else "-", text, tone,
                                     _detail(event)))
    ladder.notes.sort(key=lambda n: n.time_ms)


def _note(event, key):
    if key == ("punch", "nat_measured"):
        return "measured %s-%s" % (event.get("mapping"), event.get("filtering")), "plain"
    if key == ("punch", "connect_requested"):
        return "asked to connect to %s" % event.get("peer", "?"), "step"
    if key == ("punch", "planned"):
        what = [w for w in ("lead", "silent") if event.get(w) is True]
        if event.get("opener_ttl"):
            what.append("opener TTL %s" % event["opener_ttl"])
        if event.get("delay_ms"):
            what.append("waits %.1f ms" % event["delay_ms"])
        return ("plan: " + ", ".join(what)) if what else "", "plain"
    if key == ("punch", "path_verified"):
        return "verified %s" % event.get("remote", ""), "good"
    if key == ("punch", "result"):
        if event.get("direct") is True:
            return "DIRECT after %.1f ms" % float(event.get("took_ms") or 0), "good"
        return "NOT DIRECT: %s" % (event.get("reason") or "no reason given"), "bad"
    if key == ("punch", "path_lost"):
        return "path lost", "bad"
    if key == ("punch", "path_restored"):
        return "path restored, outage %.0f ms" % float(event.get("outage_ms") or 0), "good"
    if key[0] == "nat" and key[1] in ("reboot", "rebind", "address_change"):
        return key[1].replace("_", " "), "step"
    if key == ("nat", "mapping_expired") and event.get("why") != "idle":
        return "mapping gone: %s" % event.get("why"), "plain"
    if key == ("run", "step") and "punch" not in str(event.get("to", "")):
        return "%s: %s" % (event.get("to", ""), event.get("do", "")), "step"
    if key == ("run", "end") and event.get("why") != "until":
        return "run ended: %s %s" % (event.get("why"), event.get("detail") or ""), "bad"
    return "", "plain"
