"""What an HTTP push driver can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.listener import ListenerSettings
from telemetry.catalogue import MetricName, Name


class PushDevice(BaseModel):
    """One scanner, known by the serial number it sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    serial: str = Field(min_length=1, max_length=100)


class HttpPushSettings(ListenerSettings):
    """One listener and the scanners that may push to it."""

    devices: tuple[PushDevice, ...]
    fields: dict[str, MetricName]  # field of the pushed object -> metric

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((name, metric) for name in self.device_names() for metric in self.fields.values())

    @model_validator(mode="after")
    def _each_serial_once(self) -> Self:
        if not self.devices or not self.fields:
            raise ValueError("'devices' or 'fields' is empty; without either nothing can be measured")
        for what, names in (
            ("serial", [device.serial for device in self.devices]),
            ("metric", list(self.fields.values())),
        ):
            for name, count in Counter(names).items():
                if count > 1:
                    raise ValueError(f"{what} '{name}' stands {count} times; keep one")
        return self
