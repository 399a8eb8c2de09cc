"""What a device says of one quantity, before it has a name in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from telemetry.errors import BadInput


class Measured(NamedTuple):
    """A value with its unit; None is "not measured", which is never a number."""

    value: float | None
    unit: str


_UNITS: Mapping[str, tuple[str, float]] = {  # unit: dimension, how many of its first unit it is
    "Wh": ("energy", 1.0),
    "kWh": ("energy", 1e3),
    "MWh": ("energy", 1e6),
    "J": ("energy", 1 / 3600),
    "kJ": ("energy", 1 / 3.6),
    "MJ": ("energy", 1e3 / 3.6),
    "GJ": ("energy", 1e6 / 3.6),
    "varh": ("reactive energy", 1.0),
    "kvarh": ("reactive energy", 1e3),
    "VAh": ("apparent energy", 1.0),
    "kVAh": ("apparent energy", 1e3),
    "W": ("power", 1.0),
    "kW": ("power", 1e3),
    "MW": ("power", 1e6),
    "var": ("reactive power", 1.0),
    "kvar": ("reactive power", 1e3),
    "VA": ("apparent power", 1.0),
    "kVA": ("apparent power", 1e3),
    "V": ("voltage", 1.0),
    "mV": ("voltage", 1e-3),
    "kV": ("voltage", 1e3),
    "A": ("current", 1.0),
    "mA": ("current", 1e-3),
    "m3": ("volume", 1.0),
    "L": ("volume", 1e-3),
    "m3/h": ("flow", 1.0),
    "L/h": ("flow", 1e-3),
    "m3/min": ("flow", 60.0),
    "m3/s": ("flow", 3600.0),
    "s": ("time", 1.0),
    "min": ("time", 60.0),
    "h": ("time", 3600.0),
    "days": ("time", 86400.0),
}


def in_unit(measured: Measured, unit: str) -> float | None:
    """A value in another unit of its dimension; as it is when `unit` is empty. Raises BadInput when it has none."""
    if measured.value is None or unit in ("", measured.unit):
        return measured.value
    of, to = _UNITS.get(measured.unit), _UNITS.get(unit)
    if of is None or to is None or of[0] != to[0]:
        raise BadInput("wrong-unit", f"the meter says {measured.unit or 'no unit'}, which is no {unit}; mend 'unit'")
    return measured.value * of[1] / to[1]


def bcd(data: bytes) -> int | None:
    """Packed decimal digits, low byte first; None when a digit is none, as in bytes filled with FF."""
    digits = data[::-1].hex()
    return int(digits) if digits.isdecimal() else None
