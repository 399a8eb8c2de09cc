"""What a centre for SL 651 stations can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.dial_in import DialInSettings
from gateway.gauge import Quantity
from telemetry.catalogue import Name


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


class Sl651Settings(DialInSettings):
    """One listening port and the stations that may dial in."""

    port: int = Field(default=5651, ge=0, le=65535)
    stays_on_line: bool = (
        True  # stations with mains power, which send a keep-alive every 40 s; others are told to leave
    )
    devices: tuple[Sl651Station, ...]

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
