"""Takes SenML packs from a broker and acknowledges each when its readings are on the gateway's disk."""

from __future__ import annotations

import asyncio
import hashlib
import math
from dataclasses import replace

from gateway.driver import Sink
from gateway.drivers.senml.codec import Pack, Record, decode_pack
from gateway.drivers.senml.settings import SenmlQuantity, SenmlSettings
from gateway.events import Events
from gateway.repeats import KeptOnce
from gateway.scan import EARLIEST_MS
from gateway.subscription import Message, Subscription
from telemetry.clock import Clock
from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.reading import Reading

_TIME_MAX_S = 2**43
_AWAY_S = 60.0  # what the broker has kept for less than that is of now


class SenmlDriver:
    """Implements `Driver`."""

    def __init__(self, settings: SenmlSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._wanted = {q.name: (device.device, q) for device in settings.devices for q in device.quantities}
        self._kept = KeptOnce(events, settings.remembered_max)
        self._left_s = -math.inf
        self._was_away = True

    async def run(self, sink: Sink) -> None:
        settings = self._settings
        subscription = await Subscription.open(settings.broker, settings.client_id, settings.topics)
        self._was_away = self._clock.monotonic_s() - self._left_s > _AWAY_S
        try:
            self._events.available(settings.name)
            while True:
                messages = await subscription.messages()
                done = await asyncio.gather(
                    *(self._take(subscription, message, sink) for message in messages), return_exceptions=True
                )
                for error in done:  # those that went well are acknowledged; the rest comes again
                    if error is not None:
                        raise error
        finally:
            self._left_s = self._clock.monotonic_s()
            await subscription.abort()

    async def _take(self, subscription: Subscription, message: Message, sink: Sink) -> None:
        try:
            # What the broker kept may be of any day, and comes again with each connection.
            pack = decode_pack(message.payload, None if message.is_retained else self._clock.now_ms() / 1000)
            for error in pack.refused:
                self._events.message_refused(self._settings.name, error)
            readings = self._readings(pack, message.is_kept and self._was_away)
            if readings:
                await self._kept.keep(sink, readings[0].device, _identity(message, pack), readings)
        except BadInput as error:
            self._events.message_refused(self._settings.name, error)
        subscription.acknowledge(message)

    def _readings(self, pack: Pack, is_kept: bool) -> list[Reading]:
        readings = []
        for record in pack.records:
            if record.name in self._wanted:
                device, quantity = self._wanted[record.name]
                try:
                    reading = self._reading(device, quantity, record)
                except BadInput as error:
                    self._events.message_refused(self._settings.name, error)
                else:
                    if reading is not None:
                        if is_kept and record.is_since_now:  # and nobody knows for how long
                            reading = replace(reading, quality=max(reading.quality, Quality.SUSPECT))
                        readings.append(reading)
        return readings

    def _reading(self, device: str, quantity: SenmlQuantity, record: Record) -> Reading | None:
        if quantity.unit is not None and record.unit != quantity.unit:
            raise BadInput("other-unit", f"'{record.name[:60]}' comes in {str(record.unit)[:20]}, not {quantity.unit}")
        raw = record.total if record.value is None else record.value
        measured = None if raw is None else quantity.measure(raw)
        if measured is None:
            self._events.value_invalid(device, quantity.metric)
            return None
        now_ms = self._clock.now_ms()
        if record.time_s is None:
            return Reading(device, quantity.metric, now_ms, *measured)  # RFC 8428: now
        time_ms = round(record.time_s * 1000) if abs(record.time_s) < _TIME_MAX_S else 0
        if time_ms < EARLIEST_MS:
            return Reading(device, quantity.metric, now_ms, measured[0], max(measured[1], Quality.SUSPECT))
        return Reading(device, quantity.metric, time_ms, *measured)


def _identity(message: Message, pack: Pack) -> str | None:
    """What makes two messages the same pack: its bytes, where it says when it was measured."""
    if any(record.is_since_now for record in pack.records):
        return None
    return hashlib.sha256(message.topic.encode() + b"\0" + message.payload).hexdigest()
