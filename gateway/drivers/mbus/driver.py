"""Asks M-Bus meters for their telegrams: initialise, ask, and go on while more records follow."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.bus import Ask
from gateway.drivers.mbus.codec import (
    BY_SECONDARY_ADDRESS,
    LONGEST,
    Acknowledgement,
    Application,
    Control,
    Frame,
    acknowledgement_reader,
    encode_select,
    encode_short,
    frame_reader,
)
from gateway.drivers.mbus.records import Kind, Record, Telegram, parse_telegram
from gateway.drivers.mbus.settings import MbusDevice, MbusPoint, MbusSettings
from gateway.events import Events
from gateway.measured import Measured, in_unit
from gateway.meter import Findings, LineDriver
from telemetry.clock import Clock
from telemetry.errors import BadInput

_TELEGRAMS_MAX = 16  # of one meter; one that goes on for ever is left
_KINDS = {"now": Kind.NOW, "highest": Kind.HIGHEST, "lowest": Kind.LOWEST}


class MbusMeter:
    """Implements `Meter`."""

    def __init__(self, device: MbusDevice, points: Sequence[MbusPoint]) -> None:
        self.device = device.device
        self._declared = device
        self._points = points

    async def read(self, ask: Ask, found: Findings) -> None:
        records: list[Record] = []
        for telegram in await read_telegrams(ask, self._declared.primary, self._declared.secondary):
            records += telegram.records
        for point in self._points:
            fitting = [
                r
                for r in records
                if (r.quantity, r.kind, r.storage) == (point.quantity, _KINDS[point.kind], point.storage)
                and (r.tariff, r.subunit, r.is_reverse) == (point.tariff, point.subunit, point.is_reverse)
            ]
            if point.index >= len(fitting):
                found.complaints.append(f"'{point.metric}': {len(fitting)} records of {point.quantity} fit")
                continue
            value = fitting[point.index].value
            if isinstance(value, str):
                found.complaints.append(f"'{point.metric}': {value!r} is no number")
                continue
            try:
                read = in_unit(Measured(value, fitting[point.index].unit), point.unit)
                found.values.append((point.metric, read))
            except BadInput as error:
                found.complaints.append(f"'{point.metric}': {error.detail}")

    def words(self, data: bytes) -> list[str]:
        reader = acknowledgement_reader()
        return [line for frame in reader.feed(data) + reader.flush() for line in frame_words(frame)]


def _is_acknowledged(frame: Frame | Acknowledgement) -> bool:
    return isinstance(frame, Acknowledgement)


async def read_telegrams(ask: Ask, primary: int | None, secondary: str | None) -> list[Telegram]:
    """All telegrams of one meter. Raises BadInput when it says an error, NoAnswer when it keeps silent."""
    if secondary is not None:
        await ask(encode_select(secondary), acknowledgement_reader(), _is_acknowledged, 1)
        address = BY_SECONDARY_ADDRESS
    else:
        assert primary is not None
        address = primary
        await ask(encode_short(Control.INITIALISE, address), acknowledgement_reader(), _is_acknowledged, 1)
    telegrams: list[Telegram] = []
    is_second = True  # after an initialisation the count bit begins with one

    def is_answer(frame: Frame | Acknowledgement) -> bool:
        is_whole = isinstance(frame, Frame) and frame.is_answer
        return is_whole and (secondary is not None or getattr(frame, "address", None) == primary)

    while len(telegrams) < _TELEGRAMS_MAX:
        frame = await ask(encode_short(Control.ASK, address, is_second), frame_reader(), is_answer, LONGEST)
        assert isinstance(frame, Frame) and frame.application is not None
        telegram = parse_telegram(frame.application, frame.data)
        if secondary is not None and telegram.identity is not None and not _fits(telegram.identity.number, secondary):
            # An acknowledgement is one byte, which noise makes too: the meter before may not know that it was left.
            detail = f"meter {telegram.identity.number} answers where {secondary} was selected"
            raise BadInput("mbus-other-meter", f"{detail}; if that goes on, it is the other's address")
        telegrams.append(telegram)
        if not telegrams[-1].more_follows:
            break
        is_second = not is_second
    return telegrams


def _fits(number: str, asked: str) -> bool:
    return all(want in ("F", got) for want, got in zip(asked, number, strict=True))


def record_words(record: Record) -> str:
    """A record in words, so that a point can be declared from it."""
    marks = [
        mark
        for mark in (
            record.kind.name.lower().replace("_", " ") if record.kind is not Kind.NOW else "",
            f"storage {record.storage}" if record.storage else "",
            f"tariff {record.tariff}" if record.tariff else "",
            f"subunit {record.subunit}" if record.subunit else "",
            "reverse" if record.is_reverse else "",
        )
        if mark
    ]
    value = "not measured"
    if record.value is not None:
        value = record.value if isinstance(record.value, str) else f"{record.value:.10g} {record.unit}"
    marked = f" ({', '.join(marks)})" if marks else ""
    return f"{record.quantity}{marked}: {value}"


def frame_words(frame: Frame | Acknowledgement) -> list[str]:
    """A frame in words, a line for each record."""
    if isinstance(frame, Acknowledgement):
        return ["acknowledged"]
    if not frame.is_answer:
        if frame.application == Application.SELECT:
            return [f"select {frame.data[3::-1].hex().upper()}"]
        words = {Control.INITIALISE: "initialise", Control.ASK: "ask", Control.SEND: "send"}
        control = frame.control if frame.control == Control.INITIALISE else frame.control & ~0x20
        return [
            f"to {frame.address}: {words.get(Control(control), '') if control in list(Control) else f'{control:02X}'}"
        ]
    assert frame.application is not None
    try:
        telegram = parse_telegram(frame.application, frame.data)
    except BadInput as error:
        return [f"from {frame.address}: {error.detail}"]
    who = telegram.identity
    name = f"{who.number} {who.manufacturer}, {who.medium_words}, " if who else ""
    return [f"from {frame.address}: {name}status {telegram.status:02X}", *map(record_words, telegram.records)]


def make_mbus(settings: MbusSettings, clock: Clock, events: Events) -> LineDriver:
    meters = [MbusMeter(device, settings.points(device)) for device in settings.devices]
    return LineDriver(settings, meters, clock, events)
