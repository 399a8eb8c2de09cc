"""What a driver that hears Sparkplug B nodes can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from gateway.driver import DriverSettings
from gateway.gauge import Quantity
from telemetry.catalogue import Name
from telemetry.settings import BrokerSettings

_LEVEL = r"^[^+#/]+$"


class NamedQuantity(Quantity):
    """One metric of a node or device, by its Sparkplug name."""

    name: str = Field(min_length=1)


class SparkplugDevice(BaseModel):
    """One device of a node, or the node itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    group: str = Field(pattern=_LEVEL)
    node: str = Field(pattern=_LEVEL)
    node_device: str | None = Field(default=None, pattern=_LEVEL)  # None: the node's own metrics
    quantities: tuple[NamedQuantity, ...] = Field(min_length=1)


class SparkplugSettings(DriverSettings):
    """A broker and the nodes that publish there."""

    broker: BrokerSettings
    client_id: str = Field(min_length=1, max_length=60)
    host: str | None = Field(
        default=None, pattern=_LEVEL
    )  # say on STATE that this host is there, for nodes that wait for it
    reorder_s: PositiveFloat = 2.0  # how late a message may come before a new birth is asked for
    devices: tuple[SparkplugDevice, ...]

    @property
    def name(self) -> str:
        return f"sparkplug {self.broker.host}:{self.broker.port}"

    def claims(self) -> Iterator[tuple[str, str]]:
        yield "client_id", self.broker.known_as(self.client_id)

    def placed(self, folder: Path) -> Self:
        return self.model_copy(update={"broker": self.broker.placed(folder)})

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((d.device, quantity.metric) for d in self.devices for quantity in d.quantities)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one")
        places = Counter((device.group, device.node, device.node_device) for device in self.devices)
        for (group, node, device), count in places.items():
            if count > 1:
                raise ValueError(f"'{group}/{node}/{device or ''}' stands {count} times; keep one")
        return self
