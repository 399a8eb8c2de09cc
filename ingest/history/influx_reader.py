"""Reads the history that `influx` and `influx_rollups` write: Flux in, columns out.

Names come from the catalogue, which allows nothing that Flux could read.
"""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Container, Sequence, Set

import numpy as np
import pyarrow as pa
import pyarrow.csv
import urllib3
from influxdb_client import Dialect
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.rest import ApiException
from numpy.typing import NDArray

from ingest.history.history import Aggregate, Curve, Lately, Newest, ReaderOfMany, StoreAway
from ingest.history.influx import connect
from ingest.history.rollups import (
    FIELDS,
    FIELDS_OF,
    WIDTHS_MS,
    Windows,
    curve_steps,
    join,
    split,
    steps,
    width_for,
    windows_from,
    windows_of,
)
from ingest.history.settings import InfluxSettings
from telemetry.batch import Floats, Times
from telemetry.segments import group

ROLLED = "rolled-through"
"""Measurement and field of the mark that says until when the rollups are complete."""
_MARK_KEPT_S = 5.0
_SUMMED_BY = {"count": "sum", "total": "sum", "low": "min", "high": "max", "quality": "max"}
"""What InfluxDB puts windows of a rollup together with; where one window hangs on the one before, it cannot."""
_PLAIN = Dialect(header=True, delimiter=",", annotations=[], comment_prefix="#", date_time_format="RFC3339")


