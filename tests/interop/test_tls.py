"""OpenSSL and GnuTLS against our TLS, both ways; tshark reads it with the keys that we log."""
import json
import os
import shutil
import subprocess
import time

import pytest

from lab import BIN, PATIENCE_S, SERVER, Lab

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not (BIN / "culvert-node").exists(), reason=f"no culvert-node in {BIN}"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]
PORT = 8883
VERSIONS = {"1.2": "-tls1_2", "1.3": "-tls1_3"}


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """An authority (RSA), a server and a client (Ed25519), as openssl makes them."""
    folder = tmp_path_factory.mktemp("secrets")

    def openssl(*argv):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True, timeout=60)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=Test authority", "-days", "30")
    for name, subject, extra in (
            ("server", "/CN=server.test", "subjectAltName=DNS:server.test"),
            ("client", "/CN=device-7", "extendedKeyUsage=clientAuth")):
        openssl("req", "-newkey", "ed25519", "-nodes", "-keyout", f"{name}.key", "-out",
                f"{name}.csr", "-subj", subject)
        (folder / "extra").write_text(extra)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "30", "-extfile", "extra", "-out", f"{name}.pem")
    (folder / "tickets").write_bytes(b"thirty-two bytes for the tickets")
    return folder


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def node(secrets, *argv):
    return [BIN / "culvert-node", "--secrets", secrets, *argv]


def serve(lab, secrets, *options):
    """Our server; says where its events are."""
    return lab.daemon("server", *node(secrets, "tls-echo", "--listen", f"{SERVER}:{PORT}",
                                      "--certificate", "server.pem", "--key", "server.key",
                                      *options), wait='"event":"ready"')


def events(log, event):
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def ask(lab, secrets, *options, name="server.test"):
    """Our client to its end; its events by name."""
    text = lab.run("client", *node(secrets, "--once", "tls-echo", "--to", f"{SERVER}:{PORT}",
                                   "--name", name, "--trust", "ca.pem", *options),
                   check=False)
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert lines and lines[-1]["event"] == "result", text
    return lines


def talk(lab, argv, say, until, then=0.0):
    """Starts a client, says a line once it runs, waits for `until`, then ends its stdin."""
    process = subprocess.Popen(lab._inside("client", argv), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, cwd=lab.folder)
    lab.processes.append(process)
    os.set_blocking(process.stdout.fileno(), False)
    process.stdin.write(say.encode())
    process.stdin.flush()
    said, deadline = "", time.monotonic() + PATIENCE_S
    while until not in said and process.poll() is None:
        assert time.monotonic() < deadline, said
        said += (process.stdout.read() or b"").decode(errors="replace")
        time.sleep(0.02)
    if then:  # what comes after the answer (a ticket) is written to a file
        deadline_file = time.monotonic() + PATIENCE_S
        while not then.exists() or then.stat().st_size == 0:
            assert time.monotonic() < deadline_file, said
            time.sleep(0.02)
    process.stdin.close()
    process.wait(PATIENCE_S)
    os.set_blocking(process.stdout.fileno(), True)
    return said + process.stdout.read().decode(errors="replace")


def s_client(secrets, *options):
    return ["openssl", "s_client", "-connect", f"{SERVER}:{PORT}", "-servername", "server.test",
            "-CAfile", secrets / "ca.pem", "-verify_return_error", "-verify_hostname",
            "server.test", "-nocommands", *options]


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_talks_to_our_server_and_resumes(lab, secrets, version):
    log = serve(lab, secrets)
    session = lab.folder / "session"
    said = talk(lab, s_client(secrets, VERSIONS[version], "-sess_out", session), "over and out\n",
                "over and out", session)
    assert "Verification: OK" in said and f"New, TLSv{version}" in said, said
    for _ in range(2):
        said = talk(lab, s_client(secrets, VERSIONS[version], "-sess_in", session),
                    "over and out\n", "over and out")
        assert f"Reused, TLSv{version}" in said, said
    secured = events(log, "secured")
    assert [e["resumed"] for e in secured] == [False, True, True]
    assert {e["version"] for e in secured} == {f"TLS{version}"}
    assert not events(log, "failed")


def test_openssl_resumes_after_our_server_was_started_anew(lab, secrets):
    serve(lab, secrets, "--ticket-key", "tickets")
    session = lab.folder / "session"
    talk(lab, s_client(secrets, "-tls1_3", "-sess_out", session), "here first\n", "here first", session)
    server = lab.processes[0]
    server.kill()
    server.wait()
    serve(lab, secrets, "--ticket-key", "tickets")
    said = talk(lab, s_client(secrets, "-tls1_3", "-sess_in", session), "here again\n", "here again")
    assert "Reused, TLSv1.3" in said, said


def test_openssls_early_data_reach_our_server(lab, secrets):
    log = serve(lab, secrets, "--early-data", "4096")
    session, early = lab.folder / "session", lab.folder / "early"
    early.write_text("early bird\n")
    talk(lab, s_client(secrets, "-tls1_3", "-sess_out", session), "here first\n", "here first", session)
    said = talk(lab, s_client(secrets, "-tls1_3", "-sess_in", session, "-early_data", early),
                "came later\n", "came later")
    assert "Early data was accepted" in said and "early bird" in said, said
    assert [e["early_data"] for e in events(log, "secured")] == [False, True]


