"""What a Modbus TCP driver can be told. A device's register map is data: a profile, shared by devices of one model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, model_validator

from gateway.driver import DriverSettings, each_asked_once
from gateway.modbus.pdu import REGISTERS_MAX
from gateway.modbus.points import Profile, known_profiles
from telemetry.catalogue import Name
from telemetry.settings import HostName


class ModbusDevice(BaseModel):
    """One unit on the line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    unit: int = Field(ge=0, le=255)
    profile: str
    factors: dict[str, FiniteFloat] = {}  # those of its profile that are known; the others are read from it


class ModbusSettings(DriverSettings):
    """What Modbus has on every carrier."""

    registers_max: int = Field(default=REGISTERS_MAX, ge=2, le=REGISTERS_MAX)  # of one request; some meters stop at 80
    gap_max: int = Field(default=8, ge=0, le=REGISTERS_MAX)  # unused registers read to save a request
    profiles: dict[str, Profile] = Field(default={})
    devices: tuple[ModbusDevice, ...]

    def profile(self, name: str) -> Profile:
        """A profile of the configuration's own, else of the package's."""
        return self.profiles.get(name) or known_profiles()[name]

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((d.device, point.metric) for d in self.devices for point in self.profile(d.profile).points)

    @model_validator(mode="after")
    def _profiles_fit(self) -> Self:
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one")
        for device in self.devices:
            if device.profile not in self.profiles and device.profile not in known_profiles():
                ours = ", ".join(known_profiles())
                raise ValueError(
                    f"device '{device.device}' names profile '{device.profile}', which is not declared (there are: {ours})"
                )
            for factor in device.factors:
                if factor not in self.profile(device.profile).factors:
                    raise ValueError(f"profile '{device.profile}' of device '{device.device}' has no factor '{factor}'")
        each_asked_once(self.devices)
        return self


class ModbusTcpSettings(ModbusSettings):
    """One connection: a device of its own, or a serial line behind a converter."""

    host: HostName
    port: int = Field(default=502, ge=1, le=65535)
    every_s: PositiveFloat = 10.0
    timeout_s: PositiveFloat = 1.0
    backoff_max_s: PositiveFloat = 60.0  # how rarely a unit that does not answer is asked

    @property
    def name(self) -> str:
        return f"modbus-tcp {self.host}:{self.port}"
