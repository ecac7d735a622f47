"""An idle device behind a NAT that forgets it (scenario mqtt_keepalive)."""
import pytest

from asking import ask

MAPPING_MS, PATIENCE_MS = 600_000, 10_000


def test_a_keep_alive_shorter_than_the_mapping_is_never_forgotten(tmp_path):
    rows = ask("mqtt_keepalive", tmp_path, "--on", "ns3", "--seed", 1, "--set", "event=expires",
               "--set", "keep_alive=1min,5min,15min,1h")
    by = {row["keep_alive"]: row for row in rows}
    assert by["1min"]["losses"] == by["5min"]["losses"] == "0"
    for name, keep_alive_ms in (("15min", 900_000), ("1h", 3_600_000)):
        assert float(by[name]["unreachable_ms"]) == pytest.approx(keep_alive_ms - MAPPING_MS, abs=20_000)
    assert float(by["1min"]["bytes_per_day"]) == pytest.approx(1440 * 160, rel=0.01)  # 3 packets a ping


def test_after_a_reboot_nobody_reaches_the_device_until_its_next_ping(tmp_path):
    rows = ask("mqtt_keepalive", tmp_path, "--on", "ns3", "--seeds", 3, "--set", "event=reboot",
               "--set", "keep_alive=30s,5min")
    for row in rows:
        keep_alive_ms = {"30s": 30_000, "5min": 300_000}[row["keep_alive"]]
        assert row["losses"] == "1"
        assert float(row["unreachable_ms"]) < keep_alive_ms + PATIENCE_MS + 5_000
