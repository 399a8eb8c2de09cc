"""What is sent to a sensor through its network server, and where: next to where its uplinks come from.

Sources: ChirpStack documentation, "MQTT integration" (`…/command/down`); The Things Stack documentation, "MQTT Server"
(`…/down/push`).
"""

from __future__ import annotations

import base64

import msgspec

from telemetry.errors import BadInput


def encode_downlink(uplink_topic: str, eui: str, port: int, payload: bytes) -> tuple[str, bytes]:
    """(topic, message) that puts a confirmed downlink into the server's queue; the sensor gets it after its next uplink.

    Args:
        uplink_topic: Where an uplink of the sensor came from.

    Raises BadInput for a topic of neither server.
    """
    data = base64.b64encode(payload).decode()
    if uplink_topic.endswith("/event/up"):
        topic = uplink_topic.removesuffix("event/up") + "command/down"
        return topic, msgspec.json.encode({"devEui": eui, "confirmed": True, "fPort": port, "data": data})
    if uplink_topic.startswith("v3/") and uplink_topic.endswith("/up"):
        downlink = {"f_port": port, "frm_payload": data, "priority": "NORMAL", "confirmed": True}
        return uplink_topic.removesuffix("up") + "down/push", msgspec.json.encode({"downlinks": [downlink]})
    raise BadInput("bad-topic", f"nobody knows where downlinks go for uplinks on '{uplink_topic[:200]}'")
