"""What a driver of one ISAPI device can be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from gateway.driver import DriverSettings
from gateway.scan import ScanSettings
from telemetry.catalogue import Name
from telemetry.settings import HostName


class HikvisionSettings(DriverSettings, ScanSettings):
    """One terminal or camera, and the user that we are to it."""

    device: Name
    host: HostName
    port: int = Field(default=80, ge=1, le=65535)
    username: str
    password: SecretStr
    bookmark: Path  # a file of this device alone: how far its record is read; relative to the configuration file
    timeout_s: PositiveFloat = 5.0
    silence_max_s: PositiveFloat = 60.0  # without even a heartbeat, the connection is made anew
    back_fill_max_h: PositiveFloat = 72.0  # how far back what was missed is asked for
    remembered_max: PositiveInt = 10_000  # events that are recognised when they come again

    @property
    def name(self) -> str:
        return f"hikvision {self.host}:{self.port}"

    def device_names(self) -> Iterator[str]:
        return iter((self.device,))

    def series(self) -> Iterator[tuple[str, str]]:
        return ((name, metric) for name in self.device_names() for metric in self.fields.values())

    def claims(self) -> Iterator[tuple[str, str]]:
        yield "bookmark", str(self.bookmark)

    def placed(self, folder: Path) -> Self:
        return self.model_copy(update={"bookmark": folder / self.bookmark})
