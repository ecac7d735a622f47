"""Others' MQTT clients against our broker, and a real mosquitto bridged with it, both ways."""
import shutil
import signal
import subprocess
import urllib.request

import pytest

from mqtt_lab import (BIN, DIES_WITH_US, PATIENCE_S, Mosquitto, MosquittoPeer, PahoCPeer,
                      PahoPythonPeer, broker, fnv1a, free_port, make_pki, poll)

pytestmark = pytest.mark.skipif(not (BIN / "culvert-node").exists(), reason=f"no culvert-node in {BIN}")


def has_paho():
    try:
        import paho.mqtt.client  # noqa: F401
        return True
    except ImportError:
        return False


needs_mosquitto = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="no mosquitto-clients")
PEERS = [
    pytest.param(MosquittoPeer(), id="mosquitto", marks=needs_mosquitto),
    pytest.param(PahoPythonPeer(), id="paho-python",
                 marks=pytest.mark.skipif(not has_paho(), reason="no python3-paho-mqtt")),
    pytest.param(PahoCPeer(), id="paho-c",
                 marks=pytest.mark.skipif(not PahoCPeer.program.exists(), reason="no paho-c-peer")),
]
each_peer = pytest.mark.parametrize("peer", PEERS)
each_version = pytest.mark.parametrize("version", [311, 5])


@pytest.fixture
def start(tmp_path):
    """start(*options) starts a broker that ends with the test."""
    nodes = []

    def make(*options, **more):
        nodes.append(broker(tmp_path, *options, **more))
        return nodes[-1]
    yield make
    for node in nodes:
        node.close()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


def message(topic, qos, payload, retained=0):
    return (topic, qos, retained, len(payload), fnv1a(payload))


def by_qos(messages):
    """Most clients hand a QoS 2 message on at PUBREL, and so later than QoS 1 messages behind it: the
    order holds for each QoS."""
    return sorted(messages, key=lambda m: m[1])


@each_peer
@each_version
def test_every_qos_arrives_once(start, peer, version):
    port = start().port("tcp")
    subscriber = peer.subscribe(port, "a/+/c", 2, version)
    for qos in (0, 1, 2):
        peer.publish(port, "a/b/c", b"hello %d" % qos, qos, version)
    peer.publish(port, "a/b", b"not this", 1, version)
    peer.publish(port, "a/b/c", b"last", 2, version)
    assert subscriber.wait(4) == [message("a/b/c", q, b"hello %d" % q) for q in (0, 1, 2)] + [
        message("a/b/c", 2, b"last")]
    subscriber.end()


@each_peer
@each_version
def test_retained_messages_come_with_their_flag_and_can_be_cleared(start, peer, version):
    port = start().port("tcp")
    peer.publish(port, "state/lamp", b"on", 1, version, retain=True)
    peer.publish(port, "state/door", b"open", 2, version, retain=True)
    peer.publish(port, "state/door", b"", 1, version, retain=True)
    subscriber = peer.subscribe(port, "state/#", 1, version)
    peer.publish(port, "state/end", b"x", 1, version)
    assert subscriber.wait(2) == [message("state/lamp", 1, b"on", 1), message("state/end", 1, b"x")]
    subscriber.end()


@each_peer
@each_version
def test_the_will_of_a_killed_client_is_published(start, peer, version):
    port = start().port("tcp")
    watcher = peer.subscribe(port, "wills/#", 1, version, id="watcher")
    victim = peer.subscribe(port, "unrelated", 1, version, id="victim", will=("wills/victim", "gone"))
    victim.kill()
    assert watcher.wait(1) == [message("wills/victim", 1, b"gone")]
    watcher.end()


