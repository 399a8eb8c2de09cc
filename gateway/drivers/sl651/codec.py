"""SL 651-2014 in its HEX/BCD form, without I/O: frames in and out, and what a report says.

    7E 7E | centre (1) station (5) going up, station centre going down | password (2) | function (1) | length (2) |
    02, or 16 and packets (3) | body | end (1) | CRC (2)

The upper four bits of the length are 0 up and 8 down. The CRC is CRC-16/MODBUS over everything before it, high byte first.
There is no byte stuffing: 7E may stand anywhere, the length alone tells the end. Numbers are BCD, the first byte of a
negative one is FF. The length leaves the three bytes of `packets` out; stations that count them in are told by the CRC.

Source: SL 651-2014 (text in the Quick.SL651 repository), §6 and appendices A to C; frames of published examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.framing import FrameReader
from telemetry.errors import BadInput

_START = 0x7E
_STX, _SYN = 0x02, 0x16
_HEAD_BYTES = 14  # through the byte that begins the body
_TAIL_BYTES = 3
_PACKETS_BYTES = 3
_UP, _DOWN = 0x0, 0x8


class Function(IntEnum):
    """What a frame is about."""

    KEEP_ALIVE = 0x2F  # not acknowledged
    TEST = 0x30
    UNIFORM = 0x31  # one element many times, a fixed step apart
    TIMED = 0x32
    EXTRA = 0x33  # a limit was passed
    HOURLY = 0x34


class End(IntEnum):
    """The byte behind the body."""

    ETX = 0x03  # up: no more packets
    ETB = 0x17  # up: more packets follow
    ENQ = 0x05  # down: a request
    EOT = 0x04  # down: taken, leave the line
    ACK = 0x06  # down: taken, go on with the next packet
    NAK = 0x15  # down: send it again
    ESC = 0x1B  # down: taken, stay on the line


_ENDS = frozenset(int(end) for end in End)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose checksum is right."""

    is_up: bool
    centre: int
    station: str  # ten digits
    password: str  # four hexadecimal digits
    function: int
    body: bytes
    end: int
    packets: tuple[int, int] | None = None  # how many there are, which this is (from 1)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every body begins with."""

    serial: int
    sent: datetime | None  # local time of the station; None when its clock was never set


