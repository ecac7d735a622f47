"""./culvert demo: the main job in both worlds, and the report."""
import subprocess
import time

from .place import NEEDS_ROOT, PYTHON, ROOT, is_root, say, warn
from .runs import analyse, run_scenario
from .setup import build, install

# Small enough for two cores and eight minutes with the build, large enough to be the real thing.
PARTS = [
    dict(name="cone_vs_symmetric", on="both", seeds=2),
    dict(name="natbox_vs_kernel", on="linux"),
    dict(name="time_to_direct", on="both", seeds=1),
    dict(name="technique_over_loss", on="ns3", seeds=200),
    dict(name="behind_one_nat", on="both", seeds=1),
    dict(name="multi_level_punch", on="both", seeds=1),
    dict(name="nat_timeouts", on="both"),
    dict(name="nat_reboot", on="ns3", seeds=1),
    dict(name="mqtt_vs_http", on="both", quick=True),
    dict(name="mqtt_keepalive", on="ns3", seeds=2),
]


def demo(open_after=False):
    started = time.monotonic()
    install()
    build("run")
    out = ROOT / "out" / "demo"
    if not is_root():
        warn(NEEDS_ROOT)
    folders = []
    for part in PARTS:
        part = dict(part)
        name = part.pop("name")
        if not is_root() and part["on"] == "linux":
            continue
        if not is_root():
            part["on"] = "ns3"
        say(f"\n— {name} —")
        folders.append(run_scenario(name, out=out / name, quiet=name != PARTS[0]["name"], **part))
    page = report(folders, out / "index.html")
    say(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes. Open {page}")
    if open_after:
        subprocess.run(["xdg-open", str(page)], check=False)


def report(folders, page):
    """One self-contained page from the outputs of runs."""
    analyse([PYTHON, "-m", "analysis", "report", *map(str, folders), "--out", str(page)],
            "the report could not be made", stdout=subprocess.DEVNULL)
    return page
