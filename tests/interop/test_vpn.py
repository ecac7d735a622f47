"""The sealed tunnel between two machines, through NATs: what goes in comes out, and nobody else's."""
import os
import re
import time

import pytest

from lab import BIN, PATIENCE_S, SERVER, Lab

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not (BIN / "culvert-node").exists(), reason=f"no culvert-node in {BIN}"),
    pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="there is no /dev/net/tun"),
]


@pytest.fixture
def lab(tmp_path, request):
    (tmp_path / "vpn-key").write_bytes(os.urandom(32))
    lab = Lab(tmp_path, request.param)
    yield lab
    lab.close()


def end(lab, node, number, *options, wait='"event":"ready"'):
    return lab.daemon(node, BIN / "culvert-node", "--secrets", lab.folder, "vpn", "--key", "vpn-key",
                      "--end", number, "--address", f"10.99.0.{number}/30", *options, wait=wait)


def ping(lab, *options):
    """How many of five came back."""
    said = lab.run("client", "ping", "-c", "5", "-i", "0.05", "-W", "2", *options, "10.99.0.2",
                   check=False)
    return int(re.search(r"(\d+) received", said).group(1)), said


@pytest.mark.parametrize("lab", [None, "symmetric"], indirect=True, ids=["direct", "nat"])
def test_packets_of_every_size_cross_and_a_restarted_end_is_met_again(lab):
    if lab.client_address != "203.0.113.2" and not (BIN / "culvert-natbox").exists():
        pytest.skip("no culvert-natbox")
    end(lab, "server", 2, "--bind", f"{SERVER}:51820")
    server = lab.processes[-1]
    log = end(lab, "client", 1, "--peer", f"{SERVER}:51820", wait='"event":"connected"')
    for size in (0, 56, 1000, 1392):  # 1392 and 28 bytes of headers: the tunnel's MTU
        came, said = ping(lab, "-s", str(size), "-M", "do")
        assert came == 5, said
    came, said = ping(lab, "-s", "4000")  # in fragments
    assert came == 5, said

    server.kill()
    server.wait()
    end(lab, "server", 2, "--bind", f"{SERVER}:51820")
    deadline = time.monotonic() + PATIENCE_S
    while ping(lab)[0] < 5:
        assert time.monotonic() < deadline, log.read_text()
    assert log.read_text().count('"event":"connected"') == 2


@pytest.mark.parametrize("lab", [None], indirect=True, ids=["direct"])
def test_another_key_gets_no_answer(lab):
    log = end(lab, "server", 2, "--bind", f"{SERVER}:51820")
    (lab.folder / "vpn-key").write_bytes(os.urandom(32))
    end(lab, "client", 1, "--peer", f"{SERVER}:51820")
    assert ping(lab)[0] == 0
    assert '"event":"connected"' not in log.read_text()
