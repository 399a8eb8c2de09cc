"""Hears Sparkplug B nodes and asks for a new birth where one was missed.

Sparkplug's data travels with QoS 0: what a node says while the gateway is away is lost, but for what it sends again as
historical. Readings are offered and not awaited for the same reason: there is nothing that could be acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from gateway.driver import Sink
from gateway.drivers.sparkplug.host import Heard, Host
from gateway.drivers.sparkplug.settings import SparkplugDevice, SparkplugSettings
from gateway.events import Events
from gateway.scan import EARLIEST_MS
from gateway.sparkplug.payload import DataType, Metric, Payload, encode, number
from gateway.sparkplug.topics import NAMESPACE, REBIRTH, Message, Topic, parse_topic, state_topic
from gateway.subscription import Message as Sent
from gateway.subscription import Subscription, Will
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable
from telemetry.quality import Quality
from telemetry.reading import Reading

_LOOKED_AFTER_S = 0.5


class SparkplugDriver:
    """Implements `Driver`."""

    def __init__(self, settings: SparkplugSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._devices = {(d.group, d.node, d.node_device): d for d in settings.devices}
        self._nodes = {(d.group, d.node) for d in settings.devices}

    async def run(self, sink: Sink) -> None:
        settings, host = self._settings, Host(self._settings.reorder_s)
        topics = [f"{NAMESPACE}/{group}/+/{node}{rest}" for group, node in sorted(self._nodes) for rest in ("", "/+")]
        # Birth and will of a host carry one time, by which nodes tell its connections apart.
        birth_ms = self._clock.now_ms()
        will = None if settings.host is None else Will(state_topic(settings.host), _state(False, birth_ms), retain=True)
        subscription = await Subscription.open(settings.broker, settings.client_id, topics, will)
        try:
            self._events.available(settings.name)
            if settings.host is not None:
                subscription.publish(state_topic(settings.host), _state(True, birth_ms), retain=True)
            for key in sorted(self._nodes):
                self._ask_for_birth(subscription, key)
            while True:
                messages: Sequence[Sent] = ()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOKED_AFTER_S):
                        messages = await subscription.messages()
                await self._take(messages, host, subscription, sink)
                for key in host.rebirths(self._clock.monotonic_s()):
                    self._ask_for_birth(subscription, key)
        finally:
            if settings.host is not None:
                with contextlib.suppress(Unavailable):
                    subscription.publish(state_topic(settings.host), _state(False, birth_ms), retain=True)
            await subscription.abort()

    async def _take(self, messages: Sequence[Sent], host: Host, subscription: Subscription, sink: Sink) -> None:
        for message in messages:
            try:
                topic = parse_topic(message.topic)
                if topic is not None:
                    heard = host.hear(topic, message.payload, self._clock.monotonic_s())
                    for error in heard.refused:
                        self._events.message_refused(self._settings.name, error)
                    await self._tell(topic, heard, sink)
            except BadInput as error:
                self._events.message_refused(self._settings.name, error)
            subscription.acknowledge(message)

    async def _tell(self, topic: Topic, heard: Heard, sink: Sink) -> None:
        device = self._devices.get((topic.group, topic.node, topic.device))
        if heard.dead:
            of_node = [d for d in self._devices.values() if (d.group, d.node) == (topic.group, topic.node)]
            for gone in of_node if topic.device is None else [device] if device else []:
                self._events.unavailable(gone.device, "the node says that it is gone")
        elif device is not None and heard.values:
            self._events.available(device.device)
            readings = self._readings(device, heard)
            if readings:
                await sink.offer(readings)

    def _readings(self, device: SparkplugDevice, heard: Heard) -> list[Reading]:
        readings = []
        now_ms = self._clock.now_ms()
        for quantity in device.quantities:
            for value in heard.values:
                if value.name != quantity.name:
                    continue
                raw = number(value.value)
                measured = None if raw is None else quantity.measure(raw)
                if measured is None:
                    self._events.value_invalid(device.device, quantity.metric)
                    continue
                time_ms, quality = value.time_ms or 0, measured[1]
                if not EARLIEST_MS <= time_ms < 2**53:
                    time_ms, quality = now_ms, max(quality, Quality.SUSPECT)
                readings.append(Reading(device.device, quantity.metric, time_ms, measured[0], quality))
        return readings

    def _ask_for_birth(self, subscription: Subscription, key: tuple[str, str]) -> None:
        now_ms = self._clock.now_ms()
        rebirth = Metric(name=REBIRTH, time_ms=now_ms, datatype=DataType.BOOLEAN, value=True)
        topic = Topic(key[0], Message.NCMD, key[1])
        subscription.publish(str(topic), encode(Payload(now_ms, (rebirth,))), qos=0)


def _state(is_online: bool, time_ms: int) -> bytes:
    return msgspec.json.encode({"online": is_online, "timestamp": time_ms})
