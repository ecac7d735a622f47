"""What a user meets at the door: help, clear sentences, exit codes, nothing left behind."""
import argparse
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def culvert(*argv, **options):
    return subprocess.run([ROOT / "culvert", *map(str, argv)], capture_output=True, text=True,
                          timeout=120, check=False, **options)


@pytest.mark.parametrize("command", ["setup", "demo", "run", "up", "list", "report", "bench", "test"])
def test_every_command_explains_itself(command):
    done = culvert(command, "--help")
    assert done.returncode == 0 and "usage: culvert" in done.stdout


@pytest.mark.parametrize("argv, says", [
    (["run", "cone_vs_symetric"], "did you mean 'cone_vs_symmetric'?"),
    (["run", "cone_vs_symmetric", "--set", "nat_a=conical"], "conical"),
    (["run", "cone_vs_symmetric", "--set", "technick=plain"], "did you mean 'technique'?"),
    (["up", "two_nat"], "did you mean 'two_nats'?"),
    (["up", "two_nats", "--set", "nat_a=what"], "what"),
    (["report", "/nonexistent"], "no output of ./culvert run"),
    (["up", "/nonexistent/net.toml"], "there is no file /nonexistent/net.toml"),
    (["run", "/nonexistent/question.toml"], "there is no file /nonexistent/question.toml"),
    (["run", "cone_vs_symmetric", "--seeds", "0"], "'0' is not a whole number from 1"),
    (["run", "cone_vs_symmetric", "--seed", "9" * 30], "is not a whole number from 1"),
    (["run", "cone_vs_symmetric", "--seeds", "²"], "is not a whole number from 1"),
    (["run", "cone_vs_symmetric", "--set", "nat_a=open", "--set", "nat_a=open"], "is set twice"),
    (["run", "natbox_vs_kernel", "--on", "ns3"], "it runs on linux"),
    (["run"], "the following arguments are required"),
    (["dmeo"], "invalid choice"),
])
def test_bad_input_is_exit_code_2_and_one_sentence(argv, says, tmp_path):
    if argv[0] == "run" and len(argv) > 1:
        argv = [*argv, "--out", tmp_path / "out"]
    if argv[0] == "up" and os.geteuid() != 0:
        pytest.skip("up asks for root first")
    done = culvert(*argv)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists(), "nothing half-started"


QUICK = ["run", "cone_vs_symmetric", "--on", "ns3", "--set", "nat_a=open", "--set", "nat_b=open",
         "--seed", 1]


@pytest.mark.parametrize("out", ["/proc/nowhere", "/etc/passwd", "/etc/passwd/below"])
def test_a_folder_that_cannot_be_written_is_one_sentence(out):
    done = culvert(*QUICK, "--out", out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"culvert: cannot write to {out}: ") and done.stderr.count("\n") == 1


