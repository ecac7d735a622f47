"""The kernel's NAT as a voice of its own: every kind's rules load, and behave as their name says."""

import subprocess

import pytest
from conftest import run_until

from builder import kernel_nat

root = pytest.mark.root

PUBLIC, SERVER, OTHER = "198.51.100.2", "198.51.100.1", "198.51.100.77"

# Opens from one socket to two remotes, prints what they saw of it, then whoever else writes to it.
CLIENT = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.1.0.2", 5000))
for to in {to}: s.sendto(b"hello", (to, 7)); s.recv(100)
print("open")
while True: print("got", *s.recvfrom(100)[1])
"""
SERVE = """
import socket, threading
def udp(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((address, 7)); print("up")
    while True: data, who = s.recvfrom(100); print("seen", address, *who); s.sendto(data, who)
for address in ("198.51.100.1", "198.51.100.77"): threading.Thread(target=udp, args=(address,)).start()
"""


def kernel_router(lab, kind, settings=None):
    """client -- nat (kernel) -- server with two addresses."""
    client, nat, server = lab.node("client"), lab.node("nat"), lab.node("server")
    lab.cable(client, "c0", "10.1.0.2/24", nat, "in0", "10.1.0.1/24")
    lab.cable(nat, "out0", f"{PUBLIC}/24", server, "s0", f"{SERVER}/24")
    server.run("ip", "addr", "add", f"{OTHER}/24", "dev", "s0")
    client.run("ip", "route", "add", "default", "via", "10.1.0.1")
    nat.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    rules = kernel_nat.ruleset(kernel_nat.behaviour(kind, settings or {}), ["in0"], "out0", [PUBLIC],
                               0x1234)
    subprocess.run(nat.command(["nft", "-f", "-"]), input=rules, text=True, check=True)
    echo = server.python(SERVE, "serve")
    run_until(lambda: echo.out().count("up") == 2)
    return client, server, echo


def send(node, source, port, to_port):
    node.run("/usr/bin/python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("{source}", {port}))
s.sendto(b"knock", ("{PUBLIC}", {to_port}))
""")


@root
@pytest.mark.parametrize("public", [[PUBLIC], [PUBLIC, "198.51.100.3"]])
@pytest.mark.parametrize("hairpin", ["none", "internal", "external"])
@pytest.mark.parametrize("kind", sorted(kernel_nat.KINDS))
def test_the_rules_of_every_kind_load(lab, kind, hairpin, public):
    nat = lab.node("nat")
    axes = kernel_nat.behaviour(kind, {"hairpin": hairpin, "unsolicited_udp": "icmp"})
    rules = kernel_nat.ruleset(axes, ["in0", "in1"], "out0", public, 0x1234)
    for _ in range(2):  # and again, over themselves
        done = subprocess.run(nat.command(["nft", "-f", "-"]), input=rules, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@root
@pytest.mark.parametrize("mapping", ["eim", "adm", "apdm"])
@pytest.mark.parametrize("filtering", ["eif", "adf", "apdf"])
def test_mapping_and_filtering_are_what_the_name_says(lab, mapping, filtering):
    client, server, echo = kernel_router(lab, f"{mapping}-{filtering}")
    inside = client.python(CLIENT.format(to=[SERVER, OTHER]), "client")
    run_until(lambda: "open" in inside.out())
    ports = [int(line.split()[3]) for line in echo.out().splitlines() if line.startswith("seen")]
    assert (ports[0] == ports[1]) == (mapping == "eim")
    # Toward the first mapping: the same address with another port, then a stranger.
    server.run("ip", "addr", "add", "198.51.100.88/24", "dev", "s0")
    send(server, "198.51.100.88", 999, ports[0])
    send(server, SERVER, 999, ports[0])
    send(server, SERVER, 7777, ports[0])
    expected = {"eif": {"198.51.100.88 999", f"{SERVER} 999", f"{SERVER} 7777"},
                "adf": {f"{SERVER} 999", f"{SERVER} 7777"}, "apdf": set()}[filtering]

    def got():
        return {line[4:] for line in inside.out().splitlines() if line.startswith("got")}

    run_until(lambda: got() >= expected)
    # What was refused had its chance: a packet that is surely admitted comes after it.
    server.run("ping", "-c", "1", "-W", "2", PUBLIC)
    assert got() == expected


@root
@pytest.mark.parametrize(
    "kind, keeps", [("linux-masquerade", True), ("linux-masquerade-input-accept", False)]
)
def test_an_early_packet_poisons_the_port_only_where_input_accepts(lab, kind, keeps):
    client, server, echo = kernel_router(lab, kind)
    send(server, SERVER, 7000, 5000)  # too early: leaves a trace, or not
    server.run("ping", "-c", "1", "-W", "2", PUBLIC)
    client.run("/usr/bin/python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.1.0.2", 5000))
s.sendto(b"late", ("{SERVER}", 7)); s.recv(100); s.sendto(b"late", ("{SERVER}", 7000))
""")
    run_until(lambda: f"seen {SERVER} {PUBLIC} 5000" in echo.out())  # toward port 7 nothing was early
    tracked = lab.nodes["nat"].run("conntrack", "-L", "-p", "udp", "--orig-port-dst", "7000")
    reply = [word for word in tracked.split() if word.startswith("dport=")]
    assert ("dport=5000" in reply[1:]) == keeps


def test_what_the_kernel_cannot_do_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="cannot be 'cgnat-port-block'; it can be"):
        kernel_nat.behaviour("cgnat-port-block", {})
    with pytest.raises(ValueError, match="no axis 'pooling'"):
        kernel_nat.behaviour("symmetric", {"pooling": "paired"})
    with pytest.raises(ValueError, match="cannot do ports=sequential"):
        kernel_nat.behaviour("symmetric,ports=sequential", {})
    with pytest.raises(ValueError, match="'soon' is no duration"):
        kernel_nat.behaviour("symmetric", {"udp_new": "soon"})


def test_settings_lie_over_the_kind():
    axes = kernel_nat.behaviour("symmetric,udp_new=30s", {"udp_new": "2min", "hairpin": ""})
    assert (axes["udp_new"], axes["hairpin"], axes["mapping"]) == ("2min", "none", "apdm")
    assert [kernel_nat.seconds(t) for t in ("500ms", "30s", "5min", "2h")] == [1, 30, 300, 7200]
