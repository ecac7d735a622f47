"""Access lines: LTE with its promotion in both worlds, and what `count` sees (docs/fidelity.md F-22,
F-23). The scenario's own expectations hold the figures."""
import json

import pytest

from asking import ask, needs_root

WIRES_MS, WAKE_MS = 30.0, 260.1


def _check(rows):
    times = {(row["access"], row["radio"]): float(row["rtt_ms"]) for row in rows}
    assert times["ethernet", "active"] == pytest.approx(WIRES_MS, rel=0.1)
    awake = times["lte", "active"] - WIRES_MS
    assert 10 < awake < 40  # two ways over a radio
    asleep = times["lte", "idle"] - times["lte", "active"]
    assert asleep == pytest.approx(WAKE_MS, abs=12)  # the wait for a grant differs from time to time
    assert {row["bytes"] for row in rows} == {"2024"}


def _held(out):
    return {e["status"] for e in json.loads((out / "summary.json").read_text())["expect"]}


def test_a_radio_sleeps_and_wakes_in_ns3(tmp_path):
    _check(ask("access_line", tmp_path, "--on", "ns3"))
    assert _held(tmp_path) == {"held"}


@pytest.mark.root
@needs_root
def test_an_emulated_radio_sleeps_and_wakes(tmp_path):
    _check(ask("access_line", tmp_path, "--on", "linux"))
    assert _held(tmp_path) == {"held"}
