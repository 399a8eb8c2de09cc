"""What a DL/T 698.45 driver can be told."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, field_validator

from gateway.drivers.dlt698.apdu import OBJECTS
from gateway.line import LineSettings
from gateway.meter import Digits, MeterDevice, MeterPoint, MeterSettings, read_profiles

_FILE = Path(__file__).parent / "profiles.yaml"


class Dlt698Line(LineSettings):
    """These meters begin at a higher rate."""

    baud: int = Field(default=9600, ge=300, le=1_000_000)


class Dlt698Point(MeterPoint):
    """One metric: an object attribute of eight digits, and which of its values (0 the total, 1 and up tariffs or phases)."""

    object: Digits = Field(pattern=r"^[0-9A-Fa-f]{8}$")
    index: int = Field(default=0, ge=0, le=63)

    @field_validator("object")
    @classmethod
    def _is_known(cls, oad: str) -> str:
        if oad[:6].upper() not in OBJECTS:
            raise ValueError(f"object {oad} is none of those known: {', '.join(OBJECTS)} and two digits")
        return oad.upper()


class Dlt698Device(MeterDevice):
    """One meter, by the twelve digits printed on it (leading zeros may be left out)."""

    address: Digits = Field(pattern=r"^\d{1,12}$")
    profile: str = "energy"

    @field_validator("address")
    @classmethod
    def _twelve_digits(cls, address: str) -> str:
        return address.zfill(12)


class Dlt698Settings(MeterSettings[Dlt698Point, Dlt698Device]):
    """Meters on one line."""

    line: Dlt698Line

    @classmethod
    def known_profiles(cls) -> Mapping[str, tuple[Dlt698Point, ...]]:
        return _known()


@functools.cache
def _known() -> Mapping[str, tuple[Dlt698Point, ...]]:
    return read_profiles(_FILE, Dlt698Point)
