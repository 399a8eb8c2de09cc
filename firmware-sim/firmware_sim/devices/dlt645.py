"""An electricity meter of DL/T 645-2007 or -1997. Only reading: data, following parts, and the address.

Source: DL/T 645-2007 and -1997 as summed up in reference/devices.md §1.1 and §1.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from firmware_sim.devices.decimals import ends_with_sum, packed, packed_signed
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.line import Answer
from firmware_sim.devices.quantities import Quantities

Edition: TypeAlias = Literal[2007, 1997]

WAKE_UP = b"\xfe" * 4
_START, _END, _ANY = 0x68, 0x16, "a"
_SHIFT = 0x33
_READ, _READ_NEXT, _READ_ADDRESS = 0x11, 0x12, 0x13
_READ_1997, _READ_NEXT_1997 = 0x01, 0x02
_ANSWER, _REFUSAL, _MORE = 0x80, 0xC0, 0x20
_NO_SUCH_DATA = b"\x02"


@dataclass(frozen=True, slots=True)
class _Item:
    """How values of quantities are written one behind the other; `times` brings the catalogue's unit to the meter's."""

    quantities: tuple[str, ...]
    byte_count: int
    decimals: int
    is_signed: bool = False
    times: float = 1.0


_TARIFFS = ("energy", "energy_t1", "energy_t2", "energy_t3", "energy_t4")
_PHASES = "abc"
ITEMS: Mapping[Edition, Mapping[str, _Item]] = {
    2007: {
        "00000000": _Item(("energy",), 4, 2),
        "00010000": _Item(("energy",), 4, 2),
        "0001FF00": _Item(_TARIFFS, 4, 2),
        "00020000": _Item(("energy_reverse",), 4, 2),
        "02010100": _Item(("voltage",), 2, 1),
        "0201FF00": _Item(tuple(f"voltage_{p}" for p in _PHASES), 2, 1),
        "02020100": _Item(("current",), 3, 3, is_signed=True),
        "0202FF00": _Item(tuple(f"current_{p}" for p in _PHASES), 3, 3, is_signed=True),
        "02030000": _Item(("power",), 3, 4, is_signed=True, times=1e-3),
        "0203FF00": _Item(("power", *(f"power_{p}" for p in _PHASES)), 3, 4, is_signed=True, times=1e-3),
        "02060000": _Item(("power_factor",), 2, 3, is_signed=True),
        "02800002": _Item(("frequency",), 2, 2),
    },
    1997: {
        "9010": _Item(("energy",), 4, 2),
        "9020": _Item(("energy_reverse",), 4, 2),
        "B611": _Item(("voltage",), 2, 0),
        "B621": _Item(("current",), 2, 2),
        "B630": _Item(("power",), 3, 4, times=1e-3),
    },
}


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it stood on the line; the address high digit first, the data without their shift."""

    address: str
    control: int
    data: bytes

    def encoded(self) -> bytes:
        """As it goes on the line, without a wake-up."""
        shifted = bytes((byte + _SHIFT) % 256 for byte in self.data)
        head = bytes([_START]) + bytes.fromhex(self.address)[::-1] + bytes([_START, self.control, len(self.data)])
        return ends_with_sum(head + shifted)


def find_frame(burst: bytes) -> Frame | None:
    """The first whole frame among the bytes."""
    for at in range(len(burst) - 11):
        if burst[at] != _START or burst[at + 7] != _START:
            continue
        end = at + 10 + burst[at + 9]
        if end + 1 < len(burst) and burst[end + 1] == _END and sum(burst[at:end]) % 256 == burst[end]:
            data = bytes((byte - _SHIFT) % 256 for byte in burst[at + 10 : end])
            return Frame(burst[at + 1 : at + 7][::-1].hex(), burst[at + 8], data)
    return None


@dataclass(slots=True)
class Meter645:
    """Implements `Device`. What it does otherwise than the standard says is said by its last fields."""

    address: str  # twelve digits
    quantities: Quantities
    clock: MeterClock
    edition: Edition = 2007
    thinks_s: float = 0.05
    part_bytes: int = 200  # of a value, in one frame; the rest follows when it is asked for
    answers_as_wildcard: bool = False  # with AA for its address, as some of 1997 do
    hides: frozenset[str] = field(default_factory=frozenset)  # items that it fills with FF
    is_mute_about_unknown: bool = False  # silent where it should refuse
    refuses_for_others: bool = False  # answers frames to other meters with a refusal

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        request = find_frame(burst)
        if request is None or request.control & _ANSWER:
            return None
        is_mine = all(want in (_ANY, mine) for want, mine in zip(request.address, self.address, strict=True))
        reads = (_READ, _READ_NEXT) if self.edition == 2007 else (_READ_1997, _READ_NEXT_1997)
        if not is_mine:
            is_asked = self.refuses_for_others and request.control in reads
            return self._answer(request.control | _REFUSAL, _NO_SUCH_DATA) if is_asked else None
        if request.control == _READ_ADDRESS and self.edition == 2007:
            return self._answer(_READ_ADDRESS | _ANSWER, bytes.fromhex(self.address)[::-1])
        if request.control not in reads:
            return None
        return self._read(request, now_ms, is_next=request.control == reads[1])

    def _read(self, request: Frame, now_ms: int, *, is_next: bool) -> Answer | None:
        width = 4 if self.edition == 2007 else 2
        value = self._value(request.data[:width][::-1].hex().upper(), now_ms)
        part = request.data[width] if is_next and len(request.data) > width else 0
        if value is None or part * self.part_bytes >= len(value):
            return None if self.is_mute_about_unknown else self._answer(request.control | _REFUSAL, _NO_SUCH_DATA)
        rest = value[part * self.part_bytes :]
        more = _MORE if len(rest) > self.part_bytes else 0
        number = bytes([part]) if is_next else b""
        data = request.data[:width] + rest[: self.part_bytes] + number
        return self._answer(request.control | _ANSWER | more, data)

    def _value(self, name: str, now_ms: int) -> bytes | None:
        """The bytes of an item; None where the meter does not have it."""
        shown = self.clock.local(now_ms)
        match name:
            case "04000401" | "C032":
                return bytes.fromhex(self.address)[::-1]
            case "04000101":
                return bytes.fromhex(f"{shown:%y%m%d}{shown.isoweekday() % 7:02d}")[::-1]
            case "04000102":
                return bytes.fromhex(f"{shown:%H%M%S}")[::-1]
        item = ITEMS[self.edition].get(name)
        values = self.quantities(now_ms)
        if item is None or item.quantities[0] not in values:
            return None
        if name in self.hides:
            return b"\xff" * (item.byte_count * len(item.quantities))
        write = packed_signed if item.is_signed else packed
        return b"".join(
            write(values.get(quantity, 0.0) * item.times, item.byte_count, item.decimals)
            for quantity in item.quantities
        )

    def _answer(self, control: int, data: bytes) -> Answer:
        frame = Frame("aa" * 6 if self.answers_as_wildcard else self.address, control, data)
        said = WAKE_UP + frame.encoded()
        return Answer(said, len(said) - 2, self.thinks_s)
