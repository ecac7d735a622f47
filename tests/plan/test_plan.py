"""The planner: what comes out of the files, and the sentence for each thing that can be wrong."""
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLANNER = ROOT / "build" / "release" / "bin" / "culvert-plan"

TOPOLOGY = """
name = "t"
secrets = ["k"]
[parameters]
kind = { default = "symmetric", type = "nat" }
d = { default = 1.0, min = 0 }
[nodes]
a = { kind = "host" }
n = { kind = "nat", nat = "$kind", outside = "up" }
core = { kind = "router" }
s = { kind = "host", addresses = 2 }
[links.lan]
ends = ["a", "n"]
subnet = "10.0.0.0/24"
delay_ms = "$d"
[links.up]
ends = ["n", "core"]
subnet = "198.51.100.0/24"
[links.server]
ends = ["s", "core"]
subnet = "203.0.113.0/24"
[[services]]
node = "s"
run = "stun-server --bind ${s.address}:3478"
"""
SCENARIO = """
name = "q"
topology = "t"
seeds = 2
[vary]
kind = ["symmetric", "full-cone"]
[draw]
d = { uniform = [1, 9] }
[until]
event = "stun.ready"
nodes = ["s"]
"""


@pytest.fixture
def house(tmp_path):
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "topologies").mkdir()

    def plan(*argv, topology=TOPOLOGY, scenario=SCENARIO):
        (tmp_path / "topologies" / "t.toml").write_text(topology)
        (tmp_path / "scenarios" / "q.toml").write_text(scenario)
        return subprocess.run([PLANNER, "scenario", "q", "--root", tmp_path, *argv],
                              capture_output=True, text=True, timeout=60, check=False)
    return plan


