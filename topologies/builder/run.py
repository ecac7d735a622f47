"""Executes one run of a plan: builds its network, starts its daemons, follows its timeline, and
writes its event log. Runs as the first process of the network's namespaces (confine.py)."""

import json
import os
import selectors
import signal
import time

from . import confine, kernel_nat
from .addressing import Addressing, run_batch
from .daemons import NICE_NAT, NICE_SERVICE, NICE_WIRE, Daemon
from .network import PlanNetwork
from .timeline import Timeline

READY_LIMIT_S = 10.0  # for NATs to say that they are up; ours: a hundred times what they take
STOP_LIMIT_S = 1.0  # for daemons to write their last events after SIGTERM
MAX_LINES = 4_000_000  # of a run's log; ours: about 1 GB


class RunFailed(Exception):
    """The run cannot go on; the sentence says why."""


class Run:
    def __init__(self, plan, run, options, interactive=False):
        self.scenario, self.plan, self.options = plan.get("scenario", ""), run, options
        self.interactive = interactive
        self.timeline = Timeline(run)
        self.nodes = {node["name"]: node for node in run["nodes"]}
        self.order = {"-": 0}  # of lines of one moment: the plan's nodes, then its links
        for name in [*self.nodes, *(link["name"] for link in run["links"])]:
            self.order.setdefault(name, len(self.order))
        self.lines = []  # (time_ms, node's order, arrival, text)
        self.selector = selectors.DefaultSelector()
        self.network = None
        self.epoch_ns = 0
        self.wire = None
        self.nats, self.services, self.kernel_nats = {}, {}, {}
        self.waiting_for = set()  # NATs that have not said `config` yet
        self.failure = None
        self.listener = None  # called with every event, for a prompt's onlooker

    # Time and log

    def now_ms(self):
        return (time.monotonic_ns() - self.epoch_ns) / 1e6

    def log(self, node, service, event, **fields):
        now = max(0.0, self.now_ms())
        record = {"node": node, "service": service, "event": event, **fields}
        text = '{"time_ms":%.6f,' % now + json.dumps(record, separators=(",", ":"))[1:]
        self._keep(now, node, text)

    def _keep(self, time_ms, node, text):
        if len(self.lines) >= MAX_LINES:
            raise RunFailed(f"more than {MAX_LINES} events")
        self.lines.append((time_ms, self.order.get(node, len(self.order)), len(self.lines), text))
        if self.listener:
            self.listener(text)

    def _line(self, daemon, raw):
        text = raw.decode(errors="replace")
        try:
            event = json.loads(text)
            time_ms, node = event["time_ms"], event["node"]
            service, name = event["service"], event["event"]
        except (ValueError, KeyError, TypeError):
            raise RunFailed(f"{daemon.label} wrote what is no event: {text[:200]}") from None
        self._keep(time_ms, node, text)
        if service == "nat" and name == "config":
            self.waiting_for.discard(node)
        self.timeline.saw(f"{service}.{name}", node, time_ms)

    def write_log(self, path):
        self.lines.sort(key=lambda line: line[:3])
        temporary = path + ".part"
        with open(temporary, "w", encoding="utf-8") as file:
            file.writelines(text + "\n" for _, _, _, text in self.lines)
        os.replace(temporary, path)

    # Bringing the network up

    def build(self):
        os.makedirs(f"{confine.WORK}/secrets", exist_ok=True)
        os.makedirs(f"{confine.WORK}/data", exist_ok=True)  # it outlives kills, not the network
        for name, key in self.plan.get("secrets", {}).items():
            with open(f"{confine.WORK}/secrets/{name}", "wb") as file:
                file.write(bytes.fromhex(key))
        with open(f"{confine.WORK}/names", "w", encoding="utf-8") as file:
            json.dump(self.plan.get("names", {}), file)
        addressing = Addressing(self.plan)
        self.network = PlanNetwork(self.plan, addressing, interactive=self.interactive)
        for node in self.plan["nodes"]:
            lines = addressing.batch(node)
            self.network[node["name"]].run_inside(lambda: run_batch(lines))  # pylint: disable=W0640
        self.epoch_ns = time.monotonic_ns()
        self.log("-", "run", "start", id=self.plan["id"], scenario=self.scenario,
                 seed=self.plan["seed"], world="linux")
        self._start_wire()
        for node in self.plan["nodes"]:
            if node.get("nat"):
                self._start_nat(node)
        self._wait_for_nats()

    def _program(self, name):
        return os.path.join(self.options.bin, name)

    def _common(self, node):
        return ["--node", node, "--seed", str(self.plan["rng_seed"]), "--epoch-ns", str(self.epoch_ns)]

    def _start_wire(self):
        config, descriptors = self.network.wire_config()
        path = f"{confine.WORK}/links.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        argv = [self._program("culvert-wire"), "--config", path, "--seed", str(self.plan["rng_seed"]),
                "--epoch-ns", str(self.epoch_ns)]
        if self.options.pcap:
            folder = os.path.join(self.options.out, "pcap", self.plan["id"])
            os.makedirs(folder, exist_ok=True)
            argv += ["--pcap", folder]
        self.wire = Daemon("culvert-wire", 0, argv, nice=NICE_WIRE, pass_fds=descriptors)
        self._start(self.wire)
        self.network.close_descriptors()

    def _start_nat(self, node):
        name, nat = node["name"], node["nat"]
        if nat.get("engine", "culvert") == "kernel":
            kernel = kernel_nat.KernelNat(node, self.network[name], self)
            kernel.start()
            self.kernel_nats[name] = kernel
            return
        argv = [self._program("culvert-natbox"), *self._common(name), "--kind", nat["kind"],
                "--outside", nat["outside"]]
        for interface in nat["inside"]:
            argv += ["--inside", interface]
        if nat.get("public"):
            argv += ["--public", ",".join(nat["public"])]
        for axis, value in nat.get("set", {}).items():
            if value != "":
                argv += ["--set", f"{axis}={value}"]
        daemon = Daemon(f"{name}: culvert-natbox", self.order[name], argv, self.network[name], NICE_NAT)
        self.nats[name] = daemon
        self.waiting_for.add(name)
        self._start(daemon)

    def _wait_for_nats(self):
        deadline = time.monotonic() + READY_LIMIT_S
        while self.waiting_for:
            if time.monotonic() > deadline:
                raise RunFailed(f"no sign of life from {', '.join(sorted(self.waiting_for))}")
            self._listen(0.1)

    def start_services(self):
        for service in self.plan["services"]:
            node, name = service["node"], service["name"]
            argv = [self._program("culvert-node"), *service["argv"], *self._common(node),
                    "--secrets", f"{confine.WORK}/secrets", "--names", f"{confine.WORK}/names",
                    "--data", f"{confine.WORK}/data/{node}", "--control", "stdin",
                    "--events", "stdout"]
            daemon = Daemon(f"{node}: culvert-node {name}", self.order[node], argv,
                            self.network[node], NICE_SERVICE)
            self.services[node, name] = daemon
            self._start(daemon)

    def _start(self, daemon):
        try:
            daemon.start()
        except OSError as error:
            raise RunFailed(f"{daemon.argv[0]}: {error.strerror}") from None
        self.selector.register(daemon.process.stdout, selectors.EVENT_READ, (daemon, "out"))
        self.selector.register(daemon.process.stderr, selectors.EVENT_READ, (daemon, "err"))

    # The run itself

    def _listen(self, timeout_s):
        """Takes in what daemons say until something came or `timeout_s` is over."""
        for key, _ in self.selector.select(max(0.0, timeout_s)):
            daemon, stream = key.data
            if stream == "err":
                if not daemon.read_complaints():
                    self.selector.unregister(key.fileobj)
                continue
            lines = daemon.read_lines()
            if lines is None:
                self.selector.unregister(key.fileobj)
                self._ended(daemon)
                continue
            for line in lines:
                self._line(daemon, line)

    def _ended(self, daemon):
        """Its output is closed. Whoever ends unasked for with an error ends the run."""
        try:
            daemon.ended = daemon.process.wait(timeout=STOP_LIMIT_S)
        except Exception:  # pylint: disable=broad-except
            daemon.process.kill()
            daemon.ended = daemon.process.wait()
        daemon.read_complaints()
        lasting = daemon is self.wire or daemon in self.nats.values()
        if not daemon.expected_to_end and (daemon.ended != 0 or lasting):
            raise RunFailed(daemon.why_it_ended())

    def follow_timeline(self):
        while True:
            now = self.now_ms()
            for step in self.timeline.take_due(now):
                self.step(step)
            if self.now_ms() >= self.timeline.end_ms():
                return self.timeline.why()
            self._listen((self.timeline.next_ms() - self.now_ms()) / 1000)

    def step(self, step):
        """Carries out one step of the timeline."""
        action = step["do"]
        if "link" in step:
            target, ok = step["link"], self.wire.command(f"{step['link']} {action}")
        elif "service" in step:
            target = f"{step['node']}/{step['service']}"
            ok = self._service_step(step["node"], step["service"], action)
        elif step["node"] in self.kernel_nats:
            target, ok = step["node"], True
            self.kernel_nats[step["node"]].command(action)
        else:
            target, ok = step["node"], self.nats[step["node"]].command(action)
        self.log("-", "run", "step", to=target, do=action)
        if not ok:
            raise RunFailed(f"{target} is not there to {action}")

    def _service_step(self, node, name, action):
        daemon = self.services[node, name]
        if action in ("kill", "stop"):
            daemon.end(signal.SIGKILL if action == "kill" else signal.SIGTERM)
            return True
        if action == "start":
            if not daemon.running:
                for stream in (daemon.process.stdout, daemon.process.stderr):
                    if stream.fileno() in self.selector.get_map():
                        self.selector.unregister(stream)
                self._start(daemon)
            return True
        return daemon.command(action)

    def stop(self):
        """Asks everybody to end, services first, and takes in their last words."""
        for group in (list(self.services.values()), [*self.nats.values(), self.wire]):
            group = [daemon for daemon in group if daemon and daemon.process]
            for daemon in group:
                daemon.end()
            deadline = time.monotonic() + STOP_LIMIT_S
            while any(daemon.ended is None for daemon in group) and time.monotonic() < deadline:
                self._listen(deadline - time.monotonic())
            for daemon in group:
                if daemon.running:
                    daemon.end(signal.SIGKILL)

    def execute(self, log_path):
        """The whole run. Returns (why, detail)."""
        why, detail = "failed", ""
        try:
            self.epoch_ns = time.monotonic_ns()
            self.build()
            self.start_services()
            why = self.follow_timeline()
        except (RunFailed, OSError, RuntimeError) as error:
            detail = str(error)
        end_ms = self.now_ms()
        try:
            self.stop()
            for kernel in self.kernel_nats.values():
                kernel.counters()
        except (RunFailed, OSError, RuntimeError) as error:
            why, detail = "failed", detail or str(error)
        # Last words come after the run's end in time, but its `end` is the last line of the log.
        last = max([end_ms, *(line[0] for line in self.lines)])
        record = {"node": "-", "service": "run", "event": "end", "why": why, "detail": detail}
        text = '{"time_ms":%.6f,' % last + json.dumps(record, separators=(",", ":"))[1:]
        self.lines.append((last, len(self.order) + 1, len(self.lines), text))
        self.write_log(log_path)
        return why, detail
