"""What an M-Bus meter says: who it is, and records of a data and a value information field each.

Every record carries its own format and unit. What a record is not (plain text units, vendors' own) is kept as it came;
nothing is guessed. A number whose digits are none, or that the meter itself marks as an error, was not measured.

Source: EN 13757-3 (2018), tables 10 to 14 and annex A; telegrams in the vectors that are named in the tests.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from gateway.drivers.mbus.codec import Application
from gateway.measured import bcd
from telemetry.errors import BadInput

MEDIA: Mapping[int, str] = {
    0x00: "other",
    0x01: "oil",
    0x02: "electricity",
    0x03: "gas",
    0x04: "heat",
    0x05: "steam",
    0x06: "warm water",
    0x07: "water",
    0x08: "heat cost allocator",
    0x09: "compressed air",
    0x0A: "cooling",
    0x0B: "cooling",
    0x0C: "heat",
    0x0D: "heat and cooling",
    0x0E: "bus",
    0x0F: "unknown",
    0x15: "hot water",
    0x16: "cold water",
    0x17: "dual water",
    0x18: "pressure",
    0x19: "analogue to digital",
    0x1A: "smoke detector",
    0x1B: "room sensor",
    0x1C: "gas detector",
    0x25: "customer unit",
    0x28: "waste water",
}
ERROR_WORDS: Mapping[int, str] = {
    0: "unspecified error",
    1: "it does not know this kind of request",
    2: "the telegram is too long for it",
    3: "too many records",
    4: "the answer came out of turn",
    5: "too many tables",
    6: "too many tariffs",
    7: "too many slots",
    8: "application busy",
    9: "out of credit",
}


class Kind(Enum):
    """What a record's value is of the time it is about."""

    NOW = 0
    HIGHEST = 1
    LOWEST = 2
    IN_ERROR = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks."""

    number: str  # eight digits, as on the meter
    manufacturer: str  # three letters
    version: int
    medium: int

    @property
    def medium_words(self) -> str:
        return MEDIA.get(self.medium, f"{self.medium:02X}")


class Record(NamedTuple):  # of which a large meter sends dozens: a tuple is made three times as fast as a data class
    """One record.

    `value` is in `unit`; None when it was not measured; a text where it is a time or plain text.
    """

    quantity: str
    unit: str
    value: float | str | None
    kind: Kind = Kind.NOW
    storage: int = 0  # 0 is now; the others are earlier ones, such as settlement days
    tariff: int = 0  # 0 is the total
    subunit: int = 0
    is_reverse: bool = False  # what flowed backwards
    extension: bytes = b""  # value information that this table does not know: the vendor's


@dataclass(frozen=True, slots=True)
class Telegram:
    """An answer; `identity` is None where it came without one."""

    identity: Identity | None
    access: int
    status: int
    records: tuple[Record, ...]
    more_follows: bool


def manufacturer_text(code: int) -> str:
    """The three letters in a code of 15 bits."""
    return "".join(chr(64 + (code >> shift & 0x1F)) for shift in (10, 5, 0))


def parse_telegram(application: int, data: bytes) -> Telegram:
    """What stands behind CI. Raises BadInput: an error of the meter's, encrypted data, or a kind we do not read."""
    if application == Application.ERROR:
        code = data[0] if data else 0
        raise BadInput("mbus-error", f"the meter says {code:02X}: {ERROR_WORDS.get(code, 'a code the standard lacks')}")
    if application == Application.LONG_HEADER:
        _need(data, 12)
        identity = Identity(
            data[3::-1].hex().upper(), manufacturer_text(int.from_bytes(data[4:6], "little")), data[6], data[7]
        )
        access, status, body = data[8], data[9], _plain(data[10:])
    elif application == Application.SHORT_HEADER:
        _need(data, 4)
        identity, access, status, body = None, data[0], data[1], _plain(data[2:])
    elif application == Application.NO_HEADER:
        identity, access, status, body = None, 0, 0, data
    else:
        raise BadInput("mbus-unsupported", f"application {application:02X} is not read here")
    records, more_follows = parse_records(body)
    return Telegram(identity, access, status, records, more_follows)


