"""SDI-12 as text, without I/O: commands out; acknowledgements, identities, announcements and values in.

A command is `address letter… !`, an answer `address … CR LF`. After `aC!` (or `aCC!` with a checksum) a sensor announces
`atttnn`: nn values in ttt seconds; `aD0!` to `aD9!` fetch them, `+1.253-18.4`. The checksum is CRC-16 (polynomial A001,
from 0) over the answer from the address on, as three characters of six bits, each with 0x40: no value can look like one.

Source: SDI-12 specification 1.4, §4.4; table in SL/T 651 annex H.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.framing import FrameReader
from telemetry.errors import BadInput

ADDRESSES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = re.compile(r"(?:[+-](?:\d{1,7}(?:\.\d{0,7})?|\.\d{1,7}))*")
_VALUE = re.compile(r"[+-][\d.]+")
_ANNOUNCEMENT = re.compile(r"[0-9A-Za-z]\d{3}\d{1,2}")
_ADDRESS = re.compile(r"[0-9A-Za-z]")
_IDENTITY = re.compile(r"([0-9A-Za-z])(\d)(\d)(.{8})(.{6})(.{3})(.{0,13})")
_LINE_MAX_BYTES = 90  # 75 characters of values, address, checksum, CR LF


@dataclass(frozen=True, slots=True)
class Announcement:
    """A sensor has begun to measure."""

    address: str
    ready_s: int
    value_count: int


@dataclass(frozen=True, slots=True)
class Values:
    """What it measured, or a part of it."""

    address: str
    values: tuple[float, ...]
    checksum: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a sensor is."""

    address: str
    version: str  # of SDI-12
    vendor: str
    model: str
    firmware: str
    serial: str


def checksum(text: str) -> str:
    """The three characters for an answer, its address included."""
    crc = 0
    for byte in text.encode("ascii"):
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return "".join(chr(0x40 | (crc >> shift) & 0x3F) for shift in (12, 6, 0))


def encode_start(address: str, has_checksum: bool) -> bytes:
    """Start measuring; other sensors may be asked meanwhile."""
    return f"{address}{'CC' if has_checksum else 'C'}!".encode("ascii")


def encode_fetch(address: str, number: int) -> bytes:
    """Fetch values, part `number` from 0 to 9."""
    assert 0 <= number <= 9
    return f"{address}D{number}!".encode("ascii")


def encode_identify(address: str) -> bytes:
    return f"{address}I!".encode("ascii")


def line_reader() -> FrameReader[str]:
    """Reads answers: lines ending in CR LF. Echoes of commands (up to "!") are passed over as noise."""
    return FrameReader(_line_size, _parse_line, starts=ADDRESSES.encode("ascii"))


def decode_acknowledgement(line: str) -> str:
    """The address of a sensor that is there. Raises BadInput."""
    if not _ADDRESS.fullmatch(line):
        raise BadInput("bad-answer", f"{_shown(line)!r} is not the address of a sensor")
    return line


def decode_announcement(line: str) -> Announcement:
    """Read `atttn` or `atttnn`. Raises BadInput."""
    if not _ANNOUNCEMENT.fullmatch(line):
        raise BadInput("bad-answer", f"{_shown(line)!r} does not announce values: address, 3 digits, 1 or 2 digits")
    return Announcement(line[0], int(line[1:4]), int(line[4:]))


def decode_values(line: str, needs_checksum: bool = False) -> Values:
    """Read values. A checksum is checked wherever there is one.

    Noise that could be text may stand before an answer; where a checksum was asked for, it tells where the answer begins.

    Raises BadInput: no values, or a wrong or missing checksum. Ask again.
    """
    if not line or not line.isascii() or not _ADDRESS.fullmatch(line[0]):
        raise BadInput("bad-answer", f"{_shown(line)!r} begins with no address")
    body, sent = line[1:], None
    if len(body) >= 3 and all("\x40" <= c <= "\x7f" for c in body[-3:]):
        body, sent = body[:-3], body[-3:]
        if checksum(line[:-3]) != sent:
            if needs_checksum and (behind := _behind_noise(line)):
                return decode_values(behind, needs_checksum)
            raise BadInput("bad-checksum", f"{_shown(line)!r} should end in {checksum(line[:-3])}")
    if needs_checksum and sent is None:
        raise BadInput("bad-checksum", f"{_shown(line)!r} carries no checksum, which was asked for")
    if not _VALUES.fullmatch(body):
        raise BadInput("bad-answer", f"{_shown(line)!r} holds something that is no value")
    return Values(line[0], tuple(float(value) for value in _VALUE.findall(body)), sent)


def decode_identity(line: str) -> Identity:
    """Read the answer to `aI!`. Raises BadInput."""
    match = _IDENTITY.fullmatch(line)
    if match is None:
        raise BadInput("bad-answer", f"{_shown(line)!r} is too short or too long to say who a sensor is")
    address, major, minor, vendor, model, firmware, serial = match.groups()
    return Identity(address, f"{major}.{minor}", vendor.strip(), model.strip(), firmware.strip(), serial.strip())


def _behind_noise(line: str) -> str | None:
    """The longest end of a line that is an answer with values under its checksum."""
    return next(
        (
            line[at:]
            for at in range(1, len(line) - 4)
            if line[at] in ADDRESSES
            and line[at + 1] in "+-"
            and _VALUES.fullmatch(line, at + 1, len(line) - 3)
            and checksum(line[at:-3]) == line[-3:]
        ),
        None,
    )


def _line_size(buffer: bytearray, start: int) -> int | None:
    end = buffer.find(b"\r\n", start, start + _LINE_MAX_BYTES)
    mark = buffer.find(b"!", start, start + _LINE_MAX_BYTES)
    if mark >= 0 and (end < 0 or mark < end):
        return 0  # a command, which a half-duplex line hears too
    if end >= 0:
        return end - start + 2
    return 0 if len(buffer) - start >= _LINE_MAX_BYTES else None


def _parse_line(line: bytes) -> str | None:
    if not all(0x20 <= byte <= 0x7F for byte in line[:-2]):  # 0x7F may stand in a checksum
        return None
    return line[:-2].decode("ascii")


def _shown(line: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in line[:40])
