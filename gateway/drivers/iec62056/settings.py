"""What an IEC 62056-21 driver can be told."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat

from gateway.line import LineSettings
from gateway.meter import Digits, MeterDevice, MeterPoint, MeterSettings, read_profiles

_FILE = Path(__file__).parent / "profiles.yaml"


class Iec62056Line(LineSettings):
    """Every meter is woken at 300 baud, seven bits, even."""

    baud: int = Field(default=300, ge=300, le=1_000_000)
    data_bits: Literal[7, 8] = 7
    quiet_ms: float = Field(default=500.0, ge=0)
    answer_delay_ms: PositiveFloat = 1800.0  # the standard allows 1.5 s
    gap_ms: PositiveFloat = 1700.0


class Iec62056Point(MeterPoint):
    """One metric: a register by its code, such as 1.8.0."""

    code: Digits = Field(min_length=1)
    index: int = Field(default=0, ge=0, le=63)  # of several values of one code


class Iec62056Device(MeterDevice):
    """One meter; without an address it must be the only one on its line."""

    address: Digits = Field(default="", pattern=r"^[0-9A-Za-z ]{0,32}$")
    profile: str = "energy"


class Iec62056Settings(MeterSettings[Iec62056Point, Iec62056Device]):
    """Meters behind one optical head or on one line."""

    line: Iec62056Line
    every_s: PositiveFloat = 300.0
    takes_offered_baud: bool = True  # by a port that can change its rate; a TCP server never does

    @classmethod
    def known_profiles(cls) -> Mapping[str, tuple[Iec62056Point, ...]]:
        return _known()


@functools.cache
def _known() -> Mapping[str, tuple[Iec62056Point, ...]]:
    return read_profiles(_FILE, Iec62056Point)