class InfluxReader(ReaderOfMany):
    """The API's side of a history in InfluxDB."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._api = connect(settings).query_api()
        self._mark: tuple[float, int] = (-_MARK_KEPT_S, 0)  # when it was read, what it said
        self._lock = threading.Lock()

    def _read(
        self,
        kind: str,
        devices: Sequence[str],
        metric: str,
        start_ms: int,
        end_ms: int,
        every_ms: int | None,
        how: Aggregate,
    ) -> list[Curve]:
        if every_ms is None:
            return self._readings(kind, devices, metric, start_ms, end_ms)
        width = width_for(every_ms)
        if width is not None:
            width_ms = WIDTHS_MS[width]
            first_ms = -(-start_ms // width_ms) * width_ms
            last_ms = min(end_ms, self._rolled_ms()) // width_ms * width_ms
            if first_ms < last_ms:
                parts = [
                    windows_of(curve, width_ms, number)
                    for span in ((start_ms, first_ms), (last_ms, end_ms))
                    if span[0] < span[1]
                    for number, curve in enumerate(self._readings(kind, devices, metric, *span))
                ]
                rolled = self.windows(kind, devices, metric, first_ms, last_ms, width, FIELDS_OF[how], every_ms)
                return [steps(each, every_ms, how) for each in split(join([*parts, rolled]), len(devices))]
        return [curve_steps(curve, every_ms, how) for curve in self._readings(kind, devices, metric, start_ms, end_ms)]

    def newest(self, since_ms: int, known: Set[str] = frozenset()) -> Lately:
        # The last of each table: a device that has moved has two, and Flux puts these together in the order of places.
        flux = f"""
            from(bucket: "{self._settings.bucket}") |> range(start: {_instant(since_ms)})
              |> last() |> toFloat() |> group() |> keep(columns: ["device", "_field", "_time", "_value"])
        """
        table = self._query(flux)
        if not len(table):
            return Lately({}, known)
        last: dict[tuple[str, str], tuple[int, float]] = {}
        columns = (table["device"].to_pylist(), table["_field"].to_pylist(), _times(table).tolist())
        for device, field, time_ms, value in zip(*columns, table["_value"].to_pylist(), strict=True):
            last[device, field] = max((time_ms, value), last.get((device, field), (time_ms, value)))
        newest = {}
        for (device, field), (time_ms, value) in last.items():
            if not _is_quality(device, field, last):
                # A good reading has no quality beside it: the last that is said may be of an earlier one.
                said_ms, quality = last.get((device, f"{field}_quality"), (time_ms, 0))
                newest[device, field] = Newest(time_ms, value, int(quality) if said_ms == time_ms else 0)
        return Lately(newest, known)

    def readings(self, kind: str, devices: Sequence[str], start_ms: int, end_ms: int) -> dict[tuple[str, str], Curve]:
        """All readings of some devices of a kind, by (device, metric). Raises Unavailable."""
        wanted = f'r._measurement == "{kind}" and ({_any_of("device", devices)})'
        table = self._query(self._from(self._settings.bucket, start_ms, end_ms, wanted))
        if not len(table):
            return {}
        device, device_names = _coded(table, "device")
        field, field_names = _coded(table, "_field")
        time_ms, value = _times(table), table["_value"].to_numpy()
        groups = group(device * len(field_names) + field)
        rows = {
            (device_names[key // len(field_names)], field_names[key % len(field_names)]): groups.order[start:end]
            for key, start, end in zip(groups.key.tolist(), groups.start, groups.end, strict=True)
        }
        none = np.empty(0, np.intp)
        found = {}
        for (name, metric), at in rows.items():
            if not _is_quality(name, metric, rows):
                bad = rows.get((name, f"{metric}_quality"), none)
                found[name, metric] = _curve(time_ms[at], value[at], time_ms[bad], value[bad])
        return found

    def windows(
        self,
        kind: str,
        devices: Sequence[str],
        metric: str,
        start_ms: int,
        end_ms: int,
        width: str,
        fields: Sequence[str] = FIELDS,
        every_ms: int | None = None,
    ) -> Windows:
        """What stands in a rollup, of one metric of some devices, numbered in their order. Raises Unavailable.

        Args:
            every_ms: InfluxDB may put together what lies within one step, so that a year is sent as its points and not as its
                hours; the first is stamped with `start_ms`, where it begins before.
        """
        names = [f"{metric}_{field}" for field in fields]
        wanted = f'r._measurement == "{kind}" and r.every == "{width}" and ({_any_of("device", devices)}) and '
        is_summed = every_ms is not None and _SUMMED_BY.keys() >= set(fields)
        of_result: dict[str, list[str]] = {}
        for name, field in zip(names, fields, strict=True):
            of_result.setdefault(_SUMMED_BY[field] if is_summed else "as-kept", []).append(name)
        flux = []
        for how, some in of_result.items():
            summed = f'|> aggregateWindow(every: {every_ms}ms, fn: {how}, createEmpty: false, timeSrc: "_start")'
            of_these = f"{wanted}({_any_of('_field', some)})"
            asked = self._from(self._settings.rollup_bucket, start_ms, end_ms, of_these, summed if is_summed else "")
            flux.append(f'{asked} |> yield(name: "{how}")')
        table = self._query("\n".join(flux))
        columns: dict[str, Floats] = {}
        series, times = np.empty(0, np.int64), np.empty(0, np.int64)
        if len(table):
            code, found = _coded(table, "_field")
            value, time_ms, device = table["_value"].to_numpy(), _times(table), _numbered(table, devices)
            for field, name in zip(fields, names, strict=True):
                rows = np.flatnonzero(code == found.index(name))
                rows = rows[
                    np.lexsort((time_ms[rows], device[rows]))
                ]  # of a device that has moved there are two tables
                columns[field], times, series = value[rows], time_ms[rows], device[rows]
        return windows_from(series, times, columns)

    def _readings(self, kind: str, devices: Sequence[str], metric: str, start_ms: int, end_ms: int) -> list[Curve]:
        """The readings of each device, in the order given."""
        names = (metric, f"{metric}_quality")
        wanted = f'r._measurement == "{kind}" and ({_any_of("device", devices)}) and ({_any_of("_field", names)})'
        table = self._query(self._from(self._settings.bucket, start_ms, end_ms, wanted))
        if not len(table):
            return [Curve(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))] * len(devices)
        code, found = _coded(table, "_field")
        is_value = code == (found.index(metric) if metric in found else -1)
        time_ms, value, device = _times(table), table["_value"].to_numpy(), _numbered(table, devices)
        order = np.argsort(device, kind="stable")
        ends = np.searchsorted(device[order], np.arange(len(devices) + 1)).tolist()
        curves = []
        for start, end in itertools.pairwise(ends):
            rows = order[start:end]
            own, bad = rows[is_value[rows]], rows[~is_value[rows]]
            curves.append(_curve(time_ms[own], value[own], time_ms[bad], value[bad]))
        return curves

    def _rolled_ms(self) -> int:
        """Until when the rollups are complete; 0 when there are none."""
        with self._lock:
            read_s, said_ms = self._mark
        now_s = time.monotonic()
        if now_s - read_s < _MARK_KEPT_S:
            return said_ms
        flux = f"""
            from(bucket: "{self._settings.rollup_bucket}") |> range(start: 0)
              |> filter(fn: (r) => r._measurement == "{ROLLED}") |> last() |> keep(columns: ["_time", "_value"])
        """
        try:
            table = self._query(flux)
        except StoreAway as error:
            if not error.needs:
                raise
            return 0  # a bucket of rollups that `gatehouse init` has not made yet
        said_ms = int(_times(table).max()) if len(table) else 0
        with self._lock:
            self._mark = now_s, said_ms
        return said_ms

    @staticmethod
    def _from(bucket: str, start_ms: int, end_ms: int, wanted: str, summed: str = "") -> str:
        return f"""
            from(bucket: "{bucket}") |> range(start: {_instant(start_ms)}, stop: {_instant(end_ms)})
              |> filter(fn: (r) => {wanted}) {summed}
              |> toFloat() |> group(columns: ["device", "_field"]) |> keep(columns: ["device", "_field", "_time", "_value"])
        """

    def _query(self, flux: str) -> pa.Table:
        """Rows with the columns `_time`, `_value` and whatever else was kept."""
        try:
            answer = self._api.query_raw(flux, org=self._settings.org, dialect=_PLAIN)
            body = answer.data
        except ApiException as error:
            needs = "`gatehouse init` makes what is missing" if error.status == 404 else ""
            raise StoreAway(f"InfluxDB at {self._settings.url}: {_why(error)}", needs) from error
        except (InfluxDBError, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreAway(f"InfluxDB at {self._settings.url}: {_why(error)}") from error
        if not body.strip():
            return pa.table({})
        types = {
            "_time": pa.timestamp("ns", "UTC"),
            "_value": pa.float64(),
            "_field": pa.string(),
            "device": pa.string(),
        }
        options = pa.csv.ConvertOptions(column_types=types)
        try:
            # Each result has a header of its own, and so has an error on the way, which has no values.
            tables = [
                pa.csv.read_csv(io.BytesIO(part), convert_options=options) for part in body.strip().split(b"\r\n\r\n")
            ]
            names = [name for name in types if name in tables[0].column_names or name == "_value"]
            return pa.concat_tables([table.select(names) for table in tables])
        except (pa.ArrowException, KeyError) as error:
            raise StoreAway(f"InfluxDB at {self._settings.url} answers what cannot be read: {error}") from error


def _is_quality(device: str, field: str, known: Container[tuple[str, str]]) -> bool:
    """Whether a field is the quality of another: a metric may be called `air_quality`."""
    return field.endswith("_quality") and (device, field.removesuffix("_quality")) in known


def _curve(time_ms: Times, value: Floats, bad_ms: Times, bad: Floats) -> Curve:
    """Values with the qualities that stand beside some of them, in time."""
    order = np.argsort(time_ms, kind="stable")
    time_ms, value = time_ms[order], value[order]
    quality = np.zeros(len(time_ms), np.uint8)
    _, at, of = np.intersect1d(time_ms, bad_ms, return_indices=True)
    quality[at] = bad[of].astype(np.uint8)
    return Curve(time_ms, value, quality)


def _coded(table: pa.Table, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """A column of names as numbers, and what they stand for."""
    column = table[name].combine_chunks().dictionary_encode()
    return column.indices.to_numpy().astype(np.int64), column.dictionary.to_pylist()


def _numbered(table: pa.Table, devices: Sequence[str]) -> NDArray[np.int64]:
    """For each row which of the devices it is of."""
    code, names = _coded(table, "device")
    number = {device: at for at, device in enumerate(devices)}
    found: NDArray[np.int64] = np.array([number[name] for name in names], np.int64)[code]
    return found


def _any_of(column: str, names: Sequence[str]) -> str:
    return " or ".join(f'r.{column} == "{name}"' for name in names)


def _times(table: pa.Table) -> Times:
    times: Times = table["_time"].cast(pa.int64()).to_numpy() // 1_000_000
    return times


def _instant(time_ms: int) -> str:
    return f"time(v: {time_ms * 1_000_000})"


def _why(error: Exception) -> str:
    body = getattr(error, "body", None) or getattr(error, "message", None) or str(error)
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    return " ".join(text.split())[:300]
