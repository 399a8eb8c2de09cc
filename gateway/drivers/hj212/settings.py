"""What a centre for HJ 212 stations can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from gateway.dial_in import DialInSettings
from gateway.gauge import Quantity
from telemetry.catalogue import Name


class FactorQuantity(Quantity):
    """One factor of a station's reports."""

    factor: str = Field(pattern=r"^[0-9A-Za-z]{1,20}$")
    command: Literal["2011", "2051", "2061", "2031"] = "2011"  # which report it is taken from
    aspect: str = "Rtd"  # of 2051, 2061 and 2031: Avg, Min, Max, Cou


class Hj212Station(BaseModel):
    """One station that may dial in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    station: str = Field(min_length=1, max_length=40)  # MN
    password: str = Field(min_length=1, max_length=20)
    quantities: tuple[FactorQuantity, ...] = Field(min_length=1)


class Hj212Settings(DialInSettings):
    """One listening port and the stations that may dial in."""

    port: int = Field(default=5212, ge=0, le=65535)
    silence_max_s: PositiveFloat = 7200.0  # some report by the hour alone
    devices: tuple[Hj212Station, ...]

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((d.device, quantity.metric) for d in self.devices for quantity in d.quantities)

    @model_validator(mode="after")
    def _each_station_once(self) -> Self:
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one station")
        for station, count in Counter(device.station for device in self.devices).items():
            if count > 1:
                raise ValueError(f"station '{station}' stands {count} times; keep one")
        return self
