"""What a CJ/T 188 driver can be told."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, field_validator

from gateway.drivers.cjt188.metering import StatusLayout
from gateway.line import LineSettings
from gateway.meter import Digits, MeterDevice, MeterPoint, MeterSettings, read_profiles

_FILE = Path(__file__).parent / "profiles.yaml"


class Cjt188Line(LineSettings):
    """Water meters think longer, and many want a pause."""

    quiet_ms: float = Field(default=500.0, ge=0)
    answer_delay_ms: PositiveFloat = 2000.0


class Cjt188Point(MeterPoint):
    """One metric: a quantity of the metering data, or a truth of the status as 1 or 0."""

    quantity: Literal[
        "current_volume",
        "settlement_volume",
        "settlement_energy",
        "current_energy",
        "power",
        "flow",
        "supply_temperature",
        "return_temperature",
        "work_time",
        "battery_low",
        "valve_closed",
        "valve_fault",
    ]


class Cjt188Device(MeterDevice):
    """One meter: the fourteen digits of its address, vendor first; and what its vendor does his own way."""

    address: Digits = Field(pattern=r"^[0-9A-Fa-f]{14}$")
    sort: int = Field(default=0x10, ge=0x10, le=0x4F)  # 0x10 cold water, 0x11 hot, 0x20 heat, 0x30 gas
    identifier_order: Literal["90-1f", "1f-90"] = "90-1f"
    status_layout: StatusLayout = "standard"
    profile: str = "water"

    @field_validator("address")
    @classmethod
    def _upper(cls, address: str) -> str:
        return address.upper()


class Cjt188Settings(MeterSettings[Cjt188Point, Cjt188Device]):
    """Water, heat and gas meters on one line."""

    line: Cjt188Line
    every_s: PositiveFloat = 900.0  # battery meters are not to be woken often

    @classmethod
    def known_profiles(cls) -> Mapping[str, tuple[Cjt188Point, ...]]:
        return _known()


@functools.cache
def _known() -> Mapping[str, tuple[Cjt188Point, ...]]:
    return read_profiles(_FILE, Cjt188Point)