@each_peer
@each_version
def test_a_session_is_resumed_after_a_cut(start, peer, version):
    port = start().port("tcp")
    first = peer.subscribe(port, "news", 2, version, id="keeper", clean=False)
    peer.publish(port, "news", b"0", 1, version)
    assert first.wait(1) == [message("news", 1, b"0")]
    first.kill()
    for i in range(1, 6):
        peer.publish(port, "news", b"%d" % i, 1 + i % 2, version)
    second = peer.subscribe(port, "news", 2, version, id="keeper", clean=False)
    expected = [message("news", 1 + i % 2, b"%d" % i) for i in range(1, 6)]
    assert by_qos(second.wait(5)) == by_qos(expected)
    second.end()


@each_peer
@each_version
def test_a_payload_of_1_mb(start, peer, version):
    port = start().port("tcp")
    payload = bytes(range(256)) * 4096
    subscriber = peer.subscribe(port, "big", 2, version)
    peer.publish(port, "big", payload, 1, version)
    peer.publish(port, "big", payload, 2, version)
    assert subscriber.wait(2) == [message("big", 1, payload), message("big", 2, payload)]
    subscriber.end()


@each_peer
@each_version
def test_mutual_tls_and_the_certificates_name_as_user(start, peer, version, pki):
    names = ("ca.pem", "server.pem", "server.key")
    node = start("--tls-listen", "127.0.0.1:0", "--certificate", "server.pem", "--key", "server.key",
                 "--trust", "ca.pem", "--client-certificates", "required", "--certificate-is-user",
                 "--acl", "acl",
                 secrets={**{n: (pki / n).read_bytes() for n in names},
                          "acl": "user device-7\ntopic readwrite devices/7/#\n"})
    port = node.port("tls")
    subscriber = peer.subscribe(port, "#", 1, version, tls=pki)
    peer.publish(port, "devices/8/x", b"not allowed", 0, version, tls=pki)
    peer.publish(port, "devices/7/x", b"allowed", 1, version, tls=pki)
    assert subscriber.wait(1) == [message("devices/7/x", 1, b"allowed")]
    subscriber.end()
    without = subprocess.run(["mosquitto_pub", "-h", "localhost", "-p", str(port), "-t", "x", "-m", "x",
                              "-q", "1", "--cafile", str(pki / "ca.pem")], capture_output=True,
                             timeout=PATIENCE_S)
    assert without.returncode != 0, "without a certificate nobody is let in"


@pytest.mark.skipif(not has_paho(), reason="no python3-paho-mqtt")
@each_version
def test_websocket(start, version):
    peer = PahoPythonPeer()
    node = start("--listen", "127.0.0.1:0", "--ws-listen", "127.0.0.1:0")
    port = node.port("websocket")
    payload = bytes(range(256)) * 1024
    subscriber = peer.subscribe(port, "w/#", 1, version, websocket=True)
    peer.publish(port, "w/x", payload, 1, version, websocket=True)
    peer.publish(node.port("tcp"), "w/y", b"over TCP", 1, version)
    assert subscriber.wait(2) == [message("w/x", 1, payload), message("w/y", 1, b"over TCP")]
    subscriber.end()


@needs_mosquitto
def test_request_and_response_with_mosquitto_rr(start):
    port = start().port("tcp")
    responder = MosquittoPeer().subscribe(port, "ask", 1, 5, id="responder")
    asker = subprocess.Popen([*DIES_WITH_US, "mosquitto_rr", "-h", "localhost", "-p", str(port), "-V", "5",
                              "-t", "ask", "-e", "answers/1", "-m", "2+2", "-q", "1"],
                             stdout=subprocess.PIPE)
    assert responder.wait(1) == [message("ask", 1, b"2+2")]
    responder.end()
    MosquittoPeer().publish(port, "answers/1", b"4", 1, 5)
    assert asker.communicate(timeout=PATIENCE_S)[0].strip() == b"4"


def passwd(folder, user, password, *options):
    made = subprocess.run([BIN / "culvert-node", "--secrets", folder, "mqtt-passwd", user, *options],
                          input=password + b"\n", capture_output=True, timeout=PATIENCE_S)
    assert made.returncode == 0, made.stderr
    return made.stdout.decode()


