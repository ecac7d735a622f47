"""curl, nginx, openssl and Chromium with our HTTP server; our client with nginx; tshark reads both."""
import json
import os
import shutil
import subprocess
import time

import pytest

from lab import BIN, PUBLIC, SERVER, Lab

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not (BIN / "culvert-node").exists(), reason=f"no culvert-node in {BIN}"),
]
NODE = BIN / "culvert-node"
HTTP, HTTPS, NGINX = 8080, 8443, 8081


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    (tmp_path / "secrets").mkdir()
    yield lab
    lab.close()


def serve(lab, *options, port=HTTP, node="server", service="http-server"):
    return lab.daemon(node, NODE, "--secrets", lab.folder / "secrets", service, "--listen",
                      f"{SERVER if node == 'server' else PUBLIC}:{port}", *options,
                      wait='"event":"ready"')


def certificate(lab):
    """A CA and a server certificate signed by it, as secrets."""
    at = lab.folder / "secrets"
    (at / "ext").write_text(f"subjectAltName=DNS:server.example,IP:{SERVER}\n")
    for argv in (["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca",
                  "-days", "2", "-subj", "/CN=Test CA"],
                 ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "csr", "-subj",
                  "/CN=server.example"],
                 ["x509", "-req", "-in", "csr", "-CA", "ca", "-CAkey", "ca.key", "-CAcreateserial",
                  "-out", "cert", "-days", "2", "-extfile", "ext"]):
        subprocess.run(["openssl", *argv], cwd=at, check=True, capture_output=True)
    return at


def events(lab, log):
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def client(lab, *options, check=True):
    """Our client to its end: its events and what it printed."""
    text = lab.run("client", NODE, "--once", "--secrets", lab.folder / "secrets", "http-client",
                   *options, check=check)
    lines = [line for line in text.splitlines() if line.startswith('{"time_ms"')]
    return [json.loads(line) for line in lines], text


def curl(lab, *options, check=True, node="client"):
    return lab.run(node, "curl", "-sS", "--noproxy", "*", "--max-time", "10", *options, check=check)


def raw(lab, text, port=HTTP, node="client"):
    """These bytes, then what comes back until the server closes (or is quiet for a second)."""
    code = ("import socket,sys\ns=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
            "s.sendall(bytes.fromhex(sys.argv[3]))\ns.settimeout(1)\nout=b''\n"
            "try:\n while (p:=s.recv(65536)): out+=p\nexcept TimeoutError: out+=b'<open>'\n"
            "sys.stdout.buffer.write(out)")
    return lab.run(node, "/usr/bin/python3", "-c", code, SERVER, port, text.encode("latin1").hex())


# --- curl against our server -----------------------------------------------------------------------


@needs("curl")
def test_curl_keeps_the_connection_uploads_chunked_and_waits_for_100(lab):
    log = serve(lab)
    url = f"http://{SERVER}:{HTTP}"
    said = curl(lab, "-w", "%{num_connects} ", f"{url}/bytes/5", f"{url}/bytes/3", f"{url}/bytes/1")
    assert said == "xxxxx1 xxx0 x0 ", said
    (lab.folder / "up").write_bytes(b"culvert " * 100000)
    for how in (["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"], ["--http1.0"]):
        (lab.folder / "down").unlink(missing_ok=True)
        trace = curl(lab, "-v", *how, "--data-binary", f"@{lab.folder}/up", "-o", lab.folder / "down",
                     f"{url}/echo")
        assert (lab.folder / "down").read_bytes() == (lab.folder / "up").read_bytes(), how
        assert ("HTTP/1.1 100 Continue" in trace) == ("Expect" in how[-1]), trace
    head = curl(lab, "-I", f"{url}/bytes/77")
    assert "Content-Length: 77" in head
    served = [e for e in events(lab, log) if e["event"] == "served"]
    assert [e["method"] for e in served] == ["GET"] * 3 + ["POST"] * 3 + ["HEAD"]


@needs("curl")
def test_curl_over_https_with_our_certificate(lab):
    at = certificate(lab)
    serve(lab, "--certificate", "cert", "--key", "key", port=HTTPS)
    for version in ("--tlsv1.2 --tls-max 1.2", "--tlsv1.3"):
        said = curl(lab, *version.split(), "--cacert", at / "ca", "--resolve",
                    f"server.example:{HTTPS}:{SERVER}", f"https://server.example:{HTTPS}/bytes/100000")
        assert said == "x" * 100000
    refused = curl(lab, f"https://{SERVER}:{HTTPS}/", check=False)  # the CA is not the system's
    assert "certificate" in refused, refused


