"""Bad input against the real broker: floods, half-open connections, slow senders, readers that do not
read, what is too large, a full disk. It stays bounded, says so, goes on serving the others, and loses
nothing that it acknowledged."""
import os
import resource
import struct
import subprocess
import time
from pathlib import Path

import pytest

from mqtt_lab import BIN, DIES_WITH_US, PATIENCE_S, broker, poll
from mqtt_raw import (CONNACK, DISCONNECT, PUBACK, SUBACK, Raw, connect, identifier_of, number, packet,
                      payload_of, publish, subscribe, text)

pytestmark = pytest.mark.skipif(not (BIN / "culvert-node").exists(), reason=f"no culvert-node in {BIN}")
QUOTA, TOO_LARGE, TOPIC_INVALID, FILTER_INVALID = 0x97, 0x95, 0x90, 0x8F


@pytest.fixture
def start(tmp_path):
    nodes = []

    def make(*options, **more):
        nodes.append(broker(tmp_path, *options, **more))
        return nodes[-1]
    yield make
    for node in nodes:
        node.close()


def memory_kib(node):
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_a_connect_that_trickles_is_cut_off_and_hinders_nobody(start):
    node = start("--connect-patience-ms", "1500")
    port = node.port("tcp")
    other, slow = Raw(port, "other"), Raw(port)
    worst = 0
    for byte in connect("slow" * 10):
        try:
            slow.send(bytes([byte]))
        except OSError:
            break
        worst = max(worst, other.ping())
        time.sleep(0.1)  # the sender's slowness is the subject
    else:
        raise AssertionError("it was let in after seconds")
    assert "no complete CONNECT" in node.wait("refused")["detail"]
    assert worst < 1


def test_a_packet_that_trickles_does_not_keep_alive(start):
    node = start()
    slow = Raw(node.port("tcp"), "slow", keep_alive_s=1)
    slow.send(packet(0x30, text("t") + b"\0" + b"x" * 100)[:5])
    began = time.monotonic()
    while not slow.waiting and time.monotonic() - began < PATIENCE_S:
        try:
            slow.send(b"x")
            slow.socket.settimeout(0.2)
            slow.waiting = [slow.next()]
        except TimeoutError:
            pass
        except OSError:
            break
    assert time.monotonic() - began < 5
    node.wait("disconnected", client="slow", reason="keep_alive_timeout")


def test_silent_connections_are_bounded_and_make_room_again(start):
    node = start("--max-connections", "50", "--connect-patience-ms", "2000")
    port = node.port("tcp")
    silent = [Raw(port) for _ in range(80)]
    first, body = Raw(port).ask(connect("late"))
    assert (first, body[1]) == (CONNACK, QUOTA)
    silent += [Raw(port) for _ in range(220)]  # beyond what is heard to be refused
    # After their patience all of them are gone, whatever they do.
    for one in silent:
        assert one.next() is None
    Raw(port, "welcome").ping()


def test_connects_that_never_end_do_not_fill_the_memory(start):
    """300 strangers send half of a CONNECT of 1 MB each: 150 MB, of which 64 may wait."""
    node = start()
    port = node.port("tcp")
    other, before, strangers = Raw(port, "other"), memory_kib(node), []
    for _ in range(300):
        strangers.append(Raw(port))
        try:
            strangers[-1].send(b"\x10" + number(1_000_000) + b"x" * 500_000)
        except OSError:
            pass
    node.wait("refused", reason="server_busy")
    other.ping()
    # 64 MB, and what vectors that grow have in reserve
    assert memory_kib(node) - before < 150_000
    assert Raw(port, "welcome").ping() < 5


def test_a_flood_of_connections_is_refused_at_the_rate_that_was_set(start):
    node = start("--connections-per-s", "50")
    port = node.port("tcp")
    reasons = []
    for i in range(300):
        one = Raw(port)
        try:
            answer = one.ask(connect(f"c{i}"))
        except ConnectionError:  # so many are refused that it is not even heard
            answer = None
        reasons.append(answer[1][1] if answer else None)
        one.close()
    assert reasons.count(0) >= 50 and 0x9F in reasons, reasons
    assert set(reasons) <= {0, 0x9F, None}


