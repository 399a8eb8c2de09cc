"""Asks CJ/T 188 meters for their metering data."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.bus import Ask
from gateway.drivers.cjt188.codec import (
    DATA_MAX,
    METERING,
    OVERHEAD,
    WAKE_UP,
    Frame,
    Function,
    encode_read,
    frame_reader,
)
from gateway.drivers.cjt188.metering import Metering, parse_metering
from gateway.drivers.cjt188.settings import Cjt188Device, Cjt188Point, Cjt188Settings
from gateway.events import Events
from gateway.measured import Measured, in_unit
from gateway.meter import Findings, LineDriver
from telemetry.clock import Clock
from telemetry.errors import BadInput

_ANSWER_MAX = DATA_MAX + OVERHEAD + len(WAKE_UP)


class Cjt188Meter:
    """Implements `Meter`."""

    def __init__(self, device: Cjt188Device, points: Sequence[Cjt188Point]) -> None:
        self.device = device.device
        self._declared = device
        self._points = points
        self._serial = 0

    async def read(self, ask: Ask, found: Findings) -> None:
        declared = self._declared
        self._serial = (self._serial + 1) & 0xFF
        serial = self._serial
        is_swapped = declared.identifier_order == "1f-90"
        request = encode_read(declared.sort, declared.address, METERING, serial, is_swapped)

        def is_answer(frame: Frame) -> bool:
            # Another serial number is a late answer to an earlier request.
            is_about = frame.is_refusal or frame.identifier == METERING
            is_to_us = frame.is_answer and frame.function == Function.READ and frame.serial == serial
            return is_to_us and is_about and frame.address == declared.address

        answer = await ask(request, frame_reader(), is_answer, _ANSWER_MAX)
        if answer.is_refusal:
            raise BadInput("cjt188-refusal", f"the meter refuses, with status {answer.value.hex() or 'none'}")
        metering = parse_metering(answer.sort, answer.value)
        for point in self._points:
            try:
                found.values.append((point.metric, in_unit(self._quantity(metering, point.quantity), point.unit)))
            except BadInput as error:
                found.complaints.append(f"'{point.metric}': {error.detail}")

    def words(self, data: bytes) -> list[str]:
        reader = frame_reader()
        return [frame_words(frame) for frame in reader.feed(data) + reader.flush()]

    def _quantity(self, metering: Metering, quantity: str) -> Measured:
        status = metering.status_by(self._declared.status_layout)
        truths = {
            "battery_low": status.is_battery_low,
            "valve_closed": status.valve == "closed",
            "valve_fault": status.valve == "fault",
        }
        if quantity in truths:
            return Measured(float(truths[quantity]), "")
        if quantity not in metering.quantities:
            raise BadInput("cjt188-absent", f"a meter of this sort does not say '{quantity}'")
        return metering.quantities[quantity]


def frame_words(frame: Frame) -> str:
    """A frame in words."""
    who = f"from {frame.address}" if frame.is_answer else f"to {frame.address}"
    if frame.is_refusal:
        return f"{who}: refused, status {frame.value.hex()}"
    if not frame.is_answer:
        return f"{who}: control {frame.control:02X}, {frame.identifier}, number {frame.serial}"
    if frame.identifier != METERING:
        return f"{who}: {frame.identifier} = {frame.value.hex() or 'nothing'}, number {frame.serial}"
    try:
        metering = parse_metering(frame.sort, frame.value)
    except BadInput as error:
        return f"{who}: {error.detail}"
    told = [
        f"{name.replace('_', ' ')} {'not measured' if m.value is None else f'{m.value:.10g} {m.unit}'}"
        for name, m in metering.quantities.items()
    ]
    return f"{who}: {', '.join(told)}, clock {metering.clock or 'not set'}, status {metering.status.hex()}"


def make_cjt188(settings: Cjt188Settings, clock: Clock, events: Events) -> LineDriver:
    meters = [Cjt188Meter(device, settings.points(device)) for device in settings.devices]
    return LineDriver(settings, meters, clock, events)
