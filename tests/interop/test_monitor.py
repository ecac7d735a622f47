"""mqtt-monitor as a Nagios plugin and as a Prometheus target, against mosquitto."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from lab import BIN, SERVER, Lab

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not (BIN / "culvert-node").exists(), reason=f"no culvert-node in {BIN}"),
    pytest.mark.skipif(shutil.which("mosquitto") is None, reason="mosquitto is not installed"),
]
NODE = BIN / "culvert-node"


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def mosquitto(lab, *lines):
    conf = lab.folder / "mosquitto.conf"
    conf.write_text("\n".join([f"listener 1883 {SERVER}", "log_dest stderr", "log_type all",
                               "user root", *lines]) + "\n")
    return lab.daemon("server", "mosquitto", "-c", conf, wait="running")


def plugin(lab, *options):
    """Exit status, the line on stdout, the events."""
    argv = lab._inside("client", [NODE, "mqtt-monitor", *options])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=40, check=False)
    events = [json.loads(x) for x in done.stderr.splitlines() if x.startswith("{")]
    return done.returncode, done.stdout, events


def test_the_plugins_line_and_exit_status(lab):
    (lab.folder / "acl").write_text("topic readwrite culvert/#\ntopic write silent/#\n")
    mosquitto(lab, "allow_anonymous true", f"acl_file {lab.folder}/acl")
    broker = ("--broker", f"{SERVER}:1883")
    for version in ("5", "311"):
        for qos in "012":
            status, line, events = plugin(lab, *broker, "--mqtt-version", version, "--qos", qos)
            assert status == 0, (line, events)
            assert re.fullmatch(r"MQTT OK - loopback [\d.]+ ms, total [\d.]+ ms \| total=[\d.]+ms;;;0 "
                                r"tcp=[\d.]+ms;;;0 connack=[\d.]+ms;;;0 suback=[\d.]+ms;;;0 "
                                r"(puback=[\d.]+ms;;;0 )?loopback=[\d.]+ms;;;0 "
                                r"availability=100.00%;;;0;100\n", line), line
            checked = next(e for e in events if e["event"] == "checked")
            assert checked["ok"] and checked["state"] == "OK"
    status, line, _ = plugin(lab, *broker, "--warning-ms", "0.001")
    assert status == 1 and line.startswith("MQTT WARNING"), line
    status, line, _ = plugin(lab, *broker, "--critical-ms", "0.001")
    assert status == 2 and line.startswith("MQTT CRITICAL - loopback"), line
    status, line, _ = plugin(lab, "--broker", f"{SERVER}:1884")
    assert status == 2 and line.startswith("MQTT CRITICAL - tcp failed"), line
    status, line, _ = plugin(lab, *broker, "--topic", "silent", "--patience-ms", "500")
    assert status == 2 and " loopback failed " in line or " suback failed " in line, line
    status, line, _ = plugin(lab, "--broker", "nowhere.invalid:1883", "--patience-ms", "3000")
    assert status == 2 and " name failed " in line, line
    # What was never checked is UNKNOWN, not CRITICAL.
    for wrong in (("--no-such",), (), (*broker, "--cafile", "missing")):
        assert plugin(lab, *wrong)[:2] == (3, ""), wrong


def test_a_refused_login_fails_in_connack(lab):
    mosquitto(lab, "allow_anonymous false")
    status, line, events = plugin(lab, "--broker", f"{SERVER}:1883")
    assert status == 2 and "MQTT CRITICAL - connack failed" in line, line
    assert next(e for e in events if e["event"] == "checked")["reason"] == "not_authorized"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_prometheus_reads_it_while_the_broker_goes_and_comes(lab):
    mosquitto(lab, "allow_anonymous true")
    log = lab.daemon("client", NODE, "mqtt-monitor", "-q", "--broker", f"{SERVER}:1883",
                     "--interval-ms", "100", "--patience-ms", "1000", "--metrics", "127.0.0.1:9100",
                     wait='"event":"checked"')
    broker = lab.processes[0]

    def metrics():
        text = lab.run("client", "curl", "-sS", "--noproxy", "*", "http://127.0.0.1:9100/metrics")
        found = {}
        for line in text.splitlines():
            if line.startswith("#"):
                assert re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line), line
                continue
            match = re.fullmatch(r'([a-z_]+)\{((?:[a-z_]+="[^"]*",?)+)\} ([-\d.e+]+)', line)
            assert match, line
            labels = re.sub(r'target="[^"]*",?', "", match[2])
            found[match[1].removeprefix("culvert_monitor_") + labels] = float(match[3])
        return found

    def until(holds):
        deadline = time.monotonic() + 20
        while not holds(seen := metrics()):
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)
        return seen

    seen = until(lambda m: m['checks_totalresult="ok"'] >= 5)
    assert seen["up"] == 1 and seen["state"] == 0 and seen['failures_totalphase="tcp"'] == 0
    assert lab.run("client", "curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}",
                   "http://127.0.0.1:9100/") == "200"
    broker.kill()
    broker.wait()
    seen = until(lambda m: m['failures_totalphase="tcp"'] >= 2)
    assert seen["up"] == 0 and seen["state"] == 2
    availability = next(v for k, v in seen.items() if k.startswith("availability_ratio"))
    assert 0 < availability < 1
    assert lab.run("client", "curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}",
                   "http://127.0.0.1:9100/") == "503"
    mosquitto(lab, "allow_anonymous true")
    until(lambda m: m["up"] == 1)
    changes = [json.loads(x) for x in log.read_text().splitlines() if '"state_changed"' in x]
    assert [(c["from"], c["to"]) for c in changes] == \
        [("UNKNOWN", "OK"), ("OK", "CRITICAL"), ("CRITICAL", "OK")]
