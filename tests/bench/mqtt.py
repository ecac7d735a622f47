#!/usr/bin/python3
"""Culvert's MQTT broker beside mosquitto on this machine's loopback. Every measurement is taken in
short rounds that alternate between the two, each round with brokers started anew; what counts is the
median of the rounds' ratios. Rounds in which other programs took much of the machine are taken again.
The same load against a sink shows what the generator itself can give. docs/figures.md explains."""

import argparse
import ctypes
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time

from mqtt_brokers import Brokers, Failed, sweep
from mqtt_table import line, show

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Messages of one publisher under way: so many that the generator's cost for each is half a broker's.
WINDOWS = {"pairs": 64, "fan-in": 128, "fan-out": 128}
SIZES = {"pairs": (50, 50), "fan-in": (50, 1), "fan-out": (1, 100)}  # publishers, subscribers
SHAPES = {"pairs": "50 pairs", "fan-in": "fan-in 50 to 1", "fan-out": "fan-out 1 to 100"}
QUIET = 0.25  # CPUs that others may take; ours: what a machine's own daemons and a measured page need
SINK_ROUNDS = 2
LATENCY_S = 1.5  # at 2,000 messages/s: 30 times are beyond the 99th percentile

# unit, figure, which is better
THROUGHPUT = [("messages/s", "messages_per_s", "more"), ("CPU µs/message", "cpu_us_per_message", "less")]
LATENCY = [("p50 µs", "p50_us", "less"), ("p99 µs", "p99_us", "less")]
CONNECT = [("connections/s", "connections_per_s", "more"), ("CPU µs/connection", "cpu_us_per_connection", "less")]


class Row:
    """One measurement: the generator's words, and the figures that count."""

    def __init__(self, section, name, words, figures, sink=None, rounds=None, **broker):
        self.section, self.name, self.words, self.figures = section, name, words, figures
        self.sink, self.rounds, self.broker = sink, rounds, broker


def plan(o):
    def throughput(section, name, shape, qos, window=None, sink=True, **broker):
        publishers, subscribers = SIZES[shape]
        words = [shape, "--qos", qos, "--publishers", publishers, "--subscribers", subscribers,
                 "--window", window or WINDOWS[shape], "--payload", o.payload, "--seconds", o.seconds]
        words += ["--durable"] if broker.get("durable") else []
        # Where much is published the sink only acknowledges; where much is delivered it passes on.
        sink = sink and (["--ack-only"], 0) if shape != "fan-out" else sink and ([], publishers)
        return Row(section, name, words, THROUGHPUT, sink=sink, publishers=publishers, **broker)

    def latency(section, name, qos, **broker):
        words = ["pairs", "--qos", qos, "--rate", o.rate, "--payload", o.payload,
                 "--seconds", max(o.seconds, LATENCY_S) if not o.quick else o.seconds]
        return Row(section, name, words + (["--durable"] if broker else []), LATENCY, **broker)

    for shape, name in SHAPES.items():
        for qos in (0, 1, 2):
            yield throughput("in memory, full windows", f"{name}, QoS {qos}", shape, qos)
        if shape == "pairs":
            yield throughput("in memory, full windows", f"{name}, QoS 2, onward at PUBREL", shape, 2, sink=False,
                             at_pubrel=True)
    for qos in (0, 1, 2):
        yield throughput("in memory, one under way", f"50 pairs, QoS {qos}", "pairs", qos, window=1)
    for qos in (0, 1, 2):
        yield latency(f"in memory, {o.rate:,} a second", f"50 pairs, QoS {qos}", qos)
    yield Row("connections", "connect, CONNACK, disconnect, 50 at once", ["connect", "--seconds", o.seconds], CONNECT)
    yield Row("memory", f"of {o.clients:,} clients", ["memory", "--clients", o.clients],
              [("bytes, idle", "bytes_per_idle_client", "less"),
               ("with a subscription", "bytes_per_client", "less")], rounds=min(o.rounds, 2))
    for shape in ("pairs", "fan-out"):
        for qos in (1, 2):
            yield throughput("durable, full windows", f"{SHAPES[shape]}, QoS {qos}", shape, qos, sink=False,
                             durable=True)
    for qos in (1, 2):
        yield latency(f"durable, {o.rate:,} a second", f"50 pairs, QoS {qos}", qos, durable=True)


