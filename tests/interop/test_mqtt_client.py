"""Our client and its commands against a real mosquitto on loopback."""
import select
import shutil
import socket
import subprocess
import threading

import pytest

from mqtt_lab import BIN, DIES_WITH_US, Mosquitto, free_port, make_pki, poll

pytestmark = pytest.mark.skipif(not shutil.which("mosquitto") and not shutil.which(
    "/usr/sbin/mosquitto"), reason="mosquitto is not installed")
VERSIONS, PATIENCE_S = ("311", "5"), 40


class Command:
    """One of ours (mqtt-pub …) or of mosquitto's (mosquitto_sub …) at work."""

    def __init__(self, folder, name, *options, stdin=None):
        program = BIN / name if name.startswith("mqtt-") else shutil.which(name)
        self.process = subprocess.Popen(
            [*DIES_WITH_US, str(program), *map(str, options)], cwd=folder, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.stdin, self.out = stdin, b""

    def finish(self, status=0):
        try:
            out, err = self.process.communicate(self.stdin, timeout=PATIENCE_S)
        finally:
            self.process.kill()
        assert self.process.returncode == status, (self.process.returncode, err.decode())
        return (self.out + out).decode()

    def say(self, text):
        """Waits until its output holds `text`."""
        def there():
            if select.select([self.process.stdout], [], [], 0.05)[0]:
                self.out += self.process.stdout.read1(65536)
            return text.encode() in self.out
        poll(there, f"{text!r} in the output")

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def peer(tmp_path):
    mosquitto = Mosquitto(tmp_path, free_port())
    yield mosquitto
    mosquitto.close()


@pytest.fixture
def at_work(tmp_path):
    started = []

    def start(name, *options, stdin=None):
        started.append(Command(tmp_path, name, *options, stdin=stdin))
        return started[-1]
    yield start
    for command in started:
        command.kill()


def to(mosquitto, version="5"):
    return "-h", "127.0.0.1", "-p", mosquitto.port, "-V", f"mqttv{version}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", (0, 1, 2))
def test_both_ways_at_each_qos(peer, at_work, version, qos):
    at_work("mqtt-pub", *to(peer, version), "-t", "r/x", "-m", "kept", "-q", qos, "-r").finish()
    ours = at_work("mqtt-sub", *to(peer, version), "-t", "r/#", "-q", qos, "-v", "-C", 2)
    theirs = at_work("mosquitto_sub", *map(str, to(peer, version)), "-t", "r/#", "-q", qos, "-v",
                     "-C", 2)
    ours.say("r/x kept")
    theirs.say("r/x kept")
    at_work("mosquitto_pub" if qos == 1 else "mqtt-pub", *to(peer, version), "-t", "r/y", "-m",
            "fresh", "-q", qos).finish()
    assert ours.finish() == theirs.finish() == "r/x kept\nr/y fresh\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_will_goes_out_when_the_client_is_killed_and_not_when_it_is_asked_to_stop(
        peer, at_work, version):
    watch = at_work("mosquitto_sub", *to(peer, version), "-t", "will/#", "-v")
    for name, signal in (("asked", "terminate"), ("killed", "kill")):
        at_work("mqtt-pub", *to(peer, version), "-t", "will/up", "-m", name, "-r").finish()
        watch.say(f"will/up {name}")
        one = at_work("mqtt-sub", *to(peer, version), "-t", "will/up", "--will-topic",
                      f"will/{name}", "--will-payload", "gone", "--will-qos", 1)
        one.say(name)
        getattr(one.process, signal)()
        one.process.wait(PATIENCE_S)
    watch.say("will/killed gone")
    assert b"will/asked" not in watch.out


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_after_a_cut(peer, at_work, version):
    session = (*to(peer, version), "-t", "s", "-q", 2, "-c", "-i", "kept", "-C")
    at_work("mqtt-pub", *to(peer, version), "-t", "s", "-m", "first", "-r").finish()
    sub = at_work("mqtt-sub", *session, 5)
    sub.say("first")
    sub.kill()
    at_work("mqtt-pub", *to(peer, version), "-t", "s", "-l", "-q", 2, stdin=b"one\ntwo\n").finish()
    assert at_work("mqtt-sub", *session, 2, "-R").finish() == "one\ntwo\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_megabyte(peer, at_work, version):
    large = bytes(range(256)) * 4096
    at_work("mqtt-pub", *to(peer, version), "-t", "large", "-s", "-q", 2, "-r", stdin=large).finish()
    for name in ("mqtt-sub", "mosquitto_sub"):
        out = at_work(name, *to(peer, version), "-t", "large", "-F", "%x", "-C", 1).finish()
        assert bytes.fromhex(out) == large