def test_alpn_and_client_certificates_with_openssl(lab, secrets):
    log = serve(lab, secrets, "--client-trust", "ca.pem", "--alpn", "mqtt")
    mine = ["-cert", secrets / "client.pem", "-key", secrets / "client.key"]
    for version in VERSIONS.values():
        said = talk(lab, s_client(secrets, version, "-alpn", "http/1.1,mqtt", *mine), "over and out\n",
                    "over and out")
        assert "ALPN protocol: mqtt" in said, said
    assert [e["common_name"] for e in events(log, "secured")] == ["device-7"] * 2
    said = talk(lab, s_client(secrets), "over and out\n", "alert")
    assert "alert" in said and "over and out" not in said, said
    said = talk(lab, s_client(secrets, "-alpn", "smtp", *mine), "over and out\n", "alert")
    assert "no application protocol" in said, said
    assert len(events(log, "failed")) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_our_client_talks_to_openssl_and_resumes(lab, secrets, version):
    lab.daemon("server", "openssl", "s_server", "-accept", f"{SERVER}:{PORT}", "-cert",
               secrets / "server.pem", "-key", secrets / "server.key", VERSIONS[version], "-rev",
               "-alpn", "mqtt", wait="ACCEPT")
    lines = ask(lab, secrets, "--connections", "4", "--alpn", "mqtt")
    result = lines[-1]
    assert (result["connections"], result["failures"], result["resumed"]) == (4, 0, 3), lines
    secured = [line for line in lines if line["event"] == "secured"]
    assert {e["version"] for e in secured} == {f"TLS{version}"}
    assert {e["alpn"] for e in secured} == {"mqtt"}


def test_our_client_shows_openssl_its_certificate_and_checks_openssls(lab, secrets):
    lab.daemon("server", "openssl", "s_server", "-accept", f"{SERVER}:{PORT}", "-cert",
               secrets / "server.pem", "-key", secrets / "server.key", "-rev", "-Verify", "1",
               "-verify_return_error", "-CAfile", secrets / "ca.pem", wait="ACCEPT")
    assert ask(lab, secrets)[-1]["failures"] == 1
    assert ask(lab, secrets, "--certificate", "client.pem", "--key",
               "client.key")[-1]["failures"] == 0
    lines = ask(lab, secrets, name="elsewhere.test")
    assert "elsewhere.test" in next(e for e in lines if e["event"] == "failed")["error"]


@needs("gnutls-cli")
@pytest.mark.parametrize("version", VERSIONS)
def test_gnutls_cli_talks_to_our_server_and_resumes(lab, secrets, version):
    log = serve(lab, secrets)
    said = talk(lab, ["gnutls-cli", "--x509cafile", secrets / "ca.pem", "--sni-hostname",
                      "server.test", "--verify-hostname", "server.test", "--resume", "--waitresumption",
                      "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}", "-p", str(PORT),
                      SERVER], "over and out\n", "over and out")
    assert "This is a resumed session" in said, said
    assert {e["version"] for e in events(log, "secured")} == {f"TLS{version}"}


@needs("gnutls-serv")
def test_our_client_talks_to_gnutls_serv(lab, secrets):
    lab.daemon("server", "gnutls-serv", "--echo", "-p",
               str(PORT), "--x509certfile", secrets / "server.pem", "--x509keyfile",
               secrets / "server.key", wait="listening on IPv4")
    lines = ask(lab, secrets, "--connections", "3")
    assert lines[-1]["failures"] == 0
    assert all(e["same"] for e in lines if e["event"] == "answered")


@needs("tshark")
@pytest.mark.parametrize("version", VERSIONS)
def test_tshark_decrypts_our_sessions_with_the_keys_we_log(lab, secrets, version):
    log = serve(lab, secrets, "--key-log")
    capture = lab.folder / "tls.pcap"
    lab.daemon("server", "tshark", "-i", "s0", "-w", capture, "-f", f"tcp port {PORT}",
               wait="Capturing on")
    deadline = time.monotonic() + PATIENCE_S
    while not capture.exists() or capture.stat().st_size == 0:  # its header: now it captures
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ask(lab, secrets, "--connections", "2", "--tls-version", version, "--size", "20000")
    keys = lab.folder / "keys"
    keys.write_text("".join(e["line"] + "\n" for e in events(log, "key_log")))
    read = ["tshark", "-r", capture, "-o", f"tls.keylog_file:{keys}", "-d", f"tcp.port=={PORT},tls"]
    deadline, text = time.monotonic() + PATIENCE_S, ""
    while text.count("abcdefghij") < 4:  # there and back, twice; tshark writes a little later
        assert time.monotonic() < deadline, text
        done = subprocess.run([*read, "-z", "follow,tls,ascii,0", "-z", "follow,tls,ascii,1", "-q"],
                              capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        text = done.stdout
        time.sleep(0.1)
    bad = subprocess.run([*read, "-Y", "_ws.malformed || tls.alert_message.level == 2"],
                         capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
    assert not bad
