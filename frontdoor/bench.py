"""./culvert bench: figures from the release build, never from another."""
from .place import program, run, say
from .setup import build, install

# name -> (program, what it tells)
BENCHES = {
    "nat": ("bench-nat", "nanoseconds per translated packet and bytes per mapping"),
    "transfer": ("bench-transfer", "ns-3: 100 MB through two NAT routers against two plain routers"),
}


def run_bench(what, json_file=None):
    install()
    build("all")
    name, about = BENCHES[what]
    say(f"{what}: {about}")
    argv = [program(name)]
    if json_file:
        argv += ["--json", json_file]
    run(argv, f"{name} failed")
