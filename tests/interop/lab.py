"""A client, a natbox and a server, each in a network namespace of its own.

    client 10.1.0.2 -- 10.1.0.1 nat 203.0.113.2 -- 203.0.113.10, .11 server

Everything dies with the test: namespaces live in processes that the kernel kills with us.
"""
import json
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("CULVERT_BIN", ROOT / "build" / "release" / "bin"))
SERVER, SERVER2, PUBLIC, CLIENT = "203.0.113.10", "203.0.113.11", "203.0.113.2", "10.1.0.2"
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]
PATIENCE_S = 30


class Lab:
    """`kind` None: the client stands on the server's own network, without a NAT."""

    def __init__(self, folder, kind=None):
        self.folder, self.processes, self.holders = folder, [], {}
        self.client_address = PUBLIC if kind is None else CLIENT
        try:
            self._build(kind)
        except BaseException:
            self.close()
            raise

    def _build(self, kind):
        for node in ("client", "server") if kind is None else ("client", "nat", "server"):
            self.holders[node] = subprocess.Popen(
                [*DIES_WITH_US, "unshare", "--net", "sh", "-c", "ip link set lo up && echo up && "
                 "exec sleep infinity"], stdout=subprocess.PIPE, start_new_session=True)
            assert self.holders[node].stdout.readline() == b"up\n", node
        if kind is None:
            self._cable("client", "c0", f"{PUBLIC}/24", "server", "s0", f"{SERVER}/24")
        else:
            self._cable("client", "c0", f"{CLIENT}/24", "nat", "n0", "10.1.0.1/24")
            self._cable("nat", "n1", f"{PUBLIC}/24", "server", "s0", f"{SERVER}/24")
            self.run("client", "ip", "route", "add", "default", "via", "10.1.0.1")
        self.run("server", "ip", "address", "add", f"{SERVER2}/24", "dev", "s0")
        if kind is not None:
            self.daemon("nat", BIN / "culvert-natbox", "--inside", "n0", "--outside", "n1",
                        "--public", PUBLIC, "--kind", kind, "--node", "nat", wait='"event":"config"')

    def _cable(self, a, a_name, a_address, b, b_name, b_address):
        pid = {node: str(self.holders[node].pid) for node in (a, b)}
        self.run(a, "ip", "link", "add", a_name, "type", "veth", "peer", "name", b_name, "netns", pid[b])
        for node, name, address in ((a, a_name, a_address), (b, b_name, b_address)):
            self.run(node, "ip", "address", "add", address, "dev", name)
            self.run(node, "ip", "link", "set", name, "up")

    def _inside(self, node, argv):
        return [*DIES_WITH_US, "nsenter", f"--net=/proc/{self.holders[node].pid}/ns/net", "--",
                *map(str, argv)]

    def run(self, node, *argv, check=True, timeout=PATIENCE_S):
        """A command to its end; its stdout and stderr together."""
        done = subprocess.run(self._inside(node, argv), stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                              timeout=timeout)
        assert not check or done.returncode == 0, (argv, done.stdout)
        return done.stdout

    def daemon(self, node, *argv, wait):
        """Starts a program and waits until it has said `wait`."""
        log = self.folder / f"{len(self.processes)}-{Path(str(argv[0])).name}.log"
        with open(log, "wb") as file:
            process = subprocess.Popen(self._inside(node, argv), stdout=file, stderr=file,
                                       stdin=subprocess.PIPE, start_new_session=True, cwd=self.folder)
        self.processes.append(process)
        deadline = time.monotonic() + PATIENCE_S
        while wait not in log.read_text(errors="replace"):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, f"{argv[0]} never said {wait}: {log.read_text()}"
            time.sleep(0.02)
        return log

    def stun_server(self):
        return self.daemon("server", BIN / "culvert-node", "stun-server", "--bind", f"{SERVER}:3478",
                           "--alternate", f"{SERVER2}:3479", wait='"event":"ready"')

    def turnserver(self, *options):
        """Debian's coturn, as a STUN server with RFC 5780 on two addresses."""
        return self.daemon("server", "turnserver", "-n", "-L", SERVER, "-L", SERVER2, "-p", "3478",
                           "--alt-listening-port=3479", "--stun-only", "--no-tls",
                           "--no-dtls", "--no-cli", "--log-file=stdout", "--simple-log",
                           "--pidfile", self.folder / "turnserver.pid", *options,
                           wait="IO method (admin thread)")

    def stun_client(self, *options):
        """Our client's result."""
        text = self.run("client", BIN / "culvert-node", "stun-client", "--server", f"{SERVER}:3478",
                        "--once", *options)
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return next(line for line in lines if line["event"] == "result")

    def close(self):
        for process in [*self.processes[::-1], *self.holders.values()]:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
