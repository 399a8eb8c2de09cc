"""History as Parquet files by kind and day: written, fsynced, renamed; read by DuckDB in memory, or by anybody's tools.

    kind=drain-level/day=2026-11-23/000000001207-000000001544.parquet

A file's name says which journal records it holds. That makes a crash harmless: what lies past the writer's cursor is
removed on start and written again, and a merged file hides the ones it was merged from until they are deleted.
Days are days of the reading's own time, in UTC. Axis: N readings.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.history.history import Aggregate, Curve, Newest, SeriesPlace
from telemetry.batch import Indexes, ReadingBatch
from telemetry.errors import Unavailable
from telemetry.segments import group

DAY_MS = 86_400_000
MERGE_COUNT = 16  # so many files of like size become one
MERGE_ROWS_MAX = 4_000_000  # files larger than this are left alone
_TIER_BASE_ROWS = 1024
_DELETE_AFTER_S = 60.0  # a reader that listed a folder may still open what it saw
_NAME = re.compile(r"(\d{12})-(\d{12})\.parquet")

SCHEMA = pa.schema(
    [
        ("device", pa.dictionary(pa.int32(), pa.string())),
        ("metric", pa.dictionary(pa.int32(), pa.string())),
        ("time_ms", pa.int64()),
        ("value", pa.float64()),
        ("quality", pa.uint8()),
        ("key", pa.string()),
    ]
)
_ENCODING = {"time_ms": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}


class Part(NamedTuple):
    """One file: the journal records it was made from."""

    first: int
    last: int
    path: Path


def parts_of(folder: Path) -> list[Part]:
    """The files that count in a folder, in journal order: those that no larger file holds already."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match:
                found.append(Part(int(match[1]), int(match[2]), folder / entry.name))
    found.sort(key=lambda part: (part.first, -part.last))
    parts: list[Part] = []
    for part in found:
        if not parts or part.last > parts[-1].last:
            parts.append(part)
    return parts


