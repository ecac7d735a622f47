"""./culvert run and up: plan, execute in each world, turn logs into rows."""
import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.measures import check_measures

from .place import BAD_INPUT, BIN, NEEDS_ROOT, PYTHON, ROOT, Failure, is_root, program, say, warn
from .progress import Progress
from .setup import ensure_built

MOST_REASONS = 5  # of failed runs that are told at once; their logs have all
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def make_plan(kind, name, *, on=None, sets=(), seeds=None, seed=(), quick=False):
    """Calls the planner; its sentence and exit code are ours. Writes nothing."""
    argv = [str(program("culvert-plan")), kind, name, "--root", str(ROOT)]
    if on:
        argv += ["--on", on]
    for one in sets:
        argv += ["--set", one]
    if quick:
        argv.append("--quick")
    if seeds:
        argv += ["--seeds", str(seeds)]
    for one in seed:
        argv += ["--seed", str(one)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sentence = done.stderr.strip()
        raise Failure(sentence.removeprefix("culvert: ") or "the planner failed",
                      BAD_INPUT if done.returncode == 2 else 1)
    return json.loads(done.stdout)


def write_plan(plan, out):
    """Makes the output folder, with the plan in it. Returns the plan's file."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "plan.json").write_text(json.dumps(plan))
    except OSError as error:
        raise Failure(f"cannot write to {out}: {error.strerror}", BAD_INPUT) from error
    return out / "plan.json"


def runner_argv(world, plan_file, out, jobs=None, pcap=False, run_id=None):
    if world == "ns3":
        argv = [str(program("culvert-ns3"))]
    else:
        argv = [PYTHON, str(ROOT / "topologies" / "mininet_builder.py"), "--bin", str(BIN)]
    argv += ["--plan", str(plan_file), "--out", str(out)]
    if jobs:
        argv += ["--jobs", str(jobs)]
    if pcap:
        argv.append("--pcap")
    if run_id:
        argv += ["--id", run_id]
    return argv


def execute(world, plan, plan_file, out, jobs=None, pcap=False):
    """Runs one world's part of the plan. Returns how many runs failed to run."""
    total = sum(run["world"] == world for run in plan["runs"])
    if total == 0:
        return 0
    progress = Progress({"ns3": "ns-3", "linux": "Linux"}[world], total)
    # A session of its own: an interrupt reaches us, and we end the whole group.
    with subprocess.Popen(runner_argv(world, plan_file, out, jobs, pcap), stdout=subprocess.PIPE,
                          text=True, start_new_session=True,
                          preexec_fn=_die_with_parent) as child:
        try:
            for line in child.stdout:
                try:
                    said = json.loads(line)
                except ValueError:
                    warn(line.rstrip())
                    continue
                failed = said.get("why") == "failed"
                progress.step(said.get("id", ""), failed=failed)
                if failed and said.get("detail") and progress.failed <= MOST_REASONS:
                    warn(f"{said['id']}: {said['detail']}")
        except BaseException:
            _end_group(child)
            raise
        code = child.wait()
    if code == BAD_INPUT:  # it has said why
        raise Failure(f"the {world} runner refused the plan", BAD_INPUT)
    progress.finish()
    if code != 0 and progress.failed == 0:
        raise Failure(f"the {world} runner ended with exit code {code}")
    return progress.failed


def _die_with_parent():
    """In the child: a killed front door must not leave a runner behind (prctl(2), Linux only)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_group(child):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop the clearing away
    try:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(timeout=10)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def analyse(argv, sentence, **options):
    """The analysis's own sentence is the failure; `sentence` is for when it has none."""
    done = subprocess.run(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failure(done.stderr.strip().removeprefix("analysis: ") or sentence, done.returncode)
    if done.stderr:
        warn(done.stderr.rstrip())


def rows(plan_file, out, quiet=False):
    """Logs to results.csv and summary.json, and the summary on the terminal."""
    argv = [PYTHON, "-m", "analysis", "rows", str(plan_file), str(out)]
    if quiet:
        argv.append("--quiet")
    analyse(argv, "the logs could not be turned into rows")


def run_scenario(name, *, on=None, sets=(), seeds=None, seed=(), out=None, jobs=None, pcap=False,
                 quick=False, quiet=False):
    """The whole of ./culvert run. Returns the output folder."""
    ensure_built()
    # Absolute: the analysis runs in a folder of its own.
    default = ROOT / "out" / f"{Path(name).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    out = Path(out or default).absolute()
    plan = make_plan("scenario", name, on=on, sets=sets, seeds=seeds, seed=seed, quick=quick)
    if not is_root():
        _without_linux(plan)
    try:
        check_measures(plan["measures"])  # now, rather than when all has been run
    except AnalysisError as error:
        raise Failure(f"{name}: {error}", BAD_INPUT) from error
    plan_file = write_plan(plan, out)
    worlds = [w for w in ("ns3", "linux") if any(r["world"] == w for r in plan["runs"])]
    _clear_logs(out)
    say(f"{plan['about']}  ({len(plan['runs'])} run{'s' * (len(plan['runs']) > 1)})")
    failed = sum(execute(world, plan, plan_file, out, jobs, pcap) for world in worlds)
    rows(plan_file, out, quiet)
    if failed:
        raise Failure(f"{failed} runs failed to run; their logs in {out}/logs end with the reason")
    return out


def _without_linux(plan):
    possible = [run for run in plan["runs"] if run["world"] != "linux"]
    if not possible:
        raise Failure(NEEDS_ROOT)
    if len(possible) < len(plan["runs"]):
        warn(NEEDS_ROOT)
    plan["runs"] = possible


def _clear_logs(out):
    """Rows are made from what is in logs/: an older run's files must not stay among them. Only what
    we write is removed, for --out may name a folder with other things in it."""
    for pattern in ("logs/*.jsonl", "pcap/*/*.pcap"):
        for old in out.glob(pattern):
            old.unlink()
    for folder in out.glob("pcap/*"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def up(topology, sets=(), seed=()):
    """Brings a topology up in Mininet and hands over its prompt."""
    ensure_built()
    if not is_root():
        raise Failure(NEEDS_ROOT)
    plan = make_plan("topology", topology, sets=sets, seed=seed)
    out = ROOT / "out" / "up" / Path(topology).stem
    argv = runner_argv("linux", write_plan(plan, out), out) + ["--up"]
    say(plan.get("picture") or "")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the prompt
    with subprocess.Popen(argv, preexec_fn=_die_with_parent) as child:
        try:
            return child.wait()
        except BaseException:  # a kill of the front door ends the network
            child.terminate()
            raise
