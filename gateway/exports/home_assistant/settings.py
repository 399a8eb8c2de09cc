"""What the export to Home Assistant can be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, PositiveFloat, model_validator

from gateway.export import ExportedSeries, ExportSettings
from telemetry.settings import BrokerSettings

_LEVEL = r"^[A-Za-z0-9_-]{1,60}$"


class HomeAssistantSeries(ExportedSeries):
    """One entity."""

    name: str = Field(min_length=1)  # as people see it
    unit: str | None = None  # as Home Assistant writes it: °C, m, kWh, m³, W
    device_class: str | None = None  # temperature, distance, energy, water, power, voltage, current, …
    state_class: str | None = None  # measurement, total_increasing


class HomeAssistantSettings(ExportSettings):
    """A broker that Home Assistant listens to, and what it may know."""

    broker: BrokerSettings
    client_id: str = Field(pattern=_LEVEL)  # of this gateway alone
    discovery: str = Field(default="homeassistant", pattern=_LEVEL)  # its discovery prefix
    base: str = Field(default="gatehouse-home", pattern=_LEVEL)  # below which the values are published
    every_s: PositiveFloat = 1.0  # values go out at most so often
    series: tuple[HomeAssistantSeries, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        return f"home-assistant {self.broker.host}:{self.broker.port}"

    def claims(self) -> Iterator[tuple[str, str]]:
        yield "client_id", self.broker.known_as(self.client_id)

    def placed(self, folder: Path) -> Self:
        return self.model_copy(update={"broker": self.broker.placed(folder)})

    def device_names(self) -> Iterator[str]:
        return iter(sorted({series.device for series in self.series}))

    def told(self) -> Sequence[ExportedSeries]:
        return self.series

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen = [(series.device, series.metric) for series in self.series]
        for pair in seen:
            if seen.count(pair) > 1:
                raise ValueError(f"'{pair[0]}/{pair[1]}' stands {seen.count(pair)} times; keep one")
        return self
