"""Lower bounds on the time to a direct path, from the delays of a run's links.

Derivation in docs/reference/measures.md ("Bounds"). Delays come from the plan (`links`); no field
of the event log is used but which side is learned from its probe and which stays silent.
"""

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """`ms` since the request; `rule` is direct, far, reflexive or silent."""

    ms: float
    rule: str


@dataclass(frozen=True)
class Timing:
    """One-way delays in ms; x is the initiator. x_nat: host to its outermost NAT that filters."""

    x_server: float
    y_server: float
    between: float
    x_nat: float = 0.0
    y_nat: float = 0.0
    x_filters: bool = True  # False: its NATs admit anybody to a mapping that exists
    y_filters: bool = True

    @property
    def starts(self):
        """When the initiator and the responder hear of each other: a and (a+b)/2."""
        return 2 * self.x_server, self.x_server + self.y_server


def bound(timing, hard=None, silent=None):
    """The Bound. `hard`: whose address is learned, `silent`: who waits: "x", "y" or None."""
    start = dict(zip("xy", timing.starts))
    other = {"x": "y", "y": "x"}
    # Whoever is to answer a first probe may hear of the peer later than from the probe itself.
    if silent:
        heard = max(start[other[silent]] + timing.between, start[silent])
        return Bound(heard + 2 * timing.between, "silent")
    moved = _moved(timing, start)
    if hard:  # its first probe, too, must not reach the other's NAT before that has opened
        heard = max(moved[hard] + timing.between, start[other[hard]])
        return Bound(heard + 2 * timing.between, "reflexive")
    rule = "far" if moved != start else "direct"
    return Bound(max(moved.values()) + 2 * timing.between, rule)


def _moved(timing, start):
    """Starts after which no first probe meets a NAT that has not opened yet."""
    near = {"x": timing.x_nat, "y": timing.y_nat}
    filters = {"x": timing.x_filters, "y": timing.y_filters}
    middle = timing.between - near["x"] - near["y"]
    moved = {}
    for side, other in ("xy", "yx"):
        # Nobody needs to wait for a side that filters nothing.
        opens = start[other] + near[other] if filters[other] else float("-inf")
        moved[side] = max(start[side], opens - near[side] - middle)
    # Rounding of sums of delays is not a reason to call a path far.
    return start if all(moved[s] - start[s] < 1e-6 for s in "xy") else moved


class Paths:
    """The ways that packets take through a run's links: fewest hops, as the planner routes them,
    the quicker of two equally long ones; delays in ms, and the nodes on the way."""

    def __init__(self, run):
        self.kinds = {n["name"]: n.get("kind") for n in run.get("nodes", [])}
        self.near = {}
        for link in run.get("links", []):
            ends = link.get("ends", [])
            delay = float(link.get("delay_ms", 0.0))
            for a in ends:
                for b in ends:
                    if a != b:
                        self.near.setdefault(a, []).append((delay, b))

    def way(self, start, end):
        """(delay in ms, [nodes]) from start to end, or None. Hosts do not forward."""
        seen, queue = set(), [(0, 0.0, start, [start])]
        while queue:
            hops, delay, node, path = heapq.heappop(queue)
            if node == end:
                return delay, path
            if node in seen or (node != start and self.kinds.get(node) == "host"):
                continue
            seen.add(node)
            for step, other in self.near.get(node, []):
                if other not in seen:
                    heapq.heappush(queue, (hops + 1, delay + step, other, path + [other]))
        return None


def run_timing(run, initiator, responder, server, unfiltered=()):
    """Timing of a pair in a run, or None when the links do not connect them.

    `unfiltered`: NATs that admit anybody (full cone, open), as their `config` event says.
    """
    paths = Paths(run)
    x, y = paths.way(initiator, server), paths.way(responder, server)
    between = paths.way(initiator, responder)
    if not (x and y and between):
        return None
    way = between[1]
    x_nats = _own_nats(paths, way, x[1], y[1], unfiltered)
    y_nats = _own_nats(paths, way[::-1], y[1], x[1], unfiltered)
    return Timing(x[0], y[0], between[0], _delay(paths, way, x_nats),
                  _delay(paths, way[::-1], y_nats), bool(x_nats), bool(y_nats))


def _own_nats(paths, way, to_server, peer_to_server, unfiltered):
    """The NATs that filter for way[0] alone: on its way to the peer and to the server.

    One that both are behind need not be crossed (host candidates), so it is in no lower bound.
    """
    return [n for n in way[1:] if paths.kinds.get(n) == "nat" and n in to_server
            and n not in peer_to_server and n not in unfiltered]


def _delay(paths, nodes, nats):
    """Delay from nodes[0] to the outermost of `nats`, 0 without one."""
    if not nats:
        return 0.0
    last = nodes.index(nats[-1])
    return sum(_step(paths, a, b) for a, b in zip(nodes[:last], nodes[1:last + 1]))


def _step(paths, a, b):
    return min(delay for delay, other in paths.near[a] if other == b)


def server_of(run):
    """The node that runs the rendezvous server, or None."""
    for service in run.get("services", []):
        if service.get("name") == "rendezvous" or (service.get("argv") or [""])[0] == "rendezvous":
            return service.get("node")
    return None


def run_bound(run, log):
    """Bound of a finished run out of its plan entry and its log's punch events, or None."""
    requests = log.named("punch.connect_requested")
    results = log.named("punch.result")
    server = server_of(run)
    if not requests or not results or server is None:
        return None
    initiator = requests[0]["node"]
    others = [e["node"] for e in results if e["node"] != initiator]
    if not others:
        return None
    unfiltered = {e["node"] for e in log.named("nat.config") if e.get("filtering") == "eif"
                  or e.get("kind") == "open"}
    timing = run_timing(run, initiator, others[0], server, unfiltered)
    if timing is None:
        return None
    side = {initiator: "x", others[0]: "y"}
    silent = [side[e["node"]] for e in log.named("punch.planned")
              if e.get("silent") is True and e["node"] in side]
    # A side that reports a peer-reflexive path has learned the other's address from a probe. It had
    # to only if that mapping depends on the endpoint; else (hairpin) the other way was open too.
    easy = {e["node"] for e in log.named("punch.nat_measured") if e.get("mapping") == "eim"}
    learned = {"x": "y", "y": "x"}
    hard = [learned[side[e["node"]]] for e in results
            if e.get("path") == "peer-reflexive" and e["node"] in side]
    names = {v: k for k, v in side.items()}
    hard = [s for s in hard if names[s] not in easy]
    start = dict(zip("xy", timing.starts))
    hardest = min(hard, key=start.get) if hard else None
    return bound(timing, hardest, silent[0] if silent else None)
