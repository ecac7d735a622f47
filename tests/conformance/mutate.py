#!/usr/bin/python3
"""Shows that the tests would notice: each defect of mutations.toml is put into a copy of the
sources, built, and must break the codec's unit tests or the conformance suite.

  tests/conformance/mutate.py [--only TEXT] [--scratch FOLDER] [--jobs N]

The exit status is 0 if every defect broke a test and the unchanged sources broke none.
"""

import argparse
import filecmp
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = pathlib.Path(__file__).with_name("mutations.toml")
COPIED = ("cmake", "model", "tests/support", "tests/unit/mqtt", "tests/conformance")
PROGRAMS = ("unit_mqtt", "conformance_test")  # the quick one first
# The rooms alone: no program, no simulator. Their tests link what they need of them.
CMAKE = """cmake_minimum_required(VERSION 3.25)
project(culvert VERSION 0.1.0 LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CULVERT_NS3 OFF)
include(cmake/CulvertRoom.cmake)
enable_testing()
add_subdirectory(model EXCLUDE_FROM_ALL)
add_subdirectory(tests/support)
add_subdirectory(tests/unit/mqtt)
add_subdirectory(tests/conformance)
"""


class Failed(Exception):
    pass


def mutations():
    table = tomllib.loads(TABLE.read_text())["mutation"]
    for one in table:
        text = (ROOT / one["file"]).read_text()
        if text.count(one["find"]) != 1:
            raise Failed(f"{one['file']}: what '{one['name']}' looks for stands there "
                         f"{text.count(one['find'])} times, not once")
    return table


def copy_sources(scratch):
    """Files that are the same keep their time, so that a second run builds little."""
    wanted = set()
    for folder in COPIED:
        for path in sorted((ROOT / folder).rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            to = scratch / path.relative_to(ROOT)
            wanted.add(to)
            if not to.exists() or not filecmp.cmp(path, to, shallow=False):
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to)
    for path in scratch.rglob("*"):
        if path.is_file() and path not in wanted and "build" not in path.relative_to(scratch).parts:
            path.unlink()
    (scratch / "CMakeLists.txt").write_text(CMAKE)


def run(argv, **more):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **more)


def build(scratch, jobs):
    done = run(["ninja", "-C", str(scratch / "build"), f"-j{jobs}", *PROGRAMS])
    if done.returncode != 0:
        raise Failed("it does not build:\n" + done.stdout[-3000:])


def broken_tests(scratch):
    """The names of the tests that fail; empty if all pass."""
    for program in PROGRAMS:
        try:
            done = run([str(scratch / "build/bin" / program), "--gtest_brief=1"], timeout=300)
        except subprocess.TimeoutExpired:
            return [f"{program} does not end"]
        if done.returncode != 0:
            names = re.findall(r"^\[  FAILED  \] (\S+) \(", done.stdout, re.M)
            return names or [f"{program} crashes"]
    return []


def check(one, scratch, jobs):
    """What the defect breaks."""
    target = scratch / one["file"]
    good = target.read_text()
    target.write_text(good.replace(one["find"], one["replace"]))
    try:
        build(scratch, jobs)
        return broken_tests(scratch)
    finally:
        target.write_text(good)


def check_all(only="", scratch=None, jobs=None, say=print):
    """The names of defects that no test noticed."""
    jobs = jobs or os.cpu_count()
    scratch = pathlib.Path(scratch or ROOT / "build" / "mutations").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    table = [m for m in mutations() if only in m["name"]]
    copy_sources(scratch)
    done = run(["cmake", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-S", str(scratch), "-B",
                str(scratch / "build")])
    if done.returncode != 0:
        raise Failed(done.stdout[-3000:])
    build(scratch, jobs)
    already = broken_tests(scratch)
    if already:
        raise Failed("the sources as they are break " + ", ".join(already[:5]))
    unnoticed = []
    for one in table:
        broken = check(one, scratch, jobs)
        if not broken:
            unnoticed.append(one["name"])
        say(f"{'ok  ' if broken else 'MISS'}  {one['name']} ({one['breaks']}): "
            + (f"{len(broken)} tests, {broken[0]}" if broken else "no test notices"), flush=True)
    say(f"{len(table) - len(unnoticed)} of {len(table)} defects break a test")
    return unnoticed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="defects whose name contains this")
    parser.add_argument("--scratch", help="where the copy is built; build/mutations")
    parser.add_argument("--jobs", type=int, help="compilers at once; one a core")
    options = parser.parse_args()
    try:
        return 1 if check_all(options.only, options.scratch, options.jobs) else 0
    except Failed as why:
        print(why, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
