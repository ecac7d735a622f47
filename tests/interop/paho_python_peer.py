"""The Eclipse Paho Python client on a command line, for mqtt_lab.py: pub publishes stdin; sub prints
READY, then "TOPIC QOS RETAINED LENGTH FNV1A" for each message until it is killed."""
import sys

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from mqtt_lab import fnv1a


def main():
    what, port, name, version, qos, topic = sys.argv[1:7]
    more = dict(word.split("=", 1) for word in sys.argv[7:])
    version, qos, clean = int(version), int(qos), more.get("clean", "1") == "1"
    transport = "websockets" if "websocket" in more else "tcp"
    if version == 5:
        client = paho.Client(name, protocol=paho.MQTTv5, transport=transport)
    else:
        client = paho.Client(name, clean_session=clean, protocol=paho.MQTTv311, transport=transport)
    if transport == "websockets":
        client.ws_set_options(path="/mqtt")
    if "tls" in more:
        folder = more["tls"]
        client.tls_set(f"{folder}/ca.pem", f"{folder}/client.pem", f"{folder}/client.key")
    if "will-topic" in more:
        client.will_set(more["will-topic"], more["will"], qos)
    failed = []

    def connected(client, _data, _flags, code, _properties=None):
        if int(getattr(code, "value", code)) != 0:
            failed.append(code)
            client.disconnect()
        elif what == "pub":
            info = client.publish(topic, sys.stdin.buffer.read(), qos, more.get("retain") == "1")
            if info.rc != 0:
                failed.append(info.rc)
        else:
            client.subscribe(topic, qos)

    def published(client, _data, _mid):
        client.disconnect()

    def subscribed(_client, _data, _mid, _granted, _properties=None):
        print("READY", flush=True)

    def message(_client, _data, m):
        print(m.topic, m.qos, int(m.retain), len(m.payload), fnv1a(m.payload), flush=True)

    client.on_connect, client.on_publish = connected, published
    client.on_subscribe, client.on_message = subscribed, message
    if version == 5:
        properties = Properties(PacketTypes.CONNECT)
        if not clean:
            properties.SessionExpiryInterval = 600
        client.connect("localhost", int(port), 20, clean_start=clean, properties=properties)
    else:
        client.connect("localhost", int(port), 20)
    client.loop_forever(retry_first_connection=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
