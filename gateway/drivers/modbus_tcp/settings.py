"""What a Modbus TCP driver can be told. A device's register map is data: a profile, shared by devices of one model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, model_validator

from gateway.driver import DriverSettings
from gateway.drivers.modbus_tcp.codec import ADDRESS_MAX, REGISTERS_MAX
from telemetry.catalogue import MetricName, Name

REGISTER_COUNT = {"uint16": 1, "int16": 1, "uint32": 2, "int32": 2, "float32": 2}


class Point(BaseModel):
    """One metric of a device: where its registers are and what they mean. Value = raw * scale + offset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: MetricName
    function: Literal["input", "holding"]
    address: int = Field(ge=0, le=ADDRESS_MAX)  # as on the wire, from 0; a manual's 30001 is input 0
    type: Literal["uint16", "int16", "uint32", "int32", "float32"] = "uint16"
    word_order: Literal["high-first", "low-first"] = "high-first"
    scale: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    invalid: tuple[float, ...] = ()  # raw values that mean "no measurement"

    @property
    def register_count(self) -> int:
        return REGISTER_COUNT[self.type]

    @model_validator(mode="after")
    def _ends_within_the_address_space(self) -> Self:
        if self.address + self.register_count - 1 > ADDRESS_MAX:
            raise ValueError(f"a {self.type} at {self.address} ends past register {ADDRESS_MAX}")
        return self


class ModbusDevice(BaseModel):
    """One unit on the line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    unit: int = Field(ge=0, le=255)
    profile: str


class ModbusTcpSettings(DriverSettings):
    """One connection: a device of its own, or a serial line behind a converter."""

    host: str
    port: int = Field(default=502, ge=1, le=65535)
    every_s: PositiveFloat = 10.0
    timeout_s: PositiveFloat = 1.0
    backoff_max_s: PositiveFloat = 60.0  # how rarely a unit that does not answer is asked
    registers_max: int = Field(default=REGISTERS_MAX, ge=2, le=REGISTERS_MAX)  # of one request; some meters stop at 80
    gap_max: int = Field(default=8, ge=0, le=REGISTERS_MAX)  # unused registers read to save a request
    profiles: dict[str, tuple[Point, ...]]
    devices: tuple[ModbusDevice, ...]

    @property
    def name(self) -> str:
        return f"modbus-tcp {self.host}:{self.port}"

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    @model_validator(mode="after")
    def _profiles_fit(self) -> Self:
        for name, points in self.profiles.items():
            if not points:
                raise ValueError(f"profile '{name}' has no points")
            for metric, count in Counter(point.metric for point in points).items():
                if count > 1:
                    raise ValueError(f"profile '{name}' has metric '{metric}' {count} times")
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one")
        for device in self.devices:
            if device.profile not in self.profiles:
                raise ValueError(f"device '{device.device}' names profile '{device.profile}', which is not declared")
        return self
