"""./culvert setup: Debian's packages, then the release build."""
import shutil
import subprocess
import sys
import time

from .place import BIN, BUILD, PYTHON, ROOT, Failure, is_root, run, say, warn

# What each purpose needs built. `all` is everything, tests and benches included.
TARGETS = {
    "run": ["culvert-plan", "culvert-ns3", "culvert-node", "culvert-natbox", "culvert-wire"],
    "all": ["all"],
}


def packages(groups):
    """The package names of the named groups of packages.txt."""
    wanted, group = [], None
    for line in (ROOT / "frontdoor" / "packages.txt").read_text().splitlines():
        line = line.strip()
        if line.startswith("# ") and " " not in line[2:]:
            group = line[2:]
        elif line and not line.startswith("#") and group in groups:
            wanted.append(line)
    return wanted


def missing(names):
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *names],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    there = {line.split()[0] for line in shown.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in there]


def install(groups=("build", "run")):
    """Installs what is missing. Without root it names what to install and goes on."""
    if not shutil.which("dpkg-query"):
        warn("this is no Debian; the packages of frontdoor/packages.txt must be there by other means")
        return
    names = missing(packages(groups))
    if not names:
        return
    if not is_root():
        raise Failure("these packages are missing and only root can install them: apt-get install "
                      + " ".join(names))
    say(f"Installing {len(names)} Debian packages …")
    quiet = dict(stdout=subprocess.DEVNULL, env=_noninteractive())
    run(["apt-get", "update", "-qq"], "apt-get update failed", **quiet)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names],
        "apt-get could not install the packages", **quiet)


def _noninteractive():
    import os
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


def build(purpose="all", verbose=False):
    """Configures and builds build/release, showing how far it is: a purpose, or a list of targets."""
    started = time.monotonic()
    if not (BUILD / "build.ninja").exists():
        _quietly(["cmake", "--preset", "release"], "CMake could not configure the build", verbose)
    targets = TARGETS[purpose] if isinstance(purpose, str) else purpose
    if verbose or not sys.stdout.isatty():
        _quietly(["ninja", "-C", BUILD, *targets], "the build failed", verbose)
    else:
        run(["ninja", "-C", str(BUILD), *targets], "the build failed", cwd=ROOT)
    say(f"Built in {time.monotonic() - started:.0f} s.")


def _quietly(argv, sentence, verbose):
    """Runs without output; on failure shows the end of what was said."""
    if verbose:
        run(argv, sentence, cwd=ROOT)
        return
    done = subprocess.run([str(a) for a in argv], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        warn("\n".join(done.stdout.splitlines()[-40:]))
        raise Failure(f"{sentence} (exit code {done.returncode})")


def ensure_built(purpose="run"):
    """What `purpose` needs, built if it is not there at all. Never rebuilds behind one's back."""
    if purpose == "run" and all((BIN / target).exists() for target in TARGETS["run"]):
        return
    install()
    build(purpose)


def python_ready():
    """Does Debian's interpreter see what analysis needs?"""
    probe = subprocess.run([PYTHON, "-c", "import pandas, matplotlib, rich"],
                           stderr=subprocess.DEVNULL, check=False)
    return probe.returncode == 0
