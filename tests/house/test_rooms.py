"""The rooms stand on each other as docs/tour.md says: no include reaches where it may not."""
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = tomllib.loads((Path(__file__).parent / "rooms.toml").read_text())
EVERYWHERE = ROOMS.pop("everywhere")["libraries"]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
# Headers of the C and C++ standard libraries carry no '/' and no '.h' but for C's own.
C_HEADERS = {"stdint.h", "stddef.h", "string.h", "errno.h", "limits.h", "stdbool.h", "math.h"}
CLOCKS = re.compile(r"\b(steady|system|high_resolution)_clock\b|\bsleep(_for|_until)?\s*\(|"
                    r"std::(jthread|thread|mutex|condition_variable)\b")


def sources():
    for top in ("model", "impl", "scenarios"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".h", ".cc", ".c") and path.is_file():
                yield path.relative_to(ROOT)


def room_of(path):
    text = path.as_posix()
    fits = [r for r in ROOMS if text.startswith(r + "/") or text.startswith(r + ".")]
    return max(fits, key=len) if fits else None


def folder_room(include):
    fits = [r for r in ROOMS if include.startswith(r + "/")]
    return max(fits, key=len) if fits else None


def violations(path, text):
    """What in `text`, standing at `path`, breaks the table: a list of sentences."""
    room = room_of(path)
    if room is None:
        return [f"{path} is in no room of tests/house/rooms.toml"]
    rules, found = ROOMS[room], []
    for kind, include in INCLUDE.findall(text):
        if kind == '"' and not include.startswith("ns3/"):  # ns-3's own habit is quotes
            if not (ROOT / include).exists():
                found.append(f'{path}: #include "{include}" does not start at the repository root')
                continue
            target = folder_room(include)
            if target != room and target not in rules["rooms"] and not _inside(target, rules["rooms"]):
                found.append(f"{path}: {room} may not stand on {target}")
            continue
        if any(include.startswith(bad) for bad in rules.get("never", [])):
            found.append(f"{path}: {room} may never include <{include}>")
        standard = "/" not in include and ("." not in include or include in C_HEADERS)
        allowed = rules["libraries"] + EVERYWHERE
        if not standard and "*" not in allowed and not any(include.startswith(a) for a in allowed):
            found.append(f"{path}: {room} may not include <{include}>")
    if room.startswith("model/") and room != "model/ns3":
        for match in CLOCKS.finditer(re.sub(r"//.*", "", text)):
            found.append(f"{path}: no clock, thread or sleep in model/: {match.group(0)}")
    return found


def _inside(target, rooms):
    return any(target and target.startswith(room + "/") for room in rooms)


def test_every_include_is_in_the_table():
    found = [v for path in sources() for v in violations(path, (ROOT / path).read_text())]
    assert not found, "\n".join(found)


def test_the_rooms_form_no_cycle():
    def reachable(room, seen=()):
        for other in ROOMS.get(room, {}).get("rooms", []):
            if other == room:
                continue
            assert other not in seen, f"{other} stands on itself through {room}"
            reachable(other, (*seen, room))
    for room in ROOMS:
        if room.startswith("model/") and "crypto" not in room:
            reachable(room, (room,))


@pytest.mark.parametrize("path, line", [
    ("model/nat/nat.cc", "#include <ns3/core-module.h>"),
    ("model/punch/x.cc", "#include <sys/socket.h>"),
    ("model/nat/nat.cc", '#include "model/punch/planner.h"'),
    ("impl/linux/host.cc", "#include <ns3/node.h>"),
    ("model/stun/x.cc", "auto t = std::chrono::steady_clock::now();"),
    ("model/net/address.cc", "#include <sodium.h>"),
])
def test_the_table_catches(path, line, monkeypatch):
    """Each of these must be found, or the test above proves nothing."""
    monkeypatch.setattr(Path, "exists", lambda self: True)
    assert violations(Path(path), line + "\n")


def test_no_source_file_has_outgrown_its_subject():
    """Over 500 lines a file has a second subject (style page)."""
    long = [f"{p}: {n}" for p in sources() if (n := (ROOT / p).read_text().count("\n")) > 500]
    assert not long, long
