"""What is measured: brokers and the sink, each started in a folder of its own and ended whatever
happens; and how much of the machine others took meanwhile."""

import contextlib
import glob
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PATIENCE_S = 20  # a broker that has not opened its port by then never will
STUCK_S = 120  # a load that takes so long has met a broker that hangs
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]
FOLDER = "culvert-bench-"  # then our process id

# As generous as ours: nothing of this load meets a limit of either.
MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 1024
max_queued_messages 100000
set_tcp_nodelay true
log_type error
user {user}
"""
MOSQUITTO_DURABLE = "persistence true\npersistence_location {folder}/\n"


class Failed(Exception):
    """What went wrong, in a sentence."""


def sweep():
    """Folders of drivers that were killed with -9."""
    for folder in glob.glob(os.path.join(tempfile.gettempdir(), FOLDER + "*")):
        number = os.path.basename(folder)[len(FOLDER):].split("-")[0]
        if number.isdigit() and not os.path.exists(f"/proc/{number}"):
            shutil.rmtree(folder, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"{os.path.basename(process.args[len(DIES_WITH_US)])} ended with status "
                         f"{process.returncode}: {process.stderr.read().decode(errors='replace').strip()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise Failed(f"nobody listens on port {port}")


def busy_s():
    """Seconds that the CPUs have worked for processes; without interrupts, which nobody's time has."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")


def spent_s(pid):
    """CPU seconds of a process, all its threads."""
    total = 0
    for task in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with contextlib.suppress(OSError), open(task, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


class Brokers:
    """The programs under their names: culvert, mosquitto, sink."""

    def __init__(self, options):
        self.options = options

    @contextlib.contextmanager
    def running(self, kind, durable=False, publishers=50, at_pubrel=False):
        port = free_port()
        with tempfile.TemporaryDirectory(prefix=f"{FOLDER}{os.getpid()}-") as folder:
            argv = getattr(self, "_" + kind)(port, folder, durable, publishers, at_pubrel)
            # The log is a part of neither's work here. A session of its own: Ctrl-C is ours to hear.
            process = subprocess.Popen([*DIES_WITH_US, *map(str, argv)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, start_new_session=True)
            try:
                wait_for(port, process)
                yield port, process.pid
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
                process.stderr.close()

    def _mosquitto(self, port, folder, durable, _publishers, _at_pubrel):
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "mosquitto")
        text = MOSQUITTO.format(port=port, user=user)
        if durable:
            text += MOSQUITTO_DURABLE.format(folder=folder)
        with open(f"{folder}/mosquitto.conf", "w", encoding="utf-8") as file:
            file.write(text)
        return [self.options.mosquitto, "-c", f"{folder}/mosquitto.conf"]

    def _culvert(self, port, folder, durable, _publishers, at_pubrel):
        words = ["--data", folder] if durable else []
        words += ["--events", "none", "mqtt-broker", "--anonymous", "--bind", f"127.0.0.1:{port}"]
        words += ["--store", "broker"] if durable else []
        words += ["--qos2", "at-pubrel"] if at_pubrel else []
        return [self.options.node, *words]

    def _sink(self, port, _folder, _durable, publishers, _at_pubrel):
        words = ["--publishers", publishers] if publishers else ["--ack-only"]
        return [self.options.program, "sink", "--port", port, *words]

    def load(self, words, port, pid):
        """Runs the generator. Its figures, and `others`: how many CPUs everybody else took meanwhile."""
        began, busy = time.monotonic(), busy_s()
        own = spent_s(pid) + _children_s()
        with subprocess.Popen([*DIES_WITH_US, str(self.options.program), *map(str, words), "--port", str(port),
                               "--pid", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            try:
                out, err = process.communicate(timeout=STUCK_S)
            except BaseException as error:
                process.kill()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise Failed(f"the load {' '.join(map(str, words))} got stuck") from error
                raise
        if process.returncode != 0:
            raise Failed((err + out).strip() or f"bench-mqtt ended with status {process.returncode}")
        own = spent_s(pid) + _children_s() - own
        found = json.loads(out)
        found["others"] = max(0.0, busy_s() - busy - own) / (time.monotonic() - began)
        return found


def _children_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
