"""What core and gateways say on MQTT, heard straight at the broker: who works, and since when."""

from __future__ import annotations

import json
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.kills.district import DEVICES


class Monitor:
    """Receipts and statuses as they come; what the broker had retained does not count. Times are monotonic."""

    def __init__(self, broker_port: int) -> None:
        self.receipt_s: dict[str, float] = {}  # gateway -> when the last one came
        self.status: dict[str, tuple[float, dict[str, Any]]] = {}
        self.receipts: list[float] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="monitor")
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [("gatehouse/v1/+/+/receipt", 1), ("gatehouse/v1/+/+/status", 1)]
        )
        self._client.on_message = lambda _client, _data, message: self._heard(message)
        self._client.connect_async("127.0.0.1", broker_port)
        self._client.loop_start()

    def quiet_s(self, now_s: float) -> float:
        """For how long the core has told some gateway nothing."""
        return now_s - min(self.receipt_s.get(gateway, 0.0) for gateway in DEVICES)

    def first_receipt_after(self, since_s: float) -> float:
        """When the core was seen to be subscribed, after a moment."""
        return next((at_s for at_s in self.receipts if at_s > since_s), float("inf"))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, message: paho.MQTTMessage) -> None:
        if message.retain or not message.payload:
            return
        gateway, leaf = message.topic.split("/")[-2:]
        now_s = time.monotonic()
        if leaf == "receipt":
            self.receipt_s[gateway] = now_s
            self.receipts.append(now_s)
        else:
            self.status[gateway] = now_s, json.loads(message.payload)
