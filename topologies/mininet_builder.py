#!/usr/bin/python3
"""Executes a plan (docs/reference/plan.md) on Linux with Mininet: namespaces for nodes, emulated
links, NATs and the daemons under test. Every network lives in namespaces of its own and takes all
of itself along when it ends, however it ends.

    mininet_builder.py --plan plan.json --out DIR [--id ID] [--jobs N] [--pcap]
    mininet_builder.py --plan plan.json --out DIR [--id ID] --up
"""

import argparse
import json
import os
import select
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from builder.check import BadInput, choose_runs, programs, read_plan, rights  # noqa: E402

DEFAULT_BIN = os.path.join(os.path.dirname(HERE), "build", "release", "bin")
DEFAULT_JOBS_PER_CORE = 4  # ours: a network sleeps most of its time


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="mininet_builder", description="Executes a plan on Linux with Mininet (needs root)."
    )
    parser.add_argument("--plan", required=True, metavar="FILE", help="what culvert-plan wrote")
    parser.add_argument("--out", required=True, metavar="DIR", help="logs (and captures) go there")
    parser.add_argument("--id", help="only this run")
    parser.add_argument("--jobs", type=int, default=DEFAULT_JOBS_PER_CORE * len(os.sched_getaffinity(0)),
                        metavar="N", help="networks side by side (%(default)s)")
    parser.add_argument("--pcap", action="store_true", help="capture every interface")
    parser.add_argument("--up", action="store_true", help="bring one run up and give a prompt")
    parser.add_argument("--bin", default=DEFAULT_BIN, metavar="DIR", help="where our programs are")
    parser.add_argument("--progress", action="store_true", help="tell on stderr what is being done")
    options = parser.parse_args(argv)
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    options.out, options.bin = os.path.abspath(options.out), os.path.abspath(options.bin)
    return options


def execute_one(plan, run, options, report):
    """In the namespaces of the run: does it, and writes how it went to descriptor `report`."""
    from builder.run import Run  # pylint: disable=import-outside-toplevel

    log_path = os.path.join(options.out, "logs", run["id"] + ".jsonl")
    why, detail = Run(plan, run, options).execute(log_path)
    result = {"id": run["id"], "why": why}
    if detail:
        result["detail"] = detail
    os.write(report, json.dumps(result).encode())
    return 0


class Crew:
    """Runs side by side, each a child process in namespaces of its own."""

    def __init__(self, plan, runs, options):
        self.plan, self.waiting, self.options = plan, list(runs), options
        self.total, self.done, self.failed = len(runs), 0, 0
        self.busy = {}  # read end of its report → (process id, run)

    def work(self):
        while self.waiting or self.busy:
            while self.waiting and len(self.busy) < self.options.jobs:
                self._start(self.waiting.pop(0))
            for report in select.select(list(self.busy), [], [])[0]:
                self._finish(report)
        return 1 if self.failed else 0

    def _start(self, run):
        from builder.confine import confined  # pylint: disable=import-outside-toplevel

        read_end, write_end = os.pipe()
        if self.options.progress:
            print(f"{run['id']}: starting", file=sys.stderr, flush=True)
        worker = confined(lambda: execute_one(self.plan, run, self.options, write_end))
        os.close(write_end)
        self.busy[read_end] = (worker, run)

    def _finish(self, report):
        worker, run = self.busy.pop(report)
        said = b""
        while chunk := os.read(report, 4096):
            said += chunk
        os.close(report)
        _, status = os.waitpid(worker, 0)
        self.done += 1
        try:
            result = json.loads(said)
        except ValueError:
            code = os.waitstatus_to_exitcode(status)
            result = {"id": run["id"], "why": "failed", "detail": f"its builder ended with {code}"}
        self.failed += result["why"] == "failed"
        print(json.dumps({"done": self.done, "of": self.total, **result}), flush=True)

    def abandon(self):
        for worker, _ in self.busy.values():
            os.kill(worker, signal.SIGKILL)  # its first process dies with it, and all else with that
            os.waitpid(worker, 0)


def bring_up(plan, runs, options):
    from builder.confine import confined  # pylint: disable=import-outside-toplevel

    if len(runs) > 1:
        raise BadInput(f"--up brings one run up, and the plan has {len(runs)}: choose with --id")

    def inside():
        from builder.up import up  # pylint: disable=import-outside-toplevel

        return up(plan, runs[0], options)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the prompt
    worker = confined(inside, terminal=True)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(worker, signal.SIGKILL))
    _, status = os.waitpid(worker, 0)
    return os.waitstatus_to_exitcode(status)


def main(argv):
    options = parse_arguments(argv)
    try:
        rights()
        plan = read_plan(options.plan)
        runs = choose_runs(plan, options.plan, options.id)
        programs(runs, options.bin)
        try:
            import builder.run  # noqa: F401  pylint: disable=import-outside-toplevel
        except ModuleNotFoundError as error:
            raise BadInput(f"Python's module {error.name} is missing: apt-get install mininet") from None
        from builder.confine import prepare  # pylint: disable=import-outside-toplevel

        prepare()
        try:
            os.makedirs(os.path.join(options.out, "logs"), exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot write to {options.out}: {error.strerror}") from None
        if options.up:
            return bring_up(plan, runs, options)
    except BadInput as problem:
        print(f"mininet_builder: {problem}", file=sys.stderr)
        return 2
    crew = Crew(plan, runs, options)

    def interrupted(number, _frame):
        crew.abandon()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    return crew.work()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
