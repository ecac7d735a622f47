"""MQTT 5.0 over a plain socket, byte by byte as a test wants it: what no well-behaved client sends."""
import socket
import struct
import time

CONNACK, PUBACK, SUBACK, PINGRESP, DISCONNECT = 0x20, 0x40, 0x90, 0xD0, 0xE0
PINGREQ = b"\xc0\x00"
PATIENCE_S = 30


def number(value):
    """A variable byte integer (1.5.5)."""
    out = b""
    while True:
        value, digit = divmod(value, 128)
        out += bytes([digit | (128 if value else 0)])
        if not value:
            return out


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(first, body):
    return bytes([first]) + number(len(body)) + body


def connect(client, *, clean=True, keep_alive_s=0, expiry_s=0, receive_maximum=65535):
    properties = b"\x11" + struct.pack("!I", expiry_s) + b"\x21" + struct.pack("!H", receive_maximum)
    return packet(0x10, text("MQTT") + bytes([5, 2 if clean else 0]) + struct.pack("!H", keep_alive_s)
                  + number(len(properties)) + properties + text(client))


def publish(topic, payload, qos=0, identifier=1):
    return packet(0x30 | qos << 1, text(topic) + (struct.pack("!H", identifier) if qos else b"")
                  + b"\0" + payload)


def subscribe(*filters, qos=0, identifier=1):
    return packet(0x82, struct.pack("!H", identifier) + b"\0" +
                  b"".join(text(f) + bytes([qos]) for f in filters))


def split(data):
    """The whole packets of `data` as (first byte, body), and what is left."""
    packets, at = [], 0
    while True:
        size, shift, body = 0, 0, at + 1
        while body < len(data):
            size |= (data[body] & 127) << shift
            shift += 7
            body += 1
            if data[body - 1] < 128:
                break
        else:
            return packets, data[at:]
        if body + size > len(data):
            return packets, data[at:]
        packets.append((data[at], data[body:body + size]))
        at = body + size


def payload_of(body, qos):
    """Of a PUBLISH without properties."""
    at = 2 + struct.unpack("!H", body[:2])[0] + (2 if qos else 0)
    assert body[at] == 0
    return body[at + 1:]


def identifier_of(body):
    return body[2 + struct.unpack("!H", body[:2])[0]:][:2]


class Raw:
    """A socket that speaks MQTT; `connect` with a client identifier does it at once."""

    def __init__(self, port, client=None, *, buffer_bytes=0, **options):
        self.socket = socket.socket()
        if buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(PATIENCE_S)
        self.rest, self.waiting, self.ended = b"", [], False
        if client is not None:
            self.send(connect(client, **options))
            first, self.connack = self.next()
            assert first == CONNACK and self.connack[1] == 0, self.connack

    def send(self, data):
        self.socket.sendall(data)

    def next(self):
        """The next packet; None when the other side has closed."""
        while not self.waiting and not self.ended:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            self.ended = not data
            found, self.rest = split(self.rest + data)
            self.waiting += found
        return self.waiting.pop(0) if self.waiting else None

    def ask(self, data):
        self.send(data)
        return self.next()

    def ping(self):
        """How long the broker took to answer, in seconds."""
        began = time.monotonic()
        self.send(PINGREQ)
        while (answer := self.next()) and answer[0] != PINGRESP:
            pass
        assert answer, "the broker has closed"
        return time.monotonic() - began

    def close(self):
        self.socket.close()
