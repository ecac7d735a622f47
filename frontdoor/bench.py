"""./culvert bench: figures from the release build, never from another."""
from .place import PYTHON, ROOT, program, run, say
from .setup import build, install

# name -> (program, driver script or none, what it tells)
BENCHES = {
    "nat": ("bench-nat", None, "nanoseconds per translated packet and bytes per mapping"),
    "transfer": ("bench-transfer", "tests/bench/transfer.py",
                 "ns-3: 100 MB through two NAT routers against two plain routers, five alternating pairs"),
    "mqtt": ("bench-mqtt", "tests/bench/mqtt.py",
             "our broker beside mosquitto: throughput, latency, memory, connections, in memory and durable"),
}


def run_bench(what, json_file=None):
    install(("build", "run", "test") if what == "mqtt" else ("build", "run"))
    build("all")
    name, driver, about = BENCHES[what]
    say(f"{what}: {about}")
    argv = [PYTHON, ROOT / driver, program(name)] if driver else [program(name)]
    if json_file:
        argv += ["--json", json_file]
    run(argv, f"{name} failed")