def may_log_in(port, user, password):
    done = subprocess.run(["mosquitto_pub", "-h", "localhost", "-p", str(port), "-V", "5", "-q", "1",
                           "-t", "x", "-m", "x", "-u", user, "-P", password], capture_output=True,
                          timeout=PATIENCE_S)
    return done.returncode == 0


@needs_mosquitto
def test_passwords_of_ours_and_of_mosquitto_passwd(start, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.touch()
    subprocess.run(["mosquitto_passwd", "-b", str(theirs), "carol", "c"], check=True)
    text = theirs.read_text() + passwd(tmp_path, "alice", b"a") + passwd(
        tmp_path, "bob", b"b", "--hash", "sha512-pbkdf2")
    assert "alice:$argon2id$" in text and "bob:$7$100000$" in text
    node = start("--passwords", "passwords", secrets={"passwords": text})
    port = node.port("tcp")
    for user in ("alice", "bob", "carol"):
        assert may_log_in(port, user, user[0]), user
        assert not may_log_in(port, user, "wrong"), user
    assert not may_log_in(port, "mallory", "a")
    (node.secrets / "passwords").write_text(passwd(tmp_path, "alice", b"new"))
    node.command("reload")
    node.wait("reloaded")
    assert may_log_in(port, "alice", "new") and not may_log_in(port, "alice", "a")
    assert not may_log_in(port, "carol", "c")


@needs_mosquitto
def test_mosquitto_takes_the_passwords_that_we_make(tmp_path):
    passwords = tmp_path / "p"
    passwords.write_text(passwd(tmp_path, "bob", b"b", "--hash", "sha512-pbkdf2", "-I", "1000"))
    passwords.chmod(0o644)
    other = Mosquitto(tmp_path, free_port(), f"password_file {passwords}", "allow_anonymous false")
    try:
        assert may_log_in(other.port, "bob", "b")
        assert not may_log_in(other.port, "bob", "x")
    finally:
        other.close()


@needs_mosquitto
def test_what_was_acknowledged_outlives_kill_9(start, tmp_path):
    peer = MosquittoPeer()
    node = start("--store", "broker", data=tmp_path)
    port = node.port("tcp")
    subscriber = peer.subscribe(port, "d/#", 2, 5, id="keeper", clean=False)
    subscriber.kill()
    for i in range(20):
        peer.publish(port, "d/x", b"%d" % i, 1 + i % 2, 5)
    peer.publish(port, "d/retained", b"r", 1, 5, retain=True)
    node.kill()
    node = start("--store", "broker", data=tmp_path)
    assert node.wait("ready")["sessions"] == 1
    again = peer.subscribe(node.port("tcp"), "d/#", 2, 5, id="keeper", clean=False)
    expected = [message("d/x", 1 + i % 2, b"%d" % i) for i in range(20)]
    got = again.wait(21)
    assert by_qos(m for m in got if m[0] == "d/x") == by_qos(expected)
    again.end()


@needs_mosquitto
def test_sys_topics_and_metrics(start):
    node = start("--metrics", f"127.0.0.1:{(port := free_port())}", "--sys-interval-ms", "200")
    tcp = node.port("tcp")
    shown = subprocess.run(["mosquitto_sub", "-h", "localhost", "-p", str(tcp), "-t",
                            "$SYS/broker/clients/connected", "-C", "2", "-W", "20"], capture_output=True)
    assert shown.stdout.split() == [b"0", b"1"]

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    assert get("/healthz") == (200, "well\n")
    text = get("/metrics")[1]
    assert "\nmqtt_broker_connections_total 1\n" in text


@needs_mosquitto
def test_sigterm_says_good_bye(start):
    node = start()
    watcher = MosquittoPeer().subscribe(node.port("tcp"), "x", 0, 5)
    node.process.send_signal(signal.SIGTERM)
    node.wait("stopping")
    node.wait("stopped")
    assert node.process.wait(PATIENCE_S) == 0
    watcher.end()


LISTEN = ("--listen", "127.0.0.1:0")


@pytest.mark.parametrize("options, sentence", [
    ((), "nobody could come in"),
    (("--listen", "127.0.0.1:0", "--anonymous", "--certificate", "c", "--key", "k"),
     "--certificate without TLS"),
    (LISTEN, "nobody would be let in"),
    (("--tls-listen", "127.0.0.1:0", "--anonymous"), "TLS needs --certificate and --key"),
    ((*LISTEN, "--client-certificates", "required", "--anonymous"), "--client-certificates needs --trust"),
    ((*LISTEN, "--certificate-is-user"), "--certificate-is-user needs --client-certificates"),
    ((*LISTEN, "--anonymous", "--bridge", "cloud"), "'cloud' is not NAME=HOST:PORT"),
    ((*LISTEN, "--anonymous", "--bridge", "cloud=h:1"), "bridge 'cloud' has no topics"),
    ((*LISTEN, "--anonymous", "--bridge-topic", "x=# both"), "there is no --bridge 'x'"),
    ((*LISTEN, "--anonymous", "--bridge", "c=h:1", "--bridge-topic", "c=# over"), "is no direction"),
    ((*LISTEN, "--anonymous", "--qos2", "never"), "--qos2"),
])
def test_options_that_make_no_sense_are_one_sentence(options, sentence):
    done = subprocess.run([BIN / "culvert-node", "mqtt-broker", *options], capture_output=True,
                          timeout=PATIENCE_S, text=True)
    assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("secrets, sentence", [
    ({}, "passwords"), ({"passwords": "alice:plain\n"}, "line 1 has no hash that is known")])
def test_files_that_cannot_be_read_are_one_sentence(tmp_path, secrets, sentence):
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run([BIN / "culvert-node", "--secrets", tmp_path, "mqtt-broker", *LISTEN,
                           "--passwords", "passwords"], capture_output=True, timeout=PATIENCE_S, text=True)
    assert done.returncode == 1 and sentence in done.stderr and done.stderr.count("\n") == 1


def test_thousands_of_users_fit_in_a_password_file(start, tmp_path):
    line = passwd(tmp_path, "last", b"secret").split(":", 1)[1]
    text = "".join(f"user{i}:{line}" for i in range(5000)) + f"last:{line}"
    node = start("--passwords", "passwords", secrets={"passwords": text})
    assert may_log_in(node.port("tcp"), "last", "secret")


@needs_mosquitto
def test_an_operator_disconnects_a_client_and_asks_for_figures(start):
    node = start()
    watcher = MosquittoPeer().subscribe(node.port("tcp"), "x", 0, 5, id="victim")
    node.command("disconnect victim")
    node.wait("disconnected", client="victim", reason="administrative_action")
    node.command("stats")
    assert node.wait("stats")["connected_ever"] >= 1
    node.command("dance")
    assert "reload, disconnect CLIENT and stats" in node.wait("command_refused")["why"]
    watcher.end()


@needs_mosquitto
@each_version
def test_our_bridge_to_a_real_mosquitto(start, tmp_path, version):
    other = Mosquitto(tmp_path, free_port())
    peer = MosquittoPeer()
    try:
        node = start("--bridge", f"cloud=127.0.0.1:{other.port}", "--bridge-version", f"cloud={version}",
                     "--bridge-topic", "cloud=# both 2 home/ site7/", "--bridge-remote-state",
                     "cloud=bridges/cloud")
        node.wait("bridge_connected")
        port = node.port("tcp")
        far = peer.subscribe(other.port, "site7/#", 2, 5, id="far")
        near = peer.subscribe(port, "home/#", 2, 5, id="near")
        for qos in (0, 1, 2):
            peer.publish(port, "home/up", b"up %d" % qos, qos, 5)
            far.wait(2 * qos + 1)
            peer.publish(other.port, "site7/down", b"down %d" % qos, qos, 5)
            near.wait(2 * qos + 2)
        expected = [m for q in (0, 1, 2)
                    for m in (("up", q, b"up %d" % q), ("down", q, b"down %d" % q))]
        assert far.wait(6) == [message(f"site7/{t}", q, p) for t, q, p in expected]
        assert near.wait(6) == [message(f"home/{t}", q, p) for t, q, p in expected]
        # Nothing went round: the last messages are the last.
        peer.publish(port, "home/end", b"", 1, 5)
        peer.publish(other.port, "site7/end2", b"", 1, 5)
        assert [m[0] for m in far.wait(8)][6:] == ["site7/end", "site7/end2"]
        assert sorted(m[0] for m in near.wait(8)[6:]) == ["home/end", "home/end2"]
        far.end()
        near.end()
        state = peer.subscribe(other.port, "bridges/cloud", 1, 5, id="state")
        assert state.wait(1) == [message("bridges/cloud", 1, b"1", 1)]
        node.kill()
        assert state.wait(2)[1] == message("bridges/cloud", 1, b"0")
        state.end()
    finally:
        other.close()


@needs_mosquitto
def test_our_bridge_hands_over_what_came_while_mosquitto_was_dead(start, tmp_path):
    other = Mosquitto(tmp_path, port := free_port())
    peer = MosquittoPeer()
    node = start("--bridge", f"cloud=127.0.0.1:{port}", "--bridge-topic", "cloud=log/# out 2")
    node.wait("bridge_connected")
    other.close()
    node.wait("bridge_lost")
    for i in range(10):  # retained, so that it does not matter who is there first
        peer.publish(node.port("tcp"), f"log/{i}", b"%d" % i, 1 + i % 2, 5, retain=True)
    other = Mosquitto(tmp_path, port)
    try:
        far = peer.subscribe(port, "log/#", 2, 5, id="far")
        assert sorted((m[0], m[4]) for m in far.wait(10)) == [
            (f"log/{i}", fnv1a(b"%d" % i)) for i in range(10)]
        far.end()
    finally:
        other.close()


@needs_mosquitto
@pytest.mark.parametrize("protocol", ["mqttv311", "mqttv50"])
def test_mosquittos_bridge_to_us(start, tmp_path, protocol):
    node = start()
    peer = MosquittoPeer()
    other = Mosquitto(tmp_path, free_port(), "connection culvert", f"address 127.0.0.1:{node.port('tcp')}",
                      f"bridge_protocol_version {protocol}", "remote_clientid mosquitto-bridge",
                      "topic # both 2 there/ here/", "restart_timeout 1")
    try:
        near = peer.subscribe(node.port("tcp"), "here/#", 2, 5, id="near")
        far = peer.subscribe(other.port, "there/#", 2, 5, id="far")
        poll(lambda: any(e.get("client") == "mosquitto-bridge" for e in list(node.events)
                         if e["event"] in ("connected", "subscribed")), "mosquitto's bridge")

        def echoed():  # it subscribes a moment after it has connected
            peer.publish(node.port("tcp"), "here/probe", b"", 0, 5)
            return any(m[0] == "there/probe" for m in far.messages)
        poll(echoed, "the bridge carries")
        peer.publish(node.port("tcp"), "here/down", b"down", 2, 5)
        poll(lambda: message("there/down", 2, b"down") in far.messages, "down")
        peer.publish(other.port, "there/up", b"up", 2, 5)
        poll(lambda: message("here/up", 2, b"up") in near.messages, "up")
        assert near.messages.count(message("here/up", 2, b"up")) == 1
        near.end()
        far.end()
    finally:
        other.close()
