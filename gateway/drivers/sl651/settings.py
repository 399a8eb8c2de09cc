"""What a centre for SL 651 stations can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from gateway.driver import DriverSettings
from gateway.gauge import Quantity
from telemetry.catalogue import Name, ZoneName


class Sl651Quantity(Quantity):
    """One element of a station's reports."""

    element: str = Field(pattern=r"^(FF)?[0-9A-F]{2}$")  # as the standard writes it: 39 water level, 26 rain in all


class Sl651Station(BaseModel):
    """One station that may dial in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    station: str = Field(pattern=r"^[0-9A-F]{10}$")
    password: str | None = Field(default=None, pattern=r"^[0-9A-F]{4}$")  # None: whatever it sends
    quantities: tuple[Sl651Quantity, ...] = Field(min_length=1)


class Sl651Settings(DriverSettings):
    """One listening port and the stations that may dial in."""

    host: str = "127.0.0.1"
    port: int = Field(default=5651, ge=0, le=65535)  # 0: any free one
    zone: ZoneName = "Asia/Shanghai"  # the stations' clocks carry no zone
    stays_on_line: bool = True  # stations with mains power; those on a battery are told to leave
    silence_max_s: PositiveFloat = 180.0  # stations on the line send a keep-alive every 40 s
    connections_max: PositiveInt = 200
    remembered_max: PositiveInt = 10_000  # reports that are recognised when sent again
    devices: tuple[Sl651Station, ...]

    @property
    def name(self) -> str:
        return f"sl651 {self.host}:{self.port}"

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    @model_validator(mode="after")
    def _each_station_once(self) -> Self:
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one station")
        for station, count in Counter(device.station for device in self.devices).items():
            if count > 1:
                raise ValueError(f"station '{station}' stands {count} times; keep one")
        return self
