"""What a driver of SenML can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from gateway.driver import DriverSettings
from gateway.gauge import Quantity
from telemetry.catalogue import Name
from telemetry.settings import BrokerSettings


class SenmlQuantity(Quantity):
    """One record, by its whole name: base name and name together."""

    name: str = Field(min_length=1, max_length=200)
    unit: str | None = None  # what the record must say; one that says something else is refused


class SenmlDevice(BaseModel):
    """What of the records belongs to one device of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    quantities: tuple[SenmlQuantity, ...] = Field(min_length=1)


class SenmlSettings(DriverSettings):
    """A broker and the topics on which packs are published."""

    broker: BrokerSettings
    client_id: str = Field(min_length=1, max_length=60)  # of this gateway alone; the broker keeps messages under it
    topics: tuple[str, ...] = Field(min_length=1)
    devices: tuple[SenmlDevice, ...]
    remembered_max: PositiveInt = 10_000  # packs that are recognised when they come again

    @property
    def name(self) -> str:
        return f"senml {self.broker.host}:{self.broker.port}"

    def claims(self) -> Iterator[tuple[str, str]]:
        yield "client_id", self.broker.known_as(self.client_id)

    def placed(self, folder: Path) -> Self:
        return self.model_copy(update={"broker": self.broker.placed(folder)})

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((d.device, quantity.metric) for d in self.devices for quantity in d.quantities)

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        names = Counter(quantity.name for device in self.devices for quantity in device.quantities)
        if not names:
            raise ValueError("'devices' is empty; name at least one")
        for name, count in names.items():
            if count > 1:
                raise ValueError(f"record '{name}' stands {count} times; keep one")
        return self