def test_properties_and_formats(peer, at_work):
    at_work("mqtt-pub", *to(peer), "-t", "p", "-m", "x", "-r", "-D", "publish", "user-property", "a",
            "b", "-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic",
            "answers").finish()
    for name in ("mqtt-sub", "mosquitto_sub"):
        out = at_work(name, *to(peer), "-t", "p", "-C", 1, "-F", "%t %p %l %q %r %C %R %P").finish()
        assert out == "p x 1 0 1 text/plain answers a:b\n"


def test_exit_statuses(peer, tmp_path, at_work):
    at_work("mqtt-sub", *to(peer), "-t", "nothing", "-W", "0.3").finish(27)
    at_work("mqtt-pub", "-h", "127.0.0.1", "-p", free_port(), "-t", "x", "-m", "x").finish(1)
    at_work("mqtt-pub", *to(peer), "-t", "x").finish(2)
    closed = Mosquitto(tmp_path, free_port(), "allow_anonymous false")
    try:
        at_work("mqtt-pub", *to(closed, "311"), "-t", "x", "-m", "x").finish(5)
        at_work("mqtt-pub", *to(closed, "5"), "-t", "x", "-m", "x").finish(0x87)
    finally:
        closed.close()


ALIKE = {  # name: (options of the subscriber, options of the publisher, its stdin)
    "verbose": (["-v"], ["-m", "x y"], b""),
    "nothing": (["-v"], ["-n"], b""),
    "nothing, without the topic": ([], ["-m", ""], b""),
    "no newline": (["-N"], ["-m", "x"], b""),
    "lines": (["-C", 2], ["-l"], b"one\ntwo\n"),
    "all of stdin": ([], ["-s"], b"one\ntwo\n"),
    "a file": ([], ["-f", "/etc/hostname"], b""),
    "hex, length, QoS, retain, topic": (["-F", "%x %X %l %q %r %t %p"], ["-m", "hello"], b""),
    "widths": (["-F", "[%5t][%-5t][%05l][%5l]"], ["-m", "abcdef"], b""),
    "escapes": (["-F", r"a\nb\tc\\d\e[0m%%@@"], ["-m", "x"], b""),
    "the date": (["-F", "@Y-@m-@d"], ["-m", "x"], b""),
    "properties": (["-V", "5", "-F", "%P|%C|%D|%R|%F|%S|%A"], [
        "-V", "5", "-m", "x", "-D", "publish", "user-property", "k", "v", "-D", "PUBLISH",
        "content-type", "ct", "-D", "publish", "correlation-data", "cd", "-D", "publish",
        "response-topic", "rt", "-D", "publish", "payload-format-indicator", 1], b""),
    "a number that looks like an option": ([], ["-m", "-5"], b""),
    "the last of two": (["-F", "%t"], ["-m", "x", "-q", 0, "-M", 5, "-q", 1, "--nodelay"], b""),
    "repeated": (["-C", 3], ["-m", "x", "--repeat", 3, "--repeat-delay", "0.01"], b""),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_mosquittos_print_ours_print(peer, at_work, name):
    """Their subscriber and ours hear their publisher and ours: four times the same."""
    for_sub, for_pub, stdin = ALIKE[name]
    at = "-h", "127.0.0.1", "-p", peer.port, "-q", 1
    heard = []
    for publisher in ("mosquitto_pub", "mqtt-pub"):
        for again in (["-E"], []):  # first the session begins, then it has what was published
            for command in ("mosquitto_sub", "mqtt-sub"):
                count = again or ([] if "-C" in for_sub else ["-C", 1])
                text = at_work(command, *at, "-t", "a/b", "-c", "-i", command, *for_sub, *count).finish()
                heard += [] if again else [text]
            if again:
                at_work(publisher, *at, "-t", "a/b", *for_pub, stdin=stdin).finish()
    assert len(set(heard)) == 1, heard


def test_ending_and_saying_nothing(peer, at_work):
    at = "-h", "127.0.0.1", "-p", peer.port
    for sub in ("mosquitto_sub", "mqtt-sub"):
        at_work(sub, *at, "-t", "x", "-E").finish()
        quiet = at_work(sub, *at, "-t", "x", "-W", 1, "--quiet")
        assert quiet.process.communicate(timeout=PATIENCE_S) == (b"", b"")
        assert quiet.process.returncode == 27
        forever = at_work(sub, *at, "-t", "x", "-c", "-i", "kept", "-x", "-1", "-V", "5", "-E")
        forever.finish()


def test_options_may_stand_in_a_file(peer, at_work, tmp_path, monkeypatch):
    (tmp_path / "mqtt-pub").write_text(f"# ours\n-h 127.0.0.1\n-p {peer.port}\n-t wrong\n-r\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    at_work("mqtt-pub", "-t", "right", "-m", "two words").finish()
    assert at_work("mqtt-sub", *to(peer), "-t", "#", "-C", 1, "-v").finish() == "right two words\n"


def test_rr_with_theirs_at_the_other_side(peer, at_work):
    ask = at_work("mqtt-rr", *to(peer), "-t", "ask", "-e", "answer/ours", "-m", "what?", "-W", 30)
    served = at_work("mosquitto_sub", *to(peer), "-t", "ask", "-C", 1, "-F", "%R %p", "-W", 20)
    # The question may have gone before somebody listened: ask until it is heard.
    def heard():
        if served.process.poll() is not None:
            return True
        at_work("mqtt-rr", *to(peer), "-t", "ask", "-e", "answer/ours", "-m", "what?", "-W", "0.5") \
            .process.wait(PATIENCE_S)
        return served.process.poll() is not None
    poll(heard, "the question")
    assert served.finish() == "answer/ours what?\n"
    at_work("mosquitto_pub", *to(peer), "-t", "answer/ours", "-m", "that").finish()
    assert ask.finish() == "that\n"
    # And theirs asks, ours answers.
    echo = at_work("mqtt-sub", *to(peer), "-t", "ask2", "-C", 1, "-F", "%R")
    def answered():
        theirs = at_work("mosquitto_rr", *to(peer), "-t", "ask2", "-e", "answer/theirs", "-m", "?",
                         "-W", "5")
        where = echo.finish() if select.select([echo.process.stdout], [], [], 1)[0] else None
        if not where:
            theirs.kill()
            return None
        at_work("mqtt-pub", *to(peer), "-t", where.strip(), "-m", "42").finish()
        return theirs.finish()
    assert poll(answered, "an answer to mosquitto_rr") == "42\n"


@pytest.fixture
def secure(tmp_path):
    make_pki(tmp_path)
    port = free_port()
    mosquitto = Mosquitto(tmp_path, port, f"cafile {tmp_path}/ca.pem",
                          f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key",
                          "require_certificate true", "use_identity_as_username true",
                          f"listener {free_port()} 127.0.0.1")
    yield mosquitto
    mosquitto.close()


def test_mutual_tls_and_alpn(secure, at_work):
    base = ("-h", "localhost", "-p", secure.port, "-t", "tls", "--cafile", "ca.pem")
    identity = ("--cert", "client.pem", "--key", "client.key")
    for version in ("tlsv1.2", "tlsv1.3"):
        at_work("mqtt-pub", *base, *identity, "--tls-version", version, "--alpn", "mqtt", "-m",
                version, "-q", 2, "-r").finish()
        assert at_work("mqtt-sub", *base, *identity, "-C", 1).finish() == f"{version}\n"
    assert at_work("mqtt-pub", *base, "-m", "x").process.wait(PATIENCE_S) == 1, "without a certificate"
    stranger = at_work("mqtt-pub", "-h", "localhost", "-p", secure.port, "-t", "x", "-m", "x", "--tls",
                       *identity)
    assert stranger.process.wait(PATIENCE_S) == 1, "the system does not trust that CA"


def test_alpn_chooses_as_a_server_that_knows_it_offers(tmp_path, at_work):
    make_pki(tmp_path)
    port = free_port()
    server = subprocess.Popen([*DIES_WITH_US, "openssl", "s_server", "-accept", str(port), "-cert",
                               "server.pem", "-key", "server.key", "-alpn", "mqtt"], cwd=tmp_path,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    try:
        out = b""
        while b"ACCEPT" not in out:
            out += server.stdout.read1(4096)
        at_work("mqtt-pub", "-h", "localhost", "-p", port, "--cafile", "ca.pem", "--alpn", "mqtt",
                "-t", "x", "-m", "x")
        def seen():
            nonlocal out
            if select.select([server.stdout], [], [], 0.05)[0]:
                out += server.stdout.read1(4096)
            return b"ALPN protocols selected: mqtt" in out or b"ALPN" in out and b"mqtt" in out
        poll(seen, "the protocol")
    finally:
        server.kill()
        server.wait()


class Proxy:
    """An HTTP proxy that knows CONNECT and nothing else."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.asked = self.listener.getsockname()[1], []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        first, rest = head.split(b"\r\n", 1)
        self.asked.append(first.decode())
        host, _, port = first.split()[1].decode().rpartition(":")
        server = socket.create_connection((host, int(port)))
        server.sendall(rest.split(b"\r\n\r\n", 1)[1])
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        while True:
            for ready in select.select([client, server], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    client.close()
                    server.close()
                    return
                (server if ready is client else client).sendall(data)


def test_through_an_http_proxy(peer, at_work):
    proxy = Proxy()
    at_work("mqtt-pub", *to(peer), "--proxy", f"127.0.0.1:{proxy.port}", "-t", "via", "-m", "proxy",
            "-q", 2, "-r").finish()
    assert proxy.asked == [f"CONNECT 127.0.0.1:{peer.port} HTTP/1.1"]
    assert at_work("mosquitto_sub", *to(peer), "-t", "via", "-C", 1).finish() == "proxy\n"
    proxy.listener.close()


def test_over_websocket(tmp_path, at_work):
    port = free_port()  # mosquitto 2.0.11 does not start with WebSocket doors only
    mosquitto = Mosquitto(tmp_path, free_port(), f"listener {port} 127.0.0.1",
                          "protocol websockets")
    try:
        def up():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        poll(up, "mosquitto's WebSocket door")
        url = f"ws://127.0.0.1:{port}/ws"
        at_work("mqtt-pub", "-L", url, "-m", "x" * 100_000, "-q", 2, "-r").finish()
        assert at_work("mqtt-sub", "-L", url, "-C", 1).finish() == "x" * 100_000 + "\n"
    finally:
        mosquitto.close()


def test_help_says_every_option_and_needs_no_broker(at_work):
    for name in ("mqtt-pub", "mqtt-sub", "mqtt-rr"):
        text = at_work(name, "--help").finish()
        for option in ("--host", "--topic", "--password-secret", "--will-topic", "--proxy"):
            assert option in text, (name, option)
