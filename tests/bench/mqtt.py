#!/usr/bin/python3
"""Culvert's MQTT broker beside mosquitto on this machine's loopback: every measurement alternates
between the two, medians and ratios count; the same load against a sink that routes nothing shows
what the generator could do. docs/figures.md explains each row."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 20  # a broker that has not opened its port by then never will
WINDOWS = {"pairs": 32, "fan-in": 16, "fan-out": 32}  # messages of one publisher under way
SIZES = {"pairs": (50, 50), "fan-in": (50, 1), "fan-out": (1, 100)}  # publishers, subscribers
SHAPES = {"pairs": "point-to-point, 50 pairs", "fan-in": "fan-in, 50 to 1", "fan-out": "fan-out, 1 to 100"}

# As generous as ours: nothing of this load meets a limit of either.
MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 1024
max_queued_messages 100000
set_tcp_nodelay true
log_type error
user {user}
"""
MOSQUITTO_DURABLE = "persistence true\npersistence_location {folder}/\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"mqtt.py: {process.args[0]} ended with status {process.returncode}:\n"
                             + process.stderr.read().decode(errors="replace"))
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise SystemExit(f"mqtt.py: nobody listens on port {port}")


class Brokers:
    """Starts what is measured, each in a folder of its own, and ends it whatever happens."""

    def __init__(self, options):
        self.options = options

    @contextlib.contextmanager
    def running(self, kind, durable=False, publishers=50, at_pubrel=False):
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="culvert-bench-") as folder:
            argv = getattr(self, "_" + kind)(port, folder, durable, publishers, at_pubrel)
            # The log is a part of neither's work here.
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       start_new_session=True)
            try:
                wait_for(port, process)
                yield port, process.pid
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def _mosquitto(self, port, folder, durable, _publishers, _at_pubrel):
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "mosquitto")
        text = MOSQUITTO.format(port=port, user=user)
        if durable:
            text += MOSQUITTO_DURABLE.format(folder=folder)
        with open(f"{folder}/mosquitto.conf", "w", encoding="utf-8") as file:
            file.write(text)
        return [self.options.mosquitto, "-c", f"{folder}/mosquitto.conf"]

    def _culvert(self, port, folder, durable, _publishers, at_pubrel):
        words = self.options.broker_words.split() + [f"127.0.0.1:{port}"]
        if durable:
            words = ["--data", folder] + words + self.options.durable_words.split()
        if at_pubrel:
            words += self.options.pubrel_words.split()
        return [self.options.node, *words]

    def _sink(self, port, _folder, _durable, publishers, _at_pubrel):
        words = ["--publishers", str(publishers)] if publishers else ["--ack-only"]
        return [self.options.program, "sink", "--port", str(port), *words]


class Bench:
    def __init__(self, options):
        self.options, self.brokers, self.rows = options, Brokers(options), []
        self.both = ("mosquitto", "culvert")

    def load(self, *words, port, pid):
        done = subprocess.run([self.options.program, *map(str, words), "--port", str(port), "--pid", str(pid)],
                              capture_output=True, text=True, check=False, timeout=600)
        if done.returncode != 0:
            raise RuntimeError((done.stderr + done.stdout).strip())
        return json.loads(done.stdout)

    def alternate(self, words, kinds=None, rounds=None, **how):
        """{kind: {figure: median over the rounds}}; who goes first changes from round to round."""
        kinds = kinds or self.both
        seen = {kind: [] for kind in kinds}
        for number in range(rounds or self.options.rounds):
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                # A broker of its own for each: what one run leaves in memory is not the next one's.
                with self.brokers.running(kind, **how) as (port, pid):
                    seen[kind].append(self.load(*words, port=port, pid=pid))
        return {kind: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                for kind, runs in seen.items()}

    def row(self, name, figure, found, better="more", sink=None):
        ours, theirs = found["culvert"][figure], found["mosquitto"][figure]
        row = {"row": name, "figure": figure, "culvert": ours, "mosquitto": theirs,
               "ratio": round(ours / theirs, 3) if theirs else None, "better": better}
        if sink:
            row["generator"] = sink["generator_" + figure if better == "less" else figure]
        self.rows.append(row)
        print(f"  {name}: {figure}: culvert {ours:,.1f}, mosquitto {theirs:,.1f}"
              + (f", generator {row['generator']:,.1f}" if sink else ""), flush=True)

    def throughput(self, shape, qos, durable=False, at_pubrel=False, window=None):
        publishers, subscribers = SIZES[shape]
        words = [shape, "--qos", qos, "--publishers", publishers, "--subscribers", subscribers,
                 "--window", window or WINDOWS[shape], "--payload", self.options.payload,
                 "--seconds", self.options.seconds]
        name = f"{SHAPES[shape]}, QoS {qos}"
        if window == 1:
            name += ", one message under way each"
        if durable:
            words.append("--durable")
            name += ", durable"
        if at_pubrel:
            name += ", onward at PUBREL"
        found = self.alternate(words, durable=durable, publishers=publishers, at_pubrel=at_pubrel)
        sink = None
        if not durable and not at_pubrel:
            # Where much is published the sink only acknowledges; where much is delivered it passes on.
            only = [] if shape == "fan-out" else ["--ack-only"]
            sink = self.alternate(words + only, kinds=("sink",), rounds=min(3, self.options.rounds),
                                  publishers=publishers if shape == "fan-out" else 0)["sink"]
        self.row(name, "messages_per_s", found, sink=sink)
        self.row(name, "cpu_us_per_message", found, better="less", sink=sink)

    def run(self):
        o = self.options
        for shape in SHAPES:
            for qos in (0, 1, 2):
                self.throughput(shape, qos)
        for qos in (0, 1, 2):
            self.throughput("pairs", qos, window=1)
        if o.pubrel_words:
            self.throughput("pairs", 2, at_pubrel=True)
        for qos in (0, 1, 2):
            found = self.alternate(["pairs", "--qos", qos, "--rate", o.rate, "--seconds", o.seconds])
            name = f"latency at {o.rate} messages/s, QoS {qos}"
            self.row(name, "p50_us", found, better="less")
            self.row(name, "p99_us", found, better="less")
        found = self.alternate(["connect", "--seconds", o.seconds])
        self.row("connect, CONNACK, disconnect, 50 at once", "connections_per_s", found)
        self.row("connect, CONNACK, disconnect, 50 at once", "cpu_us_per_connection", found, better="less")
        found = self.alternate(["memory", "--clients", o.clients], rounds=min(o.rounds, 3))
        self.row(f"memory of {o.clients} clients, connected only", "bytes_per_idle_client", found, better="less")
        self.row(f"memory of {o.clients} clients with one subscription", "bytes_per_client", found, better="less")
        if o.durable_words:
            for shape in ("pairs", "fan-out"):
                for qos in (1, 2):
                    self.throughput(shape, qos, durable=True)
            found = self.alternate(["pairs", "--qos", 1, "--rate", o.rate, "--seconds", o.seconds, "--durable"],
                                   durable=True)
            name = f"latency at {o.rate} messages/s, QoS 1, durable"
            self.row(name, "p50_us", found, better="less")
            self.row(name, "p99_us", found, better="less")
        return self.rows


