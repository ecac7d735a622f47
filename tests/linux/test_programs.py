"""Our programs when the world is unkind: streams closed, files that are none, signals, ports taken."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest
from conftest import program

PATIENCE_S = 30  # a loaded machine; nothing here takes a second
ONE_SENTENCE = re.compile(r"culvert-(node|wire|natbox): [^\n]+\n")


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def finished(name, *arguments, shell="", stdin=subprocess.DEVNULL):
    """Status, stdout, stderr. `shell`: redirections or limits before the program starts."""
    argv = [program(name), *map(str, arguments)]
    if shell:
        argv = ["sh", "-c", shell, "sh", *argv]
    done = subprocess.run(argv, stdin=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout, done.stderr


def server(*before, stdin=subprocess.DEVNULL, shell=None, stdout=subprocess.PIPE):
    port = free_port()
    argv = [program("culvert-node"), *before, "stun-server", "--bind", f"127.0.0.1:{port}"]
    if shell:
        argv = ["sh", "-c", shell, "sh", *argv]
    return port, subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)


def answers(port):
    """Asks until the server answers, and says what came."""
    request = bytes.fromhex("000100002112a442") + b"twelve bytes"
    deadline = time.monotonic() + PATIENCE_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        client.connect(("127.0.0.1", port))
        while time.monotonic() < deadline:
            try:
                client.send(request)
                return client.recv(2000)
            except (TimeoutError, ConnectionRefusedError):
                continue
    raise AssertionError("the server never answered")


@pytest.mark.parametrize(
    "arguments, status, sentence",
    [
        ([], 2, "a service's name is missing"),
        (["nope"], 2, "there is no service 'nope'"),
        (["--frob", "echo"], 2, "'--frob'"),
        (["--seed"], 2, "--seed needs a value"),
        (["--seed", "-1", "echo"], 2, "'-1'"),
        (["--names", "/nonexistent", "echo"], 2, "cannot read /nonexistent"),
        (["--names", "/tmp", "echo"], 2, "Is a directory"),
        (["--names", "/dev/zero", "echo"], 2, "too large"),
        (["--names", "/etc/hostname", "echo"], 2, "not a JSON object"),
        (["--control", "file", "echo"], 2, "the only way is stdin"),
        (["stun-server"], 2, "--bind is required"),
        (["stun-server", "--bind", "127.0.0.1:99999"], 2, "not ADDRESS:PORT"),
        (["stun-server", "--bind", "127.0.0.1:1", "--rate", "nan"], 2, "--rate must be a number"),
        (["stun-server", "--bind", "192.0.2.99:3478"], 1, "192.0.2.99:3478"),
        (["--secrets", "/nonexistent", "stun-client", "--server", "127.0.0.1:9", "--user", "a",
          "--password", "b"], 1, "reading /nonexistent/b"),
        (["--secrets", "/etc", "stun-client", "--server", "127.0.0.1:9", "--user", "a",
          "--password", "../etc/passwd"], 1, "plain file name"),
    ],
)
def test_wrong_options_of_a_node_are_one_sentence(arguments, status, sentence):
    code, out, err = finished("culvert-node", *arguments)
    assert (code, out) == (status, ""), (out, err)
    assert sentence in err and ONE_SENTENCE.fullmatch(err), err


def test_a_requester_told_to_end_once_does_not_wait_for_ever_for_a_broker():
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        code, _, err = finished("culvert-node", "--once", "--events", "none", "requester", "--broker",
                                f"127.0.0.1:{nobody.getsockname()[1]}", "--topic", "a",
                                "--deadline-ms", "300")
    assert code == 1 and "within the deadline" in err and ONE_SENTENCE.fullmatch(err), err


def test_a_command_speaks_under_its_own_name_and_short_help_is_help_where_it_is_no_host():
    code, out, _ = finished("mqtt-monitor", "-h")
    assert code == 0 and "Nagios" in out
    code, _, err = finished("mqtt-sub", "-t", "a/#/b")
    assert code == 2 and err.startswith("mqtt-sub: "), err


def test_a_port_in_use_is_one_sentence():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        code, _, err = finished("culvert-node", "stun-server", "--bind",
                                f"127.0.0.1:{taken.getsockname()[1]}")
    assert code == 1 and "already in use" in err and ONE_SENTENCE.fullmatch(err), err


@pytest.mark.parametrize("name", ["culvert-node", "culvert-wire", "culvert-natbox"])
def test_too_few_descriptors_are_a_sentence_not_an_abort(name):
    arguments = {"culvert-node": ["stun-server", "--bind", "127.0.0.1:0"],
                 "culvert-wire": ["--config", "/etc/hostname"],
                 "culvert-natbox": ["--kind", "nonsense"]}[name]
    for most in range(4, 16):
        code, _, err = finished(name, *arguments, shell=f'ulimit -n {most}; exec timeout 1 "$@"')
        if code == 127 or "shared libraries" in err:  # the loader's own need
            continue
        assert code in (1, 2, 124), (most, code, err)
        assert code == 124 or ONE_SENTENCE.fullmatch(err), (most, err)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_node_works_and_stops_cleanly_whatever_streams_are_closed(closed, sign):
    port, process = server(shell=f'exec "$@" {closed}')
    try:
        assert answers(port)[:2] == b"\x01\x01"
        streams = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)]
        assert not any("socket" in s or "anon_inode" in s for s in streams), streams
        process.send_signal(sign)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_broker_reads_its_files_anew_at_sighup_and_goes_on_when_they_are_wrong(tmp_path):
    (tmp_path / "rights").write_text("topic a\n")
    process = subprocess.Popen(
        [program("culvert-node"), "--secrets", tmp_path, "mqtt-broker", "--listen", "127.0.0.1:0",
         "--anonymous", "--acl", "rights"], stdout=subprocess.PIPE, text=True)
    try:
        lines = iter(process.stdout.readline, "")
        assert any('"ready"' in line for line in lines)
        process.send_signal(signal.SIGHUP)
        assert any('"reloaded"' in line for line in lines)
        (tmp_path / "rights").write_text("what is this\n")
        process.send_signal(signal.SIGHUP)
        assert any('"command_refused"' in line for line in lines)
        process.send_signal(signal.SIGTERM)
        assert any('"stopped"' in line for line in lines)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_node_outlives_the_reader_of_its_events():
    reading, writing = os.pipe()
    port, process = server(stdout=writing)
    os.close(writing)
    os.close(reading)
    try:
        for _ in range(3):
            assert answers(port)[:2] == b"\x01\x01"
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("closed", ["", "<&-"])
def test_the_end_of_stdin_stops_a_node_that_is_commanded_by_it(closed):
    code, out, err = finished("culvert-node", "--control", "stdin", "stun-server", "--bind", "127.0.0.1:0",
                              shell=f'exec "$@" {closed}')
    assert (code, err) == (0, ""), err
    assert '"event":"ready"' in out or out == ""


def test_long_and_binary_commands_are_refused_and_harmless():
    port, process = server("--control", "stdin", stdin=subprocess.PIPE)
    try:
        assert answers(port)
        said, err = process.communicate(b"x" * 100000 + b"\n\xff\xfe\x00\x1b[2J\nfrob\n", timeout=PATIENCE_S)
        assert process.returncode == 0 and err == b""
        assert said.count(b"command_refused") == 2 and b"\x1b" not in said, said
    finally:
        process.kill()
        process.communicate()