def test_who_does_not_read_loses_its_own_and_nobody_elses(start):
    """A quota of 2,000 messages a session. `slow` stops reading, `fast` gets every message meanwhile,
    and the broker says whose messages were lost and how many."""
    node = start("--max-queued-messages", "2000")
    port = node.port("tcp")
    slow = Raw(port, "slow", buffer_bytes=4096, expiry_s=600)
    fast, sender = Raw(port, "fast"), Raw(port, "sender")
    for one in (slow, fast):
        assert one.ask(subscribe("flood", qos=1))[0] == SUBACK
    payload, total, worst = b"x" * 2000, 6000, 0
    for begin in range(0, total, 100):
        sender.send(b"".join(publish("flood", struct.pack("!I", begin + i) + payload, 1, i + 1)
                             for i in range(100)))
        began = time.monotonic()
        for i in range(100):
            first, body = fast.next()
            assert first >> 4 == 3 and payload_of(body, 1)[:4] == struct.pack("!I", begin + i)
            fast.send(packet(PUBACK, identifier_of(body)))
        worst = max(worst, time.monotonic() - began)
        for _ in range(100):
            first, body = sender.next()
            assert first == PUBACK and (len(body) == 2 or body[2] < 0x80)
    assert worst < 2, "the slow one slowed the fast one"
    lost = node.wait("queue_overflow", client="slow")
    assert lost["queued"] <= 2000 + 1024  # what waits, and what is in flight
    node.wait("disconnected", client="slow")
    # It reads again: what had been written, and then why it was cut off.
    last = None
    while (one := slow.next()) is not None:
        last = one
    assert last[0] == DISCONNECT and last[1][0] == QUOTA
    # Its session is there with what fitted, and the loss is told.
    again = Raw(port, "slow", clean=False, expiry_s=600)
    assert again.connack[0] == 1
    told = node.wait("messages_lost", client="slow")
    assert 0 < told["count"] < total


def test_packets_above_the_maximum_are_not_even_read(start):
    node = start("--max-packet-bytes", "65536")
    port = node.port("tcp")
    other = Raw(port, "other")
    before = memory_kib(node)
    for i in range(50):
        one = Raw(port, f"c{i}")
        first, body = one.ask(b"\x30" + number(200_000_000) + text("t"))
        assert first == DISCONNECT and body[0] == TOO_LARGE
        assert one.next() is None
    assert memory_kib(node) - before < 20_000
    other.ping()


def test_topics_of_65535_bytes(start):
    node = start()
    port = node.port("tcp")
    one = Raw(port, "one")
    long, deep = "a" * 65535, "/" * 65535
    assert one.ask(subscribe(long))[1][-1] == 0
    one.send(publish(long, b"arrives"))
    first, body = one.next()
    assert payload_of(body, 0) == b"arrives"
    assert one.ask(subscribe(deep))[1][-1] == FILTER_INVALID
    assert one.ask(subscribe("+/" * 32767))[1][-1] == FILTER_INVALID
    assert one.ask(publish(deep, b"x", 1))[1][2] == TOPIC_INVALID
    first, body = one.ask(publish(deep, b"x"))  # QoS 0 has no other answer
    assert first == DISCONNECT and body[0] == TOPIC_INVALID
    Raw(port, "two").ping()


def test_subscriptions_have_a_limit_and_deep_ones_cost_what_they_cost(start):
    node = start("--max-subscriptions", "2000")
    port = node.port("tcp")
    one = Raw(port, "one")
    before = memory_kib(node)
    reasons = []
    for i in range(0, 3000, 100):
        _, body = one.ask(subscribe(*(f"{j}/" + "+/" * 200 + "#" for j in range(i, i + 100))))
        reasons += body[3:]
    assert reasons.count(0) == 2000 and reasons.count(QUOTA) == 1000
    assert memory_kib(node) - before < 150_000
    began = time.monotonic()
    other = Raw(port, "other")
    for _ in range(100):
        other.ask(publish("0/" + "x/" * 200 + "y", b"", 1))
        one.next()
    assert time.monotonic() - began < 5
    one.close()
    node.wait("session_ended", client="one")


