"""culvert-wire: delay, jitter, loss, rate, switched LANs, commands, captures and bad input."""

import statistics
import struct
import subprocess

import pytest
from conftest import program, run_until

pytestmark = pytest.mark.root

# Sends `count` datagrams to an echo and prints a round trip per line, "lost" for those without.
PINGER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout({timeout})
for i in range({count}):
    payload = b"%08d" % i; sent = time.monotonic_ns(); s.sendto(payload, ("{to}", 7))
    try:
        while s.recv(100) != payload: pass
        print((time.monotonic_ns() - sent) / 1e6)
    except TimeoutError: print("lost")
print("end")
"""
ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7)); print("up")
while True: s.sendto(*s.recvfrom(2000))
"""


def wired(lab, shape, ends=2, extra=()):
    """`ends` nodes n0, n1, ... at 10.0.0.1, .2, ... on one link; the wire process."""
    home = lab.node("home")
    names = [f"n{i}-eth0" for i in range(ends)]
    wire = home.start(program("culvert-wire"), "--link", f"up={','.join(names)}:{shape}", "--seed", "7",
                      *extra)
    nodes = []
    for i, name in enumerate(names):
        node = lab.node(f"n{i}")
        run_until(lambda: home.run("ip", "link", "show", name, check=False), what=name)
        home.run("ip", "link", "set", name, "netns", str(node.pid))
        node.run("ip", "addr", "add", f"10.0.0.{i + 1}/24", "dev", name)
        node.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        node.run("ip", "link", "set", name, "up")
        nodes.append(node)
    return wire, nodes


def echo_at(node):
    echo = node.python(ECHO, "echo")
    run_until(echo.out, what="the echo")


def round_trips(node, to, count, timeout=1.0):
    pinger = node.python(PINGER.format(to=to, count=count, timeout=timeout), "pinger")
    run_until(lambda: "end" in pinger.out(), 60, "the pinger's end")
    return [None if line == "lost" else float(line) for line in pinger.out().split("\n")[:-2]]


def test_delay_is_exact_to_a_fraction_of_a_millisecond(lab):
    _, (n0, n1) = wired(lab, "delay_ms=10")
    echo_at(n1)
    trips = round_trips(n0, "10.0.0.2", 60)[5:]
    # Two crossings, two kernels and two Pythons; a busy machine only ever adds, and least to the best.
    assert 20.0 <= min(trips) < 20.4
    assert statistics.quantiles(trips, n=4)[0] < 21


def test_jitter_is_between_nothing_and_its_bound_and_never_reorders(lab):
    _, (n0, n1) = wired(lab, "delay_ms=2,jitter_ms=10")
    listener = n1.python("""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 9)); print("up")
for _ in range(300): print(int(s.recv(100)))
print("end")
""")
    run_until(listener.out)
    n0.run("/usr/bin/python3", "-c", """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(300): s.sendto(b"%d" % i, ("10.0.0.2", 9)); time.sleep(0.0005)
""")
    run_until(lambda: "end" in listener.out(), 20)
    assert listener.out().split("\n")[1:-2] == [str(i) for i in range(300)]
    echo_at(n1)
    trips = round_trips(n0, "10.0.0.2", 80)[5:]
    assert min(trips) >= 4.0
    assert 10 < statistics.mean(trips) < 19  # 4 ms and twice a mean of 5 ms
    assert statistics.pstdev(trips) > 2


def test_loss_has_its_probability_and_every_loss_its_event(lab):
    wire, (n0, n1) = wired(lab, "loss=0.2")
    n0.run("ip", "neigh", "replace", "10.0.0.2", "lladdr", "02:00:00:00:00:01", "dev", "n0-eth0")
    n0.run("/usr/bin/python3", "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.0.0.1", 5000))
for i in range(1000): s.sendto(b"%04d" % i, ("10.0.0.2", 9))
""")

    def lost():
        return [e for e in wire.events("link.lost") if e["source"] == "10.0.0.1:5000"]

    run_until(lambda: len(lost()) > 150)
    wire.stop()
    assert 150 < len(lost()) < 250  # 200 expected, standard deviation 12.6
    assert {e["why"] for e in lost()} == {"loss"}
    assert {e["node"] for e in lost()} == {"up"}
    assert {e["destination"] for e in lost()} == {"10.0.0.2:9"}


def test_a_watched_link_tells_of_every_packet(lab):
    wire, (n0, n1) = wired(lab, "delay_ms=1")
    echo_at(n1)
    assert round_trips(n0, "10.0.0.2", 3)[-1] is not None
    assert wire.events("link.passed") == []
    wire.tell("up watch")
    run_until(lambda: round_trips(n0, "10.0.0.2", 3) and len(wire.events("link.passed")) >= 12)
    passed = [(e["end"], e["way"]) for e in wire.events("link.passed")]
    for end in {e for e, _ in passed}:  # an echo passes both stations, there and back
        assert (end, "sent") in passed and (end, "received") in passed
    n0.run("/usr/bin/python3", "-c", """
