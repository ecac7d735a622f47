"""Where things are, and how a command fails: one sentence, exit code 2 for bad input."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
BIN = BUILD / "bin"
PYTHON = "/usr/bin/python3"  # the one that sees Debian's python3-* packages

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
PIPE_CLOSED = 141  # 128 + SIGPIPE, likewise


class Failure(Exception):
    """What the user is told, in a sentence, and the exit code."""

    def __init__(self, sentence, code=FAILED):
        super().__init__(sentence)
        self.code = code


def is_root():
    return os.geteuid() == 0


def say(text=""):
    print(text, flush=True)


def warn(text):
    print(f"culvert: {text}", file=sys.stderr, flush=True)


def run(argv, sentence, **options):
    """Runs a program to its end; a failure is `sentence`."""
    try:
        done = subprocess.run([str(a) for a in argv], **options)
    except FileNotFoundError as error:
        raise Failure(f"{argv[0]} is not there; run ./culvert setup") from error
    if done.returncode != 0:
        raise Failure(f"{sentence} (exit code {done.returncode})")
    return done


def program(name):
    """A program of ours, which must have been built."""
    path = BIN / name
    if not path.exists():
        raise Failure(f"{name} is not built yet; run ./culvert setup")
    return path


NEEDS_ROOT = ("the Linux part needs root, for network namespaces, TUN devices and the kernel's NAT; "
              "everything of ns-3 works without")
