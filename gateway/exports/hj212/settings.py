"""What reports to an environmental authority can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from gateway.export import ExportedSeries, ExportSettings
from telemetry.catalogue import ZoneName
from telemetry.settings import HostName


class Hj212Series(ExportedSeries):
    """One factor."""

    factor: str = Field(pattern=r"^[0-9A-Za-z]{1,20}$")  # e41601 sump level, w00000 flow, …
    decimals: int = Field(default=3, ge=0, le=6)


class Hj212ExportSettings(ExportSettings):
    """The authority's centre, and what it is told."""

    host: HostName
    port: int = Field(ge=1, le=65535)
    system: str = Field(default="52", pattern=r"^\d{2}$")  # ST: 52 sewage process, 32 surface water
    station: str = Field(pattern=r"^[0-9A-Za-z]{1,24}$")  # MN, as the authority assigned it
    password: str = Field(pattern=r"^[0-9A-Za-z]{1,9}$")  # PW
    zone: ZoneName = "Asia/Shanghai"
    real_time_every_s: int = Field(default=30, ge=30, le=3600)  # 2011; the authority may change it
    minutes: int = Field(default=10, ge=1, le=60)  # the span of 2051; a divisor of 60
    heartbeat_every_s: NonNegativeFloat = 60.0  # CN 9015; 0: none
    answer_within_s: PositiveFloat = 10.0
    resends_max: PositiveInt = 3  # then the connection is made anew
    kept_max: PositiveInt = 3_000  # reports of minutes and hours that wait for an answer, or may be asked for again
    series: tuple[Hj212Series, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        return f"hj212 {self.host}:{self.port}"

    def told(self) -> Sequence[ExportedSeries]:
        return self.series

    @model_validator(mode="after")
    def _factors_fit(self) -> Self:
        factors = [series.factor for series in self.series]
        for factor in factors:
            if factors.count(factor) > 1:
                raise ValueError(f"factor '{factor}' stands {factors.count(factor)} times; keep one")
        if 60 % self.minutes:
            raise ValueError(f"'minutes' must divide an hour, which {self.minutes} does not")
        return self