class ParquetWriter:
    """The core's side of the embedded history."""

    def __init__(self, folder: Path, series: Sequence[SeriesPlace]) -> None:
        self._folder = folder
        kinds = sorted({place.kind for place in series})
        code = {kind: i for i, kind in enumerate(kinds)}
        self._kinds = kinds
        self._kind_of = np.array([code[place.kind] for place in series], np.int64)  # (S,)
        devices = sorted({place.device for place in series})
        metrics = sorted({place.metric for place in series})
        device_code = {name: i for i, name in enumerate(devices)}
        metric_code = {name: i for i, name in enumerate(metrics)}
        self._devices = np.array(devices, object)
        self._metrics = np.array(metrics, object)
        self._device_of = np.array([device_code[place.device] for place in series], np.int64)  # (S,)
        self._metric_of = np.array([metric_code[place.metric] for place in series], np.int64)  # (S,)
        self._doomed: list[tuple[float, Path]] = []
        self._touched: set[Path] = set()

    def start(self, cursor: int) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for folder in self._folder.glob("kind=*/day=*"):
                counted = {part.path for part in parts_of(folder)}
                for path in folder.iterdir():
                    match = _NAME.fullmatch(path.name)
                    if path not in counted or match is None or int(match[2]) > cursor:
                        path.unlink()
                self._touched.add(folder)
        except OSError as error:
            raise Unavailable(f"history in {self._folder}: {error}") from error

    def write(self, batch: ReadingBatch, first: int, last: int) -> Iterable[str]:
        days = batch.time_ms // DAY_MS
        pieces = group(self._kind_of[batch.series] * 100_000 + days)
        try:
            for key, start, end in zip(pieces.key.tolist(), pieces.start, pieces.end, strict=True):
                kind, day = divmod(key, 100_000)
                folder = self._folder / f"kind={self._kinds[kind]}" / f"day={_day(day)}"
                folder.mkdir(parents=True, exist_ok=True)
                _write_file(folder / f"{first:012d}-{last:012d}.parquet", self._table(batch, pieces.order[start:end]))
                self._touched.add(folder)
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"writing history to {self._folder}: {error}") from error
        return ()

    def tidy(self) -> None:
        """Merge files of like size, a folder a call, and delete what was merged a while ago."""
        now_s = time.monotonic()
        while self._doomed and self._doomed[0][0] <= now_s:
            self._doomed.pop(0)[1].unlink(missing_ok=True)
        if self._touched:
            self._merge(self._touched.pop(), now_s)

    def _merge(self, folder: Path, now_s: float) -> None:
        try:
            parts = parts_of(folder)
            rows = [pq.read_metadata(part.path).num_rows for part in parts]
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"tidying history in {folder}: {error}") from error
        position = 0
        # Neighbours of one tier: each merge makes a file of the next tier, so a reading is rewritten a few times only.
        for _, run in itertools.groupby(rows, key=_tier):
            size = len(list(run))
            if size >= MERGE_COUNT and sum(rows[position : position + size]) <= MERGE_ROWS_MAX:
                chosen = parts[position : position + size]
                table = pa.concat_tables(
                    [pq.read_table(part.path, schema=SCHEMA) for part in chosen]
                ).unify_dictionaries()
                table = table.take(_in_order(table))
                _write_file(folder / f"{chosen[0].first:012d}-{chosen[-1].last:012d}.parquet", table)
                self._doomed += [(now_s + _DELETE_AFTER_S, part.path) for part in chosen]
                self._touched.add(folder)
                return
            position += size

    def _table(self, batch: ReadingBatch, rows: Indexes) -> pa.Table:
        series = batch.series[rows]
        rows = rows[np.lexsort((batch.time_ms[rows], series))]
        series = batch.series[rows]
        keys: pa.Array = pa.nulls(len(rows), pa.string())
        if batch.keys:
            keys = pa.array([batch.keys.get(row) for row in rows.tolist()], pa.string())
        return pa.table(
            [
                _dictionary(self._device_of[series], self._devices),
                _dictionary(self._metric_of[series], self._metrics),
                pa.array(batch.time_ms[rows]),
                pa.array(batch.value[rows]),
                pa.array(batch.quality[rows]),
                keys,
            ],
            schema=SCHEMA,
        )


