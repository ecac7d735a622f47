"""Our broker on loopback, and others' clients that talk to it: each peer can publish, subscribe, hold
a connection with a will, in both versions. Everything dies with the test."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("CULVERT_BIN", ROOT / "build" / "release" / "bin"))
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]
PATIENCE_S = 40


def poll(condition, what, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {patience_s} s: {what}")


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001b3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """culvert-node with a service, its events in memory."""

    def __init__(self, folder, *service, secrets=None, data=None, inside=(),
                 stdin=subprocess.PIPE):
        self.folder, self.events = Path(folder), []
        self.secrets = self.folder / "secrets"
        self.secrets.mkdir(exist_ok=True)
        for name, content in (secrets or {}).items():
            (self.secrets / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        argv = [*DIES_WITH_US, *inside, BIN / "culvert-node", "--secrets", self.secrets, "--control", "stdin"]
        if data:
            argv += ["--data", data]
        self.process = subprocess.Popen([*map(str, argv), *map(str, service)], stdin=stdin,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def wait(self, event, count=1, **fields):
        def there():
            ended = self.process.poll() is not None
            if ended:
                self.reader.join()
            found = [e for e in list(self.events) if e["event"] == event
                     and all(e.get(k) == v for k, v in fields.items())]
            if ended and len(found) < count:
                raise AssertionError(f"culvert-node ended: {self.process.stderr.read().decode()}")
            return found if len(found) >= count else None
        return poll(there, f"event {event} {fields}")[-1]

    def port(self, transport):
        return int(self.wait("listening", transport=transport)["local"].rpartition(":")[2])

    def command(self, line):
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def broker(folder, *options, **more):
    if not any(str(o).endswith("listen") for o in options):
        options = ("--listen", "127.0.0.1:0", *options)
    if not {"--passwords", "--certificate-is-user"} & set(options):
        options = (*options, "--anonymous")
    node = Node(folder, "mqtt-broker", *options, **more)
    node.wait("ready")
    return node


class Mosquitto:
    """The real one, with a configuration of ours."""

    def __init__(self, folder, port, *lines):
        config = Path(folder) / f"mosquitto-{port}.conf"
        config.write_text("\n".join([f"listener {port} 127.0.0.1", "allow_anonymous true",
                                     "persistence false", "user root", *lines]) + "\n")
        self.port = port
        self.log = (Path(folder) / f"mosquitto-{port}.log").open("wb")
        self.process = subprocess.Popen([*DIES_WITH_US, shutil.which("mosquitto") or
                                         "/usr/sbin/mosquitto", "-v", "-c", str(config)],
                                        stdout=self.log, stderr=self.log)

        def up():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False
        poll(up, "mosquitto listens")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def make_pki(folder):
    """ca.pem, server.pem/.key for localhost and 127.0.0.1, client.pem/.key called device-7."""
    folder = Path(folder)

    def openssl(*argv):
        subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True, cwd=folder)
    key = ("-newkey", "rsa:2048", "-noenc")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA",
            "-days", "30", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, common, extra in (("server", "localhost", "DNS:localhost,IP:127.0.0.1"),
                                ("client", "device-7", "DNS:device-7.test")):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={common}")
        (folder / f"{name}.ext").write_text(f"subjectAltName={extra}\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    return folder


class Subscriber:
    """A process that prints a line for each message: (topic, qos, retained, length, hash)."""

    def __init__(self, process, parse, ready):
        self.process, self.messages = process, []
        self.is_ready = threading.Event()

        def read():
            for raw in process.stdout:
                line = raw.decode().rstrip("\n")
                if ready in line:
                    self.is_ready.set()
                elif (message := parse(line)) is not None:
                    self.messages.append(message)
        threading.Thread(target=read, daemon=True).start()
        if not self.is_ready.wait(PATIENCE_S):
            raise AssertionError(f"never subscribed: {process.args}")

    def wait(self, count):
        poll(lambda: len(self.messages) >= count, f"{count} messages, got {len(self.messages)}")
        return list(self.messages)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()


class MosquittoPeer:
    name = "mosquitto"

    def _tls(self, tls):
        return [] if not tls else ["--cafile", tls / "ca.pem", "--cert", tls / "client.pem",
                                   "--key", tls / "client.key"]

    def publish(self, port, topic, payload, qos, version, retain=False, tls=None):
        argv = ["mosquitto_pub", "-h", "localhost", "-p", port, "-V", version_name(version),
                "-q", qos, "-t", topic, "-s" if payload else "-n", *(["-r"] if retain else []), *self._tls(tls)]
        subprocess.run([*map(str, argv)], input=payload, check=True, timeout=PATIENCE_S)

    def subscribe(self, port, topic, qos, version, id="sub", clean=True, will=None, tls=None):
        argv = [*DIES_WITH_US, "stdbuf", "-oL", "mosquitto_sub", "-d", "-h", "localhost", "-p", port,
                "-V", version_name(version), "-q", qos, "-t", topic, "-i", id,
                "-F", "%t %q %r %l %x", *self._tls(tls)]
        if not clean:
            argv += ["-c", *(["-x", 600] if version == 5 else [])]
        if will:
            argv += ["--will-topic", will[0], "--will-payload", will[1], "--will-qos", qos]
        process = subprocess.Popen([*map(str, argv)], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)

        def parse(line):
            words = line.rsplit(" ", 4)
            if len(words) != 5 or not words[1].isdigit():
                return None
            return (words[0], int(words[1]), int(words[2]), int(words[3]), fnv1a(bytes.fromhex(words[4])))
        return Subscriber(process, parse, "Subscribed (mid")


class PahoCPeer:
    name = "paho-c"
    program = BIN / "paho-c-peer"

    def _argv(self, what, port, id, version, qos, topic, tls, *more):
        uri = f"{'ssl' if tls else 'tcp'}://localhost:{port}"
        argv = [*DIES_WITH_US, self.program, what, uri, id, 5 if version == 5 else 4, qos, topic, *more]
        if tls:
            argv += [f"ca={tls / 'ca.pem'}", f"cert={tls / 'client.pem'}", f"key={tls / 'client.key'}"]
        return [*map(str, argv)]

    def publish(self, port, topic, payload, qos, version, retain=False, tls=None):
        subprocess.run(self._argv("pub", port, "c-pub", version, qos, topic, tls, f"retain={int(retain)}"),
                       input=payload, check=True, timeout=PATIENCE_S)

    def subscribe(self, port, topic, qos, version, id="sub", clean=True, will=None, tls=None):
        more = [f"clean={int(clean)}", "count=1000000"]
        if will:
            more += [f"will-topic={will[0]}", f"will={will[1]}"]
        process = subprocess.Popen(self._argv("sub", port, id, version, qos, topic, tls, *more),
                                   stdout=subprocess.PIPE)

        def parse(line):
            words = line.rsplit(" ", 4)
            return (words[0], *map(int, words[1:4]), words[4])
        return Subscriber(process, parse, "READY")


class PahoPythonPeer:
    name = "paho-python"
    program = Path(__file__).parent / "paho_python_peer.py"

    def _argv(self, what, port, id, version, qos, topic, tls, *more):
        argv = [*DIES_WITH_US, "/usr/bin/python3", self.program, what, port, id, version, qos, topic, *more]
        if tls:
            argv += [f"tls={tls}"]
        return [*map(str, argv)]

    def publish(self, port, topic, payload, qos, version, retain=False, tls=None, websocket=False):
        more = ["websocket=1"] if websocket else []
        subprocess.run(self._argv("pub", port, "py-pub", version, qos, topic, tls, f"retain={int(retain)}",
                                  *more), input=payload, check=True, timeout=PATIENCE_S)

    def subscribe(self, port, topic, qos, version, id="sub", clean=True, will=None, tls=None,
                  websocket=False):
        more = [f"clean={int(clean)}", *(["websocket=1"] if websocket else [])]
        if will:
            more += [f"will-topic={will[0]}", f"will={will[1]}"]
        process = subprocess.Popen(self._argv("sub", port, id, version, qos, topic, tls, *more),
                                   stdout=subprocess.PIPE)

        def parse(line):
            words = line.rsplit(" ", 4)
            return (words[0], *map(int, words[1:4]), words[4])
        return Subscriber(process, parse, "READY")


def version_name(version):
    return "mqttv5" if version == 5 else "mqttv311"