def parse_wireless(telegram: bytes) -> Telegram:
    """A wireless telegram without its block sums, decrypted. Raises BadInput.

    L C M M A A A A V T CI ...: L counts what follows it. The identity is that of the link layer unless a long header
    brings another, which is the meter's behind a radio module.
    """
    if len(telegram) < 11 or telegram[0] != len(telegram) - 1:
        raise BadInput("wmbus-length", f"{len(telegram)} bytes where the first one says {telegram[:1].hex()} follow")
    link = Identity(
        telegram[7:3:-1].hex().upper(),
        manufacturer_text(int.from_bytes(telegram[2:4], "little")),
        telegram[8],
        telegram[9],
    )
    application, data = telegram[10], telegram[11:]
    if application == 0x8C and len(data) > 2:  # a link layer extension of two bytes in front
        application, data = data[2], data[3:]
    read = parse_telegram(application, data)
    return Telegram(read.identity or link, read.access, read.status, read.records, read.more_follows)


def parse_records(data: bytes) -> tuple[tuple[Record, ...], bool]:
    """The records, and whether more follow in the next telegram. Raises BadInput when one goes past the end."""
    cursor = _Cursor(data)
    records: list[Record] = []
    while cursor.is_left:
        information = cursor.byte()
        if information == 0x2F:  # filler
            continue
        if information & 0x0F == 0x0F:
            # 0F and 1F: the rest is the vendor's own; 1F says that more follows. 7F asks for a readout.
            return tuple(records), information == 0x1F
        records.append(_record(information, cursor))
    return tuple(records), False


