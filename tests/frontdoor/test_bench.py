"""./culvert bench mqtt, the driver: it measures, and leaves nothing behind however it ends."""
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DRIVER = ROOT / "tests" / "bench" / "mqtt.py"
PATIENCE_S = 60


def start(*words, **options):
    return subprocess.Popen(["/usr/bin/python3", "-B", DRIVER, *map(str, words)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)


def processes(name):
    """Processes that have `name` in their command line."""
    found = []
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            words = Path(folder, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if name in words:
            found.append(words)
    return found


def folders(pid):
    return glob.glob(os.path.join(tempfile.gettempdir(), f"culvert-bench-{pid}-*"))


def poll(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_quick_round_has_every_figure(tmp_path):
    file = tmp_path / "figures.json"
    driver = start("--quick", "--only", "50 pairs, QoS 1", "--json", file)
    out, err = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, err
    assert "mosquitto" in out and "durable is not the same work" in out
    rows = json.loads(file.read_text())["rows"]
    assert {row["section"].split(",")[0] for row in rows} == {"in memory", "durable"}
    assert {row["figure"] for row in rows} == {"messages_per_s", "cpu_us_per_message", "p50_us", "p99_us"}
    assert all(row["culvert"] > 0 and row["mosquitto"] > 0 and row["ratio"] > 0 for row in rows)
    assert not folders(driver.pid)


@pytest.mark.parametrize("argv, says", [
    (["--only", "no such thing"], "no measurement has 'no such thing' in its name"),
    (["--json", "/proc/nowhere/figures.json"], "cannot write /proc/nowhere/figures.json"),
    (["--node", "/nonexistent"], "/nonexistent is not there"),
])
def test_what_cannot_be_is_one_sentence(argv, says):
    driver = start(*argv)
    _, err = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode != 0 and says in err and "Traceback" not in err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(how, tmp_path):
    driver = start("--only", "durable", "--seconds", 20, "--json", tmp_path / "figures.json")
    brokers = f"culvert-bench-{driver.pid}-"
    try:
        poll(lambda: processes(brokers), "no broker was started")
        driver.send_signal(how)
        _, err = driver.communicate(timeout=PATIENCE_S)
    finally:
        driver.kill()
    assert "Traceback" not in err
    poll(lambda: not processes(brokers), "a broker is left")
    if how == signal.SIGKILL:  # nobody could; the next one does
        sys.path.insert(0, str(DRIVER.parent))
        from mqtt_brokers import sweep
        sweep()
    assert not folders(driver.pid)
