"""TEST ONLY: a made-up plan and event logs after docs/reference, with known answers.

Nothing here is measured. `write(folder, ...)` gives a folder as a run would leave it. A pair is
direct when `outcome(run)` says so; every probe really passes the NATs or is dropped in the log.
"""

import json

KINDS = ["eim-eif", "eim-apdf", "apdm-apdf"]
MEASURES = [
    {"name": "direct", "of": "all", "event": "punch.result", "nodes": ["a", "b"],
     "field": "direct"},
    {"name": "time_ms", "of": "elapsed",
     "from": {"event": "punch.connect_requested", "pick": "first"},
     "to": {"event": "punch.result", "nodes": ["a", "b"], "pick": "last"}, "only_if": "direct"},
    {"name": "reason", "of": "first", "event": "punch.result", "nodes": ["$initiator"],
     "field": "reason"},
]


def plan(worlds=("ns3",), kinds=KINDS, seeds=2, techniques=("culvert",), expect=(),
         engine="culvert"):
    runs = [run(w, a, b, t, s, engine) for w in worlds for a in kinds for b in kinds
            for t in techniques for s in range(1, seeds + 1)]
    return {"format": 1, "scenario": "cone_vs_symmetric", "topology": "two_nats",
            "about": "Made up for a test.", "columns": ["nat_a", "nat_b", "technique"],
            "measures": MEASURES, "expect": list(expect), "differences": [],
            "rerun": "./culvert run cone_vs_symmetric", "runs": runs}


def run(world, a, b, technique="culvert", seed=1, engine="culvert"):
    cell = "%s.%s.%s" % (a, b, technique)

    def nat(name, kind):
        return {"name": name, "kind": "nat", "nat": {"kind": kind, "engine": engine}}

    links = [("lan_a", ["a", "nat_a"], 1.0), ("up_a", ["nat_a", "core"], 10.0),
             ("lan_b", ["b", "nat_b"], 1.0), ("up_b", ["nat_b", "core"], 15.0),
             ("server", ["s", "core"], 5.0)]
    return {"id": "%s.%s.%d" % (world, cell, seed), "cell": cell, "world": world, "seed": seed,
            "parameters": {"nat_a": a, "nat_b": b, "technique": technique, "initiator": "a"},
            "nodes": [{"name": "a", "kind": "host"}, nat("nat_a", a),
                      {"name": "core", "kind": "router"}, {"name": "s", "kind": "host"},
                      nat("nat_b", b), {"name": "b", "kind": "host"}],
            "links": [{"name": n, "ends": e, "delay_ms": d} for n, e, d in links],
            "services": [{"node": "s", "name": "rendezvous", "argv": ["rendezvous"]}]}


def default_outcome(one):
    p = one["parameters"]
    return "apdm-apdf" not in (p["nat_a"], p["nat_b"]) or "eim-eif" in (p["nat_a"], p["nat_b"])


def event(time, node, name, **fields):
    service, _, what = name.partition(".")
    return {"time_ms": time, "node": node, "service": service, "event": what, **fields}


def log(one, direct=True, reason="one_address_trusted", took=92.0):
    """Events of one run: a asks at 100 ms; both probe; both verified `took` ms later, or not."""
    a, b = "198.51.100.2:4000", "198.51.100.130:5000"
    out = [event(0, "-", "run.start", id=one["id"], scenario="x", seed=1, world=one["world"]),
           event(1, "a", "punch.registering", server="203.0.113.10:3478", local="10.1.0.2:40"),
           event(33, "a", "punch.registered", observed=a, local="10.1.0.2:40", rtt_ms=32.0),
           event(100, "a", "punch.connect_requested", peer="b", technique="culvert"),
           event(116, "s", "rendezvous.introduced", initiator="a", responder="b", session="1"),
           event(132, "a", "punch.introduced", peer="b", session="1", role="initiator",
                 peer_observed=b),
           event(137, "b", "punch.introduced", peer="a", session="1", role="responder",
                 peer_observed=a),
           event(132, "a", "punch.probe_sent", to=b, kind="probe", ttl=64, packet="aaaa0001"),
           event(133, "nat_a", "nat.translated", direction="out", protocol="udp",
                 source="10.1.0.2:40", destination=b, new_source=a, new_destination=b, ttl=63,
                 packet="aaaa0001")]
    if direct:
        out += [event(158, "nat_b", "nat.translated", direction="in", protocol="udp", source=a,
                      destination=b, new_source=a, new_destination="10.2.0.2:50", ttl=61,
                      packet="aaaa0001"),
                event(159, "b", "punch.probe_received", kind="probe", packet="aaaa0001",
                      authentic=True, **{"from": a})]
    else:
        out += [event(158, "nat_b", "nat.dropped", direction="in", protocol="udp", source=a,
                      destination=b, why="filtered_port", packet="aaaa0001")]
    for node, peer, late in (("a", "b", 0.0), ("b", "a", -3.0)):
        out.append(event(100 + took + late, node, "punch.result", peer=peer, session="1",
                         direct=direct, took_ms=took, path="server-reflexive" if direct else "",
                         reason="" if direct else reason, detail="" if direct else "whose NAT"))
    out.append(event(100 + took + 50, "-", "run.end", why="until", detail=""))
    return sorted(out, key=lambda e: e["time_ms"])


def text(events):
    return "".join(json.dumps(e, separators=(",", ":")) + "\n" for e in events)


def write(folder, the_plan, outcome=default_outcome, **options):
    """plan.json and logs/ in `folder`, which is returned."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(the_plan))
    for one in the_plan["runs"]:
        path = folder / "logs" / (one["id"] + ".jsonl")
        path.write_text(text(log(one, outcome(one), **options)))
    return folder