class _Cursor:
    """Reads on, and never past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_left(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        if self._at < len(self._data):
            self._at += 1
            return self._data[self._at - 1]
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise BadInput("mbus-truncated", f"a record goes past the end of the data at byte {self._at}")
        self._at += count
        return part


def _need(data: bytes, count: int) -> None:
    if len(data) < count:
        raise BadInput("mbus-truncated", f"{len(data)} bytes where a header of {count} belongs")


def _plain(data: bytes) -> bytes:
    """The records behind two bytes that say how they are encrypted."""
    configuration, body = int.from_bytes(data[:2], "little"), data[2:]
    if configuration >> 8 & 0x1F and body[:2] != b"\x2f\x2f":
        raise BadInput("mbus-encrypted", "the telegram is encrypted; give it decrypted")
    return body


def _record(information: int, cursor: _Cursor) -> Record:
    kind, storage = _KINDS[information >> 4 & 3], information >> 6 & 1
    tariff = subunit = 0
    extension, number = information, 0
    while extension & 0x80:
        extension = cursor.byte()
        storage |= (extension & 0x0F) << (1 + 4 * number)
        tariff |= (extension >> 4 & 3) << (2 * number)
        subunit |= (extension >> 6 & 1) << number
        number += 1
        if number > 10:
            raise BadInput("mbus-malformed", "a record has more than ten extensions")
    quantity, unit, factor, is_reverse, unknown = _meaning(cursor)
    value = _value(information & 0x0F, quantity, factor, cursor)
    if kind is Kind.IN_ERROR or _is_error(quantity, unknown):
        value = None
    return Record(quantity, unit, value, kind, storage, tariff, subunit, is_reverse, unknown)


def _meaning(cursor: _Cursor) -> tuple[str, str, float, bool, bytes]:
    """Quantity, unit, factor, whether it flowed backwards, and what we do not know."""
    first = cursor.byte()
    if first in _MEANINGS:  # most records have no extension, and their code is in the first table
        return (*_MEANINGS[first], False, b"")
    code, is_extended = first & 0x7F, first & 0x80
    quantity, unit, factor = f"vif {first:02X}", "", 1.0
    if code == 0x7C:
        text = cursor.take(cursor.byte())[::-1].decode("latin-1")
        quantity, unit = "plain text unit", text
    elif first in (0xFB, 0xFD):
        second = cursor.byte()
        is_extended = second & 0x80
        table = _MEANINGS_FB if first == 0xFB else _MEANINGS_FD
        quantity, unit, factor = table.get(second & 0x7F, (f"vif {first:02X} {second & 0x7F:02X}", "", 1.0))
    elif code != 0x7F:
        quantity, unit, factor = _MEANINGS.get(code, (quantity, unit, factor))
    is_reverse, unknown = False, bytearray()
    while is_extended:
        extension = cursor.byte()
        is_extended = extension & 0x80
        code = extension & 0x7F
        if unknown or code == 0x7F:  # behind 7F all is the vendor's
            unknown.append(extension)
        elif 0x70 <= code <= 0x77:
            factor *= 10.0 ** (code - 0x76)
        elif code == 0x7D:
            factor *= 1000
        elif code == 0x3C:
            is_reverse = True
        elif code != 0x3B:  # 3B: only what flowed forwards, which is what a plain counter says too
            unknown.append(extension)
    return quantity, unit, factor, is_reverse, bytes(unknown)


def _is_error(quantity: str, extension: bytes) -> bool:
    """Whether the value information says that the value is none: no data, overflow, a field that the meter cannot give."""
    standard, _, _ = (bytes(byte & 0x7F for byte in extension)).partition(b"\x7f")  # behind it stands the vendor's
    return not quantity.startswith("vif") and any(code in _ERRORS for code in standard)


_ERRORS = frozenset([*range(0x01, 0x10), *range(0x15, 0x1D)])  # table 18
_KINDS = (Kind.NOW, Kind.HIGHEST, Kind.LOWEST, Kind.IN_ERROR)
_INTEGER_BYTES = {0x1: 1, 0x2: 2, 0x3: 3, 0x4: 4, 0x6: 6, 0x7: 8}
_DECIMAL_BYTES = {0x9: 1, 0xA: 2, 0xB: 3, 0xC: 4, 0xE: 6}


def _value(format_: int, quantity: str, factor: float, cursor: _Cursor) -> float | str | None:
    if format_ in _INTEGER_BYTES:
        data = cursor.take(_INTEGER_BYTES[format_])
        if quantity in ("date", "datetime"):
            return _time_text(data)
        return _scaled(int.from_bytes(data, "little", signed=True), factor)
    if format_ in _DECIMAL_BYTES:
        return _decimal(cursor.take(_DECIMAL_BYTES[format_]), quantity, factor)
    if format_ == 0x5:
        number = struct.unpack("<f", cursor.take(4))[0]
        return _scaled(number, factor) if math.isfinite(number) else None
    if format_ == 0xD:
        return _variable(quantity, factor, cursor)
    return None  # 0 no data, 8 a selection


def _scaled(number: float, factor: float) -> float:
    """Divided rather than multiplied by a power of ten below one: 1.1, not 1.1000000000000001."""
    return number * factor if factor >= 1 else number / round(1 / factor)


def _decimal(data: bytes, quantity: str, factor: float) -> float | str | None:
    if quantity in _TEXTS:
        return data[::-1].hex().upper()
    is_negative = data[-1] >> 4 == 0xF
    digits = bcd(data[:-1] + bytes([data[-1] & 0x0F]) if is_negative else data)
    return None if digits is None else _scaled(-digits if is_negative else digits, factor)


def _variable(quantity: str, factor: float, cursor: _Cursor) -> float | str | None:
    length = cursor.byte()
    if length <= 0xBF:
        return cursor.take(length)[::-1].decode("latin-1")
    if 0xC0 <= length <= 0xC9:
        return _decimal(cursor.take(length - 0xC0), quantity, factor) if length > 0xC0 else None
    if 0xD0 <= length <= 0xD9:
        value = _decimal(cursor.take(length - 0xD0), quantity, factor) if length > 0xD0 else None
        return -value if isinstance(value, float) else value
    if 0xE0 <= length <= 0xEF:
        return _scaled(int.from_bytes(cursor.take(length - 0xE0), "little", signed=True), factor)
    raise BadInput("mbus-malformed", f"a variable length of {length:02X} is none")


def _time_text(data: bytes) -> str | None:
    """Types F, G and I: minutes, days and seconds. None where a part cannot be, such as the fill of a clock not set."""
    if len(data) == 2:
        date, clock = data, ""
    elif len(data) == 4:
        date, minute, hour = data[2:4], data[0] & 0x3F, data[1] & 0x1F
        if data[0] & 0x80 or minute > 59 or hour > 23:
            return None
        clock = f"T{hour:02}:{minute:02}"
    elif len(data) == 6:
        date, second, minute, hour = data[3:5], data[0] & 0x3F, data[1] & 0x3F, data[2] & 0x1F
        if data[1] & 0x80 or second > 59 or minute > 59 or hour > 23:
            return None
        clock = f"T{hour:02}:{minute:02}:{second:02}"
    else:
        return None
    day, month, year = date[0] & 0x1F, date[1] & 0x0F, date[0] >> 5 | (date[1] >> 4) << 3
    if not 1 <= day <= 31 or not 1 <= month <= 12 or year > 99:
        return None
    return f"{1900 + year if year > 80 else 2000 + year}-{month:02}-{day:02}{clock}"


_TEXTS = frozenset(["fabrication no", "enhanced identification"])


def _range(first: int, count: int, quantity: str, unit: str, exponent: int) -> dict[int, tuple[str, str, float]]:
    return {first + n: (quantity, unit, 10.0 ** (n + exponent)) for n in range(count)}


def _times(first: int, quantity: str) -> dict[int, tuple[str, str, float]]:
    return {first + n: (quantity, unit, 1.0) for n, unit in enumerate(("s", "min", "h", "days"))}


_MEANINGS: Mapping[int, tuple[str, str, float]] = {
    **_range(0x00, 8, "energy", "Wh", -3),
    **_range(0x08, 8, "energy", "J", 0),
    **_range(0x10, 8, "volume", "m3", -6),
    **_range(0x18, 8, "mass", "kg", -3),
    **_times(0x20, "on time"),
    **_times(0x24, "operating time"),
    **_range(0x28, 8, "power", "W", -3),
    **_range(0x30, 8, "power", "J/h", 0),
    **_range(0x38, 8, "flow", "m3/h", -6),
    **_range(0x40, 8, "flow", "m3/min", -7),
    **_range(0x48, 8, "flow", "m3/s", -9),
    **_range(0x50, 8, "mass flow", "kg/h", -3),
    **_range(0x58, 4, "flow temperature", "degC", -3),
    **_range(0x5C, 4, "return temperature", "degC", -3),
    **_range(0x60, 4, "temperature difference", "K", -3),
    **_range(0x64, 4, "external temperature", "degC", -3),
    **_range(0x68, 4, "pressure", "bar", -3),
    0x6C: ("date", "", 1.0),
    0x6D: ("datetime", "", 1.0),
    0x6E: ("heat cost units", "", 1.0),
    **_times(0x70, "averaging time"),
    **_times(0x74, "actuality time"),
    0x78: ("fabrication no", "", 1.0),
    0x79: ("enhanced identification", "", 1.0),
    0x7A: ("bus address", "", 1.0),
}
_MEANINGS_FD: Mapping[int, tuple[str, str, float]] = {
    0x08: ("access number", "", 1.0),
    0x09: ("medium", "", 1.0),
    0x0A: ("manufacturer", "", 1.0),
    0x0C: ("model", "", 1.0),
    0x0D: ("hardware version", "", 1.0),
    0x0E: ("firmware version", "", 1.0),
    0x0F: ("software version", "", 1.0),
    0x10: ("customer location", "", 1.0),
    0x11: ("customer", "", 1.0),
    0x17: ("error flags", "", 1.0),
    0x1A: ("digital output", "", 1.0),
    0x1B: ("digital input", "", 1.0),
    **_range(0x40, 16, "voltage", "V", -9),
    **_range(0x50, 16, "current", "A", -12),
    0x60: ("reset counter", "", 1.0),
    0x61: ("cumulation counter", "", 1.0),
    0x74: ("battery time", "days", 1.0),
}
_MEANINGS_FB: Mapping[int, tuple[str, str, float]] = {
    **_range(0x00, 2, "energy", "MWh", -1),
    **_range(0x02, 2, "reactive energy", "kvarh", 0),
    **_range(0x08, 2, "energy", "GJ", -1),
    **_range(0x10, 2, "volume", "m3", 2),
    **_range(0x14, 4, "reactive power", "kvar", -3),
    **_range(0x18, 2, "mass", "t", 2),
    **_range(0x28, 2, "power", "MW", -1),
    **_range(0x2C, 4, "frequency", "Hz", -3),
    **_range(0x30, 2, "power", "GJ/h", -1),
}
