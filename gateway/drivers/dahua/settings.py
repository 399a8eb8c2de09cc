"""What a driver of one Dahua terminal can be told."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from gateway.driver import DriverSettings
from gateway.scan import ScanSettings
from telemetry.catalogue import Name
from telemetry.settings import HostName


class DahuaSettings(DriverSettings, ScanSettings):
    """One terminal, and the user that we are to it."""

    device: Name
    host: HostName
    port: int = Field(default=80, ge=1, le=65535)
    username: str
    password: SecretStr
    timeout_s: PositiveFloat = 5.0
    silence_max_s: PositiveFloat = 30.0  # heartbeats are asked for every 5 s
    remembered_max: PositiveInt = 10_000  # events that are recognised when they come again

    @property
    def name(self) -> str:
        return f"dahua {self.host}:{self.port}"

    def device_names(self) -> Iterator[str]:
        return iter((self.device,))

    def series(self) -> Iterator[tuple[str, str]]:
        return ((name, metric) for name in self.device_names() for metric in self.fields.values())