def as_text(row):
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    good = row["ratio"] is not None and (row["ratio"] >= 1 if row["better"] == "more" else row["ratio"] <= 1)
    return [row["row"], row["figure"], f"{row['culvert']:,.1f}", f"{row['mosquitto']:,.1f}",
            ratio + (" " if good else " !"), f"{row['generator']:,.1f}" if "generator" in row else ""]


HEAD = ["what", "figure", "culvert", "mosquitto", "ratio", "generator"]
NOTE = """ratio: culvert ÷ mosquitto; '!' where mosquitto is ahead. generator: what it gives to a sink that only
acknowledges (fan-out: that passes on without routing), and its own CPU for each of those messages. Durable: culvert has
every QoS 1 and 2 message of a kept session committed before it acknowledges, which survives kill -9;
mosquitto's persistence writes its file every 30 minutes and at its end, and loses what came since."""


def show(rows):
    table = [as_text(row) for row in rows]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(len(line[i]) for line in [HEAD, *table]) for i in range(len(HEAD))]
        for line in [HEAD, *table]:
            print("  ".join(cell.ljust(w) if i < 2 else cell.rjust(w)
                            for i, (cell, w) in enumerate(zip(line, widths))))
    else:
        rich = Table(*[])
        for i, name in enumerate(HEAD):
            rich.add_column(name, justify="left" if i < 2 else "right", no_wrap=i > 0)
        for line in table:
            rich.add_row(*line)
        Console(width=None if sys.stdout.isatty() else 150).print(rich)
    print(NOTE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="build/release/bin/bench-mqtt")
    parser.add_argument("--node", help="culvert-node; beside the program if not given")
    parser.add_argument("--broker-words", default="--events none mqtt-broker --anonymous --bind",
                        help="before ADDRESS:PORT (%(default)s)")
    parser.add_argument("--durable-words", default="--store broker", help="what makes it durable (%(default)s)")
    parser.add_argument("--pubrel-words", default="--qos2 at-pubrel",
                        help="what makes QoS 2 go onward at PUBREL (%(default)s)")
    parser.add_argument("--mosquitto", default=shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rate", type=int, default=2000, help="messages/s where latency is measured")
    parser.add_argument("--payload", type=int, default=32, help="bytes")
    parser.add_argument("--clients", type=int, default=5000, help="where memory is measured")
    parser.add_argument("--quick", action="store_true", help="one short round: does it work?")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    options.node = options.node or os.path.join(os.path.dirname(options.program), "culvert-node")
    if options.quick:
        options.rounds, options.seconds, options.clients = 1, 0.3, 500
    for path, name in ((options.program, "bench-mqtt"), (options.node, "culvert-node")):
        if not os.access(path, os.X_OK):
            sys.exit(f"mqtt.py: {path} is not there; build the target {name}")
    if not options.mosquitto:
        sys.exit("mqtt.py: mosquitto is not installed; ./culvert setup installs it")
    try:
        rows = Bench(options).run()
    except RuntimeError as error:
        sys.exit(f"mqtt.py: {error}")
    show(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rounds": options.rounds, "seconds": options.seconds, "payload": options.payload,
                       "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
