"""What an M-Bus driver can be told."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, field_validator, model_validator

from gateway.drivers.mbus.codec import PRIMARY_MAX
from gateway.meter import Digits, MeterDevice, MeterPoint, MeterSettings, read_profiles

_FILE = Path(__file__).parent / "profiles.yaml"


class MbusPoint(MeterPoint):
    """One metric: the record that fits all of this. `index` is which of several."""

    quantity: str  # such as volume, energy, power, flow, voltage; `gatehouse gateway read` shows those of a meter
    kind: Literal["now", "highest", "lowest"] = "now"
    storage: int = Field(default=0, ge=0)  # 0 now, 1 and up settlement days
    tariff: int = Field(default=0, ge=0)
    subunit: int = Field(default=0, ge=0)
    is_reverse: bool = False
    index: int = Field(default=0, ge=0)


class MbusDevice(MeterDevice):
    """One meter: its primary address, or the eight digits of its secondary one."""

    primary: int | None = Field(default=None, ge=0, le=PRIMARY_MAX)
    secondary: Digits | None = Field(default=None, pattern=r"^[0-9A-Fa-f]{8}$")
    profile: str = "water"

    @field_validator("secondary")
    @classmethod
    def _upper(cls, secondary: str | None) -> str | None:
        return secondary and secondary.upper()

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.primary is None) == (self.secondary is None):
            raise ValueError("give either 'primary' or 'secondary'")
        return self


class MbusSettings(MeterSettings[MbusPoint, MbusDevice]):
    """M-Bus meters behind one level converter."""

    every_s: PositiveFloat = 900.0

    @classmethod
    def known_profiles(cls) -> Mapping[str, tuple[MbusPoint, ...]]:
        return _known()


@functools.cache
def _known() -> Mapping[str, tuple[MbusPoint, ...]]:
    return read_profiles(_FILE, MbusPoint)
