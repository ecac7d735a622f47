"""./culvert bench: figures from the release build, never from another."""
import subprocess

from .place import BAD_INPUT, PYTHON, ROOT, Failure, program, say
from .setup import build, install

# name -> (program, driver script or none, further targets, what it tells)
BENCHES = {
    "nat": ("bench-nat", None, [], "nanoseconds per translated packet and bytes per mapping"),
    "transfer": ("bench-transfer", "tests/bench/transfer.py", [],
                 "ns-3: 100 MB through two NAT routers against two plain routers, five alternating pairs"),
    "mqtt": ("bench-mqtt", "tests/bench/mqtt.py", ["culvert-node"],
             "our broker beside mosquitto, in alternating rounds: throughput, latency, memory, connections, "
             "in memory and durable; about six minutes"),
}
PATIENCE_S = 10  # for a bench that was told to end


def run_bench(what, json_file=None, quick=False, only=None):
    name, driver, more, about = BENCHES[what]
    if (quick or only) and what != "mqtt":
        raise Failure(f"--quick and --only are of bench mqtt; {what} has one measure", BAD_INPUT)
    install(("build", "run", "test") if what == "mqtt" else ("build", "run"))
    build([name, *more])
    say(f"{what}: {about}")
    argv = [PYTHON, ROOT / driver, program(name)] if driver else [program(name)]
    argv += ["--json", json_file] if json_file else []
    argv += ["--quick"] if quick else []
    argv += ["--only", only] if only else []
    process = subprocess.Popen([str(word) for word in argv])
    try:
        status = process.wait()
    except KeyboardInterrupt:  # Ctrl-C, which it may have heard itself, or a kill
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    if status != 0:
        raise Failure(f"{name} failed (exit code {status})")
