"""paho-mqtt that receives and acknowledges by hand, and does nothing else.

`python -m bench.receiver PORT ID FILTER COUNT`
"""

from __future__ import annotations

import sys

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


def receive(port: int, client_id: str, topic_filter: str, count: int) -> None:
    """Return when `count` messages were received and acknowledged."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id, clean_session=False, protocol=paho.MQTTv311, manual_ack=True
    )
    received = 0

    def on_message(client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        nonlocal received
        client.ack(message.mid, message.qos)
        received += 1
        if received == count:
            client.disconnect()

    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe(topic_filter, 1)
    client.loop_forever()


if __name__ == "__main__":
    receive(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
