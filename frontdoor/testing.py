"""./culvert test: every test, quick ones first; slow sweeps and long fuzzing behind flags."""
import os
import re
import subprocess
import time

from .place import BAD_INPUT, BUILD, PYTHON, ROOT, Failure, is_root, say, warn
from .setup import build, install

PYTEST_FOLDERS = ["tests/house", "tests/plan", "tests/analysis", "tests/conformance", "tests/interop",
                  "tests/frontdoor", "tests/worlds"]
NO_TESTS = 5  # pytest's exit code ("Exit codes" in its manual)
FUZZ_SECONDS = 10  # ours: enough to replay the corpus and notice a crash near it


def add_options(parser):
    parser.add_argument("--quick", action="store_true", help="only what takes seconds")
    parser.add_argument("--slow", action="store_true", help="also the full sweeps")
    parser.add_argument("--fuzz", type=int, metavar="SECONDS", default=FUZZ_SECONDS,
                        help=f"per fuzz target, under ASan and UBSan (default {FUZZ_SECONDS}; 0: none)")
    parser.add_argument("--only", metavar="TEXT", help="tests whose name contains TEXT")
    parser.add_argument("--no-install", action="store_true", help="do not look for missing packages")


def run_tests(options):
    started = time.monotonic()
    if not options.no_install:
        install(("build", "run", "test"))
    build("all")
    results = []
    results.append(("C++ quick", _ctest("quick", options)))
    if is_root() and not options.quick:
        results.append(("C++ in namespaces", _ctest("root", options)))
    elif not is_root():
        warn("not root: what needs network namespaces is left out")
    if options.slow:
        results.append(("C++ slow", _ctest("slow", options)))
    results.append(("Python", _pytest(options)))
    results = [(name, code) for name, code in results if code is not None]
    if not results:
        raise Failure(f"no test's name contains '{options.only}'", BAD_INPUT)
    if options.fuzz and not options.quick and not options.only:
        results.append(("fuzzing", _fuzz(options.fuzz)))
    say()
    for name, code in results:
        say(f"  {'ok    ' if code == 0 else 'FAILED'}  {name}")
    failed = sum(code != 0 for _, code in results)
    say(f"{len(results) - failed} passed, {failed} failed")
    say(f"All in {(time.monotonic() - started) / 60:.1f} minutes.")
    if failed:
        raise Failure("tests failed")


def _ctest(label, options):
    argv = ["ctest", "--test-dir", str(BUILD), "-L", f"^{label}$", "-j2", "--output-on-failure",
            "--no-tests=ignore"]
    if options.only:
        argv += ["-R", re.escape(options.only)]
        shown = subprocess.run([*argv, "-N"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if "Total Tests: 0" in shown.stdout:
            return None
    say(f"\n— C++, {label} —")
    return subprocess.run(argv, cwd=ROOT, check=False).returncode


def _pytest(options):
    folders = [f for f in PYTEST_FOLDERS if (ROOT / f).is_dir()]
    marks = [] if options.slow else ["not slow"]
    if options.quick:
        marks.append("not root")
    argv = [PYTHON, "-m", "pytest", "-q", "--durations=10", *folders]
    if marks:
        argv += ["-m", " and ".join(marks)]
    if options.only:
        argv += ["-k", options.only]
    say("\n— Python —")
    code = subprocess.run(argv, cwd=ROOT, check=False,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}).returncode
    return None if code == NO_TESTS and options.only else code


def _fuzz(seconds):
    say(f"\n— fuzzing, {seconds} s a target —")
    folder = ROOT / "build" / "fuzz"
    for argv in (["cmake", "--preset", "fuzz"], ["ninja", "-C", str(folder)]):
        done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            warn(done.stdout[-3000:])
            return done.returncode
    worst = 0
    for target in sorted((folder / "bin").glob("fuzz-*")):
        if not target.is_file():
            continue
        corpus = folder / "corpus" / target.name
        corpus.mkdir(parents=True, exist_ok=True)
        seeds = ROOT / "tests" / "fuzz" / "corpus" / target.name.removeprefix("fuzz-")
        argv = [str(target), f"-max_total_time={seconds}", "-print_final_stats=1", str(corpus)]
        if seeds.is_dir():
            argv.append(str(seeds))
        done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        runs = [w for w in done.stdout.splitlines() if "number_of_executed_units" in w]
        count = runs[-1].split()[-1] if runs else "?"
        say(f"  {target.name}: {count} inputs, {'ok' if done.returncode == 0 else 'CRASHED'}")
        if done.returncode != 0:
            warn(done.stdout[-4000:])
            worst = done.returncode
    return worst