import socket
s = socket.socket(); s.settimeout(5)
try: s.connect(("10.0.0.2", 999))
except OSError: pass
""")
    run_until(lambda: any(e.get("flags") == "RA" for e in wire.events("link.passed")))
    syn = next(e for e in wire.events("link.passed") if e.get("flags") == "S")
    assert (syn["bytes"], syn["data"], syn["acknowledges"]) == (60, 0, 0)


def test_a_link_is_changed_cut_and_mended_while_it_works(lab):
    wire, (n0, n1) = wired(lab, "delay_ms=1")
    echo_at(n1)
    assert round_trips(n0, "10.0.0.2", 3)[-1] < 5
    wire.tell("up set delay_ms=20")
    run_until(lambda: round_trips(n0, "10.0.0.2", 1)[0] > 40)
    wire.tell("up cut")
    run_until(lambda: round_trips(n0, "10.0.0.2", 1, 0.2) == [None])
    assert {e["why"] for e in wire.events("link.lost")} == {"cut"}
    wire.tell("up mend")
    run_until(lambda: round_trips(n0, "10.0.0.2", 1)[0] is not None)
    wire.tell("up set delay_ms=fast")
    run_until(lambda: "'delay_ms=fast' is not KEY=NUMBER" in wire.err())
    wire.tell("nowhere cut")
    run_until(lambda: "there is no link 'nowhere'" in wire.err())


def test_a_rate_is_kept_and_its_queue_is_bounded(lab):
    wire, (n0, n1) = wired(lab, "rate_mbps=10,queue=20")
    receiver = n1.python("""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 9)); print("up")
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
first = None; size = 0; n = 0
while True:
    data = s.recv(2000)
    if data == b"end": break
    first = first or time.monotonic(); n += 1; size += len(data) + 42; last = time.monotonic()
print("rate", size * 8 / 1e6 / (last - first), n)
""")
    run_until(receiver.out)
    sender = n0.python("""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + 1
while time.monotonic() < end: s.sendto(bytes(1400), ("10.0.0.2", 9)); time.sleep(0.0002)
time.sleep(0.2)
for _ in range(3): s.sendto(b"end", ("10.0.0.2", 9))
""")
    sender.wait(20)
    run_until(lambda: "rate" in receiver.out())
    rate = float(receiver.out().split("rate ")[1].split()[0])
    assert 9 < rate < 10.8  # Mbit/s
    assert "queue" in {e["why"] for e in wire.events("link.lost")}


def test_a_lan_of_four_is_a_switch(lab):
    _, nodes = wired(lab, "delay_ms=3", ends=4)
    for node in nodes[1:]:
        echo_at(node)
    for i in (2, 3, 4):
        trips = round_trips(nodes[0], f"10.0.0.{i}", 8)[2:]
        assert 6.0 <= min(trips) < 7.0
    # Learned: what goes from n0 to n1 is not heard by n3.
    seen = nodes[3].start("tcpdump", "-lni", "n3-eth0", "udp")
    run_until(lambda: "listening" in seen.err())
    round_trips(nodes[0], "10.0.0.2", 5)
    round_trips(nodes[0], "10.0.0.4", 2)
    run_until(lambda: "10.0.0.4.7" in seen.out())
    assert "10.0.0.2.7" not in seen.out()


def test_captures_hold_every_frame_at_both_ends(lab, tmp_path):
    folder = tmp_path / "pcaps"
    folder.mkdir()
    _, (n0, n1) = wired(lab, "delay_ms=5", extra=("--pcap", str(folder)))
    echo_at(n1)
    round_trips(n0, "10.0.0.2", 10)

    def times(name):
        done = subprocess.run(["tcpdump", "-nr", str(folder / name), "--time-stamp-precision=nano", "-tt",
                               "udp"], capture_output=True, text=True, check=True)
        return [float(line.split()[0]) for line in done.stdout.splitlines()]

    near, far = run_until(lambda: [t for t in [(times("n0-eth0.pcap"), times("n1-eth0.pcap"))]
                                   if len(t[0]) == len(t[1]) == 20][0:1])[0]
    assert all(b - a >= 0.005 for a, b in zip(near[0::2], far[0::2]))
    assert struct.unpack("<I", (folder / "n0-eth0.pcap").read_bytes()[:4])[0] == 0xA1B23C4D


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "no links"),
        (["--link", "up"], "a link is NAME=END,END"),
        (["--link", "up=a"], "needs at least two ends"),
        (["--link", "up=a,b:speed=3"], "unknown key 'speed'"),
        (["--link", "up=a,b:loss=2"], "loss must be a number from 0 to 1"),
        (["--link", "up=a,interface-name-too-long"], "1 to 15 characters"),
        (["--config", "/nonexistent"], "cannot read /nonexistent"),
        (["--config", "/tmp"], "cannot read /tmp: Is a directory"),
        (["--config", "/proc/self/mem"], "cannot read /proc/self/mem"),
        (["--config", "/dev/zero"], "/dev/zero is too large"),
        (["--config", "/dev/null"], "is not JSON"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(lab, arguments, sentence):
    home = lab.node("home")
    wire = home.start(program("culvert-wire"), *arguments)
    assert wire.wait() == 2, wire.err()
    assert sentence in wire.err()
    assert wire.err().count("\n") == 1
