"""What a listener for ISAPI devices can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator

from gateway.listener import ListenerSettings
from gateway.scan import ScanSettings
from telemetry.catalogue import Name


def plain_mac(mac: str) -> str:
    """As devices write it: lower case, with colons."""
    return mac.strip().lower().replace("-", ":")


class PushingDevice(BaseModel):
    """One device, known by the MAC address it sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    mac: Annotated[str, AfterValidator(plain_mac)] = Field(pattern=r"^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$")


class HikvisionListenSettings(ListenerSettings, ScanSettings):
    """One listener and the devices that may push to it."""

    devices: tuple[PushingDevice, ...]
    body_max_bytes: PositiveInt = 4_000_000  # an event with its pictures, which are dropped
    connections_max: PositiveInt = 16

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((name, metric) for name in self.device_names() for metric in self.fields.values())

    @model_validator(mode="after")
    def _each_mac_once(self) -> Self:
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one")
        for mac, count in Counter(device.mac for device in self.devices).items():
            if count > 1:
                raise ValueError(f"mac '{mac}' stands {count} times; keep one")
        return self
