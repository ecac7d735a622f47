"""The Mininet builder: plans executed, logs as agreed, nothing left behind, clear refusals."""

import copy
import json
import os
import signal
import subprocess

import pytest
from conftest import BIN, BUILDER, load_plan, program, run_until

root = pytest.mark.root


def needs_programs():
    for name in ("culvert-wire", "culvert-natbox", "culvert-node"):
        program(name)


def quiet(plan, budget_ms=200.0):
    """The plan without services: a network that is just there until its budget is spent."""
    plan = copy.deepcopy(plan)
    run = plan["runs"][0]
    run.update(services=[], timeline=[], budget_ms=budget_ms)
    run.pop("until", None)
    return plan


def log_of(tmp_path, run_id):
    with open(tmp_path / "out" / "logs" / f"{run_id}.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def descendants(pid):
    """Processes of a tree, by what /proc says."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def interfaces():
    return set(os.listdir("/sys/class/net"))


@root
@pytest.mark.parametrize("engine", ["culvert", "kernel"])
def test_two_devices_behind_nats_reach_each_other(builder, tmp_path, engine):
    needs_programs()
    plan = load_plan()
    for node in plan["runs"][0]["nodes"]:
        if node.get("nat"):
            node["nat"]["engine"] = engine
    run = builder(plan)
    assert run.wait(60) == 0, run.err()
    assert json.loads(run.out()) == {"done": 1, "of": 1, "id": "two_nats", "why": "until"}
    log = log_of(tmp_path, "two_nats")
    results = [e for e in log if (e["service"], e["event"]) == ("punch", "result")]
    assert {e["node"]: e["direct"] for e in results} == {"a": True, "b": True}
    # a asks for b, which is learned from its probe: a + 3d after the request, or thereabouts.
    requested = next(e["time_ms"] for e in log if e["event"] == "connect_requested")
    took = max(e["time_ms"] for e in results) - requested
    assert 60 < took < 400
    assert [e["time_ms"] for e in log] == sorted(e["time_ms"] for e in log)
    assert (log[0]["service"], log[0]["event"], log[0]["world"]) == ("run", "start", "linux")
    assert (log[-1]["service"], log[-1]["event"], log[-1]["why"]) == ("run", "end", "until")
    assert {e["node"] for e in log if e["event"] == "config"} == {"nat_a", "nat_b"}
    assert {e["node"] for e in log if e["event"] == "counters"} == {"nat_a", "nat_b"}
    if engine == "culvert":  # the same packet is known on both sides of a NAT by its mark
        sent = {e["packet"] for e in log if e["event"] == "probe_sent" and e["node"] == "a"}
        seen = {e["packet"] for e in log if e["event"] == "translated" and e["node"] == "nat_a"}
        assert sent & seen


@root
def test_a_timeline_reaches_services_nats_and_links(builder, tmp_path):
    needs_programs()
    plan = load_plan()
    run = plan["runs"][0]
    run["timeline"] += [
        {"at_ms": 1500.0, "node": "nat_a", "do": "reboot"},
        {"at_ms": 1510.0, "link": "up_b", "do": "cut"},
        {"at_ms": 1520.0, "link": "up_b", "do": "set delay_ms=1"},
        {"at_ms": 1530.0, "link": "up_b", "do": "mend"},
        {"at_ms": 1540.0, "node": "nat_b", "do": "address 198.51.100.135"},
        {"at_ms": 1600.0, "node": "b", "service": "punch", "do": "kill"},
        {"at_ms": 1700.0, "node": "b", "service": "punch", "do": "start"},
    ]
    run.pop("until")
    run["budget_ms"] = 3500.0
    started = builder(plan)
    assert started.wait(60) == 0, started.out() + started.err()
    log = log_of(tmp_path, "two_nats")
    steps = [(e["to"], e["do"]) for e in log if e["event"] == "step"]
    assert steps[0] == ("a/punch", "connect b")
    assert steps[1:] == [("nat_a", "reboot"), ("up_b", "cut"), ("up_b", "set delay_ms=1"),
                         ("up_b", "mend"), ("nat_b", "address 198.51.100.135"),
                         ("b/punch", "kill"), ("b/punch", "start")]
    times = [e["time_ms"] for e in log if e["event"] == "step"][1:]
    assert all(0 <= at - due < 60 for at, due in
               zip(times, (1500, 1510, 1520, 1530, 1540, 1600, 1700)))
    assert [e["node"] for e in log if e["event"] == "reboot"] == ["nat_a"]
    changed = next(e["time_ms"] for e in log if e["event"] == "address_change")
    # Started again, b registers from its NAT's new address.
    again = [e for e in log if e["node"] == "b" and e["event"] == "registered" and e["time_ms"] > changed]
    assert again and again[-1]["observed"].startswith("198.51.100.135:")


@root
def test_captures_are_written_for_every_interface(builder, tmp_path):
    needs_programs()
    run = builder(load_plan(), "--pcap")
    assert run.wait(60) == 0, run.err()
    names = {i["name"] for node in load_plan()["runs"][0]["nodes"] for i in node["interfaces"]}
    folder = tmp_path / "out" / "pcap" / "two_nats"
    assert {p.stem for p in folder.iterdir()} == names
    assert all(p.stat().st_size > 500 for p in folder.iterdir())


@root
def test_networks_run_side_by_side_with_the_same_names(builder, tmp_path):
    needs_programs()
    plan = load_plan()
    first = plan["runs"][0]
    plan["runs"] = [{**copy.deepcopy(first), "id": f"run{i}", "seed": i, "rng_seed": 1000 + i}
                    for i in range(4)]
    run = builder(plan, "--jobs", "4")
    assert run.wait(120) == 0, run.out()
    lines = [json.loads(line) for line in run.out().splitlines()]
    assert {line["id"] for line in lines} == {"run0", "run1", "run2", "run3"}
    assert {line["why"] for line in lines} == {"until"}
    ports = set()
    for i in range(4):
        log = log_of(tmp_path, f"run{i}")
        assert all(e["direct"] for e in log if (e["service"], e["event"]) == ("punch", "result"))
        ports |= {e["observed"] for e in log if e["event"] == "registered" and e["node"] == "a"
                  and "observed" in e}
    assert len(ports) >= 4  # other seeds, other ports


@root
@pytest.mark.parametrize("victim", ["builder", "its child"])
def test_killing_it_leaves_nothing_and_the_next_run_works(builder, tmp_path, victim):
    needs_programs()
    before = interfaces()
    plan = load_plan()
    plan["runs"][0].pop("until")
    plan["runs"][0]["budget_ms"] = 60000.0
    run = builder(plan)
    tree = run_until(lambda: [pids for pids in [descendants(run.pid)] if len(pids) >= 13][0:1],
                     20, "a whole network")[0]
    os.kill(run.pid if victim == "builder" else tree[0], signal.SIGKILL)
    if victim == "its child":
        assert run.wait(20) == 1
        assert json.loads(run.out())["why"] == "failed"
    run_until(lambda: not any(alive(pid) for pid in tree), 10, "the end of all processes")
    assert interfaces() == before
    assert subprocess.run(["ip", "netns"], capture_output=True, check=True).stdout == b""
    again = builder(quiet(plan))
    assert again.wait(60) == 0, again.out() + again.err()


@root
def test_interrupting_it_ends_everything(builder):
    needs_programs()
    plan = load_plan()
    plan["runs"][0].pop("until")
    plan["runs"][0]["budget_ms"] = 60000.0
    run = builder(plan)
    tree = run_until(lambda: [pids for pids in [descendants(run.pid)] if len(pids) >= 13][0:1], 20)[0]
    run.process.send_signal(signal.SIGINT)
    assert run.wait(10) == 130
    run_until(lambda: not any(alive(pid) for pid in tree))


@root
def test_up_gives_mininets_prompt_and_takes_all_of_it_down(builder, tmp_path):
    needs_programs()
    run = builder(load_plan(), "--up")
    run_until(lambda: "mininet>" in run.out(), 30, "the prompt")
    tree = descendants(run.pid)
    run.tell("a ping -c 1 -W 2 s")
    run_until(lambda: "1 received" in run.err(), 20, "an answer to ping through the NAT")
    run.tell("events 100 punch")
    run_until(lambda: '"event":"registered"' in run.out() or run.tell("events 100 punch"), 20)
    run.tell("tell a/punch connect b")
    run_until(lambda: '"event":"result"' in run.out() or run.tell("events 20 punch result"), 20)
    run.tell("tell nobody reboot")
    run_until(lambda: "nobody is called 'nobody'" in run.out())
    run.tell("tell nat_a to be good")
    run_until(lambda: "reboot, rebind, address" in run.out())
    run.tell("pingall")  # a and b are hidden from everybody else, the rest sees one another
    run_until(lambda: "*** Results:" in run.err(), 60, "Mininet's own test")
    assert "could not parse" not in run.err()
    run.tell("source /nonexistent")  # Mininet trips over this one
    run_until(lambda: "source: " in run.out())
    run.tell("exit")
    assert run.wait(20) == 0
    assert not any(alive(pid) for pid in tree)
    assert log_of(tmp_path, "two_nats")[0]["event"] == "start"


@root
def test_a_daemon_that_dies_fails_its_run_with_a_sentence(builder):
    needs_programs()
    plan = load_plan()
    plan["runs"][0]["services"][0]["argv"] = ["rendezvous", "--bind", "nonsense"]
    run = builder(plan)
    assert run.wait(60) == 1
    result = json.loads(run.out())
    assert result["why"] == "failed"
    assert "s: culvert-node rendezvous ended with" in result["detail"]
    assert "nonsense" in result["detail"]


@root
def test_ipv6_addresses_and_several_of_them(builder, tmp_path):
    needs_programs()
    plan = quiet(load_plan(), 1500.0)
    run = plan["runs"][0]
    for name, extra in (("a", "2001:db8:1::2/64"), ("nat_a", "2001:db8:1::1/64")):
        node = next(n for n in run["nodes"] if n["name"] == name)
        node["interfaces"][0]["addresses"].append(extra)
    run["services"] = [{"node": "nat_a", "name": "echo",
                        "argv": ["stun", "--bind", "[2001:db8:1::1]:3478"]}]
    started = builder(plan)
    assert started.wait(60) in (0, 1)
    assert "cannot assign" not in started.out().lower()


def broken(change):
    plan = load_plan()
    change(plan["runs"][0])
    return plan


@root
@pytest.mark.parametrize(
    "plan, arguments, sentence",
    [
        ("not json", [], "is not JSON"),
        ('{"format": 2, "runs": []}', [], "no plan of format 1"),
        ('{"format": 1, "runs": []}', [], "has no runs for Linux"),
        (load_plan(), ["--id", "nothing"], "has no run 'nothing'"),
        (load_plan(), ["--bin", "/nonexistent"], "is not in /nonexistent"),
        (broken(lambda r: r["nodes"][0]["interfaces"][0].update(link="x")), [], "which is no link"),
        (broken(lambda r: r["nodes"][0]["interfaces"][0].update(name="x" * 16)), [], "longer than 15"),
        (broken(lambda r: r["links"].pop(0)), [], "which is no link"),
        (broken(lambda r: r["nodes"][1]["nat"].update(outside="x")), [], "has no interface 'x'"),
        (broken(lambda r: r["nodes"][1]["nat"].update(engine="kernel", kind="cgnat-port-block")), [],
         "the kernel's NAT cannot be 'cgnat-port-block'"),
        (broken(lambda r: r["timeline"].append({"at_ms": 1, "link": "x", "do": "cut"})), [],
         "no such target of a timeline step"),
        (broken(lambda r: r.pop("seed")), [], "'seed' is missing"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(builder, plan, arguments, sentence):
    needs_programs()
    run = builder(plan, *arguments)
    assert run.wait(20) == 2
    assert sentence in run.err()
    assert run.err().count("\n") == 1


def test_without_root_it_says_what_it_needs(tmp_path):
    """As the user `nobody`, whoever runs the tests."""
    path = tmp_path / "plan.json"
    path.write_text("{}")
    argv = ["/usr/bin/python3", "-c", f"""
import os, runpy, sys
if os.geteuid() == 0: os.geteuid = lambda: 65534
sys.argv = ['mininet_builder', '--plan', {str(path)!r}, '--out', {str(tmp_path)!r}, '--bin', {BIN!r}]
runpy.run_path({BUILDER!r}, run_name='__main__')
"""]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("mininet_builder: Mininet needs root: ")
    assert done.stderr.count("\n") == 1