class ParquetReader:
    """The API's side of the embedded history: DuckDB over the files that count, in memory, never over SQL from outside."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db = duckdb.connect(":memory:")
        self._db.execute("SET threads = 2; SET memory_limit = '512MB'; SET enable_progress_bar = false")

    def read(
        self, kind: str, device: str, metric: str, start_ms: int, end_ms: int, every_ms: int | None, how: Aggregate
    ) -> Curve:
        # A reading that was delivered twice stands in two files; the one from the later journal record counts.
        source = """
            SELECT time_ms, value, quality FROM read_parquet($files, filename = true)
            WHERE device = $device AND metric = $metric AND time_ms >= $start AND time_ms < $end
            QUALIFY row_number() OVER (PARTITION BY time_ms, key ORDER BY filename DESC) = 1
        """
        given = {"device": device, "metric": metric, "start": start_ms, "end": end_ms}
        if every_ms is None:
            return self._curve(f"{source} ORDER BY time_ms", kind, start_ms, end_ms, given)
        value = {
            Aggregate.MEAN: "avg(value)",
            Aggregate.MIN: "min(value)",
            Aggregate.MAX: "max(value)",
            Aggregate.LAST: "arg_max(value, time_ms)",
            Aggregate.COUNT: "count(*)::DOUBLE",
            Aggregate.INCREASE: "sum(grown)",
        }[how]
        query = f"""
            WITH source AS ({source}),
            grown AS (
                SELECT time_ms, value, quality, value - lag(value) OVER (ORDER BY time_ms) AS step FROM source
                WHERE quality < 2
            ),
            counted AS (SELECT *, CASE WHEN step IS NULL THEN 0 WHEN step < 0 THEN value ELSE step END AS grown FROM grown)
            SELECT time_ms // $every * $every AS step_ms, {value}, max(quality) FROM counted GROUP BY 1 ORDER BY 1
        """  # noqa: S608 - put together from our own words; what comes from outside is bound
        return self._curve(query, kind, start_ms, end_ms, {**given, "every": every_ms})

    def newest(self, since_ms: int) -> Mapping[tuple[str, str], Newest]:
        files = self._files("*", since_ms, since_ms + 400 * DAY_MS)
        query = """
            SELECT device, metric, max(time_ms), arg_max(value, time_ms), arg_max(quality, time_ms)
            FROM read_parquet($files) WHERE time_ms >= $since GROUP BY 1, 2
        """
        rows = self._query(query, files, {"since": since_ms}).fetchall() if files else []
        return {(device, metric): Newest(time_ms, value, quality) for device, metric, time_ms, value, quality in rows}

    def identities(self, kind: str, start_ms: int, end_ms: int) -> pa.Table:
        """Every stored reading as (device, metric, time_ms, value, key), repetitions left out: what an audit compares."""
        files = self._files(kind, start_ms, end_ms)
        query = """
            SELECT DISTINCT device, metric, time_ms, value, key FROM read_parquet($files)
            WHERE time_ms >= $start AND time_ms < $end
        """
        if not files:
            return SCHEMA.empty_table().drop_columns(["quality"])
        try:
            found = self._db.cursor().sql(query, params={"files": files, "start": start_ms, "end": end_ms})
            table: pa.Table = found.to_arrow_table()
        except duckdb.Error as error:
            raise Unavailable(f"reading history in {self._folder}: {error}") from error
        return table

    def _curve(self, query: str, kind: str, start_ms: int, end_ms: int, given: Mapping[str, object]) -> Curve:
        for attempt in (1, 2):
            files = self._files(kind, start_ms, end_ms)
            if not files:
                break
            try:
                columns = self._query(query, files, given).fetchnumpy()
                time_ms, value, quality = (np.ma.getdata(column) for column in columns.values())
                return Curve(time_ms.astype(np.int64), value.astype(np.float64), quality.astype(np.uint8))
            except Unavailable:
                # The core merged files between our listing and our reading; the second listing sees the merged one.
                if attempt == 2:
                    raise
        return Curve(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))

    def _query(self, query: str, files: list[str], given: Mapping[str, object]) -> duckdb.DuckDBPyConnection:
        try:
            return self._db.cursor().execute(query, {"files": files, **given})
        except duckdb.Error as error:
            raise Unavailable(f"reading history in {self._folder}: {error}") from error

    def _files(self, kind: str, start_ms: int, end_ms: int) -> list[str]:
        first, last = _day(start_ms // DAY_MS), _day((end_ms - 1) // DAY_MS)
        return [
            str(part.path)
            for folder in sorted(self._folder.glob(f"kind={kind}/day=*"))
            if first <= folder.name.removeprefix("day=") <= last
            for part in parts_of(folder)
        ]


def _dictionary(codes: np.ndarray[tuple[int], np.dtype[np.int64]], names: np.ndarray) -> pa.DictionaryArray:
    """Only the names that occur: a small file must not carry the whole district."""
    used, indices = np.unique(codes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int32)), pa.array(names[used], pa.string()))


def _in_order(table: pa.Table) -> pa.Array:
    """Series by series, each in time: what lies together is read together and packs best."""
    device, metric = (table[name].combine_chunks().indices.to_numpy() for name in ("device", "metric"))
    return pa.array(np.lexsort((table["time_ms"].to_numpy(), metric, device)))


def _write_file(path: Path, table: pa.Table) -> None:
    """All of the file or none of it: written beside its place, fsynced, renamed, and the rename fsynced too."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            use_dictionary=["device", "metric", "quality", "key"],
            column_encoding=_ENCODING,
        )
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _tier(rows: int) -> int:
    tier = 0
    while rows >= _TIER_BASE_ROWS:
        rows //= MERGE_COUNT
        tier += 1
    return tier


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")