@needs("openssl")
def test_openssl_s_client_speaks_to_our_server(lab):
    at = certificate(lab)
    serve(lab, "--certificate", "cert", "--key", "key", port=HTTPS)
    for version in ("-tls1_2", "-tls1_3"):
        shell = (f"(printf 'GET /bytes/9 HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n'; sleep 5) | "
                 f"openssl s_client -connect {SERVER}:{HTTPS} -servername server.example "
                 f"-CAfile {at}/ca -alpn http/1.1 -ign_eof {version}")
        said = lab.run("client", "sh", "-c", shell)
        assert "Verify return code: 0 (ok)" in said and "ALPN protocol: http/1.1" in said, said
        assert "HTTP/1.1 200 OK\r\n" in said or "HTTP/1.1 200 OK\n" in said, said
        assert "xxxxxxxxx" in said


def test_bad_requests_get_their_status_and_the_server_lives(lab):
    log = serve(lab, "--header-patience-ms", "400", "--body-bytes", "1000")
    host = "Host: a\r\n"
    cases = [
        (f"POST / HTTP/1.1\r\n{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{host}Content-Length: 4\r\nContent-Length: 5\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (f"PUT / HTTP/1.1\r\n{host}Content-Length: 1001\r\n\r\n", 413),
        (f"GET /{'a' * 40000} HTTP/1.1\r\n{host}\r\n", 414),
        (f"GET / HTTP/1.1\r\n{host}X: {'a' * 40000}\r\n\r\n", 431),
        ("GET / HTTP/3.0\r\n\r\n", 505),
        (f"GET / HTTP/1.1\r\n{host}", 408),
    ]
    for text, status in cases:
        said = raw(lab, text)
        assert said.startswith(f"HTTP/1.1 {status} "), (text[:60], said[:200])
        assert not said.endswith("<open>"), text[:60]
    assert raw(lab, "GET /bytes/2 HTTP/1.0\r\n\r\n").endswith("xx")
    assert [e["target"] for e in events(lab, log) if e["event"] == "served"] == ["/bytes/2"]


# --- nginx -----------------------------------------------------------------------------------------


def nginx(lab, body):
    conf = lab.folder / "nginx.conf"
    conf.write_text(f"""
daemon off; worker_processes 1; pid {lab.folder}/nginx.pid; error_log stderr notice; user root;
events {{ worker_connections 256; }}
http {{
  access_log {lab.folder}/access.log; client_body_temp_path {lab.folder}/body;
  proxy_temp_path {lab.folder}/proxy; fastcgi_temp_path {lab.folder}/f; uwsgi_temp_path {lab.folder}/u;
  scgi_temp_path {lab.folder}/s; client_max_body_size 50m; log_format x '$connection';
  {body}
}}
""")
    return lab.daemon("server", "nginx", "-p", lab.folder, "-c", conf, "-e", "stderr",
                      wait="start worker process")


@needs("nginx")
def test_our_client_against_nginx(lab):
    at = certificate(lab)
    www = lab.folder / "www"
    www.mkdir()
    (www / "page").write_text("from nginx")
    (www / "big").write_bytes(os.urandom(300000).hex().encode())
    nginx(lab, f"""
  gzip on; gzip_types *; gzip_min_length 1;
  server {{ listen {SERVER}:{NGINX}; root {www};
    location /ssi {{ ssi on; ssi_types *; alias {www}/ssi; }} }}
  server {{ listen {SERVER}:{HTTPS} ssl; root {www}; ssl_certificate {at}/cert;
    ssl_certificate_key {at}/key; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:a:1m; }}
""")
    (www / "ssi").write_text("x" * 20000 + '<!--#echo var="host" -->')  # of unknown length: chunked
    got, text = client(lab, "--url", f"http://{SERVER}:{NGINX}/page", "--count", "5")
    responses = [e for e in got if e["event"] == "response"]
    assert [e["reused"] for e in responses] == [False] + [True] * 4, got
    assert text.count("from nginx") == 5
    got, _ = client(lab, "-q", "--url", f"http://{SERVER}:{NGINX}/page", "--count", "3",
                    "--new-connections")
    assert [e["reused"] for e in got if e["event"] == "response"] == [False] * 3
    got, text = client(lab, "-i", "--url", f"http://{SERVER}:{NGINX}/ssi")
    assert "Transfer-Encoding: chunked" in text and f"x{SERVER}" in text, text[-300:]
    for version in ("1.2", "1.3"):
        got, text = client(lab, "--url", f"https://{SERVER}:{HTTPS}/big", "--trust", "ca",
                           "--tls-version", version)
        response = next(e for e in got if e["event"] == "response")
        assert response["bytes"] == 600000 and response["tls_ms"] > 0, got
        assert (www / "big").read_text() in text
    got, _ = client(lab, "-q", "--url", f"https://{SERVER}:{HTTPS}/page", check=False)
    failed = next(e for e in got if e["event"] == "failed")
    assert failed["phase"] == "tls", failed
    got, _ = client(lab, "-q", "--fail", "--url", f"http://{SERVER}:{NGINX}/none", check=False)
    assert next(e for e in got if e["event"] == "response")["status"] == 404


@needs("nginx")
@needs("curl")
def test_nginx_as_a_reverse_proxy_in_front_of_our_server(lab):
    log = serve(lab, "--websocket", "/ws", "--origin", "*")
    nginx(lab, f"""
  upstream ours {{ server {SERVER}:{HTTP}; keepalive 4; }}
  server {{ listen {SERVER}:{NGINX};
    location / {{ proxy_pass http://ours; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; }} }}
""")
    url = f"http://{SERVER}:{NGINX}"
    for _ in range(4):
        assert curl(lab, "-d", "through nginx", f"{url}/echo") == "through nginx"
    (lab.folder / "up").write_bytes(b"y" * 3000000)
    curl(lab, "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{lab.folder}/up", "-o",
         lab.folder / "down", f"{url}/echo")
    assert (lab.folder / "down").read_bytes() == b"y" * 3000000
    assert curl(lab, "-o", "/dev/null", "-w", "%{http_code}", f"{url}/status/418") == "418"
    served = [e for e in events(lab, log) if e["event"] == "served"]
    assert len({e["from"] for e in served}) < len(served)  # nginx keeps its connections to us


# --- the long-poll relay ---------------------------------------------------------------------------


@needs("curl")
def test_curl_reaches_a_device_through_the_relay_and_may_be_the_device(lab):
    (lab.folder / "secrets" / "device-a").write_text("sesame\n")
    log = serve(lab, "--device", "a", "--deadline-ms", "700", service="http-relay")
    url = f"http://{SERVER}:{HTTP}"
    assert curl(lab, "-w", "%{http_code}", "-o", "/dev/null", f"{url}/to/nobody") == "404"
    assert curl(lab, "-w", "%{http_code}", "-o", "/dev/null", f"{url}/to/a") == "504"
    assert curl(lab, "-w", "%{http_code}", "-o", "/dev/null", f"{url}/poll/a") == "401"
    lab.daemon("server", NODE, "--secrets", lab.folder / "secrets", "http-server", "--listen",
               "127.0.0.1:9000", wait='"event":"ready"')
    lab.daemon("server", NODE, "--secrets", lab.folder / "secrets", "http-agent", "--relay", url,
               "--device", "a", "--to", "http://127.0.0.1:9000", wait='"event":"polling"')
    for i in range(20):
        assert curl(lab, "-d", f"number {i}", f"{url}/to/a/echo") == f"number {i}"
    assert curl(lab, "-w", "%{http_code}", f"{url}/to/a/status/404") == "404"
    answered = [e for e in events(lab, log) if e["event"] == "answered"]
    assert len(answered) == 21


# --- captures --------------------------------------------------------------------------------------


@needs("tshark")
@needs("curl")
def test_wireshark_reads_our_http_and_finds_nothing_malformed(lab):
    capture = lab.folder / "http.pcap"
    lab.daemon("server", "tcpdump", "-U", "-Z", "root", "--immediate-mode", "-s", "0", "-i", "s0", "-w",
               capture, "tcp", wait="listening on")
    serve(lab, "--websocket", "/ws", "--origin", "*")
    url = f"http://{SERVER}:{HTTP}"
    client(lab, "-q", "--url", f"{url}/bytes/3000", "--count", "4")
    client(lab, "-q", "--url", f"{url}/echo", "--data-bytes", "20000", "--headers", "curl")
    client(lab, "-q", "--url", f"{url}/echo", "-H", "Transfer-Encoding: chunked", "-d", "in chunks",
           "--headers", "browser")
    client(lab, "-q", "--url", f"{url}/bytes/10", "-X", "HEAD", "--count", "2", "--new-connections")
    raw(lab, "nonsense\r\n\r\n")
    websocket_echo(lab, "/ws", ["one", "two" * 100])

    def read(*fields, only="http"):
        argv = ["tshark", "-r", capture, "-d", f"tcp.port=={HTTP},http", "-Y", only, "-T", "fields"]
        for field in fields:
            argv += ["-e", field]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()

    deadline = time.monotonic() + 20  # tcpdump writes a little later than it hears
    while len(read("http.response.code", only="http.response")) < 10 and time.monotonic() < deadline:
        time.sleep(0.2)
    codes = read("http.response.code", only="http.response")
    assert codes.count("200") == 8 and "400" in codes and "101" in codes, codes
    assert read("websocket.payload", only="websocket"), "no WebSocket frames were seen"
    assert not read("frame.number", only="_ws.malformed"), "malformed packets"
    # Each response is one segment, header and body together, while it fits one.
    assert read("http.response.code", only="http.response && tcp.len > 3000 || tcp.segment.count > 3")


@needs("tshark")
@needs("openssl")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_wireshark_decrypts_our_https_with_the_logged_keys(lab, version):
    certificate(lab)
    capture = lab.folder / "https.pcap"
    lab.daemon("server", "tcpdump", "-U", "-Z", "root", "--immediate-mode", "-s", "0", "-i", "s0", "-w",
               capture, "tcp", wait="listening on")
    log = serve(lab, "--certificate", "cert", "--key", "key", "--key-log", "--tls-version", version,
                port=HTTPS)
    client(lab, "-q", "--url", f"https://{SERVER}:{HTTPS}/bytes/50000", "--trust", "ca", "--count", "3")
    keys = lab.folder / "keys"
    keys.write_text("\n".join(e["line"] for e in events(lab, log) if e["event"] == "key_log") + "\n")

    def read(only):
        return subprocess.run(["tshark", "-r", capture, "-o", f"tls.keylog_file:{keys}", "-d",
                               f"tcp.port=={HTTPS},tls", "-Y", only, "-T", "fields", "-e",
                               "http.response.code"], capture_output=True, text=True,
                              check=False).stdout.split()

    deadline = time.monotonic() + 20
    while len(read("http.response")) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert read("http.response") == ["200"] * 3
    assert not read("_ws.malformed")


def websocket_echo(lab, path, messages, origin=None, port=HTTP):
    """A small WebSocket client of our own making, so that nothing of ours is tested with itself."""
    code = r"""
import base64, os, socket, struct, sys
host, port, path, origin = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
s = socket.create_connection((host, port)); s.settimeout(5)
head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
head += f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
if origin: head += f"Origin: {origin}\r\n"
s.sendall((head + "\r\n").encode())
answer = b""
while b"\r\n\r\n" not in answer: answer += s.recv(4096)
print(answer.split()[1].decode())
if b" 101 " not in answer: sys.exit()
f = s.makefile("rb")
for text in sys.argv[5:]:
    data, mask = text.encode(), os.urandom(4)
    size = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack("!BH", 0xfe, len(data))
    s.sendall(b"\x82" + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
    first, size = f.read(2); size = struct.unpack("!H", f.read(2))[0] if size == 126 else size
    print(f.read(size).decode())
s.sendall(b"\x88\x82\0\0\0\0\x03\xe8"); print(f.read(4).hex(), f.read() == b"")
"""
    return lab.run("client", "/usr/bin/python3", "-c", code, SERVER, port, path, origin or "",
                   *messages).splitlines()


def test_a_websocket_echo_and_its_origin_check(lab):
    serve(lab, "--websocket", "/ws", "--origin", "http://app.example")
    assert websocket_echo(lab, "/ws", ["hello", "x" * 300]) == \
        ["101", "hello", "x" * 300, "880203e8 True"]
    assert websocket_echo(lab, "/ws", ["hi"], "http://app.example")[:2] == ["101", "hi"]
    assert websocket_echo(lab, "/ws", ["hi"], "http://evil.example") == ["403"]


# A page tells what it saw by asking for it: the server's events then say so.
ECHO_PAGE = r"""<!doctype html><title>echo</title><script>
const tell = t => fetch('/told/' + t);
const s = new WebSocket('ws://HOST/ws', 'mqtt');
s.binaryType = 'arraybuffer';
s.onopen = () => { tell('open-' + s.protocol); s.send(new TextEncoder().encode('hello'));
                   s.send(new Uint8Array(70000)); };
let total = 0;
s.onmessage = e => { total += e.data.byteLength;
                     if (total == 70005) { tell('echoed-70005'); s.close(1000); } };
s.onclose = e => tell('closed-' + e.code + '-' + e.wasClean);
</script>"""

# MQTT 3.1.1 by hand: CONNECT, SUBSCRIBE t, PUBLISH t; the message comes back.
MQTT_PAGE = r"""<!doctype html><title>mqtt</title><script>
const tell = t => fetch('/told/' + t);
const s = new WebSocket('ws://HOST/mqtt', 'mqtt');
s.binaryType = 'arraybuffer';
const send = (...b) => s.send(new Uint8Array(b.flat()));
const text = t => [0, t.length, ...new TextEncoder().encode(t)];
s.onopen = () => send(0x10, 10 + 9, text('MQTT'), 4, 2, 0, 60, text('browser'));
s.onmessage = e => {
  const b = new Uint8Array(e.data), type = b[0] >> 4;
  if (type == 2) { tell('connack-' + b[3]); send(0x82, 6, 0, 1, text('t'), 0); }
  if (type == 9) { tell('suback-' + b[4]); send(0x30, 3 + 5, text('t'), ...new TextEncoder().encode('hello')); }
  if (type == 3) { tell('message-' + new TextDecoder().decode(b.slice(5))); send(0xe0, 0); }
};
s.onclose = e => tell('closed-' + e.code + '-' + e.wasClean);
</script>"""


def visit(lab, page, wanted):
    """Chromium on `page`; what it told until `wanted` was among it (or it has had its time)."""
    (lab.folder / "secrets" / "page").write_text(page)
    log = serve(lab, "--page", "/page.html=page")
    lab.daemon("client", "env", f"HOME={lab.folder}", f"XDG_RUNTIME_DIR={lab.folder}", "chromium",
               "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               "--no-first-run", "--disable-extensions", "--remote-debugging-port=9222",
               f"--user-data-dir={lab.folder}/chromium", f"http://{SERVER}:{HTTP}/page.html",
               wait="DevTools listening")

    def told():
        return [e["target"].split("/told/")[1] for e in events(lab, log)
                if e["event"] == "served" and "/told/" in e["target"]]

    deadline = time.monotonic() + 60
    while wanted not in told() and time.monotonic() < deadline:
        time.sleep(0.1)
    return told()


@needs("chromium")
@pytest.mark.parametrize("origin_is_right", [True, False], ids=["right-origin", "wrong-origin"])
def test_a_page_in_chromium_over_websocket(lab, origin_is_right):
    """The page comes from our server; the WebSocket is another port, so its origin must be listed."""
    port = 8090
    origin = f"http://{SERVER}:{HTTP}" if origin_is_right else "http://other.example"
    log = serve(lab, "--websocket", "/ws", "--subprotocol", "mqtt", "--origin", origin, port=port)
    page = ECHO_PAGE.replace("HOST", f"{SERVER}:{port}")
    told = visit(lab, page, "closed-1000-true" if origin_is_right else "closed-1006-false")
    opened = [e for e in events(lab, log) if e["event"] == "websocket_opened"]
    if origin_is_right:
        assert sorted(told) == ["closed-1000-true", "echoed-70005", "open-mqtt"], told
        assert opened[0]["origin"] == origin
    else:
        assert told == ["closed-1006-false"], told
        assert not opened


def has_service(name):
    listed = subprocess.run([NODE, "--list"], capture_output=True, text=True, check=False).stdout
    return any(line.split()[0] == name for line in listed.splitlines() if line.strip())


@needs("chromium")
@pytest.mark.parametrize("origin_is_right", [True, False], ids=["right-origin", "wrong-origin"])
def test_a_page_in_chromium_speaks_mqtt_with_our_broker(lab, origin_is_right):
    if not has_service("mqtt-broker"):
        pytest.skip("this culvert-node has no mqtt-broker")
    port = 8090
    origin = f"http://{SERVER}:{HTTP}" if origin_is_right else "http://other.example"
    lab.daemon("server", NODE, "--secrets", lab.folder / "secrets", "mqtt-broker", "--ws-listen",
               f"{SERVER}:{port}", "--ws-origin", origin, "--anonymous", wait='"event":"ready"')
    page = MQTT_PAGE.replace("HOST", f"{SERVER}:{port}")
    told = visit(lab, page, "message-hello" if origin_is_right else "closed-1006-false")
    if origin_is_right:
        assert {"connack-0", "suback-0", "message-hello"} <= set(told), told
    else:
        assert told == ["closed-1006-false"], told
