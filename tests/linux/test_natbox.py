"""culvert-natbox between kernel stacks: UDP, TCP, ICMP, fragments, hairpin, TTL, commands, events."""

import re

import pytest
from conftest import program, run_until

pytestmark = pytest.mark.root

SERVER, OUTER, PUBLIC, SECOND = "203.0.113.1", "198.51.100.1", "198.51.100.2", "198.51.100.3"
CLIENT, NEIGHBOUR = "10.1.0.2", "10.1.0.3"

# Echoes datagrams and streams, and says who asked.
SERVE = """
import socket, threading
def udp(address):  # a socket for each address, so that answers come from the one that was asked
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((address, 7)); print("udp up")
    while True:
        data, who = s.recvfrom(65535); print("udp", who[0], who[1], len(data)); s.sendto(data, who)
for address in ("203.0.113.1", "198.51.100.1"):
    threading.Thread(target=udp, args=(address,), daemon=True).start()
l = socket.create_server(("0.0.0.0", 7)); print("tcp up")
while True:
    c, who = l.accept(); print("tcp", who[0], who[1])
    def copy(c=c):
        while data := c.recv(65536): c.sendall(data)
        c.close()
    threading.Thread(target=copy, daemon=True).start()
"""


class Net:
    """client and neighbour (on a bridge) -- nat -- server, over veth pairs."""

    def __init__(self, lab, kind, *arguments, public=PUBLIC):
        self.client, self.neighbour = lab.node("client"), lab.node("neighbour")
        self.lan, self.nat, self.server = lab.node("lan"), lab.node("nat"), lab.node("server")
        self.lan.run("ip", "link", "add", "br0", "type", "bridge")
        self.lan.run("ip", "link", "set", "br0", "up")
        for i, (node, address) in enumerate(((self.client, CLIENT), (self.neighbour, NEIGHBOUR),
                                             (self.nat, "10.1.0.1"))):
            lab.cable(self.lan, f"p{i}", f"10.1.0.{250 + i}/32", node, f"{node.name[:5]}0",
                      f"{address}/24")
            self.lan.run("ip", "link", "set", f"p{i}", "master", "br0")
        lab.cable(self.nat, "out0", f"{PUBLIC}/24", self.server, "serv0", f"{OUTER}/24")
        self.server.run("ip", "addr", "add", f"{SERVER}/32", "dev", "lo")
        for node, gateway in ((self.client, "10.1.0.1"), (self.neighbour, "10.1.0.1"),
                              (self.nat, OUTER)):
            node.run("ip", "route", "add", "default", "via", gateway)
        self.box = self.nat.start(
            program("culvert-natbox"), "--inside", "nat0", "--outside", "out0", "--public", public,
            "--kind", kind, "--node", "nat", "--seed", "3", *arguments)
        run_until(lambda: self.box.events("nat.config") or self.box.process.poll() is not None)
        assert self.box.events("nat.config"), self.box.err()

    def serve(self):
        self.echo = self.server.python(SERVE, "serve")
        run_until(lambda: self.echo.out().count("up") == 3)

    def ask(self, node, code, limit_s=20):
        """Runs a client program to its end and returns what it printed."""
        asked = node.python("import socket, time\n" + code, "ask")
        asked.wait(limit_s)
        assert asked.err() == ""
        return asked.out()

    def seen(self, protocol):
        """(address, port) of everybody whom the server has seen."""
        return [(m[1], int(m[2])) for m in re.finditer(rf"{protocol} ([\d.]+) (\d+)", self.echo.out())]


UDP = """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 5000)); s.settimeout(5)
s.sendto(b"x" * {size}, ("{to}", 7)); print(len(s.recv(65535)))
"""


def test_udp_tcp_and_ping_are_translated(lab):
    net = Net(lab, "port-restricted-cone")
    net.serve()
    assert net.ask(net.client, UDP.format(size=5, to=SERVER)) == "5\n"
    assert net.ask(net.client, UDP.format(size=5, to=OUTER)) == "5\n"
    (ip1, port1), (ip2, port2) = net.seen("udp")
    assert (ip1, ip2) == (PUBLIC, PUBLIC)
    assert port1 == port2 != 5000  # one mapping for both, random port
    got = net.ask(net.client, f"""
import threading
c = socket.create_connection(("{SERVER}", 7), 5)
threading.Thread(target=lambda: (c.sendall(b"y" * 3000000), c.shutdown(1))).start()
n = 0
while d := c.recv(65536): n += len(d)
print(n)
""")
    assert got == "3000000\n"
    assert net.seen("tcp")[0][0] == PUBLIC
    assert "3 received" in net.client.run("ping", "-c", "3", "-i", "0.05", "-W", "2", SERVER)
    protocols = {e["protocol"] for e in net.box.events("nat.mapping_created")}
    assert protocols == {"udp", "tcp", "icmp"}


