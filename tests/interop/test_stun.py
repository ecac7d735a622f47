"""Others' STUN clients against our server, our client against another's server, through NATs."""
import os
import re
import shutil
import subprocess
import time

import pytest

from lab import BIN, PUBLIC, SERVER, SERVER2, Lab

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not (BIN / "culvert-node").exists(), reason=f"no culvert-node in {BIN}"),
]

NINE = [f"{m}-{f}" for m in ("eim", "adm", "apdm") for f in ("eif", "adf", "apdf")]
# What coturn's turnutils_natdiscovery calls them.
NAME = {"ei": "Endpoint Independent", "ad": "Address Dependent", "apd": "Address and Port Dependent"}
# What Debian's stun, an RFC 3489 client, calls the kinds that it can tell apart.
CLASSIC = {"eim-eif": "Independent Mapping, Independent Filter",
           "eim-adf": "Independent Mapping, Address Dependent Filter",
           "eim-apdf": "Independent Mapping, Port Dependent Filter",
           "apdm-apdf": "Dependent Mapping"}


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def lab(tmp_path, request):
    lab = Lab(tmp_path, request.param)
    yield lab
    lab.close()


def through(*kinds):
    return pytest.mark.parametrize("lab", kinds, indirect=True, ids=[k or "direct" for k in kinds])


@needs("turnutils_stunclient")
@through(None, "full-cone", "symmetric")
def test_coturns_stunclient_gets_the_public_address_from_our_server(lab):
    lab.stun_server()
    # Its further questions want answers to the port after its own (RESPONSE-PORT), as if no NAT
    # had changed that: through a NAT it waits for them for ever.
    said = lab.run("client", "timeout", "2", "turnutils_stunclient", SERVER, check=False)
    addresses = re.findall(r"UDP reflexive addr: ([\d.]+):\d+", said)
    assert addresses and set(addresses) == {PUBLIC}, said
    assert f"Other addr: : {SERVER2}:3479" in said
    assert (f"Response origin: : {SERVER2}:3479" in said) == (lab.client_address == PUBLIC), said


@needs("turnutils_natdiscovery")
@through(*NINE)
def test_coturns_natdiscovery_finds_the_kind_with_our_server(lab, request):
    lab.stun_server()
    mapping, filtering = request.node.callspec.id.split("-")
    said = lab.run("client", "turnutils_natdiscovery", "-m", "-f", SERVER, timeout=60)
    assert f"NAT with {NAME[mapping[:-1]]} Mapping!" in said, said
    assert f"NAT with {NAME[filtering[:-1]]} Filtering!" in said, said
    assert "Not received mapped address" not in said


@needs("stun")
@through(None, *CLASSIC)
def test_an_rfc3489_client_finds_the_kind_with_our_server(lab, request):
    lab.stun_server()
    kind = request.node.callspec.id
    said = lab.run("client", "stun", SERVER, check=False, timeout=60)  # its status is the kind
    assert f"Primary: {CLASSIC.get(kind, 'Open')}" in said, said


@needs("turnserver")
@through(None, *NINE)
def test_our_client_finds_the_kind_with_coturns_server(lab, request):
    lab.turnserver()
    kind = request.node.callspec.id
    found = lab.stun_client("--behaviour")
    assert found["observed"].split(":")[0] == PUBLIC
    assert found["local"].split(":")[0] == lab.client_address
    wanted = "eim-eif" if kind == "direct" else kind
    assert f"{found['mapping']}-{found['filtering']}" == wanted, found
    assert found["hops"] == (0 if kind == "direct" else 1)


@through(*NINE)
def test_our_client_finds_the_kind_with_our_server(lab, request):
    lab.stun_server()
    found = lab.stun_client("--behaviour")
    assert f"{found['mapping']}-{found['filtering']}" == request.node.callspec.id, found
    assert found["hops"] == 1 and found["far_ms"] < found["rtt_ms"], found


@needs("turnserver")
@through(None)
def test_our_client_logs_in_at_coturns_server(lab):
    (lab.folder / "good").write_text("sesame")
    (lab.folder / "bad").write_text("mustard")
    lab.turnserver("--lt-cred-mech", "--secure-stun", "-u", "ali:sesame", "-r", "example.org")
    login = ("--secrets", lab.folder, "--user", "ali", "--password")
    assert lab.stun_client(*login, "good")["observed"].split(":")[0] == PUBLIC
    refused = lab.run("client", BIN / "culvert-node", "stun-client", "--server", f"{SERVER}:3478",
                      "--once", "--rto-ms", "20", *login, "bad", check=False)
    assert "401" in refused, refused


@through("port-restricted-cone")
def test_mapping_lifetime_is_measured_through_a_nat(lab):
    lab.stun_server()
    said = lab.run("client", BIN / "culvert-node", "stun-lifetime", "--server", f"{SERVER}:3478",
                   "--low-ms", "100", "--high-ms", "400", "--once")
    assert '"alive_ms":400.0' in said, said


@needs("tshark")
@through(None)
def test_wireshark_reads_our_messages(lab):
    capture = lab.folder / "stun.pcap"
    lab.daemon("server", "tcpdump", "-U", "-Z", "root", "--immediate-mode", "-i", "s0", "-w", capture,
               "udp", wait="listening on")
    lab.stun_server()
    lab.stun_client("--behaviour")
    lab.stun_client("--classic")
    argv = ["tshark", "-r", capture, "-Y", "stun", "-T", "fields"]
    for field in ("stun.type", "stun.att.type", "_ws.malformed"):
        argv += ["-e", field]

    def dissected():
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()

    deadline = time.monotonic() + 10  # tcpdump writes a little later than it hears
    while len(dissected()) < 14 and time.monotonic() < deadline:
        time.sleep(0.1)
    lines = dissected()
    types = {line.split("\t")[0] for line in lines}
    assert {"0x0001", "0x0101"} <= types, lines
    attributes = {a for line in lines for a in line.split("\t")[1].split(",")}
    assert {"0x0020", "0x802b", "0x802c", "0x8028", "0x0003"} <= attributes, attributes
    assert not any(line.split("\t")[2] for line in lines), lines
