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
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.history.history import Refused, SeriesPlace
from telemetry.batch import Indexes, ReadingBatch
from telemetry.errors import Unavailable
from telemetry.segments import group

DAY_MS = 86_400_000
MERGE_COUNT = 16  # so many files of like size become one
MERGE_ROWS_MAX = 20_000_000  # files larger than this are left alone
_SORT_ROWS_MAX = 100_000  # a sorted merge of more would be the largest thing that the core ever holds in memory
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
_DICTIONARY = ["device", "metric", "quality", "key"]
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

    def write(self, batch: ReadingBatch, first: int, last: int) -> Sequence[Refused]:
        days = batch.time_ms // DAY_MS
        pieces = group(self._kind_of[batch.series] * 100_000 + days)
        try:
            for key, start, end in zip(pieces.key.tolist(), pieces.start, pieces.end, strict=True):
                kind, day = divmod(key, 100_000)
                folder = self._folder / f"kind={self._kinds[kind]}" / f"day={day_name(day)}"
                folder.mkdir(parents=True, exist_ok=True)
                table = self._table(batch, pieces.order[start:end])
                _write_file(folder / f"{first:012d}-{last:012d}.parquet", [table])
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
            position = 0
            # Neighbours of one tier: each merge makes a file of the next tier, so a reading is rewritten a few times only.
            for _, run in itertools.groupby(rows, key=_tier):
                size = len(list(run))
                row_count = sum(rows[position : position + size])
                if size >= MERGE_COUNT and row_count <= MERGE_ROWS_MAX:
                    chosen = parts[position : position + size]
                    path = folder / f"{chosen[0].first:012d}-{chosen[-1].last:012d}.parquet"
                    _write_file(path, _joined(chosen, row_count))
                    self._doomed += [(now_s + _DELETE_AFTER_S, part.path) for part in chosen]
                    self._touched.add(folder)
                    pa.default_memory_pool().release_unused()
                    return
                position += size
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"tidying history in {folder}: {error}") from error

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


def _dictionary(codes: np.ndarray[tuple[int], np.dtype[np.int64]], names: np.ndarray) -> pa.DictionaryArray:
    """Only the names that occur: a small file must not carry the whole district."""
    used, indices = np.unique(codes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int32)), pa.array(names[used], pa.string()))


def _in_order(table: pa.Table) -> pa.Array:
    """Series by series, each in time: what lies together is read together and packs best."""
    device, metric = (table[name].combine_chunks().indices.to_numpy() for name in ("device", "metric"))
    return pa.array(np.lexsort((table["time_ms"].to_numpy(), metric, device)))


def _joined(parts: Sequence[Part], row_count: int) -> Iterable[pa.Table]:
    """What the parts hold, as row groups: a single one in order when they are small, else each part as it is."""
    tables = (pq.read_table(part.path, schema=SCHEMA) for part in parts)
    if row_count > _SORT_ROWS_MAX:
        return tables
    table = pa.concat_tables(tables).unify_dictionaries()
    return [table.take(_in_order(table))]


def _write_file(path: Path, row_groups: Iterable[pa.Table]) -> None:
    """All of the file or none of it: written beside its place, fsynced, renamed, and the rename fsynced too."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        with pq.ParquetWriter(
            file, SCHEMA, compression="zstd", use_dictionary=_DICTIONARY, column_encoding=_ENCODING
        ) as writer:
            for table in row_groups:
                writer.write_table(table)
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


def day_name(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")
