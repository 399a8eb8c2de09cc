"""Tells Home Assistant over MQTT: discovery first, then the newest value of each series, at most once in `every_s`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from gateway.events import Events
from gateway.export import is_newer
from gateway.exports.home_assistant.discovery import (
    OFFLINE,
    ONLINE,
    availability_topic,
    discovery,
    members,
    state,
    state_topic,
)
from gateway.exports.home_assistant.settings import HomeAssistantSettings
from gateway.subscription import Subscription, Will
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.reading import Reading


class HomeAssistantExport:
    """Implements `Export`. What it holds is bounded by the series: only the newest value of each."""

    def __init__(self, settings: HomeAssistantSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._members = {device: set(metrics) for device, metrics in members(settings).items()}
        self._newest: dict[str, dict[str, Reading]] = {device: {} for device in self._members}
        self._changed: set[str] = set()
        self._wake = asyncio.Event()

    def take(self, readings: Sequence[Reading]) -> None:
        now_ms = self._clock.now_ms()
        for reading in readings:
            if reading.metric in self._members.get(reading.device, ()):
                newest = self._newest[reading.device]
                if is_newer(reading, newest.get(reading.metric), now_ms):
                    newest[reading.metric] = reading
                    self._changed.add(reading.device)
                    self._wake.set()

    async def run(self) -> None:
        settings = self._settings
        will = Will(availability_topic(settings), OFFLINE, retain=True)
        subscription = await Subscription.open(settings.broker, settings.client_id, (), will)
        try:
            for device in self._members:
                subscription.publish(*discovery(settings, device), retain=True)
            subscription.publish(availability_topic(settings), ONLINE, retain=True)
            self._events.available(settings.name)
            self._changed |= {device for device, newest in self._newest.items() if newest}
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell(subscription), name=f"{settings.name} telling")
                group.create_task(subscription.lost(), name=f"{settings.name} connection")
        except* Unavailable as errors:
            raise errors.exceptions[0] from None
        finally:
            with contextlib.suppress(Unavailable):
                subscription.publish(availability_topic(settings), OFFLINE, retain=True)
            await subscription.close()

    async def _tell(self, subscription: Subscription) -> None:
        while True:
            for device in sorted(self._changed):
                topic = state_topic(self._settings, device)
                subscription.publish(topic, state(self._newest[device]), retain=True)
            self._changed.clear()
            self._wake.clear()
            await self._wake.wait()
            await asyncio.sleep(self._settings.every_s)
