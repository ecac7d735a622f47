"""docs/mqtt.md, typed in: every command of its examples, one after the other, in a network namespace
of their own, and what it says."""
import re
import shutil
import subprocess

import pytest

from mqtt_lab import BIN, DIES_WITH_US, ROOT, poll

pytestmark = [pytest.mark.root, pytest.mark.skipif(
    not all(map(shutil.which, ("curl", "openssl", "unshare"))), reason="curl or openssl is missing")]
PATIENCE_S = 40
SAYS = {  # how a command begins: what it prints
    "./culvert-node requester": "hello\n",
    "./mqtt-rr": "hello\n",
    "curl -d hello": "hello",
    "./mqtt-sub -p 1883 -t nothing": "27\n",
    "./mqtt-sub -h localhost": "home/7/valve open\n",
    "./mqtt-monitor --broker 127.0.0.1:1883 --warning-ms": "MQTT OK",
    "curl -s http://127.0.0.1:9100/metrics": "culvert_monitor_up",
    "./mqtt-sub -p 1883 -t '$SYS": "$SYS/broker/clients/connected ",
}


def commands():
    """The page's commands but for those of ./culvert, which other tests run."""
    page = (ROOT / "docs" / "mqtt.md").read_text()
    for block in re.findall(r"```sh\n(.*?)```", page, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\s{2,}#.*", "", line).strip()
            if line and not line.startswith(("./culvert ", "cd ")):
                yield line


class Page:
    def __init__(self, folder):
        self.folder, self.processes = folder, []
        for name in ("culvert-node", "mqtt-pub", "mqtt-sub", "mqtt-rr", "mqtt-monitor", "mqtt-passwd"):
            (folder / name).symlink_to(BIN / name)
        self.holder = subprocess.Popen(
            [*DIES_WITH_US, "unshare", "--net", "sh", "-c", "ip link set lo up && echo up && "
             "exec sleep infinity"], stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"up\n"

    def inside(self, line):
        return [*DIES_WITH_US, "nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--", "sh", "-c",
                "exec " + line if line.startswith("./") and ";" not in line else line]

    def background(self, line):
        log = self.folder / f"{len(self.processes)}.log"
        with open(log, "wb") as file:
            self.processes.append(subprocess.Popen(self.inside(line), stdout=file, stderr=file,
                                                   stdin=subprocess.DEVNULL, cwd=self.folder))
        if "culvert-node" in line:
            poll(lambda: b'"event":"ready"' in log.read_bytes(), line)
        elif "mqtt-sub" in line:  # the broker says when it has been subscribed
            words = re.search(r"-t '([^']+)'", line)[1]
            poll(lambda: f'"subscribed","client":"auto' in self.log() and
                 f'"filter":"{words}"' in self.log(), line)

    def log(self):
        return (self.folder / "0.log").read_text()

    def foreground(self, line):
        def run():
            done = subprocess.run(self.inside(line), capture_output=True, text=True, cwd=self.folder,
                                  stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
            return done if done.returncode == 0 or not line.startswith("curl") else None
        done = poll(run, line)  # curl: until the server listens
        assert done.returncode == 0, (line, done.stderr)
        return done.stdout

    def close(self):
        for process in (*self.processes, self.holder):
            process.kill()
            process.wait()


@pytest.fixture
def page(tmp_path):
    page = Page(tmp_path)
    yield page
    page.close()


def test_the_pages_examples_work_as_they_are_written(page):
    unused = dict(SAYS)
    for line in commands():
        if line.endswith("&"):
            page.background(line[:-1])
            continue
        said = page.foreground(line)
        for begins, expected in SAYS.items():
            if line.startswith(begins):
                assert expected in said, (line, said)
                unused.pop(begins, None)
    assert not unused
    # The subscriber of 'home/#' in the background had the valve's message.
    assert any(re.search(r"T\d\d:\d\d:\d\d[+-]\d{4} home/7/valve open", log.read_text())
               for log in page.folder.glob("*.log"))