def test_symmetric_takes_another_port_for_every_destination(lab):
    net = Net(lab, "symmetric")
    net.serve()
    for to in (SERVER, OUTER):
        net.ask(net.client, UDP.format(size=5, to=to))
    ports = {port for _, port in net.seen("udp")}
    assert len(ports) == 2


@pytest.mark.parametrize("kind, admitted", [("full-cone", True), ("restricted-cone", False)])
def test_filtering_of_strangers(lab, kind, admitted):
    net = Net(lab, kind)
    net.serve()
    waiter = net.client.python(f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 5000))
s.sendto(b"hello", ("{SERVER}", 7)); s.recv(100); print("open"); print(s.recv(100))
""")
    run_until(lambda: "open" in waiter.out())
    port = net.seen("udp")[0][1]
    net.server.run("/usr/bin/python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("{OUTER}", 9999))
s.sendto(b"stranger", ("{PUBLIC}", {port}))
""")
    if admitted:
        run_until(lambda: "stranger" in waiter.out())
    else:
        drops = run_until(lambda: net.box.events("nat.dropped"))
        assert drops[0]["why"] == "filtered_address"
        assert drops[0]["source"] == f"{OUTER}:9999"
        assert "stranger" not in waiter.out()


def test_large_datagrams_cross_in_fragments(lab):
    net = Net(lab, "port-restricted-cone")
    net.serve()
    assert net.ask(net.client, UDP.format(size=9000, to=SERVER)) == "9000\n"


def test_a_router_takes_one_hop_and_reports_those_that_run_out(lab):
    net = Net(lab, "port-restricted-cone")
    net.serve()
    got = net.ask(net.client, f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 5000)); s.settimeout(5)
s.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
def reporter(ttl):
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl); s.sendto(b"hop", ("{SERVER}", 7))
    while True:
        try:
            _, control, _, _ = s.recvmsg(100, 1000, socket.MSG_ERRQUEUE)
            data = control[0][2]; return data[5], socket.inet_ntoa(data[20:24])
        except BlockingIOError: time.sleep(0.005)
print(reporter(1))
s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 2); s.sendto(b"hop", ("{SERVER}", 7))
print(s.recv(100))
""")
    assert got == "(11, '10.1.0.1')\nb'hop'\n"  # type 11: time exceeded, by the NAT; one more reaches


def test_icmp_errors_come_back_through_the_nat(lab):
    net = Net(lab, "port-restricted-cone")
    got = net.ask(net.client, f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("{SERVER}", 4)); s.settimeout(5)
s.send(b"anyone?")
try: s.recv(100)
except ConnectionRefusedError: print("refused")
""")
    assert got == "refused\n"


def test_too_big_for_the_way_out_is_told_to_the_sender(lab):
    net = Net(lab, "port-restricted-cone")
    net.serve()
    net.nat.run("ip", "link", "set", "out0", "mtu", "1300")
    got = net.ask(net.client, f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("{SERVER}", 7))
s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: do
s.send(b"x" * 1400)
for _ in range(1000):
    if s.getsockopt(socket.IPPROTO_IP, 14) == 1300: print("1300"); break  # IP_MTU
    time.sleep(0.005)
""")
    assert got == "1300\n"


def test_hairpin_when_asked_for(lab):
    net = Net(lab, "full-cone", "--set", "hairpin=external")
    net.serve()
    waiter = net.neighbour.python(f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 6000))
s.sendto(b"hello", ("{SERVER}", 7)); s.recv(100); print("open")
data, who = s.recvfrom(100); print(data, who[0]); s.sendto(b"back", who)
""")
    run_until(lambda: "open" in waiter.out())
    port = net.seen("udp")[0][1]
    got = net.ask(net.client, f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 5000)); s.settimeout(5)
