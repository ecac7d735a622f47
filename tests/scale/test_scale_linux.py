"""18,000 MQTT clients on one broker for two minutes, and a subscriber that does not read: nothing is
lost, nobody else waits. The quick versions are the same in small."""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

BIN = os.environ.get("CULVERT_BIN", os.path.join(os.path.dirname(__file__), "../../build/dev/bin"))
PATIENCE_S = 90  # a loaded machine
CLIENTS_OF_A_SWARM = 4500  # far below the 20,000 descriptors that a process may have


def program(name):
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        pytest.skip(f"{path} is not built")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def broker(events, *options):
    port = free_port()
    with open(events, "wb") as log:
        process = subprocess.Popen(
            [program("culvert-node"), "mqtt-broker", "--anonymous", "--bind", f"127.0.0.1:{port}", *options],
            stdout=log, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline, "the broker never listened"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port, process
    finally:
        process.kill()
        process.wait()


def lines(events, name):
    with open(events, encoding="utf-8") as file:
        return [event for event in map(json.loads, file) if event["event"] == name]


class Swarm:
    def __init__(self, *words):
        self.process = subprocess.Popen([program("mqtt-swarm"), *map(str, words)], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, word):
        self.process.stdin.write(word + "\n")

    def hear(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        line = self.process.stdout.readline() if ready else ""
        assert line, "a swarm is silent: " + (self.process.stderr.read() if self.process.poll() is not None else "")
        return json.loads(line)

    def kill(self):
        self.process.kill()
        self.process.wait()


def rss_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def run_swarms(tmp_path, clients, seconds, period_ms=1000):
    with broker(tmp_path / "events", "--max-queued-messages", "1000") as (port, process):
        swarms = []
        try:
            for first in range(0, clients, CLIENTS_OF_A_SWARM):
                swarms.append(Swarm("--port", port, "--first", first, "--total", clients, "--period-ms", period_ms,
                                    "--count", min(CLIENTS_OF_A_SWARM, clients - first)))
            for swarm in swarms:
                assert swarm.hear() == {"ready": True}
            memory = rss_mb(process.pid)
            for swarm in swarms:
                swarm.say("go")
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                assert process.poll() is None
                for swarm in swarms:
                    assert swarm.process.poll() is None, swarm.process.stderr.read()
                time.sleep(min(1, max(0, end - time.monotonic())))
            for swarm in swarms:
                swarm.say("stop")
            deadline = time.monotonic() + PATIENCE_S
            while True:
                for swarm in swarms:
                    swarm.say("count")
                counts = [swarm.hear() for swarm in swarms]
                published = [sum(c["published"][i] for c in counts) for i in (0, 1)]
                received = [sum(c["received"][i] for c in counts) for i in (0, 1)]
                acknowledged = sum(c["acknowledged"] for c in counts)
                if (received == published and acknowledged == sum(published)) or time.monotonic() > deadline:
                    break
                time.sleep(0.2)
            print(f"\n{clients} clients, {seconds} s: QoS 1 and 2 published {published}, received {received}, "
                  f"p50 {max(c['p50_ms'] for c in counts):.2f} ms, p99 {max(c['p99_ms'] for c in counts):.2f} ms, "
                  f"the broker has {memory:.0f} MB", file=sys.stderr)
            # A twentieth is active, each once a period.
            assert sum(published) > 0.9 * (clients / 20) * (seconds * 1000 / period_ms)
            assert received == published
            assert acknowledged == sum(published)
            assert sum(c["duplicates"] for c in counts) == 0
            mask = 2**64 - 1  # the very messages, not only as many
            assert sum(c["published_sum"] for c in counts) & mask == sum(c["received_sum"] for c in counts) & mask
        finally:
            for swarm in swarms:
                swarm.kill()


@pytest.mark.quick
def test_a_thousand_clients_of_which_a_twentieth_is_active_lose_nothing(tmp_path):
    run_swarms(tmp_path, 1000, 3, period_ms=100)


@pytest.mark.slow
def test_18000_clients_for_two_minutes_lose_nothing(tmp_path):
    run_swarms(tmp_path, 18000, 120)


# A subscriber that does not read


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def packet(first, body):
    out, length = bytes([first]), len(body)
    while True:
        out += bytes([length & 127 | (128 if length > 127 else 0)])
        length >>= 7
        if not length:
            return out + body


class Subscriber:
    """One MQTT 5 client by hand, which reads only when told."""

    def __init__(self, port, name, clean):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""
        expiry = b"\x05\x11" + struct.pack(">I", 3600)
        self.socket.sendall(packet(0x10, text("MQTT") + bytes([5, 2 if clean else 0, 0, 0]) + expiry + text(name)))
        assert self.read()[0] == 0x20

    def subscribe(self, topic):
        self.socket.sendall(packet(0x82, b"\0\x01\0" + text(topic) + b"\x01"))
        assert self.read()[0] == 0x90

    def read(self):
        """(first byte, body) of the next packet; None at the end of the stream."""
        while True:
            length = shift = 0
            for i, byte in enumerate(self.buffer[1:5], 2):
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128 and len(self.buffer) >= i + length:
                    first, body = self.buffer[0], self.buffer[i:i + length]
                    self.buffer = self.buffer[i + length:]
                    return first, body
                if byte < 128:
                    break
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            self.buffer += piece

    def publishes(self, until_quiet_s=None):
        """Payloads until the end, a DISCONNECT (its reason is kept), or silence."""
        self.reason, out = None, []
        if until_quiet_s:
            self.socket.settimeout(until_quiet_s)
        try:
            while (got := self.read()) is not None:
                first, body = got
                if first >> 4 == 14:
                    self.reason = body[0] if body else 0
                elif first >> 4 == 3:
                    at = 2 + struct.unpack(">H", body[:2])[0]
                    identifier, at = body[at:at + 2], at + 2
                    out.append(body[at + 1 + body[at]:])
                    if until_quiet_s:
                        self.socket.sendall(b"\x40\x02" + identifier)
        except TimeoutError:
            pass
        return out


def load(port, seconds, pid):
    done = subprocess.run(
        [program("bench-mqtt"), "fan-out", "--port", str(port), "--pid", str(pid), "--qos", "1", "--publishers", "1",
         "--subscribers", "20", "--rate", "500", "--payload", "1000", "--seconds", str(seconds)],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S + seconds)
    assert done.returncode == 0, done.stderr + done.stdout  # a message to the others was lost
    return json.loads(done.stdout)


def run_stuck(tmp_path, seconds):
    events = tmp_path / "events"
    with broker(events, "--max-queued-messages", "200") as (port, process):
        alone = load(port, seconds, process.pid)
        stuck = Subscriber(port, "stuck", clean=True)
        stuck.subscribe("bench/fan-out")
        beside = load(port, seconds, process.pid)
        print(f"\nlatency of the others without and with it: p50 {alone['p50_us']:.0f} and {beside['p50_us']:.0f} us, "
              f"p99 {alone['p99_us']:.0f} and {beside['p99_us']:.0f} us", file=sys.stderr)
        assert beside["p50_us"] < 2 * alone["p50_us"] + 500  # us; the machine is shared
        assert beside["p99_us"] < 3 * alone["p99_us"] + 5000
        # Its queue met its quota, once told, and as its loss.
        told = [event for event in lines(events, "queue_overflow") if event["client"] == "stuck"]
        assert len(told) == 1, told
        assert all(event["client"] == "stuck" for event in lines(events, "queue_overflow"))
        assert told[0]["queued"] <= 200 + 1024  # those on the way to it, at most --max-inflight, are no queue
        seen = stuck.publishes()  # what the socket still held; nothing is acknowledged
        again = Subscriber(port, "stuck", clean=False)
        kept = again.publishes(until_quiet_s=1.5)
        lost = [event["count"] for event in lines(events, "messages_lost") if event["client"] == "stuck"]
        assert len(lost) == 1, lost
        # Every message came, is kept, or is counted as lost.
        assert len(set(kept) | set(seen)) + lost[0] >= beside["published"]
        assert len(set(kept)) + lost[0] == beside["published"]


@pytest.mark.quick
def test_a_subscriber_that_does_not_read_slows_nobody_and_what_it_loses_is_counted(tmp_path):
    run_stuck(tmp_path, 3)


@pytest.mark.slow
def test_for_a_minute_too(tmp_path):
    run_stuck(tmp_path, 60)


@pytest.mark.quick
def test_it_is_told_0x97_if_its_socket_still_takes_it(tmp_path):
    events = tmp_path / "events"
    with broker(events, "--max-queued-messages", "50") as (port, process):
        slow = Subscriber(port, "slow", clean=True)
        slow.subscribe("bench/fan-out")
        # It reads again as soon as its queue has overflowed.
        flood = subprocess.Popen(
            [program("bench-mqtt"), "fan-out", "--port", str(port), "--qos", "1", "--publishers", "1", "--subscribers",
             "1", "--rate", "1000", "--payload", "2000", "--seconds", "3"], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not lines(events, "queue_overflow"):
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.02)
            slow.publishes()
            assert slow.reason == 0x97
        finally:
            flood.send_signal(signal.SIGTERM)
            flood.wait()