class Element(NamedTuple):
    """One value of a report. `value` is None when the station says that there is none."""

    code: str  # as the standard writes it: 39, FF01
    observed: datetime | None  # local time of the station
    value: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a station measured."""

    stamp: Stamp
    station: str | None
    station_class: int | None  # 48 river, 50 rain, …
    observed: datetime | None
    elements: tuple[Element, ...]
    status: int | None  # element 45: bits, see `StatusBit`
    rest: bytes  # what could not be read any more, because its length is not known


class StatusBit(IntEnum):
    """Bits of element 45 that bear on the readings."""

    MAINS_FAILED = 0
    BATTERY_LOW = 1
    LEVEL_ALARM = 2
    LEVEL_INSTRUMENT_FAILED = 6
    DOOR_CLOSED = 7  # 0: open
    MEMORY_FAILED = 8


WATER_LEVELS = frozenset({"39", "3A", "3B", *(f"{code:02X}" for code in range(0x3C, 0x44)), "F5"})
RAIN_5_MIN = "F4"  # twelve bytes, 0.1 mm each
_LEVELS_5_MIN = tuple(
    f"{code:02X}" for code in range(0xF5, 0xFD)
)  # twelve pairs of bytes, 0.01 m each, of level 1 to 8
_OBSERVED, _STATION, _STEP, _STATUS = 0xF0, 0xF1, 0x04, 0x45
_WIDE = 0xFF  # codes of two bytes begin so
PICTURE = 0xF3


def frame_reader() -> FrameReader[Frame]:
    """Reads frames of both directions."""
    return FrameReader(_size, _parse, starts=bytes([_START]))


def encode(frame: Frame) -> bytes:
    """A frame as it goes over the wire."""
    assert len(frame.body) < 0x1000
    station = bytes.fromhex(frame.station)
    addresses = bytes([frame.centre]) + station if frame.is_up else station + bytes([frame.centre])
    length = (_UP if frame.is_up else _DOWN) << 12 | len(frame.body)
    head = b"\x7e\x7e" + addresses + bytes.fromhex(frame.password) + bytes([frame.function]) + length.to_bytes(2, "big")
    if frame.packets is None:
        head += bytes([_STX])
    else:
        head += bytes([_SYN]) + (frame.packets[0] << 12 | frame.packets[1]).to_bytes(3, "big")
    data = head + frame.body + bytes([frame.end])
    return data + _crc(data).to_bytes(2, "big")


def encode_taken(frame: Frame, serial: int, now: datetime, end: End) -> bytes:
    """The centre's answer to a frame that is durable.

    Args:
        serial: As the station numbered what it sent.
        now: Local time of the station.
    """
    body = serial.to_bytes(2, "big") + bytes.fromhex(now.strftime("%y%m%d%H%M%S"))
    return encode(Frame(False, frame.centre, frame.station, frame.password, frame.function, body, end))


def decode_stamp(body: bytes) -> Stamp:
    """The serial number and time that a body begins with. Raises BadInput."""
    if len(body) < 8:
        raise BadInput("short-body", f"a body of {len(body)} bytes holds no serial number and time")
    return Stamp(int.from_bytes(body[:2], "big"), _time(body[2:8]))


def decode_report(frame: Frame) -> Report:
    """Read a report: test, uniform, timed, extra, hourly, or the answer to a query. Raises BadInput."""
    body = frame.body
    stamp = decode_stamp(body)
    reader = _Elements(body, 8, frame.function == Function.UNIFORM)
    reader.read()
    return Report(
        stamp, reader.station, reader.station_class, reader.observed, tuple(reader.elements), reader.status, reader.rest
    )


class Assembly:
    """Puts the packets of a long report together. Holds one report of each of a few functions, and few bytes."""

    _PACKETS_MAX = 64
    _REPORTS_MAX = 8

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], tuple[int, dict[int, bytes]]] = {}

    def add(self, frame: Frame) -> Frame | None:
        """The whole report once all of its packets are there. Raises BadInput for packets that cannot be."""
        if frame.packets is None:
            return frame
        total, number = frame.packets
        if not 1 <= number <= total <= self._PACKETS_MAX:
            raise BadInput("bad-packets", f"packet {number} of {total}: at most {self._PACKETS_MAX} are taken")
        key = (frame.station, frame.function)
        known, parts = self._parts.pop(key, (total, {}))
        # The same number with other words: the report that it belonged to was left, and this is another.
        if known != total or number == 1 or parts.get(number, frame.body) != frame.body:
            parts = {}
        parts[number] = frame.body
        self._parts[key] = (total, parts)
        if len(self._parts) > self._REPORTS_MAX:
            del self._parts[next(iter(self._parts))]
        if len(parts) < total:
            return None
        del self._parts[key]
        body = b"".join(parts[at] for at in sorted(parts))
        return Frame(True, frame.centre, frame.station, frame.password, frame.function, body, frame.end)


def local_ms(time: datetime, zone: ZoneInfo) -> int:
    """Epoch milliseconds of a station's local time."""
    return round(time.replace(tzinfo=zone).timestamp() * 1000)


class _Elements:
    """Walks through a body."""

    def __init__(self, body: bytes, at: int, is_uniform: bool) -> None:
        self._body = body
        self._at = at
        self._is_uniform = is_uniform
        self._step = timedelta(0)
        self.station: str | None = None
        self.station_class: int | None = None
        self.observed: datetime | None = None
        self.elements: list[Element] = []
        self.status: int | None = None
        self.rest = b""

    def read(self) -> None:
        while self._at < len(self._body):
            start = self._at
            if not self._read_one():
                self.rest = self._body[start:]
                return

    def _read_one(self) -> bool:
        """False when what stands here cannot be read, nor anything behind it."""
        body, at = self._body, self._at
        code = body[at]
        if body[at : at + 2] == b"\xf1\xf1":
            if len(body) < at + 7:
                return False
            self.station = body[at + 2 : at + 7].hex().upper()
            self._at = at + 7
            # The class stands behind the address, where there is one.
            if len(body) > self._at and body[self._at] not in (_OBSERVED, _STATION):
                self.station_class = body[self._at]
                self._at += 1
            return True
        if body[at : at + 2] == b"\xf0\xf0":
            if len(body) < at + 7:
                return False
            self.observed = _time(body[at + 2 : at + 7])
            self._at = at + 7
            return True
        size = 2 if code == _WIDE else 1
        name = body[at : at + size].hex().upper()
        if len(body) < at + size + 1 or code == PICTURE:
            return False
        described = body[at + size]
        count, decimals = described >> 3, described & 7
        begin = at + size + 1
        if count == 0 or len(body) < begin + count:
            return False
        self._at = begin + count
        data = body[begin : self._at]
        if code == _STATUS and count == 4:
            self.status = int.from_bytes(data, "big")
        elif code == _STEP and count == 3 and self._is_uniform:
            self._step = _step(data)
        elif name == RAIN_5_MIN and count == 12:
            self._twelve(name, [None if byte == 0xFF else byte / 10 for byte in data])
        elif name in _LEVELS_5_MIN and count == 24:
            pairs = [int.from_bytes(data[i : i + 2], "big") for i in range(0, 24, 2)]
            self._twelve(name, [None if pair == 0xFFFF else pair / 100 for pair in pairs])
        elif self._is_uniform and self._step:
            self._series(name, begin, count, decimals)
        else:
            self.elements.append(Element(name, self.observed, _number(data, decimals)))
        return True

    def _twelve(self, name: str, values: Sequence[float | None]) -> None:
        """Twelve values five minutes apart, the last at the time of the report."""
        for number, value in enumerate(values):
            observed = None if self.observed is None else self.observed - timedelta(minutes=5 * (11 - number))
            self.elements.append(Element(name, observed, value))

    def _series(self, name: str, begin: int, count: int, decimals: int) -> None:
        """One element many times, to the end of the body."""
        body, number = self._body, 0
        while begin + count <= len(body):
            try:
                observed = None if self.observed is None else self.observed + number * self._step
            except OverflowError as error:
                raise BadInput("bad-step", f"value {number} of element {name} is of no time") from error
            self.elements.append(Element(name, observed, _number(body[begin : begin + count], decimals)))
            begin += count
            number += 1
        self._at = begin if begin == len(body) else len(body)


