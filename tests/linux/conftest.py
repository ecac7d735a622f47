"""What tests on Linux share: namespaces that die with the test, and polling instead of sleeping.

Run with Debian's interpreter: /usr/bin/python3 -m pytest tests/linux. Tests marked `root` need root
and are skipped without. CULVERT_BIN says where our programs are (build/release/bin otherwise).
"""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("CULVERT_BIN", os.path.join(ROOT, "build", "release", "bin"))
BUILDER = os.path.join(ROOT, "topologies", "mininet_builder.py")
PLANS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plans")
sys.path.insert(0, os.path.join(ROOT, "topologies"))

DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]


def pytest_configure(config):
    config.addinivalue_line("markers", "root: needs root, for network namespaces")


def pytest_collection_modifyitems(items):
    why = None
    if os.geteuid() != 0:
        why = "needs root: it makes network namespaces"
    elif not os.path.exists("/dev/net/tun"):
        why = "needs /dev/net/tun: load the kernel's module tun"
    if why:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason=why))


def run_until(predicate, limit_s=10.0, what="the condition"):
    """Polls until `predicate()` is true and returns its value; fails after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come about within {limit_s} s")
        time.sleep(0.005)


def program(name):
    """The path of one of our programs; skips the test if it was not built."""
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        pytest.skip(f"{name} is not in {BIN}: build it, or set CULVERT_BIN")
    return path


class Process:
    """A process whose output is read as it comes, in a file, so that it can never block."""

    def __init__(self, argv, folder, label, stdin=subprocess.PIPE):
        self.out_path = os.path.join(folder, f"{label}.out")
        self.err_path = os.path.join(folder, f"{label}.err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(DIES_WITH_US + argv, stdin=stdin, stdout=out, stderr=err)
        self.pid = self.process.pid

    def out(self):
        with open(self.out_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def err(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def events(self, name=None):
        """Whole JSON lines so far, those of event `name` if given."""
        lines = self.out().split("\n")[:-1]
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [e for e in events if name is None or f"{e['service']}.{e['event']}" == name]

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, limit_s=10.0):
        return self.process.wait(limit_s)

    def stop(self):
        self.process.terminate()
        return self.wait()


class Node:
    """A network namespace, held open by one sleeping process."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.holder = subprocess.Popen(DIES_WITH_US + ["unshare", "--net", "sleep", "infinity"])
        self.pid = self.holder.pid
        own = os.readlink("/proc/self/ns/net")
        run_until(lambda: os.readlink(f"/proc/{self.pid}/ns/net") != own
                  and open(f"/proc/{self.pid}/comm").read().strip() == "sleep")
        self.run("ip", "link", "set", "lo", "up")

    def command(self, argv):
        return ["nsenter", "-t", str(self.pid), "-n", *argv]

    def run(self, *argv, check=True, limit_s=30.0):
        """Runs to its end and returns what it printed."""
        done = subprocess.run(DIES_WITH_US + self.command(argv), capture_output=True, text=True,
                              timeout=limit_s, check=False)
        if check and done.returncode != 0:
            pytest.fail(f"{self.name}: {' '.join(argv)}: {done.stderr or done.stdout}")
        return done.stdout

    def start(self, *argv, label=None):
        self.lab.count += 1
        process = Process(self.command(argv), self.lab.folder,
                          f"{self.lab.count}-{self.name}-{label or os.path.basename(argv[0])}")
        self.lab.processes.append(process)
        return process

    def python(self, code, label="python"):
        """Starts a Python program in the node."""
        return self.start("/usr/bin/python3", "-u", "-c", code, label=label)


class Lab:
    """Namespaces and processes of one test."""

    def __init__(self, folder):
        self.folder, self.nodes, self.processes, self.count = str(folder), {}, [], 0

    def node(self, name):
        self.nodes[name] = Node(self, name)
        return self.nodes[name]

    def cable(self, node1, interface1, address1, node2, interface2, address2):
        """A veth pair with an address at each end."""
        subprocess.run(["ip", "link", "add", interface1, "netns", str(node1.pid), "type", "veth",
                        "peer", "name", interface2, "netns", str(node2.pid)], check=True)
        for node, interface, address in ((node1, interface1, address1),
                                         (node2, interface2, address2)):
            node.run("ip", "addr", "add", address, "dev", interface, *(
                ["nodad"] if ":" in address else []))
            node.run("ip", "link", "set", interface, "up")

    def close(self):
        for process in self.processes:
            process.process.kill()
            process.process.wait()
        for node in self.nodes.values():
            node.holder.kill()
            node.holder.wait()


@pytest.fixture
def lab(tmp_path):
    for tool in ("unshare", "nsenter", "setpriv", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"the program {tool} is missing")
    made = Lab(tmp_path)
    yield made
    made.close()


def load_plan(name="two_nats"):
    with open(os.path.join(PLANS, f"{name}.json"), encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture
def builder(tmp_path):
    """Starts the Mininet builder on a plan: builder(plan, "--pcap", ...) → Process."""
    started = []

    def start(plan, *arguments, stdin=subprocess.PIPE):
        path = tmp_path / f"plan{len(started)}.json"
        path.write_text(plan if isinstance(plan, str) else json.dumps(plan))
        process = Process([BUILDER, "--plan", str(path), "--out", str(tmp_path / "out"), "--bin", BIN,
                           *arguments], str(tmp_path), f"builder{len(started)}", stdin=stdin)
        started.append(process)
        return process

    yield start
    for process in started:
        process.process.kill()
        process.process.wait()
