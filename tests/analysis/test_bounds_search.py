"""Bounds against a search: NATs with tables, packets that travel, and every schedule of up to two
probes a side. No formula of docs/punching.md is used here but those that are under test."""

import heapq
import itertools
import random

import pytest

from analysis.bounds import Timing, bound

NEVER = float("inf")
HORIZON = 7  # ms after its start that a side may send its last planned probe
PLANS = [plan for count in (0, 1, 2) for plan in itertools.combinations(range(HORIZON), count)]


class Nat:
    """RFC 4787's kinds, session-table reading. Mapping 0 is warm: towards the server."""

    def __init__(self, name, kind):
        self.name, (self.mapping, self.filtering) = name, kind.split("-")
        server = ("s", 0)
        self.mapped, self.sent, self.bound = {self.key(server): 0}, {0: {server}}, {server: 0}

    def key(self, remote):
        return {"eim": None, "adm": remote[0], "apdm": remote}[self.mapping]

    def out(self, remote):
        port = self.bound.get(remote)
        if port is None:
            port = self.mapped.setdefault(self.key(remote), len(self.sent))
        self.bound[remote] = port
        self.sent.setdefault(port, set()).add(remote)
        return self.name, port

    def admits(self, remote, port):
        sent = self.sent.get(port)
        if sent is None:
            return False
        allowed = {"eif": True, "adf": any(remote[0] == ip for ip, _ in sent),
                   "apdf": remote in sent}[self.filtering]
        if allowed:
            self.bound.setdefault(remote, port)
        return allowed


def play(delays, kinds, starts, plans):
    """When both are confirmed. Every request is answered at once, and the address that it came
    from is checked at once, the first time."""
    near, middle = delays
    nats = [Nat("x", kinds[0]), Nat("y", kinds[1])]
    checked, confirmed, serial = [set(), set()], [NEVER, NEVER], itertools.count()
    queue = []

    def later(when, turn, *what):  # turn: at one moment, what leaves a NAT goes before what enters
        heapq.heappush(queue, (when, turn, next(serial), what))

    def send(when, side, remote, answer):
        later(when + near[side], 0, "out", side, remote, answer)

    for side in (0, 1):
        for offset in plans[side]:
            send(starts[side] + offset, side, (nats[1 - side].name, 0), False)
    while queue and NEVER in confirmed:
        when, _, _, (what, side, remote, answer) = heapq.heappop(queue)
        if what == "out":
            source = nats[side].out(remote)
            later(when + middle, 1, "in", 1 - side, (source, remote[1]), answer)
        elif what == "in":
            source, port = remote
            if nats[side].admits(source, port):
                later(max(when + near[side], starts[side]), 2, "host", side, source, answer)
        elif answer:
            confirmed[side] = min(confirmed[side], when)
        else:
            send(when, side, remote, True)
            if remote not in checked[side]:
                checked[side].add(remote)
                send(when, side, remote, False)
    return max(confirmed)


def best(timing, kinds, silent=None):
    """`silent` sends nothing of its own: a blind probe would spoil its mapping for good unless it
    left its NAT after the peer's came in, and nobody knows when that is."""
    middle = timing.between - timing.x_nat - timing.y_nat
    plans = [[()] if side == silent else PLANS for side in "xy"]
    return min(play(((timing.x_nat, timing.y_nat), middle), kinds, timing.starts, both)
               for both in itertools.product(*plans))


def draw(rng, kinds, far):
    """A timing; with the triangle inequality or, as on real routes, without."""
    near = [rng.randint(0, far) for _ in "xy"]
    up = [rng.randint(0, 3) for _ in "xy"]
    middle = rng.randint(0, 4)
    return Timing(near[0] + up[0], near[1] + up[1], sum(near) + middle, near[0], near[1],
                  not kinds[0].endswith("eif"), not kinds[1].endswith("eif"))


def hard(kind):
    return not kind.startswith("eim")


PAIRS = [("eim-apdf", "eim-apdf"), ("eim-apdf", "eim-adf"), ("eim-eif", "eim-apdf"),
         ("eim-eif", "eim-eif"), ("apdm-apdf", "eim-adf"), ("eim-adf", "apdm-apdf"),
         ("adm-adf", "eim-eif"), ("apdm-eif", "eim-apdf"), ("eim-apdf", "adm-eif")]


@pytest.mark.parametrize("far", [0, 3])
@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_the_bound_is_what_the_best_schedule_reaches(kinds, far):
    rng = random.Random(f"{kinds} {far}")
    learned = next((side for side, kind in zip("xy", kinds) if hard(kind)), None)
    waits = learned and kinds["xy".index(learned)].endswith("eif")
    for _ in range(10):
        timing = draw(rng, kinds, far)
        claimed = bound(timing, **{"silent" if waits else "hard": learned})
        reached = best(timing, kinds, learned if waits else None)
        assert claimed.ms == reached, (timing, claimed)


def test_the_field_notes_example():
    # p = q = 5, alpha = 20, beta = 1, delta = 10 ms: 133 with the recipe's probes, and no schedule
    # of up to three probes a side is faster than 121.
    timing, kinds = Timing(25, 6, 31, 20, 1), ("eim-apdf", "eim-apdf")
    assert bound(timing).ms == 121 and bound(timing).rule == "far"
    delays = (timing.x_nat, timing.y_nat), 10
    recipe = 0, 20, 40, 80, 160
    assert play(delays, kinds, timing.starts, (recipe, recipe)) == 133
    offsets = [0, 10, 20, 26, 27, 28, 29, 30, 40]
    plans = [plan for n in range(4) for plan in itertools.combinations(offsets, n)]
    assert min(play(delays, kinds, timing.starts, both)
               for both in itertools.product(plans, plans)) == 121
