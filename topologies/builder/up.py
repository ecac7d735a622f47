"""A network to play with: brings one run up, starts its daemons, and gives Mininet's prompt."""

import signal
import sys
import threading

from mininet.cli import CLI

from .run import Run, RunFailed

SHOWN = 20  # events that `events` shows by default
NAT_VERBS, LINK_VERBS = ("reboot", "rebind", "address"), ("cut", "mend", "count", "watch", "set")
PING_LIMIT = "1"  # seconds; Mininet waits ten for each of the many that a NAT hides


class Prompt(CLI):
    """Mininet's prompt, and what a network of daemons needs besides."""

    def __init__(self, network, run, lock):
        self.run_of, self.lock = run, lock
        super().__init__(network)

    def onecmd(self, line):
        """A command that Mininet trips over must not take the network along."""
        try:
            return super().onecmd(line)
        except Exception as error:  # pylint: disable=broad-except
            print(f"{line.split()[0]}: {error}")
            return False

    def do_tell(self, line):
        """Give a daemon, NAT or link a command, as in a timeline:
        tell a/punch connect b | tell nat_a reboot | tell up_a cut"""
        target, _, action = line.partition(" ")
        run = self.run_of
        node, _, service = target.partition("/")
        if (node, service) in run.services:
            step, verbs = {"node": node, "service": service, "do": action}, None
        elif target in run.nats or target in run.kernel_nats:
            step, verbs = {"node": target, "do": action}, NAT_VERBS
        elif target in run.network.ends:
            step, verbs = {"link": target, "do": action}, LINK_VERBS
        else:
            known = [f"{n}/{s}" for n, s in run.services] + [*run.nats, *run.kernel_nats]
            print(f"nobody is called '{target}'; there are {', '.join(known + list(run.network.ends))}")
            return
        if not action.strip() or verbs and action.split()[0] not in verbs:
            print(f"tell {target} what? {', '.join(verbs or ['a line of its command language'])}")
            return
        with self.lock:
            try:
                run.step(step)
            except (RunFailed, RuntimeError, OSError) as error:
                print(error)

    def do_pingall(self, line):
        """Ping between all nodes: pingall [SECONDS TO WAIT FOR EACH]. What stands behind a NAT has an
        address that nobody outside can reach."""
        super().do_pingall(line or PING_LIMIT)

    def do_events(self, line):
        """The last events of all nodes: events [HOW MANY] [TEXT THAT THEY CONTAIN]"""
        words = line.split()
        count = int(words.pop(0)) if words and words[0].isdigit() else SHOWN
        with self.lock:
            lines = [text for _, _, _, text in sorted(self.run_of.lines)]
        lines = [text for text in lines if all(word in text for word in words)]
        print("\n".join(lines[-count:]))

    def do_services(self, _line):
        """What runs where."""
        for (node, name), daemon in self.run_of.services.items():
            print(f"{node}/{name}: {'running' if daemon.running else 'ended'}: {' '.join(daemon.argv[1:])}")
        for name in [*self.run_of.nats, *self.run_of.kernel_nats]:
            print(f"{name}: NAT, {self.run_of.nodes[name]['nat']['kind']}")


def up(plan, run_plan, options):
    """Runs inside the network's namespaces. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout.reconfigure(write_through=True)  # also when the prompt is a pipe
    run = Run(plan, run_plan, options, interactive=True)
    log_path = f"{options.out}/logs/{run_plan['id']}.jsonl"
    lock = threading.Lock()
    over = threading.Event()

    def listen():
        while not over.is_set():
            try:
                with lock:
                    run._listen(0)  # pylint: disable=protected-access
            except RunFailed as failure:
                print(f"\n{failure}", file=sys.stderr)
            over.wait(0.02)

    status = 0
    try:
        run.build()
        run.start_services()
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        nodes = ", ".join(run.nodes)
        print(f"{run_plan['id']}: {nodes}. `help` lists commands; try: events, services, tell")
        sys.stdout.flush()
        Prompt(run.network, run, lock)
    except (RunFailed, OSError, RuntimeError) as error:
        print(f"mininet_builder: {error}", file=sys.stderr)
        status = 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        over.set()
        try:
            with lock:
                run.stop()
        except RunFailed as error:
            print(f"mininet_builder: {error}", file=sys.stderr)
        run.write_log(log_path)
    return status
