"""What a driver of mqtt/face terminals can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from gateway.driver import DriverSettings
from gateway.scan import ScanSettings
from telemetry.catalogue import Name
from telemetry.settings import BrokerSettings


class FaceTerminal(BaseModel):
    """One terminal, known by the id it sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    id: str = Field(min_length=1, max_length=60, pattern=r"^[^+#/]+$")  # facesluiceId


def each_once(terminals: Iterable[FaceTerminal]) -> None:
    """Raises ValueError."""
    ids = Counter(terminal.id for terminal in terminals)
    if not ids:
        raise ValueError("'devices' is empty; name at least one terminal")
    for name, count in ids.items():
        if count > 1:
            raise ValueError(f"terminal '{name}' stands {count} times; keep one")


class FaceMqttSettings(DriverSettings, ScanSettings):
    """A broker and the terminals that publish there."""

    broker: BrokerSettings
    client_id: str = Field(min_length=1, max_length=60)  # of this gateway alone; the broker keeps messages under it
    devices: tuple[FaceTerminal, ...]
    remembered_max: PositiveInt = 10_000  # records that are recognised when pushed again

    @property
    def name(self) -> str:
        return f"face-mqtt {self.broker.host}:{self.broker.port}"

    def claims(self) -> Iterator[tuple[str, str]]:
        yield "client_id", self.broker.known_as(self.client_id)

    def placed(self, folder: Path) -> Self:
        return self.model_copy(update={"broker": self.broker.placed(folder)})

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((name, metric) for name in self.device_names() for metric in self.fields.values())

    @model_validator(mode="after")
    def _each_terminal_once(self) -> Self:
        each_once(self.devices)
        return self