class Bench:
    def __init__(self, options):
        self.options, self.brokers, self.rows = options, Brokers(options), []
        self.began = time.monotonic()

    def run(self):
        wanted = [row for row in plan(self.options) if self.options.only in f"{row.section}: {row.name}"]
        if not wanted:
            raise Failed(f"no measurement has '{self.options.only}' in its name")
        for done, row in enumerate(wanted):
            self.progress(done, len(wanted), row)
            self.measure(row)
        self.progress(len(wanted), len(wanted), None)
        return self.rows

    def progress(self, done, total, row):
        spent = time.monotonic() - self.began
        left = f", {spent / done * (total - done):.0f} s left" if 0 < done < total else ""
        if sys.stdout.isatty():
            text = f"  [{done} of {total}, {spent:.0f} s{left}] {row.section}: {row.name} …" if row else ""
            print("\r" + text[:110].ljust(110) + ("" if row else "\r"), end="", flush=True)
        elif row:
            print(f"[{done + 1} of {total}, {spent:.0f} s{left}] {row.section}", flush=True)

    def once(self, kind, row, words=(), **broker):
        # A broker of its own for each: what one run leaves in memory is not the next one's.
        warm_up = [] if row.words[0] == "memory" else ["--warm-up", self.options.warm_up]
        with self.brokers.running(kind, **{**row.broker, **broker}) as (port, pid):
            return self.brokers.load([*row.words, *words, *warm_up], port, pid)

    def rounds_of(self, row):
        """Pairs of runs, until enough were quiet or it takes too long; who goes first changes."""
        want = row.rounds or self.options.rounds
        pairs = []
        while len(pairs) < want or (
                0 < sum(map(quiet, pairs)) < want  # none: the machine is busy, and will be
                and len(pairs) < 2 * want and time.monotonic() - self.began < self.options.patience):
            order = ("culvert", "mosquitto") if len(pairs) % 2 == 0 else ("mosquitto", "culvert")
            pairs.append({kind: self.once(kind, row) for kind in order})
        calm = [pair for pair in pairs if quiet(pair)]
        return (calm, False) if 2 * len(calm) >= want else (pairs, True)

    def measure(self, row):
        pairs, disturbed = self.rounds_of(row)
        sink = None
        if row.sink and not self.options.quick:
            words, publishers = row.sink
            runs = [self.once("sink", row, words, publishers=publishers) for _ in range(SINK_ROUNDS)]
            sink = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for unit, figure, better in row.figures:
            def median(kind, figure=figure):
                return statistics.median(pair[kind][figure] for pair in pairs)
            ratios = [pair["culvert"][figure] / pair["mosquitto"][figure]
                      for pair in pairs if pair["mosquitto"][figure]]
            out = {"section": row.section, "row": row.name, "unit": unit, "figure": figure, "better": better,
                   "culvert": median("culvert"), "mosquitto": median("mosquitto"),
                   "ratio": round(statistics.median(ratios), 3) if ratios else None, "disturbed": disturbed,
                   "rounds": [{"culvert": pair["culvert"][figure], "mosquitto": pair["mosquitto"][figure],
                               "others_cpu": round(max(pair[kind]["others"] for kind in pair), 2)}
                              for pair in pairs]}
            if sink:
                key = "generator_" + figure if better == "less" else figure
                out["generator"] = sink[key]
                out["headroom"] = round(sink[key] / out["culvert"] if better == "more" else out["culvert"] / sink[key], 2)
            self.rows.append(out)
            if sys.stdout.isatty():
                print("\r" + " " * 110 + "\r", end="")
            print("  " + line(out), flush=True)


def quiet(pair):
    return all(run["others"] <= QUIET for run in pair.values())


def about(options):
    """What the figures were taken on."""
    version = subprocess.run([options.mosquitto, "-h"], capture_output=True, text=True, check=False).stdout
    return {"mosquitto": version.split("\n")[0], "system": platform.platform(), "cpus": os.cpu_count(),
            "load_average": os.getloadavg()[0], "rounds": options.rounds, "seconds": options.seconds,
            "payload": options.payload, "rate": options.rate, "windows": WINDOWS}


def options_of(argv):
    parser = argparse.ArgumentParser(prog="./culvert bench mqtt", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build/release/bin/bench-mqtt"),
                        help="the generator (%(default)s)")
    parser.add_argument("--node", help="culvert-node; beside the generator if not given")
    parser.add_argument("--mosquitto", default=shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"))
    parser.add_argument("--quick", action="store_true", help="one short round: does it work? Not for figures")
    parser.add_argument("--only", metavar="TEXT", default="", help="measurements that have TEXT in their name, "
                        "such as 'durable', 'fan-out' or 'QoS 2'")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.6, help="of each round (%(default)s)")
    parser.add_argument("--rate", type=int, default=2000, help="messages/s where latency is measured (%(default)s)")
    parser.add_argument("--payload", type=int, default=32, help="bytes (%(default)s)")
    parser.add_argument("--clients", type=int, default=5000, help="where memory is measured (%(default)s)")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(ROOT, "out", "bench-mqtt.json"),
                        help="the figures of every round (out/bench-mqtt.json)")
    options = parser.parse_args(argv)
    options.node = options.node or os.path.join(os.path.dirname(options.program), "culvert-node")
    options.warm_up, options.patience = 0.3, 420  # seconds; beyond that no round is taken again
    if options.quick:
        options.rounds, options.seconds, options.warm_up, options.clients, options.patience = 1, 0.2, 0.1, 500, 0
    for path, name in ((options.program, "bench-mqtt"), (options.node, "culvert-node")):
        if not os.access(path, os.X_OK):
            parser.error(f"{path} is not there; build the target {name}")
    if not options.mosquitto:
        parser.error("mosquitto is not installed; ./culvert setup installs it")
    try:  # before six minutes of work, not after
        os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
        with open(options.json, "a", encoding="utf-8"):
            pass
    except OSError as error:
        parser.error(f"cannot write {options.json}: {error.strerror}")
    return options


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    options = options_of(sys.argv[1:])
    signal.signal(signal.SIGTERM, interrupted)
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: the front door's end is ours
    sweep()
    bench = Bench(options)
    try:
        rows = bench.run()
    except Failed as failed:
        sys.exit(f"bench mqtt: {failed}")
    except KeyboardInterrupt:
        sys.exit(130)
    show(rows, QUIET)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump({"about": about(options), "rows": rows}, file, indent=1)
    print(f"\nEvery round: {options.json}   ({time.monotonic() - bench.began:.0f} s)")


if __name__ == "__main__":
    main()
