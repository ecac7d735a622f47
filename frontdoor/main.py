"""Reads the command line and goes to the right room."""
import argparse
import os
import sys
from pathlib import Path

from . import bench, demo, listing, runs, setup, testing
from .place import BAD_INPUT, FAILED, INTERRUPTED, PIPE_CLOSED, Failure, say, warn

EPILOG = """two commands to begin with:
  ./culvert demo    sets up, builds, punches through every classic NAT pair in ns-3 and on Linux,
                    and leaves out/demo/index.html
  ./culvert test    sets up, builds and runs every test"""


LAST_SEED = 2**53  # numbers in JSON are exact up to here (RFC 8259, section 6)
MOST_SEEDS, MOST_JOBS = 1_000_000, 1024  # as the planner and the ns-3 runner have it


def parser():
    top = argparse.ArgumentParser(
        prog="culvert", description="NAT traversal written once, run in ns-3 and on Linux.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name, help, **more):  # pylint: disable=redefined-builtin
        return commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.", **more)

    one = command("setup", help="install Debian's packages and build")
    one.add_argument("--no-install", action="store_true", help="only build")
    one.add_argument("--verbose", action="store_true", help="show what CMake and Ninja say")

    command("demo", help="the main job in both worlds, and its report")

    one = command("run", help="run a scenario", epilog=
                              "example: ./culvert run cone_vs_symmetric --on ns3 --set kinds=rfc4787 "
                              "--seeds 10 --out out/mine. What can be --set: ./culvert list "
                              "scenarios, and ./culvert list topologies for its topology's.")
    one.add_argument("scenario", help="a name (./culvert list) or a .toml file")
    one.add_argument("--on", choices=["ns3", "linux", "both"],
                     help="the world; default: every world the scenario runs in")
    _add_choices(one)
    one.add_argument("--seeds", type=_from_1_to(MOST_SEEDS), metavar="N", help="seeds 1 to N")
    one.add_argument("--out", type=Path, metavar="DIR", help="default: out/SCENARIO-TIME")
    one.add_argument("--jobs", type=_from_1_to(MOST_JOBS), metavar="N", help="runs side by side")
    one.add_argument("--pcap", action="store_true", help="capture every interface")
    one.add_argument("--quick", action="store_true",
                     help="only the scenario's small sample of its grid, where it has one")

    one = command("up", help="bring a topology up in Mininet and give its prompt")
    one.add_argument("topology", help="a name (./culvert list topologies) or a .toml file")
    _add_choices(one)

    one = command("list", help="scenarios, topologies, NAT kinds, services")
    one.add_argument("what", nargs="?", choices=["scenarios", "topologies", "kinds", "services"])

    one = command("report", help="one HTML page from the outputs of runs")
    one.add_argument("dirs", nargs="+", type=Path, metavar="DIR")
    one.add_argument("--out", type=Path, metavar="FILE", help="default: FIRST_DIR/index.html")

    one = command("bench", help="measure: " + ", ".join(bench.BENCHES), epilog="; ".join(
        f"{name}: {about}" for name, (*_, about) in bench.BENCHES.items()))
    one.add_argument("what", choices=sorted(bench.BENCHES))
    one.add_argument("--json", type=Path, metavar="FILE",
                     help="figures as JSON, too; mqtt writes out/bench-mqtt.json without being told")
    one.add_argument("--quick", action="store_true",
                     help="mqtt: one short round of each measure, half a minute; not for figures")
    one.add_argument("--only", metavar="TEXT",
                     help="mqtt: measures with TEXT in their name, as 'durable' or 'fan-in'")

    one = command("test", help="set up, build and run the tests")
    testing.add_options(one)
    return top


def _add_choices(one):
    one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="sets",
                     help="a parameter; NAME=V1,V2 varies it")
    one.add_argument("--seed", type=_from_1_to(LAST_SEED), action="append", default=[], metavar="N",
                     help="this seed only (may be given again)")


def _from_1_to(most):
    def read(text):
        if not text.isdecimal() or not 1 <= int(text[:20]) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 to {most}")
        return int(text)
    return read


def _setup(options):
    if not options.no_install:
        setup.install(("build", "run", "test"))
    setup.build("all", options.verbose)


def _run(options):
    out = runs.run_scenario(options.scenario, on=options.on, sets=options.sets,
                            seeds=options.seeds, seed=options.seed, out=options.out,
                            jobs=options.jobs, pcap=options.pcap, quick=options.quick)
    say(f"Rows: {out}/results.csv   Page: ./culvert report {out}")


def _report(options):
    for folder in options.dirs:
        if not (folder / "plan.json").exists():
            raise Failure(f"{folder} is no output of ./culvert run: it has no plan.json", BAD_INPUT)
    page = options.out or options.dirs[0] / "index.html"
    if not page.resolve().parent.is_dir():
        raise Failure(f"{page.parent} is no folder", BAD_INPUT)
    demo.report([d.resolve() for d in options.dirs], page.resolve())
    say(f"Page: {page}")


COMMANDS = {
    "setup": _setup,
    "demo": lambda options: demo.demo(),
    "run": _run,
    "up": lambda options: runs.up(options.topology, options.sets, options.seed),
    "list": lambda options: listing.show(options.what),
    "report": _report,
    "bench": lambda options: bench.run_bench(options.what, options.json, options.quick,
                                                options.only),
    "test": testing.run_tests,
}


def _open_streams():
    """Started without standard streams (a service manager's doing), we write to nowhere."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)


def main(argv):
    _open_streams()
    options = parser().parse_args(argv)
    try:
        return COMMANDS[options.command](options) or 0
    except Failure as failure:
        warn(failure)
        return failure.code
    except KeyboardInterrupt:
        warn("interrupted; everything that was started has been ended")
        return INTERRUPTED
    except BrokenPipeError:  # who reads us has seen enough; what we started has been ended
        _forget_output()
        return PIPE_CLOSED
    except OSError as error:
        _forget_output()
        warn(f"{error.filename or 'cannot write the output'}: {error.strerror}")
        return FAILED


def _forget_output():
    """What is still in Python's buffer must not fail once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
