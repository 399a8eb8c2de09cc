"""A plain MQTT publisher: QoS 1, a bounded number of messages in flight, patient with a broker that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


class Publisher:
    """Keeps every message until the broker has acknowledged it; paho sends it again after each reconnect."""

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        *,
        username: str | None = None,
        password: str | None = None,
        in_flight_max: int = 20,
    ) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.max_inflight_messages_set(in_flight_max)
        self._client.reconnect_delay_set(min_delay=1, max_delay=5)
        self._client.on_publish = self._acknowledged
        self._address = host, port
        self._slots = threading.BoundedSemaphore(in_flight_max)
        self._changed = threading.Condition()
        self._waiting: dict[int, Callable[[], None]] = {}
        self._early: set[int] = set()

    def start(self) -> None:
        """Connect, now or as soon as the broker is there."""
        self._client.connect_async(*self._address)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, on_durable: Callable[[], None], give_up: threading.Event) -> bool:
        """Hand a message over; blocks while too many are in flight, until `give_up` is set (False: not sent).

        `on_durable` is called from paho's thread once the broker has acknowledged the message.
        """
        while not self._slots.acquire(timeout=0.2):
            if give_up.is_set():
                return False
        mid = self._client.publish(topic, payload, qos=1).mid
        # paho calls back while it holds its own lock, so ours must not be held around its publish(): the
        # acknowledgement may be here before we know the number of the message.
        with self._changed:
            if mid in self._early:
                self._early.remove(mid)
                self._settle(on_durable)
            else:
                self._waiting[mid] = on_durable
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything has been acknowledged; False when it takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def stop(self) -> None:
        """Disconnect. What has no acknowledgement is forgotten."""
        self._client.disconnect()
        self._client.loop_stop()

    def _acknowledged(self, client: mqtt.Client, userdata: Any, mid: int, code: Any, properties: Any) -> None:
        with self._changed:
            on_durable = self._waiting.pop(mid, None)
            if on_durable is None:
                self._early.add(mid)
            else:
                self._settle(on_durable)

    def _settle(self, on_durable: Callable[[], None]) -> None:
        self._slots.release()
        on_durable()
        self._changed.notify_all()
