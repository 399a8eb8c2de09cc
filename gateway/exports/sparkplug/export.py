"""Speaks as a Sparkplug B edge node: will, birth, data, and a new birth for whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from gateway.events import Events
from gateway.export import Outbox
from gateway.exports.sparkplug.node import Node
from gateway.exports.sparkplug.settings import SparkplugExportSettings
from gateway.sparkplug.topics import state_topic
from gateway.subscription import Message, Subscription, Will
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable
from telemetry.reading import Reading


class _State(msgspec.Struct):
    online: bool
    timestamp: int


class SparkplugExport:
    """Implements `Export`."""

    def __init__(self, settings: SparkplugExportSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._node = Node(settings)
        self._host_came = asyncio.Event()
        self._outbox: Outbox[Reading] = Outbox(settings.name, settings.waiting_max, events)

    def take(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            if self._node.wants(reading):
                self._outbox.put(reading)

    async def run(self) -> None:
        settings = self._settings
        death_topic, death = self._node.death()
        topics = [self._node.commands, *([] if settings.host is None else [state_topic(settings.host)])]
        subscription = await Subscription.open(
            settings.broker, settings.client_id, topics, Will(death_topic, death), keeps_session=False
        )
        self._host_came = asyncio.Event()
        if settings.host is None:
            self._host_came.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell(subscription), name=f"{settings.name} telling")
                group.create_task(self._listen(subscription), name=f"{settings.name} listening")
        except* Unavailable as errors:
            raise errors.exceptions[0] from None
        finally:
            # Sparkplug's way of going: our death is told by us, and by the will where we cannot.
            with contextlib.suppress(Unavailable):
                subscription.publish(death_topic, death)
            await subscription.close()

    async def _tell(self, subscription: Subscription) -> None:
        await self._host_came.wait()
        self._bear(subscription)
        self._events.available(self._settings.name)
        while True:
            readings = await self._outbox.take()
            for topic, payload in self._node.data(readings, self._clock.now_ms()):
                subscription.publish(topic, payload, qos=0)

    def _bear(self, subscription: Subscription) -> None:
        for topic, payload in self._node.births(self._clock.now_ms()):
            subscription.publish(topic, payload, qos=0)

    async def _listen(self, subscription: Subscription) -> None:
        while True:
            for message in await subscription.messages():
                try:
                    self._heard(subscription, message)
                except BadInput as error:
                    self._events.message_refused(self._settings.name, error)
                subscription.acknowledge(message)

    def _heard(self, subscription: Subscription, message: Message) -> None:
        if self._settings.host is not None and message.topic == state_topic(self._settings.host):
            try:
                is_online = msgspec.json.decode(message.payload, type=_State).online
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise BadInput("bad-state", "the host's state is no JSON with online and timestamp") from error
            if is_online:
                self._host_came.set()
            elif self._host_came.is_set():
                raise Unavailable(f"host '{self._settings.host}' says that it is gone")
        elif self._node.is_rebirth(message.topic, message.payload) and self._host_came.is_set():
            self._bear(subscription)
