"""MQTT 5.0 section 6 against the real broker, frame by frame: MQTT-6.0.0-1 to -4."""
import base64
import os
import struct

import pytest

from mqtt_lab import BIN, broker
from mqtt_raw import CONNACK, PINGREQ, PINGRESP, Raw, connect, publish, split, subscribe

pytestmark = pytest.mark.skipif(not (BIN / "culvert-node").exists(), reason=f"no culvert-node in {BIN}")
CONTINUATION, TEXT, BINARY, CLOSE = 0, 1, 2, 8  # RFC 6455 section 5.2
UNSUPPORTED_DATA = 1003                         # section 7.4.1


@pytest.fixture
def port(tmp_path):
    node = broker(tmp_path, "--ws-listen", "127.0.0.1:0")
    yield node.port("websocket")
    node.close()


class Page(Raw):
    """A WebSocket client by hand. `offered` None: no subprotocol at all."""

    def __init__(self, port, offered="mqtt"):
        super().__init__(port)
        self.send(b"\r\n".join([
            b"GET /mqtt HTTP/1.1", b"Host: localhost", b"Upgrade: websocket", b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)),
            *([b"Sec-WebSocket-Protocol: " + offered.encode()] if offered else []), b"", b""]))
        while b"\r\n\r\n" not in self.rest:
            data = self.socket.recv(4096)
            if not data:
                break
            self.rest += data
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])
        self.head = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip()
                     for line in head.split(b"\r\n")[1:]}
        self.bytes = b""

    def frame(self, data, opcode=BINARY, final=True):
        size = (bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data)))
        self.send(bytes([(0x80 if final else 0) | opcode]) + size + b"\0\0\0\0" + data)  # masked with 0

    def next_frame(self):
        """(opcode, payload), or None at the end."""
        while True:
            if len(self.rest) >= 2:
                assert not self.rest[1] & 0x80, "a server does not mask"
                size, at = self.rest[1], 2
                if size == 126 and len(self.rest) >= 4:
                    size, at = struct.unpack("!H", self.rest[2:4])[0], 4
                if size < 126 or at == 4:
                    if len(self.rest) >= at + size:
                        opcode, payload = self.rest[0] & 15, self.rest[at:at + size]
                        self.rest = self.rest[at + size:]
                        return opcode, payload
            data = self.socket.recv(4096)
            if not data:
                return None
            self.rest += data

    def next(self):
        """The next MQTT packet, wherever the frames end; MQTT-6.0.0-1: only in binary ones."""
        while not self.waiting:
            opcode, payload = self.next_frame()
            assert opcode in (BINARY, CONTINUATION), (opcode, payload)
            found, self.bytes = split(self.bytes + payload)
            self.waiting += found
        return self.waiting.pop(0)


def test_the_server_selects_mqtt(port):  # MQTT-6.0.0-4
    for offered in ("mqtt", "chat, mqtt", "mqtt, mqttv3.1"):
        page = Page(port, offered)
        assert page.status == 101 and page.head[b"sec-websocket-protocol"] == b"mqtt"


@pytest.mark.parametrize("offered", [None, "chat", "mqttv3.1"])
def test_who_does_not_offer_mqtt_gets_no_websocket_that_would_say_so(port, offered):  # MQTT-6.0.0-3, -4
    page = Page(port, offered)
    assert page.status != 101 and b"sec-websocket-protocol" not in page.head


def test_frames_and_packets_need_not_end_together(port):  # MQTT-6.0.0-2
    page = Page(port)
    data = connect("page") + subscribe("t") + publish("t", b"hello") + PINGREQ
    page.frame(data[:1])
    page.frame(data[1:20])
    page.frame(b"")
    page.frame(data[20:25], final=False)  # one message in three frames
    page.frame(data[25:26], CONTINUATION, final=False)
    page.frame(data[26:], CONTINUATION)   # the rest, with three packets in it
    assert [page.next()[0] & 0xF0 for _ in range(4)] == [CONNACK, 0x90, 0x30, PINGRESP]


@pytest.mark.parametrize("before", [b"", connect("page")], ids=["first", "later"])
def test_a_text_frame_ends_the_connection(port, before):  # MQTT-6.0.0-1
    page = Page(port)
    if before:
        page.frame(before)
        assert page.next()[0] == CONNACK
    page.frame(connect("text") if not before else PINGREQ, TEXT)
    opcode, payload = page.next_frame()
    assert opcode == CLOSE and struct.unpack("!H", payload[:2])[0] == UNSUPPORTED_DATA
    assert page.next_frame() is None
