"""What the export as a Sparkplug B edge node can be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, PositiveInt, model_validator

from gateway.export import ExportedSeries, ExportSettings
from telemetry.settings import BrokerSettings

_LEVEL = r"^[^+#/]+$"


class SparkplugSeries(ExportedSeries):
    """One metric of the node's devices."""

    name: str | None = None  # as hosts see it; the metric's own when not given

    @property
    def sparkplug_name(self) -> str:
        return self.name or self.metric


class SparkplugExportSettings(ExportSettings):
    """A broker, the node that we are, and what it tells."""

    broker: BrokerSettings
    client_id: str = Field(min_length=1, max_length=60)
    group: str = Field(pattern=_LEVEL)
    node: str = Field(pattern=_LEVEL)
    host: str | None = Field(default=None, pattern=_LEVEL)  # tell only while this host application is there
    waiting_max: PositiveInt = 10_000  # readings held while the broker or the host is away; sent as historical
    series: tuple[SparkplugSeries, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        return f"sparkplug {self.group}/{self.node}"

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
        names = [(series.device, series.sparkplug_name) for series in self.series]
        for pair in names:
            if names.count(pair) > 1:
                raise ValueError(f"'{pair[0]}/{pair[1]}' stands {names.count(pair)} times; keep one")
        return self
