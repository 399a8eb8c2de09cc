"""Takes uplinks from a network server's broker and acknowledges each when its readings are on the gateway's disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gateway.driver import Sink
from gateway.drivers.lorawan.decoders import Measured, decode_payload
from gateway.drivers.lorawan.downlink import encode_downlink
from gateway.drivers.lorawan.settings import LorawanDevice, LorawanSettings
from gateway.drivers.lorawan.uplink import Uplink, decode_uplink
from gateway.events import Events
from gateway.repeats import KeptOnce
from gateway.scan import EARLIEST_MS
from gateway.subscription import Message, Subscription
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable
from telemetry.quality import Quality
from telemetry.reading import Reading


class LorawanDriver:
    """Implements `Driver`."""

    def __init__(self, settings: LorawanSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._devices = {device.eui: device for device in settings.devices}
        self._decoders = settings.all_decoders
        self._kept = KeptOnce(events, settings.remembered_max)
        self._wanted: frozenset[str] = frozenset()  # EUIs of those that are to report more often
        self._topics: dict[str, str] = {}  # EUI -> where its uplinks come from
        # EUI -> whether it was told to report more often; whoever ran before us may have told it anything.
        self._told: dict[str, bool] = {}
        self._has_downlink: dict[str, Callable[[], bool]] = {}  # EUI -> whether the broker has the last one
        self._subscription: Subscription | None = None

    def pace(self, every_s: Mapping[str, float]) -> None:
        """Implements `Paced`, as far as sensors have `downlinks`; theirs is the rhythm."""
        self._wanted = frozenset(device.eui for device in self._settings.devices if device.device in every_s)
        for device in self._settings.devices:
            self._steer(device)

    def _steer(self, device: LorawanDevice) -> None:
        """Tell a sensor what it was not told yet; again with its next uplink where that does not work now."""
        downlinks, topic, is_wanted = device.downlinks, self._topics.get(device.eui), device.eui in self._wanted
        if downlinks is None or topic is None or self._subscription is None or self._told.get(device.eui) == is_wanted:
            return
        data = bytes.fromhex(downlinks.faster if is_wanted else downlinks.own)
        try:
            has_it = self._subscription.publish(*encode_downlink(topic, device.eui, downlinks.port, data))
        except BadInput as error:
            self._events.message_refused(self._settings.name, error)
        except Unavailable:
            pass  # the connection has ended, which is said elsewhere; the sensor is told with its next uplink
        else:
            self._told[device.eui], self._has_downlink[device.eui] = is_wanted, has_it

    async def run(self, sink: Sink) -> None:
        settings = self._settings
        subscription = await Subscription.open(settings.broker, settings.client_id, settings.topics)
        try:
            self._events.available(settings.name)
            self._subscription = subscription
            while True:
                messages = await subscription.messages()
                done = await asyncio.gather(
                    *(self._take(subscription, message, sink) for message in messages), return_exceptions=True
                )
                for error in done:  # those that went well are acknowledged; the rest comes again
                    if error is not None:
                        raise error
        finally:
            self._subscription = None
            await subscription.abort()
            # What was on its way when the connection ended may be nowhere: those sensors are told again.
            self._told = {eui: told for eui, told in self._told.items() if self._has_downlink[eui]()}

    async def _take(self, subscription: Subscription, message: Message, sink: Sink) -> None:
        try:
            uplink = decode_uplink(message.payload, self._clock.now_ms())
            device = self._devices.get(uplink.eui)
            if device is None:
                raise BadInput("unknown-device", f"no sensor with EUI '{uplink.eui}' is declared at this gateway")
            await self._kept.keep(sink, device.device, uplink.identity, self._readings(device, uplink))
            self._topics[device.eui] = message.topic
            self._steer(device)
        except BadInput as error:
            self._events.message_refused(self._settings.name, error)
        subscription.acknowledge(message)

    def _readings(self, device: LorawanDevice, uplink: Uplink) -> tuple[Reading, ...]:
        payload = decode_payload(self._decoders[device.decoder], uplink.port, uplink.payload)
        if payload.rest:
            self._events.noise_skipped(self._settings.name, len(payload.rest))
        return tuple(reading for measured in payload.measured for reading in self._of_moment(device, uplink, measured))

    def _of_moment(self, device: LorawanDevice, uplink: Uplink, measured: Measured) -> list[Reading]:
        time_ms, of_time = uplink.time_ms, uplink.quality
        if measured.time_ms is not None:
            is_set = measured.time_ms >= EARLIEST_MS
            time_ms, of_time = (measured.time_ms, Quality.GOOD) if is_set else (time_ms, Quality.SUSPECT)
        readings = []
        for quantity in device.quantities:
            if quantity.field not in measured.values:
                continue
            raw = measured.values[quantity.field]
            found = None if raw is None else quantity.measure(raw)
            if found is None:
                self._events.value_invalid(device.device, quantity.metric)
                continue
            value, quality = found
            doubted = quantity.suspect_if is not None and measured.values.get(quantity.suspect_if)
            quality = max(quality, of_time, Quality.SUSPECT if doubted else Quality.GOOD)
            readings.append(Reading(device.device, quantity.metric, time_ms, value, quality))
        return readings
