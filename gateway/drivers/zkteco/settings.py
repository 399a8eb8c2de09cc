"""What a listener for ZKTeco terminals can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from gateway.listener import ListenerSettings
from gateway.scan import ScanSettings
from telemetry.catalogue import Name


class ZktecoTerminal(BaseModel):
    """One terminal, known by its serial number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    serial: str = Field(pattern=r"^[0-9A-Za-z]{1,40}$")


class ZktecoSettings(ListenerSettings, ScanSettings):
    """One listener and the terminals that may push to it."""

    devices: tuple[ZktecoTerminal, ...]
    body_max_bytes: PositiveInt = 4_000_000  # photographs that are sent all the same: refused, they would come for ever
    connections_max: PositiveInt = 16

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((name, metric) for name in self.device_names() for metric in self.fields.values())

    @model_validator(mode="after")
    def _each_serial_once(self) -> Self:
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one terminal")
        for serial, count in Counter(device.serial for device in self.devices).items():
            if count > 1:
                raise ValueError(f"serial '{serial}' stands {count} times; keep one")
        return self