def _number(data: bytes, decimals: int) -> float | None:
    """Packed decimal digits, high first; None when they are none, as in FF or AA for a sensor that failed."""
    is_negative = len(data) > 1 and data[0] == 0xFF
    digits = (data[1:] if is_negative else data).hex()
    if not digits.isdecimal():
        return None
    value = int(digits) / float(10**decimals)
    return -value if is_negative else value


def _time(data: bytes) -> datetime | None:
    """BCD YYMMDDHHmm, perhaps with seconds."""
    digits = data.hex()
    if not digits.isdecimal():
        return None
    year, month, day, hour, minute, second = (int(digits[at : at + 2] or 0) for at in (0, 2, 4, 6, 8, 10))
    try:
        return datetime(2000 + year, month, day, hour, minute, second)
    except ValueError:
        return None


def _step(data: bytes) -> timedelta:
    """BCD days, hours, minutes."""
    digits = data.hex()
    if not digits.isdecimal():
        return timedelta(0)
    return timedelta(days=int(digits[:2]), hours=int(digits[2:4]), minutes=int(digits[4:]))


def _size(buffer: bytearray, start: int) -> int | None:
    available = len(buffer) - start
    if available > 1 and buffer[start + 1] != _START:
        return 0
    if available > 11 and buffer[start + 11] >> 4 not in (_UP, _DOWN):
        return 0
    if available > 13 and buffer[start + 13] not in (_STX, _SYN):
        return 0
    if available < _HEAD_BYTES:
        return None
    length = int.from_bytes(buffer[start + 11 : start + 13], "big") & 0xFFF
    size = _HEAD_BYTES + length + _TAIL_BYTES
    if buffer[start + 13] == _STX or available < size or _is_whole(bytes(buffer[start : start + size])):
        return size
    return size + _PACKETS_BYTES


def _is_whole(data: bytes) -> bool:
    return data[-3] in _ENDS and _crc(data[:-2]) == int.from_bytes(data[-2:], "big")


def _parse(data: bytes) -> Frame | None:
    if not _is_whole(data):
        return None
    is_up = data[11] >> 4 == _UP
    centre, station = (data[2], data[3:8]) if is_up else (data[7], data[2:7])
    begin, packets = _HEAD_BYTES, None
    if data[13] == _SYN:
        if len(data) < _HEAD_BYTES + _PACKETS_BYTES + _TAIL_BYTES:
            return None
        both = int.from_bytes(data[14:17], "big")
        begin, packets = _HEAD_BYTES + _PACKETS_BYTES, (both >> 12, both & 0xFFF)
    return Frame(
        is_up,
        centre,
        station.hex().upper(),
        data[8:10].hex().upper(),
        data[10],
        data[begin:-3],
        data[-3],
        packets,
    )


def _crc(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def _table() -> list[int]:
    """The eight shifts of each low byte."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return table


_TABLE = _table()
