"""Fifty kill -9 on Linux: a broker, two publishers and a subscriber, each with a store on the disk.
The subscriber counts each message in the very commit that acknowledges it; what that record says in
the end is judged. QoS 2: exactly once. QoS 1: at least once."""
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from mqtt_lab import BIN, DIES_WITH_US, free_port, poll  # noqa: E402

KILLS, LINES_A_ROUND, PATIENCE_S = 50, 12, 180


class Program:
    """A service that is started again after each kill."""

    def __init__(self, folder, *service, prints=False):
        self.folder, self.service, self.prints = folder, list(map(str, service)), prints
        self.fed, self.seen, self.process = [], set(), None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [*DIES_WITH_US, str(BIN / "culvert-node"), "--data", str(self.folder), "--events", "none",
             "--secrets", str(self.folder), *self.service],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE if self.prints else subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        if self.prints:
            threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        self._write(self.fed)  # a publisher skips what an earlier life has handed over

    def _read(self, pipe):
        for line in pipe:
            self.seen.add(line.decode().strip())

    def _write(self, lines):
        if lines:
            self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
            self.process.stdin.flush()

    def feed(self, lines):
        self.fed += lines
        self._write(lines)

    def kill(self):
        assert self.process.poll() is None, self.process.stderr.read().decode()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def run(folder, kills, broker_options=()):
    """What the subscriber's durable record says: payload → how often; and what was published."""
    port, draw = free_port(), random.Random(4)
    at = ("-h", "127.0.0.1", "-p", port, "-c", "-k", 5)
    programs = []

    def start(*service, **more):
        programs.append(Program(folder, *service, **more))
        return programs[-1]
    try:
        broker = start("mqtt-broker", "--listen", f"127.0.0.1:{port}", "--anonymous", "--store",
                       "broker", *broker_options)
        sub = start("mqtt-sub", *at, "-t", "k/#", "-q", 2, "-i", "sub", "--store", "sub", "--record",
                    prints=True)
        # The subscription must be there first: a probe of which the record says nothing later.
        def heard():
            subprocess.run([BIN / "mqtt-pub", "-h", "127.0.0.1", "-p", str(port), "-t", "k/probe",
                            "-m", "probe", "-q", "1"], check=False, capture_output=True, timeout=60)
            return "probe" in sub.seen
        poll(heard, "the subscription", PATIENCE_S)
        pubs = [start("mqtt-pub", *at, "-t", f"k/{qos}", "-q", qos, "-i", f"pub{qos}", "--store",
                      f"pub{qos}", "-l") for qos in (1, 2)]
        for round_ in range(kills):
            for qos, pub in enumerate(pubs, 1):
                pub.feed([f"q{qos}-{len(pub.fed) + i}" for i in range(LINES_A_ROUND)])
            fed = len(pubs[0].fed) + len(pubs[1].fed)
            target = fed - draw.randrange(2 * LINES_A_ROUND)  # somewhere in the middle of it
            poll(lambda: len(sub.seen) > target, f"round {round_}: {target} of {fed}", PATIENCE_S)
            victim = draw.choice([broker, broker, sub, *pubs])
            victim.kill()
            victim.start()
        expected = {f"q{qos}-{i}" for qos, pub in enumerate(pubs, 1) for i in range(len(pub.fed))}
        for pub in pubs:
            pub.process.stdin.close()  # the end of its input: it ends when all is acknowledged
        for pub in pubs:
            assert pub.process.wait(PATIENCE_S) == 0, pub.process.stderr.read().decode()
        poll(lambda: sub.seen >= expected, "everything", PATIENCE_S)
        time_for_repeats = time.monotonic() + 2
        poll(lambda: time.monotonic() > time_for_repeats, "repetitions")
        sub.process.terminate()
        sub.process.wait(PATIENCE_S)
    finally:
        for program in programs:
            program.end()
    with sqlite3.connect(os.fspath(Path(folder) / "sub.db")) as database:
        record = {key[4:].decode(): value[0] for key, value in
                  database.execute("SELECT k, v FROM kv WHERE substr(k, 1, 4) = ?", (b"app/",))}
    return record, expected


def test_fifty_kills(tmp_path):
    record, expected = run(tmp_path, KILLS)
    missing = expected - set(record)
    repeated = {key: times for key, times in record.items() if key.startswith("q2") and times != 1}
    assert not missing, sorted(missing)
    assert not repeated, repeated
    assert len(expected) == 2 * KILLS * LINES_A_ROUND
