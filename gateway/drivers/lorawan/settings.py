"""What a driver of LoRaWAN uplinks can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator

from gateway.driver import DriverSettings
from gateway.drivers.lorawan.decoders import DECODERS, Channels, Decoder, Fixed
from gateway.gauge import Quantity
from telemetry.catalogue import Name
from telemetry.settings import BrokerSettings


class PayloadQuantity(Quantity):
    """One field of the decoder."""

    field: str
    suspect_if: str | None = None  # a field that makes it suspect when it is not 0: `tilted`


def _hexadecimal(value: str) -> str:
    try:
        bytes.fromhex(value)
    except ValueError as error:
        raise ValueError(f"'{value[:60]}' is not bytes in hexadecimal") from error
    return value


Hexadecimal = Annotated[str, AfterValidator(_hexadecimal)]


class Downlinks(BaseModel):
    """What makes a sensor report more often, and what makes it go back; its maker says how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(ge=1, le=223)
    faster: Hexadecimal
    own: Hexadecimal


class LorawanDevice(BaseModel):
    """One sensor, known by its EUI."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    eui: Annotated[str, AfterValidator(str.lower)] = Field(pattern=r"^[0-9A-Fa-f]{16}$")
    decoder: str
    quantities: tuple[PayloadQuantity, ...] = Field(min_length=1)
    downlinks: Downlinks | None = None


class LorawanSettings(DriverSettings):
    """A network server's broker and the sensors that it hears."""

    broker: BrokerSettings
    client_id: str = Field(min_length=1, max_length=60)  # of this gateway alone; the broker keeps messages under it
    topics: tuple[str, ...] = ("application/+/device/+/event/up",)  # v3/+/devices/+/up for The Things Stack
    decoders: dict[str, Decoder] = Field(default_factory=dict)  # of one's own, beside the built-in ones
    devices: tuple[LorawanDevice, ...]
    remembered_max: PositiveInt = 10_000  # uplinks that are recognised when they come again

    @property
    def name(self) -> str:
        return f"lorawan {self.broker.host}:{self.broker.port}"

    @property
    def all_decoders(self) -> Mapping[str, Channels | Fixed]:
        return {**DECODERS, **self.decoders}

    def claims(self) -> Iterator[tuple[str, str]]:
        yield "client_id", self.broker.known_as(self.client_id)

    def placed(self, folder: Path) -> Self:
        return self.model_copy(update={"broker": self.broker.placed(folder)})

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((d.device, quantity.metric) for d in self.devices for quantity in d.quantities)

    @model_validator(mode="after")
    def _decoders_fit(self) -> Self:
        if not self.devices:
            raise ValueError("'devices' is empty; name at least one sensor")
        for eui, count in Counter(device.eui for device in self.devices).items():
            if count > 1:
                raise ValueError(f"eui '{eui}' stands {count} times; keep one")
        for device in self.devices:
            decoder = self.all_decoders.get(device.decoder)
            if decoder is None:
                known = ", ".join(sorted(self.all_decoders))
                raise ValueError(f"device '{device.device}' names decoder '{device.decoder}'; there are: {known}")
            fields = decoder.fields if isinstance(decoder, Fixed) else [f for e in decoder.entries for f in e.fields]
            names = {field.name for field in fields}
            for quantity in device.quantities:
                for name in (quantity.field, quantity.suspect_if):
                    if name is not None and name not in names:
                        has = ", ".join(sorted(names))
                        raise ValueError(f"decoder '{device.decoder}' has no field '{name}'; it has: {has}")
        return self
