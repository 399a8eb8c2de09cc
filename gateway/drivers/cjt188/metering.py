"""What a CJ/T 188 meter says behind 901F: volume, energy, clock and status. Layouts are data.

Every quantity of the standard's layouts is packed decimals, low byte first, and a unit code behind them. Some vendors
answer the same identifier, in the same length, with a layout of their own and no unit codes: read as the standard's it
gives plausible nonsense, so an answer whose unit codes are none is refused.

Source: CJ/T 188-2004 annex; the status of the second dialect and the layout without units as in the notes of the README.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.measured import Measured, bcd
from telemetry.errors import BadInput

UNITS: Mapping[int, tuple[str, float]] = {  # code: unit, times
    0x02: ("Wh", 1),
    0x05: ("kWh", 1),
    0x08: ("MWh", 1),
    0x0A: ("MWh", 100),
    0x01: ("J", 1),
    0x0B: ("kJ", 1),
    0x0E: ("MJ", 1),
    0x11: ("GJ", 1),
    0x13: ("GJ", 100),
    0x14: ("W", 1),
    0x17: ("kW", 1),
    0x1A: ("MW", 1),
    0x29: ("L", 1),
    0x2C: ("m3", 1),
    0x32: ("L/h", 1),
    0x35: ("m3/h", 1),
}
StatusLayout = Literal["standard", "high-bits"]


@dataclass(frozen=True, slots=True)
class Status:
    """The valve and the battery as the first status byte tells them."""

    valve: Literal["open", "closed", "fault", "unknown"]
    is_battery_low: bool


@dataclass(frozen=True, slots=True)
class Metering:
    """An answer to 901F."""

    quantities: Mapping[str, Measured]
    clock: str | None  # as the meter has it, without a zone; None when it was never set
    status: bytes

    def status_by(self, layout: StatusLayout) -> Status:
        """The status as this layout of its bits says it."""
        first = self.status[0]
        if layout == "standard":
            return Status(_VALVE[first & 3], bool(first & 0x04))
        return Status(_VALVE[first >> 6], bool(first & 0x20))


_VALVE: tuple[Literal["open", "closed", "fault", "unknown"], ...] = ("open", "closed", "unknown", "fault")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    byte_count: int
    decimals: int
    unit: str = ""  # of itself; empty where a unit code follows


_WATER = (_Field("current_volume", 4, 2), _Field("settlement_volume", 4, 2))
_HEAT = (
    _Field("settlement_energy", 4, 2),
    _Field("current_energy", 4, 2),
    _Field("power", 4, 2),
    _Field("flow", 4, 4),
    _Field("current_volume", 4, 2),
    _Field("supply_temperature", 3, 2, "degC"),
    _Field("return_temperature", 3, 2, "degC"),
    _Field("work_time", 3, 0, "h"),
)
_CLOCK_BYTES, _STATUS_BYTES = 7, 2


def parse_metering(sort: int, value: bytes) -> Metering:
    """What stands behind 901F and the serial number.

    Args:
        sort: Of the meter: 20 to 2F are heat meters, the others count a volume.
        value: The bytes.

    Raises BadInput when this is not the standard's layout.
    """
    fields = _HEAT if 0x20 <= sort <= 0x2F else _WATER
    expected = sum(f.byte_count + (not f.unit) for f in fields) + _CLOCK_BYTES + _STATUS_BYTES
    if len(value) != expected:
        detail = (
            f"{len(value)} bytes of data where a meter of this sort sends {expected}; give its layout in the profile"
        )
        raise BadInput("unknown-layout", detail)
    quantities: dict[str, Measured] = {}
    at = 0
    for field in fields:
        unit, times = field.unit, 1.0
        digits = bcd(value[at : at + field.byte_count])
        at += field.byte_count
        if not unit:
            if value[at] not in UNITS:
                detail = (
                    f"{value[at]:02X} stands where the unit of {field.name} belongs; give its layout in the profile"
                )
                raise BadInput("unknown-unit", detail)
            unit, times = UNITS[value[at]]
            at += 1
        quantities[field.name] = Measured(None if digits is None else digits * times / 10.0**field.decimals, unit)
    return Metering(quantities, clock_text(value[at : at + _CLOCK_BYTES]), value[at + _CLOCK_BYTES :])


def clock_text(value: bytes) -> str | None:
    """Seven bytes ss mm hh DD MM YY YY, low first, as a date and time; None when the clock was never set."""
    digits = value[::-1].hex()
    if not digits.isdecimal() or not int(digits):
        return None
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:]}"
