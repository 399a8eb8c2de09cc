"""Reads meters out by IEC 62056-21 mode C: opening, identification, acknowledgement, readout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.bus import Ask
from gateway.drivers.iec62056.codec import (
    BAUD_RATES,
    MESSAGE_MAX,
    Heard,
    Identification,
    Message,
    encode_opening,
    encode_option,
    message_reader,
)
from gateway.drivers.iec62056.registers import OBIS, short_code
from gateway.drivers.iec62056.settings import Iec62056Device, Iec62056Point, Iec62056Settings
from gateway.events import Events
from gateway.measured import Measured, in_unit
from gateway.meter import Findings, LineDriver
from telemetry.clock import Clock
from telemetry.errors import BadInput

_IDENTIFICATION_BYTES = 24
_LETTERS = {baud: letter for letter, baud in BAUD_RATES.items()}


class Iec62056Meter:
    """Implements `Meter`."""

    def __init__(self, device: Iec62056Device, points: Sequence[Iec62056Point], fixed_baud: int | None) -> None:
        self.device = device.device
        self._address = device.address
        self._points = points
        self._fixed_baud = fixed_baud

    async def read(self, ask: Ask, found: Findings) -> None:
        who = await ask(encode_opening(self._address), message_reader(), _is_identification, _IDENTIFICATION_BYTES)
        assert isinstance(who, Identification)
        if who.baud is None:
            raise BadInput("iec62056-mode", f"the meter offers '{who.baud_letter}', which is no mode C")
        is_free = self._fixed_baud is None
        letter = who.baud_letter if is_free else _LETTERS.get(self._fixed_baud or 0, _LETTERS[300])
        baud = who.baud if is_free else None
        # Asked once: what comes after an opening cannot be asked for again without one.
        message = await replace(ask, attempts=1)(
            encode_option(letter), message_reader(), _is_readout, MESSAGE_MAX, baud
        )
        assert isinstance(message, Message)
        for point in self._points:
            fitting = [d for d in message.data_sets if short_code(d.address) == point.code or d.address == point.code]
            if point.index >= len(fitting):
                found.complaints.append(f"'{point.metric}': register {point.code} is not in the readout")
                continue
            data_set = fitting[point.index]
            try:
                read = in_unit(Measured(data_set.number, data_set.unit), point.unit)
                found.values.append((point.metric, read))
            except BadInput as error:
                found.complaints.append(f"'{point.metric}': {error.detail}")

    def words(self, data: bytes) -> list[str]:
        reader = message_reader()
        return [line for heard in reader.feed(data) + reader.flush() for line in heard_words(heard)]


def _is_identification(heard: Heard) -> bool:
    return isinstance(heard, Identification)


def _is_readout(heard: Heard) -> bool:
    return isinstance(heard, Message) and not heard.command


def heard_words(heard: Heard) -> list[str]:
    """A message in words, a line for each register."""
    if isinstance(heard, Identification):
        return [f"{heard.manufacturer} {heard.text}, up to {heard.baud or 'an unknown'} baud"]
    told = []
    for data_set in heard.data_sets:
        name = OBIS.get(short_code(data_set.address), "")
        told.append(f"{data_set.address} {name} {data_set.value} {data_set.unit}".replace("  ", " ").strip())
    return told or [f"{heard.command} {heard.body}".strip()]


def make_iec62056(settings: Iec62056Settings, clock: Clock, events: Events) -> LineDriver:
    # The rate of a TCP serial server is set at the server.
    is_free = settings.takes_offered_baud and settings.line.port is not None
    fixed_baud = None if is_free else settings.line.baud
    meters = [Iec62056Meter(d, settings.points(d), fixed_baud) for d in settings.devices]
    return LineDriver(settings, meters, clock, events)
