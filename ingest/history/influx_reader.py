"""Reads the history that `influx` writes: Flux in, columns out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import urllib3
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.rest import ApiException

from ingest.history.history import Aggregate, Curve, Newest
from ingest.history.influx import connect
from ingest.history.settings import InfluxSettings
from telemetry.batch import Floats
from telemetry.errors import Unavailable


class InfluxReader:
    """The API's side of a history in InfluxDB. Names come from the catalogue, which allows nothing that Flux could read."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._api = connect(settings).query_api()

    def read(
        self, kind: str, device: str, metric: str, start_ms: int, end_ms: int, every_ms: int | None, how: Aggregate
    ) -> Curve:
        flux = f"""
            from(bucket: "{self._settings.bucket}")
              |> range(start: {_instant(start_ms)}, stop: {_instant(end_ms)})
              |> filter(fn: (r) => r._measurement == "{kind}" and r.device == "{device}")
              |> filter(fn: (r) => r._field == "{metric}" or r._field == "{metric}_quality")
              |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
              |> group() |> sort(columns: ["_time"])
        """
        times, values, qualities = [], [], []
        for table in self._query(flux):
            for record in table.records:
                if record.values.get(metric) is not None:
                    times.append(round(record.get_time().timestamp() * 1000))
                    values.append(record.values[metric])
                    qualities.append(record.values.get(f"{metric}_quality") or 0)
        curve = Curve(np.array(times, np.int64), np.array(values, np.float64), np.array(qualities, np.uint8))
        return curve if every_ms is None else _by_step(curve, every_ms, how)

    def newest(self, since_ms: int) -> Mapping[tuple[str, str], Newest]:
        flux = f"""
            from(bucket: "{self._settings.bucket}") |> range(start: {_instant(since_ms)})
              |> filter(fn: (r) => not r._field =~ /_quality$/)
              |> group(columns: ["device", "_field"]) |> last()
        """
        found = {}
        for table in self._query(flux):
            for record in table.records:
                time_ms = round(record.get_time().timestamp() * 1000)
                found[record.values["device"], record.get_field()] = Newest(time_ms, float(record.get_value()), 0)
        return found

    def _query(self, flux: str) -> list[Any]:
        try:
            tables: list[Any] = self._api.query(flux, org=self._settings.org)
            return tables
        except (ApiException, InfluxDBError, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"InfluxDB at {self._settings.url}: {_why(error)}") from error


def _by_step(curve: Curve, every_ms: int, how: Aggregate) -> Curve:
    """One value a step, by the same definitions as the embedded history."""
    good = curve.quality < 2
    time_ms, value, quality = curve.time_ms[good], curve.value[good], curve.quality[good]
    if not len(time_ms):
        return Curve(time_ms, value, quality)
    step = time_ms // every_ms
    start = np.flatnonzero(np.concatenate(([True], step[1:] != step[:-1])))
    count = np.diff(np.append(start, len(step)))
    rise = np.diff(value, prepend=value[0])
    grown = np.where(rise < 0, value, rise)
    grown[0] = 0.0
    made: dict[Aggregate, Callable[[], Floats]] = {
        Aggregate.MEAN: lambda: np.add.reduceat(value, start) / count,
        Aggregate.MIN: lambda: np.minimum.reduceat(value, start),
        Aggregate.MAX: lambda: np.maximum.reduceat(value, start),
        Aggregate.LAST: lambda: value[start + count - 1],
        Aggregate.COUNT: lambda: count.astype(np.float64),
        Aggregate.INCREASE: lambda: np.add.reduceat(grown, start),
    }
    return Curve(step[start] * every_ms, made[how](), np.maximum.reduceat(quality, start))


def _instant(time_ms: int) -> str:
    return f"time(v: {time_ms * 1_000_000})"


def _why(error: Exception) -> str:
    body = getattr(error, "body", None) or getattr(error, "message", None) or str(error)
    return " ".join(str(body).split())[:300]
