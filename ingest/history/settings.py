"""Which history there is. Apart from the stores themselves, so that a process loads only the one it uses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, SecretStr


class ParquetSettings(BaseModel):
    """History embedded in the core: Parquet files below one folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Literal["parquet"] = "parquet"
    folder: Path = Path("data/history")
    keep_raw_days: PositiveInt | None = None  # readings, by their own time; for ever when not given
    keep_rollup_days: PositiveInt | None = None
    disk_mb: PositiveInt | None = None  # past this the oldest days of readings go, and then the oldest rollups


class InfluxSettings(BaseModel):
    """History in InfluxDB 2."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Literal["influxdb"] = "influxdb"
    url: str = "http://localhost:8086"
    org: str = "gatehouse"
    bucket: str = "gatehouse"
    token: SecretStr
    timeout_ms: PositiveInt = 10_000
    keep_raw_days: PositiveInt | None = None  # retention of `bucket`; for ever when not given
    keep_rollup_days: PositiveInt | None = None  # retention of `rollup_bucket`

    @property
    def rollup_bucket(self) -> str:
        """Beside the readings, because InfluxDB keeps all of a bucket equally long."""
        return f"{self.bucket}-rollups"


HistorySettings = Annotated[ParquetSettings | InfluxSettings, Field(discriminator="store")]
