"""Daemons of a run: started in their node's namespace, commanded by lines on stdin, heard on stdout."""

import os
import signal
import subprocess

MAX_LINE = 1 << 20  # bytes of an event; longer ones are cut, so that a mad daemon cannot eat memory
MAX_COMPLAINTS = 4096  # bytes of stderr kept, for the sentence that says why a daemon ended

# Emulated links must be on time, NATs nearly so, on a machine that has other work too; all sleep most
# of the time. Links and NATs are scheduled before whatever has no such claim: without it, a busy machine
# delays a packet by its time slices, several milliseconds a hop.
NICE_WIRE, NICE_NAT, NICE_SERVICE = -15, -12, -10
REALTIME = {NICE_WIRE: 2, NICE_NAT: 1}


class Daemon:
    """One process. `label` is how messages call it; `order` its node's place in the plan."""

    def __init__(self, label, order, argv, node=None, nice=0, pass_fds=()):
        self.label, self.order, self.argv = label, order, argv
        self.node, self.nice, self.pass_fds = node, nice, pass_fds
        self.process = None
        self.expected_to_end = False
        self.ended = None  # its exit status, once it has ended and been reported
        self._pending = b""
        self._complaints = b""

    def start(self):
        options = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "pass_fds": self.pass_fds,
            "close_fds": True,
            "start_new_session": True,  # Ctrl-C at a prompt is not for daemons
        }
        if self.node is None:
            self.process = subprocess.Popen(self.argv, **options)
        else:
            self.process = self.node.spawn(self.argv, **options)
        self.expected_to_end = False
        self.ended = None
        try:
            os.setpriority(os.PRIO_PROCESS, self.process.pid, self.nice)
            if self.nice in REALTIME:
                os.sched_setscheduler(self.process.pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK,
                                      os.sched_param(REALTIME[self.nice]))
        except (ProcessLookupError, PermissionError):
            pass  # it has ended already, or niceness is not ours to give: only precision is lost
        os.set_blocking(self.process.stdout.fileno(), False)
        os.set_blocking(self.process.stderr.fileno(), False)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def command(self, line):
        """Sends a line; False if nobody is there to read it."""
        try:
            os.write(self.process.stdin.fileno(), line.encode() + b"\n")
            return True
        except (BrokenPipeError, ValueError, AttributeError):
            return False

    def read_lines(self):
        """Whole lines that have come since the last time; None at the end of its output."""
        try:
            data = os.read(self.process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            return None
        lines = (self._pending + data).split(b"\n")
        self._pending = lines.pop()[:MAX_LINE]
        return [line for line in lines if line]

    def read_complaints(self):
        """What it says on stderr; False at its end."""
        try:
            data = os.read(self.process.stderr.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        self._complaints = (self._complaints + data)[-MAX_COMPLAINTS:]
        return bool(data)

    def why_it_ended(self):
        status = self.process.poll()
        said = self._complaints.decode(errors="replace").strip().splitlines()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with {status}"
        return f"{self.label} {how}" + (f": {said[-1]}" if said else "")

    def complaints(self):
        return self._complaints.decode(errors="replace")

    def end(self, number=signal.SIGTERM):
        self.expected_to_end = True
        if self.running:
            self.process.send_signal(number)
