"""What a device says of one quantity, before it has a name in the catalogue."""

from __future__ import annotations

from typing import NamedTuple


class Measured(NamedTuple):
    """A value with its unit; None is "not measured", which is never a number."""

    value: float | None
    unit: str


def bcd(data: bytes) -> int | None:
    """Packed decimal digits, low byte first; None when a digit is none, as in bytes filled with FF."""
    digits = data[::-1].hex()
    return int(digits) if digits.isdecimal() else None
