"""What a driver of one SDI-12 wire can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from gateway.driver import DriverSettings
from gateway.gauge import Quantity
from gateway.line import LineSettings
from telemetry.catalogue import Name


class Sdi12Quantity(Quantity):
    """One of the values that a sensor answers with."""

    number: int = Field(ge=1, le=99)  # which, from 1


class Sdi12Sensor(BaseModel):
    """One sensor on the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    address: str = Field(pattern=r"^[0-9A-Za-z]$")
    has_checksum: bool = True  # sensors of before version 1.3 know none
    quantities: tuple[Sdi12Quantity, ...] = Field(min_length=1)


class Sdi12Settings(DriverSettings):
    """One wire behind an adapter."""

    line: LineSettings
    every_s: PositiveFloat = 60.0
    timeout_s: PositiveFloat = 1.5  # of one answer; the adapter makes the break and the marks
    tries: PositiveInt = 3
    devices: tuple[Sdi12Sensor, ...]

    @property
    def name(self) -> str:
        return f"sdi12 {self.line.name}"

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((d.device, quantity.metric) for d in self.devices for quantity in d.quantities)

    def line_name(self) -> str | None:
        return self.line.name

    @model_validator(mode="after")
    def _each_address_once(self) -> Self:
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one sensor")
        for address, count in Counter(device.address for device in self.devices).items():
            if count > 1:
                raise ValueError(f"address '{address}' stands {count} times; keep one")
        return self