s.sendto(b"over", ("{PUBLIC}", {port})); print(s.recvfrom(100))
""")
    assert got == f"(b'back', ('{PUBLIC}', {port}))\n"
    assert PUBLIC in waiter.out().split("open")[1]
    assert any(e["direction"] == "hairpin" for e in net.box.events("nat.translated"))


def test_without_hairpin_the_drop_says_so(lab):
    net = Net(lab, "full-cone")
    net.client.run("/usr/bin/python3", "-c", f"""
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("{PUBLIC}", 4000))
""")
    run_until(lambda: any(e["why"] == "hairpin_off" for e in net.box.events("nat.dropped")))


def test_its_public_address_answers_ping_and_arp(lab):
    net = Net(lab, "port-restricted-cone", public=f"{PUBLIC},{SECOND}")
    for address in (PUBLIC, SECOND):  # the second is on no interface of the plan: proxy ARP
        assert "2 received" in net.server.run("ping", "-c", "2", "-i", "0.05", "-W", "2", address)
        # In fragments, which the NAT hands on without putting them together.
        assert "1 received" in net.server.run("ping", "-c", "1", "-s", "4000", "-W", "2", address)


def test_reboot_and_change_of_address_while_it_works(lab):
    net = Net(lab, "port-restricted-cone")
    net.serve()
    net.ask(net.client, UDP.format(size=5, to=SERVER))
    net.box.tell("reboot")
    run_until(lambda: net.box.events("nat.reboot"))
    net.ask(net.client, UDP.format(size=5, to=SERVER))
    net.box.tell("address 198.51.100.9")
    run_until(lambda: net.box.events("nat.address_change"))
    run_until(lambda: "198.51.100.9 dev culvert-out" in net.nat.run("ip", "route"))
    net.ask(net.client, UDP.format(size=5, to=SERVER))
    seen = net.seen("udp")
    assert [ip for ip, _ in seen] == [PUBLIC, PUBLIC, "198.51.100.9"]
    assert seen[0][1] != seen[1][1]
    net.box.tell("address nonsense")
    run_until(lambda: "'nonsense' is no IPv4 address" in net.box.err())
    net.box.tell("address ,")
    run_until(lambda: "a NAT needs a public IPv4 address" in net.box.err())
    net.box.tell("explode")
    run_until(lambda: "knows reboot, rebind" in net.box.err())
    assert net.box.stop() == 0
    assert net.box.events()[-1]["event"] == "counters"


def test_it_leaves_a_plain_router_and_can_be_started_again_even_when_killed(lab):
    net = Net(lab, "port-restricted-cone")
    net.serve()
    before = net.nat.run("ip", "rule")
    assert "7100" in before
    net.box.process.kill()
    net.box.wait()
    # Killed: nothing is forwarded untranslated.
    assert "0 received" in net.client.run("ping", "-c", "2", "-i", "0.05", "-W", "0.3", SERVER,
                                          check=False)
    argv = (program("culvert-natbox"), "--inside", "nat0", "--outside", "out0", "--public", PUBLIC)
    again = net.nat.start(*argv)
    run_until(lambda: again.events("nat.config"))
    assert net.nat.run("ip", "rule") == before
    assert net.ask(net.client, UDP.format(size=5, to=SERVER)) == "5\n"
    assert again.stop() == 0
    assert "7100" not in net.nat.run("ip", "rule")
    assert f"local {PUBLIC}" in net.nat.run("ip", "route", "show", "table", "local")


def test_a_firewall_lets_answers_in_and_nothing_else(lab):
    net = Net(lab, "firewall-only")
    net.serve()
    net.server.run("ip", "route", "add", "10.1.0.0/24", "via", PUBLIC)
    assert net.ask(net.client, UDP.format(size=5, to=SERVER)) == "5\n"
    assert net.seen("udp") == [(CLIENT, 5000)]
    assert "0 received" in net.server.run("ping", "-c", "2", "-i", "0.05", "-W", "0.3", CLIENT,
                                          check=False)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--kind", "sieve"], "sieve"),
        (["--set", "mapping=all"], "mapping"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--set", "nonsense"], "--set takes AXIS=VALUE"),
        (["--outside", "eth9"], "there is no interface 'eth9' here"),
        (["--public", "1.2.3"], "'1.2.3' is no IPv4 address"),
        (["--node", "nat"], "interface 'lo' is inside or outside, not both"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(lab, arguments, sentence):
    node = lab.node("nat")
    argv = {"--inside": "lo", "--outside": "lo", "--public": PUBLIC, "--kind": "symmetric"}
    argv.update(dict([arguments]))
    box = node.start(program("culvert-natbox"), *[word for pair in argv.items() for word in pair])
    assert box.wait() == 2
    assert sentence in box.err()
    assert box.err().count("\n") == 1


def test_without_the_right_it_says_so(lab):
    node = lab.node("nat")
    box = node.start("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--reuid",
                     "65534", "--clear-groups", program("culvert-natbox"), "--inside", "lo",
                     "--outside", "lo", "--public", PUBLIC)
    assert box.wait() == 2
    assert "CAP_NET_ADMIN" in box.err() or "/dev/net/tun" in box.err()