class SmallDisk:
    """A file system of its own that nobody else sees, with `size_kib` of room."""

    def __init__(self, folder, size_kib):
        self.folder = folder
        self.holder = subprocess.Popen(
            [*DIES_WITH_US, "unshare", "--mount", "--propagation", "private", "sh", "-c",
             f"mount -t tmpfs -o size={size_kib}k tmpfs '{folder}' && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"up\n"
        self.seen = Path(f"/proc/{self.holder.pid}/root{folder}")
        self.filler = self.seen / "filler"

    def fill(self):
        with self.filler.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    pass

    def make_room(self):
        self.filler.unlink()

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_acknowledged_is_lost(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = SmallDisk(folder, 16 * 1024)
    node = None
    try:
        inside = ["nsenter", f"--mount=/proc/{disk.holder.pid}/ns/mnt"]
        node = broker(tmp_path, "--store", "broker", data=folder, inside=inside)
        port = node.port("tcp")
        keeper = Raw(port, "keeper", clean=False, expiry_s=3600)
        assert keeper.ask(subscribe("kept", qos=1))[1][-1] == 1
        keeper.close()
        sender = Raw(port, "sender")
        acked, refused = [], []

        def send(count):
            for _ in range(count):
                label = b"%06d" % (len(acked) + len(refused))
                first, body = sender.ask(publish("kept", label + b"x" * 20_000, 1, 7))
                assert first == PUBACK
                (acked if len(body) == 2 or body[2] < 0x80 else refused).append((label, body[2:3]))
        send(20)
        assert not refused
        disk.fill()
        poll(lambda: send(1) or len(refused) >= 5, "it is full")
        # 0x97 or 0x83: the reasons that PUBACK has for it
        assert {reason for _, reason in refused} <= {b"\x97", b"\x83"}
        assert node.wait("store_failed")["why"]
        assert sender.ping() < 1
        stranger = Raw(port, "stranger")  # a session that is not kept needs no disk
        stranger.ping()
        disk.make_room()
        before = len(acked)
        poll(lambda: send(1) or len(acked) > before, "there is room again")
        node.wait("store_recovered")
        send(20)
        node.kill()
        node = broker(tmp_path, "--store", "broker", data=folder, inside=inside)
        assert node.wait("loaded")["bad_records"] == 0
        again = Raw(node.port("tcp"), "keeper", clean=False, expiry_s=3600)
        assert again.connack[0] == 1
        got = []
        while len(got) < len(acked):
            first, body = again.next()
            assert first >> 4 == 3
            got.append(payload_of(body, 1)[:6])
            again.send(packet(PUBACK, identifier_of(body)))
        assert got == [label for label, _ in acked]
        again.send(b"\xc0\x00")
        assert again.next()[0] == 0xD0, "a message that had been refused"
    finally:
        if node:
            node.close()
        disk.close()


def test_a_file_at_its_limit_is_a_full_disk(start, tmp_path):
    node = start("--store", "broker", data=tmp_path)
    port = node.port("tcp")
    keeper = Raw(port, "keeper", clean=False, expiry_s=3600)
    assert keeper.ask(subscribe("kept", qos=1))[1][-1] == 1
    keeper.close()
    sender = Raw(port, "sender")

    def refused(label):
        _, body = sender.ask(publish("kept", label + b"x" * 20_000, 1, 7))
        return len(body) > 2 and body[2] >= 0x80
    assert not refused(b"before")
    limit = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
    largest = max(one.stat().st_size for one in tmp_path.glob("**/*") if one.is_file())
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (largest, limit[1]))
    poll(lambda: refused(b"during"), "the limit is reached")
    node.wait("store_failed")
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, limit)
    poll(lambda: not refused(b"after"), "the limit is gone")
    node.wait("store_recovered")