def test_a_measure_that_is_wrong_is_refused_before_anything_runs(tmp_path):
    scenario = tmp_path / "mine.toml"
    text = (ROOT / "scenarios" / "cone_vs_symmetric.toml").read_text()
    scenario.write_text(text.replace('field = "direct"', 'feeld = "direct"'))
    done = culvert("run", scenario, "--on", "ns3", "--out", tmp_path / "out")
    assert done.returncode == 2 and "measure 'direct': unknown key `feeld`" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_scenario_of_ones_own_runs_from_any_folder(tmp_path):
    (tmp_path / "mine.toml").write_text((ROOT / "scenarios" / "cone_vs_symmetric.toml").read_text())
    done = culvert("run", "mine.toml", *QUICK[2:], "--out", "here/out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "out" / "results.csv").exists()
    assert "not asked here" not in done.stdout


def test_a_second_run_clears_what_the_first_left_and_nothing_else(tmp_path):
    assert culvert(*QUICK, "--pcap", "--out", tmp_path).returncode == 0
    assert list(tmp_path.glob("pcap/ns3.open.open.culvert.1/a-eth0.pcap"))
    (tmp_path / "logs" / "mine.txt").write_text("not Culvert's")
    assert culvert(*QUICK[:-1], 2, "--out", tmp_path).returncode == 0
    assert not list(tmp_path.glob("pcap/*"))
    assert [p.name for p in sorted((tmp_path / "logs").iterdir())] == ["mine.txt",
                                                                      "ns3.open.open.culvert.2.jsonl"]


@pytest.mark.parametrize("streams, code", [(">/dev/full", 1), ("| head -0; exit ${PIPESTATUS[0]}", 141),
                                           (">&- 2>&- <&-", 0)])
def test_full_broken_and_closed_output_end_without_a_traceback(streams, code, tmp_path):
    command = " ".join(map(str, [ROOT / "culvert", *QUICK, "--out", tmp_path / "out"]))
    done = subprocess.run(["bash", "-c", f"{command} {streams}"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize("after_ms", [10, 40, 70, 100, 200, 400])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_at_any_moment_is_no_traceback(how, after_ms, tmp_path):
    child = subprocess.Popen([ROOT / "culvert", "run", "cone_vs_symmetric", "--on", "ns3", "--seeds",
                              "50", "--out", tmp_path], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    try:
        child.wait(timeout=after_ms / 1000)
    except subprocess.TimeoutExpired:
        pass
    child.send_signal(how)
    _, complaints = child.communicate(timeout=30)
    if "Fatal Python error" in complaints:  # the interpreter was not up: nothing of ours had begun
        assert "frontdoor" not in complaints
        return
    assert "Traceback" not in complaints, complaints
    # Killed before Python itself was up: the signal's own effect.
    assert child.returncode in (130, -how), complaints


def test_list_names_the_kinds_with_their_sources():
    done = culvert("list", "kinds")
    assert done.returncode == 0
    for kind in ("full-cone", "restricted-cone", "port-restricted-cone", "symmetric",
                 "symmetric-sequential", "linux-masquerade", "cgnat-port-block"):
        assert kind in done.stdout
    assert "source:" in done.stdout


def test_list_scenarios_tells_what_is_varied_and_what_can_be_set():
    done = culvert("list", "scenarios")
    assert done.returncode == 0
    block = done.stdout.split("cone_vs_symmetric", 1)[1].split("multi_level_punch")[0]
    assert "in two_nats; varies nat_a, nat_b, technique" in block
    assert "--set kinds=classic  (classic, rfc4787, quick)" in block
    assert "on linux only" in done.stdout.split("natbox_vs_kernel", 1)[1].split("technique_over")[0]


def without_root(*argv):
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                           ROOT / "culvert", *map(str, argv)],
                          capture_output=True, text=True, timeout=120, check=False)


@needs_root
def test_without_root_ns3_works_and_linux_says_what_it_needs(tmp_path):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:  # pytest's folders are private; this one must be reachable
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    done = without_root("run", "cone_vs_symmetric", "--on", "ns3", "--set", "nat_a=open", "--set",
                        "nat_b=open", "--seed", 1, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for argv in (["cone_vs_symmetric", "--on", "linux"], ["natbox_vs_kernel"]):
        done = without_root("run", *argv, "--out", tmp_path / "out2")
        assert done.returncode != 0
        assert "needs root" in done.stderr and done.stderr.count("\n") == 1
        assert not (tmp_path / "out2").exists()
    done = without_root("report", tmp_path / "out", "--out", "/etc/passwd")
    assert done.returncode == 2
    assert done.stderr == "culvert: /etc/passwd: cannot be written: Permission denied\n"


def ours():
    """Processes of this checkout, by their command lines."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except OSError:
            continue
        if str(ROOT).encode() + b"/" in text and any(
                name in text for name in (b"culvert-node", b"culvert-natbox", b"culvert-wire",
                                          b"mininet_builder")):
            found.add(path.parent.name)
    return found


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_ended_linux_run_leaves_nothing_behind(tmp_path, how):
    before = ours()
    links = os.listdir("/sys/class/net")
    child = subprocess.Popen([ROOT / "culvert", "run", "cone_vs_symmetric", "--on", "linux", "--set",
                              "nat_a=symmetric", "--set", "nat_b=symmetric", "--seeds", "3", "--out",
                              tmp_path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    poll = __import__("select").poll()
    deadline = time.monotonic() + 60
    while not any(b"culvert-node" in (Path("/proc") / p / "cmdline").read_bytes()
                  for p in ours() - before if (Path("/proc") / p).exists()):
        assert time.monotonic() < deadline and child.poll() is None, "never came up"
        poll.poll(20)
    child.send_signal(how)
    child.wait(timeout=30)
    deadline = time.monotonic() + 20
    while ours() - before:
        assert time.monotonic() < deadline, "processes left behind"
        poll.poll(20)
    assert os.listdir("/sys/class/net") == links
    done = culvert("run", "cone_vs_symmetric", "--on", "linux", "--set", "nat_a=open", "--set",
                   "nat_b=open", "--seed", 1, "--out", tmp_path / "next")
    assert done.returncode == 0, done.stderr


def test_only_with_a_name_that_no_test_has_is_no_success(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from frontdoor import place, testing  # pylint: disable=import-outside-toplevel
    monkeypatch.setattr(testing, "build", lambda *_: None)
    options = argparse.Namespace(no_install=True, quick=True, slow=False, fuzz=0,
                                 only="nobody_called_it_so")
    with pytest.raises(place.Failure) as failure:
        testing.run_tests(options)
    assert failure.value.code == 2 and "no test's name contains" in str(failure.value)