def good(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_grid_is_cells_times_seeds_times_worlds(house):
    plan = good(house())
    assert len(plan["runs"]) == 2 * 2 * 2
    assert plan["columns"] == ["kind"]
    assert [r["id"] for r in plan["runs"]][:2] == ["ns3.symmetric.1", "ns3.symmetric.2"]


def test_a_seed_draws_the_same_network_in_every_cell_and_world(house):
    runs = good(house())["runs"]
    drawn = {}
    for run in runs:
        drawn.setdefault(run["seed"], set()).add(run["parameters"]["d"])
    assert all(len(values) == 1 for values in drawn.values())
    assert drawn[1] != drawn[2]


def test_cells_have_random_numbers_of_their_own(house):
    runs = [r for r in good(house("--on", "ns3"))["runs"] if r["seed"] == 1]
    assert runs[0]["rng_seed"] != runs[1]["rng_seed"]
    assert runs[0]["secrets"] != runs[1]["secrets"]


def test_the_same_question_gives_the_same_plan(house):
    assert house().stdout == house().stdout


def test_a_nat_hides_its_inside_from_the_routes_outside(house):
    run = good(house())["runs"][0]
    nodes = {n["name"]: n for n in run["nodes"]}
    assert [r["to"] for r in nodes["a"]["routes"]] == ["0.0.0.0/0"]
    assert nodes["a"]["routes"][0]["via"] == "10.0.0.1"
    assert not any(r["to"].startswith("10.") for r in nodes["core"]["routes"])
    assert nodes["n"]["nat"]["public"] == ["198.51.100.2"]
    assert nodes["n"]["nat"]["inside"] == ["n-eth0"]
    assert nodes["s"]["interfaces"][0]["addresses"] == ["203.0.113.2/24", "203.0.113.3/24"]
    assert run["one_way_ms"]["a>s"] == pytest.approx(run["parameters"]["d"] + 2)
    assert run["services"][0]["argv"] == ["stun-server", "--bind", "203.0.113.2:3478"]


def test_a_radio_has_numbers_and_is_told_only_on_lte(house):
    text = TOPOLOGY.replace('delay_ms = "$d"', 'delay_ms = "$d"\naccess = "ACCESS"\nidle_ms = 900')
    lte, wired = (good(house("--on", "ns3", topology=text.replace("ACCESS", access)))["runs"][0]
                  ["links"][0] for access in ("lte", "ethernet"))
    assert (lte["access"], lte["idle_ms"], lte["wake_ms"], lte["up_grant_ms"]) == ("lte", 900, 260.1, 10)
    assert "idle_ms" not in wired and wired["access"] == "ethernet"


GRIDS = SCENARIO.replace("[draw]", """[[skip]]
kind = "symmetric"
d = [2.0, 3.0]
[[grid]]
quick = true
kind = ["symmetric"]
[[grid]]
seeds = 1
worlds = ["ns3"]
d = [2.0, 3.0]
[draw]""").replace('[vary]', '[vary]\nd = [1.0]').replace("d = { uniform = [1, 9] }", "")


def _cells(plan, world):
    return [r["cell"] for r in plan["runs"] if r["world"] == world]


def test_grids_are_united_and_cells_skipped(house):
    plan = good(house(scenario=GRIDS))
    assert _cells(plan, "linux") == ["1.symmetric"] * 2
    assert _cells(plan, "ns3") == ["1.symmetric"] * 2 + ["2.full-cone", "3.full-cone"]


def test_quick_takes_only_the_grids_that_say_so(house):
    assert set(_cells(good(house("--quick", scenario=GRIDS)), "ns3")) == {"1.symmetric"}
    done = house("--quick", scenario=SCENARIO)
    assert done.returncode == 2 and "quick = true" in done.stderr


def test_set_reaches_every_grid_and_a_cell_runs_once(house):
    plan = good(house("--set", "kind=full-cone", "--set", "d=2.0", "--seed", "1", scenario=GRIDS))
    assert _cells(plan, "ns3") == ["2.full-cone"]
    done = house("--set", "kind=symmetric", "--set", "d=2.0", scenario=GRIDS)
    assert done.returncode == 2 and "no run is left" in done.stderr


def test_a_skip_of_nothing_known_is_refused(house):
    done = house(scenario=GRIDS.replace('[[skip]]\nkind', '[[skip]]\nkidn'))
    assert done.returncode == 2 and "'kidn' is neither an axis nor a parameter" in done.stderr


def test_secret_files_go_only_to_runs_that_name_them(house):
    text = TOPOLOGY + '\n[secret_files]\nmine = "nothing.pem"\n'
    assert "mine" not in good(house(topology=text))["runs"][0]["secrets"]


def test_set_fixes_an_axis_or_opens_one(house):
    assert len(good(house("--on", "ns3", "--set", "kind=open"))["runs"]) == 2
    plan = good(house("--on", "ns3", "--seed", "7", "--set", "d=1,2,3"))
    assert plan["columns"] == ["kind", "d"] and len(plan["runs"]) == 6
    assert {r["seed"] for r in plan["runs"]} == {7}


@pytest.mark.parametrize("what, topology, scenario, argv, says", [
    ("unknown key", TOPOLOGY.replace("delay_ms", "dealy_ms"), SCENARIO, [],
     "topologies/t.toml:15: unknown key 'dealy_ms' in link 'lan'; did you mean 'delay_ms'?"),
    ("unknown kind", TOPOLOGY.replace('"symmetric", type', '"symetric", type'), SCENARIO, [],
     "topologies/t.toml:5: "),
    ("unknown node", TOPOLOGY.replace('["s", "core"]', '["s", "croe"]'), SCENARIO, [],
     "there is no node 'croe'; did you mean 'core'?"),
    ("unknown service", TOPOLOGY.replace("stun-server", "stun-sever"), SCENARIO, [], "t.toml:24: "),
    ("not TOML", TOPOLOGY + "[[[", SCENARIO, [], "not TOML"),
    ("unknown parameter", TOPOLOGY, SCENARIO.replace("d = { uniform", "e = { uniform"), [],
     "scenarios/q.toml:8: there is no parameter 'e'"),
    ("bad axis value", TOPOLOGY, SCENARIO.replace('"full-cone"]', '"fullcone"]'), [], "q.toml:6: "),
    ("unknown set", TOPOLOGY, SCENARIO, ["--set", "kidn=open"],
     "--set kidn=open: there is no such parameter; did you mean 'kind'?"),
    ("set without a value", TOPOLOGY, SCENARIO, ["--set", "kind"], "it must be name=value"),
    ("not a number", TOPOLOGY, SCENARIO, ["--set", "d=x"], "a number is needed"),
    ("out of range", TOPOLOGY, SCENARIO, ["--set", "d=-1"], "out of range"),
    ("until of nobody", TOPOLOGY, SCENARIO.replace('nodes = ["s"]', 'nodes = ["z"]'), [],
     "there is no node 'z'"),
    ("an access that is none", TOPOLOGY.replace('delay_ms = "$d"', 'access = "let"'), SCENARIO, [],
     "access 'let'; known are: ethernet, lte"),
    ("a radio between routers", TOPOLOGY.replace('subnet = "198', 'access = "lte"\nsubnet = "198'),
     SCENARIO, [], "'n' is a nat"),
    ("a radio out of range", TOPOLOGY.replace('delay_ms = "$d"', 'access = "lte"\nwake_ms = -1'),
     SCENARIO, [], "wake_ms = -1 is out of range"),
    ("a router as NAT", TOPOLOGY.replace('core = { kind = "router" }',
     'core = { kind = "router", nat = "open" }'), SCENARIO, [], "'core' is a router"),
    ("no such topology", TOPOLOGY, SCENARIO.replace('topology = "t"', 'topology = "tt"'), [],
     "there is no topology 'tt'; did you mean 't'?"),
    ("too large", TOPOLOGY, SCENARIO, ["--seeds", "999999"], "more than the limit"),
    ("a node twice", TOPOLOGY.replace("[links.lan]", 's = { kind = "host" }\n[links.lan]'), SCENARIO,
     [], "cannot redefine existing table 's'"),
    ("a link named as a node", TOPOLOGY.replace("[links.lan]", "[links.core]"), SCENARIO, [],
     "t.toml:12: 'core' is a node already"),
    ("a service twice", TOPOLOGY + '[[services]]\nnode = "s"\nrun = "stun-server --bind 0.0.0.0:9"\n',
     SCENARIO, [], "'s' runs 'stun-server' already"),
    ("subnets that overlap", TOPOLOGY.replace("203.0.113.0/24", "198.51.100.128/25"), SCENARIO, [],
     "t.toml:19: link 'server' has 198.51.100.128/25, which overlaps 198.51.100.0/24 of 'up'"),
    ("the same subnet on both sides of a NAT", TOPOLOGY.replace("10.0.0.0/24", "198.51.100.0/24"),
     SCENARIO, [], "which overlaps 198.51.100.0/24 of 'lan'"),
    ("a subnet without room", TOPOLOGY.replace("203.0.113.0/24", "203.0.113.0/30"), SCENARIO, [],
     "'203.0.113.0/30' has no room for all addresses of 's'"),
    ("an address as subnet", TOPOLOGY.replace("10.0.0.0/24", "10.0.0.7/24"), SCENARIO, [],
     "t.toml:14: '10.0.0.7/24' is an address in a subnet"),
    ("a NAT without outside", TOPOLOGY.replace(', outside = "up"', ""), SCENARIO, [],
     "t.toml:9: the key 'outside' is missing"),
    ("NATs in a circle", TOPOLOGY.replace("[links.lan]", 'm = { kind = "nat", nat = "open", outside = '
     '"lan" }\n[links.lan]').replace('["a", "n"]', '["a", "m", "n"]').replace('["n", "core"]',
     '["n", "m", "core"]').replace('"open"', '"symmetric"'), SCENARIO, [],
     "t.toml:9: the way out of 'n' leads back to its inside"),
    ("a node without link", TOPOLOGY.replace("[links.lan]", 'z = { kind = "host" }\n[links.lan]'),
     SCENARIO, [], "t.toml:12: 'z' is on no link"),
    ("an empty file", "", "topology = \"t\"", [], "t.toml:1: the key 'nodes' is missing"),
    ("nan", TOPOLOGY.replace('"$d"', "nan"), SCENARIO, [], "t.toml:15: nan and inf have no meaning here"),
    ("inf in an expectation", TOPOLOGY, SCENARIO + "[[expect]]\nalways = inf\n", [],
     "q.toml:13: nan and inf have no meaning here"),
    ("a line of dots", "a." * 50000 + "a = 1", SCENARIO, [], "t.toml:1: a line of more than"),
    ("many levels", TOPOLOGY + "[names" + ".a" * 40 + "]", SCENARIO, [], "more than 32 levels"),
    ("seeds of a wrong type", TOPOLOGY, SCENARIO.replace("seeds = 2", 'seeds = "x"'), [],
     "q.toml:4: seeds must be a number"),
    ("seeds beyond reason", TOPOLOGY, SCENARIO.replace("seeds = 2", "seeds = 1000000000000"), [],
     "q.toml:4: seeds must be a whole number from 1"),
    ("a time below zero", TOPOLOGY, SCENARIO.replace("seeds = 2", "budget_ms = -1"), [],
     "q.toml:4: 'budget_ms' = -1 is out of range"),
    ("a value twice", TOPOLOGY, SCENARIO, ["--set", "kind=open,open"], "'ns3.open.1': a value or a seed"),
    ("a seed twice", TOPOLOGY, SCENARIO, ["--seed", "1", "--seed", "1"], "stands twice"),
    ("set twice", TOPOLOGY, SCENARIO, ["--set", "d=1", "--set", "d=2"], "'d' is set twice"),
    ("the kernel's NAT in ns-3", TOPOLOGY.replace('outside = "up"', 'outside = "up", engine = "kernel"'),
     SCENARIO, [], "t.toml:9: engine 'kernel' of 'n' is the Linux kernel's NAT"),
    ("a timeline that is no list", TOPOLOGY, SCENARIO + "[timeline]\nat_ms = 1\n", [],
     "[[timeline]] must be a list"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(house, what, topology, scenario, argv, says):
    done = house(*argv, topology=topology, scenario=scenario)
    assert done.returncode == 2, (what, done.returncode, done.stderr)
    assert done.stdout == ""
    assert says in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1


def test_two_homes_may_use_the_same_private_subnet(house):
    second_home = TOPOLOGY.replace("[links.lan]", """a2 = { kind = "host" }
n2 = { kind = "nat", nat = "$kind", outside = "up" }
[links.lan2]
ends = ["a2", "n2"]
subnet = "10.0.0.0/24"
[links.lan]""").replace('["n", "core"]', '["n", "n2", "core"]')
    run = good(house(topology=second_home))["runs"][0]
    nodes = {n["name"]: n for n in run["nodes"]}
    assert nodes["a"]["interfaces"][0]["addresses"] == nodes["a2"]["interfaces"][0]["addresses"]
    assert nodes["n"]["nat"]["public"] != nodes["n2"]["nat"]["public"]


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.toml")), ids=lambda p: p.stem)
def test_every_scenario_of_the_house_can_be_planned(path):
    done = subprocess.run([PLANNER, "scenario", path.stem, "--seed", "1", "--root", ROOT],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "topologies").glob("*.toml")), ids=lambda p: p.stem)
def test_every_topology_of_the_house_can_be_brought_up(path):
    done = subprocess.run([PLANNER, "topology", path.stem, "--root", ROOT],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
