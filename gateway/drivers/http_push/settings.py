"""What an HTTP push driver can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from gateway.driver import DriverSettings
from telemetry.catalogue import MetricName, Name


class PushDevice(BaseModel):
    """One scanner, known by the serial number it sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    serial: str = Field(min_length=1, max_length=100)


class HttpPushSettings(DriverSettings):
    """One listener and the scanners that may push to it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8101, ge=0, le=65535)  # 0: any free one
    devices: tuple[PushDevice, ...]
    fields: dict[str, MetricName]  # field of the pushed object -> metric
    header_max_bytes: PositiveInt = 8_192
    body_max_bytes: PositiveInt = 262_144
    idle_max_s: PositiveFloat = 10.0  # for a whole request to arrive, and between two of them
    answer_within_s: PositiveFloat = 8.0  # scanners push again after 10 s without an answer
    connections_max: PositiveInt = 64
    remembered_max: PositiveInt = 10_000  # passages that are recognised when pushed again

    @property
    def name(self) -> str:
        return f"http-push {self.host}:{self.port}"

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

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
