"""A hydrological station of SL 651-2014, HEX/BCD: timed and hourly reports, a report when the level passes a limit.

Source: SL 651-2014 as summed up in reference/devices.md §3.4; the published frames are its test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from firmware_sim.devices.dialling import Heard, Message
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.line import Answer
from firmware_sim.devices.quantities import Quantities

Fill: TypeAlias = Literal["ff", "aa"]

KEEP_ALIVE, TIMED, EXTRA, HOURLY = 0x2F, 0x32, 0x33, 0x34
_STX, _SYN, _ETX, _ETB, _EOT = 0x02, 0x16, 0x03, 0x17, 0x04
_STAYS = 0x1B
_TAKEN = frozenset({_EOT, 0x06, _STAYS})
_INSTRUMENT_FAILED, _DOOR_CLOSED, _BATTERY_LOW = 1 << 6, 1 << 7, 1 << 1
_HEAD = 14
_SERIAL_MAX = 0xFFFF
_STEP_MS = 300_000
_BATTERY_LOW_V = 11.0


@dataclass(frozen=True, slots=True)
class _Element:
    code: int
    byte_count: int
    decimals: int


ELEMENTS: Mapping[str, _Element] = {
    "rain": _Element(0x20, 3, 1),
    "rain_total": _Element(0x26, 3, 1),
    "level": _Element(0x39, 4, 3),
    "flow": _Element(0x27, 5, 3),
    "velocity": _Element(0x37, 3, 3),
    "voltage": _Element(0x38, 2, 2),
}


def crc(data: bytes) -> bytes:
    """Over everything before it, the two 7E included; high byte first."""
    remainder = 0xFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            is_odd, remainder = remainder & 1, remainder >> 1
            if is_odd:
                remainder ^= 0xA001
    return remainder.to_bytes(2, "big")


def element(name: str, value: float | None, fill: Fill = "ff") -> bytes:
    """One value with its code; None as digits that are none. A negative one has a byte more."""
    written = ELEMENTS[name]
    if value is None:
        return bytes([written.code, written.byte_count << 3 | written.decimals]) + bytes.fromhex(
            fill * written.byte_count
        )
    digits = f"{round(abs(value) * 10**written.decimals) % 100**written.byte_count:0{2 * written.byte_count}}"
    minus = b"\xff" if value < 0 and int(digits) else b""
    data = minus + bytes.fromhex(digits)
    return bytes([written.code, len(data) << 3 | written.decimals]) + data


@dataclass(frozen=True, slots=True)
class Down:
    """What a centre sends."""

    station: str
    function: int
    body: bytes
    end: int


def find_down(data: bytes) -> tuple[Down, int] | None:
    """The first whole frame of a centre among the bytes, and where it ends."""
    for at in range(len(data) - _HEAD - 2):
        if data[at : at + 2] != b"\x7e\x7e" or data[at + 11] >> 4 != 8 or data[at + 13] != _STX:
            continue
        stop = at + _HEAD + ((data[at + 11] & 0xF) << 8 | data[at + 12])
        if stop + 3 <= len(data) and crc(data[at : stop + 1]) == data[stop + 1 : stop + 3]:
            return Down(data[at + 2 : at + 7].hex().upper(), data[at + 10], data[at + 14 : stop], data[stop]), stop + 3
    return None


@dataclass(slots=True)
class Station651:
    """Implements `Speaker`. Its last fields say what it does otherwise than the standard says."""

    station: str  # ten digits
    quantities: Quantities
    clock: MeterClock
    password: str = "1234"
    centre: int = 1
    sort: int | None = 0x48  # a river; None: it leaves that out
    limit_m: float | None = None  # a level above which it reports at once
    packet_bytes: int | None = None  # of a body, where it sends long reports in several
    counts_packets: bool = False  # counts their three bytes into the length
    is_deaf: bool = False  # its level instrument fails: digits that are none, and the bit in its status
    fill: Fill = "ff"
    tells_status: bool = True
    hides_failure: bool = False  # it does not say so in its status

    _serial: int = 0
    _hour: datetime | None = None
    _was_above: bool = False
    _buffer: bytes = b""

    def report(self, now_ms: int) -> list[Message]:
        shown = self.clock.local(now_ms)
        hour = shown.replace(minute=0, second=0, microsecond=0)
        is_hour, self._hour = self._hour is not None and hour != self._hour, hour
        level = self.quantities(now_ms).get("level")
        is_above = self.limit_m is not None and level is not None and level > self.limit_m
        function = TIMED
        if is_hour:
            function = HOURLY
        elif is_above and not self._was_above:
            function = EXTRA
        self._was_above = is_above
        return [self.message(function, now_ms)]

    def message(self, function: int, now_ms: int) -> Message:
        """A report of that sort, under the next serial number."""
        self._serial = self._serial % _SERIAL_MAX + 1
        shown, values = self.clock.local(now_ms), dict(self.quantities(now_ms))
        status = (_INSTRUMENT_FAILED if self.is_deaf and not self.hides_failure else 0) | _DOOR_CLOSED
        if values.get("voltage", 12.0) < _BATTERY_LOW_V:
            status |= _BATTERY_LOW
        body = self._stamp(now_ms) + b"\xf1\xf1" + bytes.fromhex(self.station)
        body += (b"" if self.sort is None else bytes([self.sort])) + b"\xf0\xf0" + bytes.fromhex(f"{shown:%y%m%d%H%M}")
        for name in ELEMENTS:
            if name in values:
                is_lost = name == "level" and self.is_deaf
                body += element(name, None if is_lost else values[name], self.fill)
        if function == HOURLY and "level" in values:
            body += b"\xf5\xc0" + b"".join(self._past_level(now_ms - i * _STEP_MS) for i in reversed(range(12)))
        if self.tells_status:
            body += b"\x45\x20" + status.to_bytes(4, "big")
        return Message(self._frames(function, body), f"{function} {self._serial}")

    def keep_alive(self, now_ms: int) -> Message | None:
        return Message(self._frames(KEEP_ALIVE, self._stamp(now_ms)), None)

    def heard(self, data: bytes) -> list[Heard]:
        self._buffer = (self._buffer + data)[-4096:]
        found = []
        while (one := find_down(self._buffer)) is not None:
            down, end = one
            self._buffer = self._buffer[end:]
            if down.station == self.station and down.end in _TAKEN and len(down.body) >= 2:
                serial = int.from_bytes(down.body[:2], "big")
                # A packet of several is acknowledged too; only the last says whether the station may stay.
                if down.end in (_EOT, _STAYS):
                    found.append(Heard(f"{down.function} {serial}", down.end == _STAYS))
        return found

    def hung_up(self) -> None:
        self._buffer = b""

    def _stamp(self, now_ms: int) -> bytes:
        return self._serial.to_bytes(2, "big") + bytes.fromhex(f"{self.clock.local(now_ms):%y%m%d%H%M%S}")

    def _past_level(self, at_ms: int) -> bytes:
        centimetres = 0xFFFF if self.is_deaf else round(max(0.0, self.quantities(at_ms)["level"]) * 100)
        return min(centimetres, 0xFFFF).to_bytes(2, "big")

    def _frames(self, function: int, body: bytes) -> tuple[Answer, ...]:
        if self.packet_bytes is None or len(body) <= self.packet_bytes:
            return (self._frame(function, bytes([_STX]), body, _ETX),)
        parts = [body[at : at + self.packet_bytes] for at in range(0, len(body), self.packet_bytes)]
        return tuple(
            self._frame(
                function,
                bytes([_SYN]) + (len(parts) << 12 | number).to_bytes(3, "big"),
                part,
                _ETX if number == len(parts) else _ETB,
            )
            for number, part in enumerate(parts, 1)
        )

    def _frame(self, function: int, begin: bytes, body: bytes, end: int) -> Answer:
        length = len(body) + (3 if self.counts_packets and begin[0] == _SYN else 0)
        head = b"\x7e\x7e" + bytes([self.centre]) + bytes.fromhex(self.station + self.password) + bytes([function])
        said = head + length.to_bytes(2, "big") + begin + body + bytes([end])
        return Answer(said + crc(said), len(said), 0.0)
