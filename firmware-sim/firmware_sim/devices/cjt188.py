"""A water meter of CJ/T 188: its metering data and its address. No heat meters, no valve, no keys of 2018.

Source: CJ/T 188-2004 and the field notes in reference/devices.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from firmware_sim.devices.decimals import ends_with_sum, packed
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.line import Answer
from firmware_sim.devices.quantities import Quantities

Layout: TypeAlias = Literal["standard", "without-units"]
StatusLayout: TypeAlias = Literal["standard", "high-bits"]

WAKE_UP = b"\xfe" * 3
_START, _END = 0x68, 0x16
_READ, _READ_ADDRESS, _ANSWER = 0x01, 0x03, 0x80
_ANYBODY, _ANY_SORT = "aa" * 7, 0xAA
_CUBIC_METRES = b"\x2c"
_BATTERY_LOW = {"standard": 0x04, "high-bits": 0x20}


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it stood on the line; the address high digit first."""

    sort: int
    address: str
    control: int
    data: bytes

    def encoded(self) -> bytes:
        """As it goes on the line, without a wake-up."""
        head = bytes([_START, self.sort]) + bytes.fromhex(self.address)[::-1] + bytes([self.control, len(self.data)])
        return ends_with_sum(head + self.data)


def find_frame(burst: bytes) -> Frame | None:
    """The first whole frame among the bytes."""
    for at in range(len(burst) - 12):
        end = at + 11 + burst[at + 10]
        if burst[at] != _START or end + 1 >= len(burst) or burst[end + 1] != _END:
            continue
        if sum(burst[at:end]) % 256 == burst[end]:
            return Frame(burst[at + 1], burst[at + 2 : at + 9][::-1].hex(), burst[at + 9], burst[at + 11 : end])
    return None


@dataclass(slots=True)
class Meter188:
    """Implements `Device`. What it does otherwise than the standard says is said by its last fields."""

    address: str  # fourteen digits, vendor first
    quantities: Quantities
    clock: MeterClock
    sort: int = 0x10  # cold water
    thinks_s: float = 0.3
    is_swapped: bool = False  # 1F 90 where the standard has 90 1F
    layout: Layout = "standard"  # or whole and part of the volume, flow and temperature, in as many bytes
    status_layout: StatusLayout = "standard"
    is_battery_low: bool = False
    numbers_answers_wrong: bool = False  # with a number that nobody gave, as an answer to somebody else has

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        request = find_frame(burst)
        if request is None or request.sort not in (self.sort, _ANY_SORT) or len(request.data) != 3:
            return None
        if request.address not in (self.address.lower(), _ANYBODY):
            return None
        if request.control == _READ_ADDRESS:
            return self._answer(request, b"")
        is_metering = request.data[:2] == (b"\x1f\x90" if self.is_swapped else b"\x90\x1f")
        return self._answer(request, self._metering(now_ms)) if request.control == _READ and is_metering else None

    def _metering(self, now_ms: int) -> bytes:
        values = self.quantities(now_ms)
        volume = values.get("volume", 0.0)
        shown = bytes.fromhex(f"{self.clock.local(now_ms):%Y%m%d%H%M%S}")[::-1]
        status = bytes([_BATTERY_LOW[self.status_layout] * self.is_battery_low, 0])
        if self.layout == "without-units":
            whole, part = divmod(round(volume * 10**6), 10**6)
            parts = packed(whole, 4, 0) + packed(part, 3, 0) + packed(values.get("flow", 0.0), 3, 3)
            return parts + shown + status
        settled = packed(values.get("settlement_volume", 0.0), 4, 2) + _CUBIC_METRES
        return packed(volume, 4, 2) + _CUBIC_METRES + settled + shown + status

    def _answer(self, request: Frame, value: bytes) -> Answer:
        number = (request.data[2] + 0x80) % 256 if self.numbers_answers_wrong else request.data[2]
        data = request.data[:2] + bytes([number]) + value
        said = WAKE_UP + Frame(self.sort, self.address, request.control | _ANSWER, data).encoded()
        return Answer(said, len(said) - 2, self.thinks_s)
