"""What distance sensors with a UART say, as bytes, without I/O.

Binary, sent on their own: `FF hi lo sum`, millimetres; FFFE and FFFD are no distances but "another sensor is in the way" and
"nothing is there". Asked (URM): `55 AA address length command data… sum`; a distance is two bytes, centimetres. The sum is
that of all bytes before it, modulo 256. Text: lines, of which a pattern finds the number.

Source: DFRobot wiki, SEN0754 (automatic output), SEN0149 (URM protocol).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from gateway.framing import FrameReader
from telemetry.errors import BadInput

_AUTO_START, _URM_START = 0xFF, 0x55
_LINE_MAX_BYTES = 100
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,9})?")


class Fault(IntEnum):
    """Why there is no distance."""

    INTERFERENCE = 0xFFFE
    NOTHING_THERE = 0xFFFD


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance [mm], or the reason why there is none."""

    distance_mm: int | None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class UrmFrame:
    """A request (no data) or an answer of the URM protocol."""

    address: int
    command: int
    data: bytes

    @property
    def distance_mm(self) -> int | None:
        """Of an answer to `READ_DISTANCE`; None when nothing was there."""
        if self.command != READ_DISTANCE or len(self.data) != 2:
            return None
        distance_cm = int.from_bytes(self.data, "big")
        return None if distance_cm == 0xFFFF else distance_cm * 10


READ_DISTANCE = 2


def auto_reader() -> FrameReader[Distance]:
    """Reads frames that a sensor sends on its own."""
    return FrameReader(lambda _buffer, _start: 4, _parse_auto, starts=bytes([_AUTO_START]))


def urm_reader() -> FrameReader[UrmFrame]:
    """Reads frames of the URM protocol."""
    return FrameReader(_urm_size, _parse_urm, starts=bytes([_URM_START]))


def text_reader(pattern: re.Pattern[str]) -> FrameReader[float]:
    """Reads lines ending in CR or LF; the number is the pattern's first group. Lines that do not fit are noise."""

    def parse(line: bytes) -> float | None:
        match = pattern.fullmatch(line.decode("latin-1").strip("\r\n \0"))
        return float(match[1]) if match and _NUMBER.fullmatch(match[1]) else None

    return FrameReader(_line_size, parse)


def encode_urm(frame: UrmFrame) -> bytes:
    """A frame as it goes over the wire."""
    assert len(frame.data) <= 0xFF
    head = bytes([0x55, 0xAA, frame.address, len(frame.data), frame.command]) + frame.data
    return head + bytes([sum(head) & 0xFF])


def check_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern for lines, with one group of digits in it. Raises BadInput."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadInput("bad-pattern", f"'{pattern}' is no regular expression: {error}") from error
    if compiled.groups != 1:
        raise BadInput("bad-pattern", f"'{pattern}' must have exactly one group: the number, such as R(\\d{{4}})")
    return compiled


def _parse_auto(frame: bytes) -> Distance | None:
    if sum(frame[:3]) & 0xFF != frame[3]:
        return None
    raw = int.from_bytes(frame[1:3], "big")
    return Distance(None, Fault(raw)) if raw in tuple(Fault) else Distance(raw)


def _urm_size(buffer: bytearray, start: int) -> int | None:
    if len(buffer) - start > 1 and buffer[start + 1] != 0xAA:
        return 0
    return None if len(buffer) - start < 4 else 6 + buffer[start + 3]


def _parse_urm(frame: bytes) -> UrmFrame | None:
    if sum(frame[:-1]) & 0xFF != frame[-1]:
        return None
    return UrmFrame(frame[2], frame[4], frame[5:-1])


def _line_size(buffer: bytearray, start: int) -> int | None:
    """A line with its end; longer ones are none."""
    ends = [at for end in b"\r\n" if (at := buffer.find(end, start, start + _LINE_MAX_BYTES)) >= 0]
    if ends:
        return min(ends) - start + 1
    return 0 if len(buffer) - start >= _LINE_MAX_BYTES else None
