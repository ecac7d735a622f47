#!/usr/bin/python3
"""Shows that the tests would notice: each defect of mutations.toml must break a test.

  tests/conformance/mutate.py [--build build/release] [--only TEXT] [--as-built]

The sources stay as they are: a changed copy of one file is compiled with the build's own command and
linked before the libraries, so that it takes the place of theirs. What must fail is the codec's unit
tests or the conformance suite. The exit status is 0 if every defect broke a test and the unchanged
programs broke none.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = pathlib.Path(__file__).with_name("mutations.toml")
PROGRAMS = ("unit_mqtt", "conformance_test")
CODEC_ONLY = "model/mqtt/broker"  # defects below it cannot break unit_mqtt
SHOWN = 3000  # ours: characters of a compiler's complaint


class Failed(Exception):
    pass


def mutations():
    """The table; every `find` stands once in its file."""
    table = tomllib.loads(TABLE.read_text())["mutation"]
    for one in table:
        count = (ROOT / one["file"]).read_text().count(one["find"])
        if count != 1:
            raise Failed(f"{one['file']}: what '{one['name']}' looks for stands there {count} "
                         "times, not once")
    return table


def _run(argv, **more):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **more)


class Build:
    """A build directory: how its files are compiled and its programs linked."""

    def __init__(self, folder, scratch, fresh=True):
        self.folder, self.scratch = folder, scratch
        if not (folder / "build.ninja").exists():
            raise Failed(f"{folder} is no build directory: cmake --preset dev makes one")
        if fresh:
            done = _run(["ninja", "-C", str(folder), *PROGRAMS])
            if done.returncode != 0:
                raise Failed("it does not build:\n" + done.stdout[-SHOWN:])
        self.compile = {}
        for entry in json.loads(self._tool("compdb")):
            if entry["command"].endswith(entry["file"]):
                self.compile[entry["file"]] = (entry["command"], entry["output"])
        self.link = {program: self._tool("commands", program).strip().splitlines()[-1]
                     for program in PROGRAMS}

    def _tool(self, *argv):
        return subprocess.run(["ninja", "-C", str(self.folder), "-t", *argv], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.removeprefix("ninja: ")

    def _shell(self, command):
        done = _run(["sh", "-c", command], cwd=self.folder)
        if done.returncode != 0:
            raise Failed(done.stdout[-SHOWN:])

    def object_of(self, one):
        """The object of a file with the defect in it."""
        source = ROOT / one["file"]
        if str(source) not in self.compile:
            raise Failed(f"{one['file']} is not compiled in {self.folder}")
        changed = self.scratch / source.name
        changed.write_text(source.read_text().replace(one["find"], one["replace"]))
        command, output = self.compile[str(source)]
        made = self.scratch / "changed.o"
        command = command.removesuffix(str(source)) + shlex.quote(str(changed))
        self._shell(command.replace(output + ".d", str(made) + ".d").replace(output, str(made)))
        return made

    def program(self, name, first=None):
        """The program with this object in place of its library's."""
        if first is None:
            return self.folder / "bin" / name
        made = self.scratch / name
        self._shell(re.sub(rf" -o \S*{name} ", f" {first} -o {made} ", self.link[name]))
        return made


def broken_tests(program):
    """The names of the tests that fail; empty if all pass."""
    try:
        done = _run([str(program), "--gtest_brief=1"], timeout=300)
    except subprocess.TimeoutExpired:
        return [f"{program.name} does not end"]
    if done.returncode == 0:
        return []
    return re.findall(r"^\[  FAILED  \] (\S+) \(", done.stdout, re.M) or [f"{program.name} crashes"]


def check(one, build):
    """What the defect breaks."""
    changed = build.object_of(one)
    broken = []
    for name in PROGRAMS:
        if name == "unit_mqtt" and one["file"].startswith(CODEC_ONLY):
            continue
        broken += broken_tests(build.program(name, changed))
    return broken


def default_build():
    """The one whose programs are tested (CULVERT_BIN), else what `./culvert setup` makes, else dev."""
    made = [pathlib.Path(os.environ.get("CULVERT_BIN", ROOT / "build" / "release" / "bin")).parent,
            ROOT / "build" / "dev"]
    return next((folder for folder in made if (folder / "build.ninja").exists()), made[-1])


def check_all(folder, only="", fresh=True):
    """The names of defects that no test noticed."""
    table = [one for one in mutations() if only in one["name"]]
    unnoticed = []
    with tempfile.TemporaryDirectory() as scratch:
        build = Build(pathlib.Path(folder).resolve(), pathlib.Path(scratch), fresh)
        for name in PROGRAMS:
            if already := broken_tests(build.program(name)):
                raise Failed("without a defect there fail " + ", ".join(already[:5]))
        for one in table:
            broken = check(one, build)
            if not broken:
                unnoticed.append(one["name"])
            what = f"{len(broken)} tests, {broken[0]}" if broken else "no test notices"
            print(f"{'ok  ' if broken else 'MISS'}  {one['name']} ({one['breaks']}): {what}",
                  flush=True)
    print(f"{len(table) - len(unnoticed)} of {len(table)} defects break a test")
    return unnoticed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(default_build()), help="a build directory")
    parser.add_argument("--only", default="", help="defects whose name contains this")
    parser.add_argument("--as-built", action="store_true", help="do not build what is out of date")
    options = parser.parse_args()
    try:
        return 1 if check_all(options.build, options.only, not options.as_built) else 0
    except Failed as why:
        print(why, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
