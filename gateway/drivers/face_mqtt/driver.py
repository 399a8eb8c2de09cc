"""Takes what face terminals publish, and acknowledges each record when it is on the gateway's disk.

A terminal sends a record again after 10 s without an acknowledgement. Records are kept side by side, so that one burst
costs one fsync and not one each.
"""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

from gateway.driver import Sink
from gateway.drivers.face_mqtt.codec import Push, decode, encode_acknowledgement
from gateway.drivers.face_mqtt.settings import FaceMqttSettings
from gateway.events import Events
from gateway.repeats import KeptOnce
from gateway.scan import Passages, shown
from gateway.subscription import Message, Subscription
from telemetry.clock import Clock
from telemetry.errors import BadInput

_TOPICS = ("mqtt/face/+/Rec", "mqtt/face/+/Snap", "mqtt/face/heartbeat", "mqtt/face/basic")


class FaceMqttDriver:
    """Implements `Driver`."""

    def __init__(self, settings: FaceMqttSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._devices = {terminal.id: terminal.device for terminal in settings.devices}
        self._zone = ZoneInfo(settings.zone)
        self._passages = Passages(settings)
        self._kept = KeptOnce(events, settings.remembered_max)

    async def run(self, sink: Sink) -> None:
        settings = self._settings
        subscription = await Subscription.open(settings.broker, settings.client_id, _TOPICS)
        try:
            self._events.available(settings.name)
            while True:
                messages = await subscription.messages()
                done = await asyncio.gather(
                    *(self._take(subscription, message, sink) for message in messages), return_exceptions=True
                )
                for (
                    error
                ) in done:  # those that went well are acknowledged; the rest comes again with the next connection
                    if error is not None:
                        raise error
        finally:
            await subscription.abort()

    async def _take(self, subscription: Subscription, message: Message, sink: Sink) -> None:
        try:
            said = decode(message.payload, self._zone, self._clock.now_ms())
            if isinstance(said, Push):
                device = self._devices.get(said.terminal)
                if device is None:
                    raise BadInput("unknown-terminal", f"no terminal '{shown(said.terminal)}' is declared here")
                readings = self._passages.readings(said.scan, device)
                await self._kept.keep(sink, device, (device, said.scan.event), readings)
                if said.record is not None:
                    subscription.publish(f"mqtt/face/{said.terminal}", encode_acknowledgement(said))
        except BadInput as error:
            self._events.message_refused(self._settings.name, error)
        subscription.acknowledge(message)
