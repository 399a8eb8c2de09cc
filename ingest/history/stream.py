"""The history of many series at once, as batches in the order of time: what a back-test reads.

The Parquet reader goes through the files' row groups, which lie in journal order and are sorted within, and hands them on
as columns. Where what a gateway had kept came much later than it was taken, the row groups that overlap become one
batch, put in the order of time. Axes: N readings, S series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.history.history import Aggregate, HistoryReader, SeriesPlace
from ingest.history.parquet_files import DAY_MS, day_name, parts_of
from telemetry.batch import Indexes, ReadingBatch, empty_batch
from telemetry.errors import Unavailable

BATCH_ROWS = 250_000  # so many readings at once: past that numpy's columns leave the processor's cache for nothing
_SLACK_MS = 300_000  # neighbours may overlap so much: readings of other series that were under way at the same time
_WINDOW_MS = 7 * DAY_MS
_COLUMNS = ["device", "metric", "time_ms", "value", "quality"]

Progress = Callable[[int], None]
"""Told how far it has come, epoch ms."""


class _Piece(NamedTuple):
    """One row group."""

    start_ms: int
    end_ms: int
    rows: int
    order: int  # in the journal
    path: Path
    number: int


def parquet_batches(
    folder: Path,
    places: Sequence[SeriesPlace],
    wanted: set[int],
    needs_order: bool,
    start_ms: int,
    end_ms: int,
    progress: Progress = lambda _: None,
) -> Iterator[ReadingBatch]:
    """The readings of [start_ms, end_ms) of the wanted series.

    Args:
        places: (S,) what each series is filed under.
        needs_order: Whether readings of different series must be in the order of time, too.

    Raises Unavailable.
    """
    kinds = sorted({places[series].kind for series in wanted})
    columns = [*_COLUMNS, "key"] if needs_order else _COLUMNS
    found = _Names(places, wanted)

    def load(pieces: Sequence[_Piece]) -> ReadingBatch:
        return _load(pieces, columns, found, needs_order, start_ms, end_ms)

    # One batch is decoded while the one before it is judged.
    with ThreadPoolExecutor(1, "history") as ahead:
        under_way = None
        for day in range(start_ms // DAY_MS, (end_ms - 1) // DAY_MS + 1):
            for pieces in _runs(_pieces(folder, kinds, day)):
                following = ahead.submit(load, pieces)
                if under_way is not None:
                    yield under_way.result()
                under_way = following
            progress(min((day + 1) * DAY_MS, end_ms))
        if under_way is not None:
            yield under_way.result()


def any_batches(
    reader: HistoryReader,
    places: Sequence[SeriesPlace],
    wanted: set[int],
    start_ms: int,
    end_ms: int,
    progress: Progress = lambda _: None,
) -> Iterator[ReadingBatch]:
    """The same from any history, a week and a series at a time: slower, and without the keys of passages."""
    for first_ms in range(start_ms, end_ms, _WINDOW_MS):
        last_ms = min(first_ms + _WINDOW_MS, end_ms)
        parts = []
        for series in sorted(wanted):
            place = places[series]
            curve = reader.read(place.kind, place.device, place.metric, first_ms, last_ms, None, Aggregate.LAST)
            parts.append((np.full(len(curve.time_ms), series, np.uint32), curve))
        time_ms = np.concatenate([curve.time_ms for _, curve in parts])
        order = np.argsort(time_ms, kind="stable")
        yield ReadingBatch(
            np.concatenate([series for series, _ in parts])[order],
            time_ms[order],
            np.concatenate([curve.value for _, curve in parts])[order],
            np.concatenate([curve.quality for _, curve in parts])[order],
        )
        progress(last_ms)


class _Names:
    """From what a file calls a series to its number; -1 for those that nobody asked for."""

    def __init__(self, places: Sequence[SeriesPlace], wanted: set[int]) -> None:
        self._number = {(places[s].device, places[s].metric): s for s in wanted}

    def numbers(self, devices: Sequence[str], metrics: Sequence[str]) -> Indexes:
        """(devices, metrics)"""
        get = self._number.get
        return np.array([[get((d, m), -1) for m in metrics] for d in devices], np.intp)


def _pieces(folder: Path, kinds: Sequence[str], day: int) -> list[_Piece]:
    found = []
    try:
        for kind in kinds:
            of_day = folder / f"kind={kind}" / f"day={day_name(day)}"
            for part in parts_of(of_day) if of_day.is_dir() else ():
                metadata = pq.read_metadata(part.path)
                for number in range(metadata.num_row_groups):
                    rows = metadata.row_group(number)
                    times = rows.column(2).statistics
                    span = (times.min, times.max) if times is not None else (day * DAY_MS, (day + 1) * DAY_MS)
                    found.append(_Piece(span[0], span[1], rows.num_rows, part.first, part.path, number))
    except (OSError, pa.ArrowException) as error:
        raise Unavailable(f"history in {folder}: {error}") from error
    return sorted(found)


def _runs(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Row groups that are read together: those that overlap, and small neighbours."""
    run: list[_Piece] = []
    rows = newest_ms = 0
    for piece in pieces:
        if run and rows + piece.rows > BATCH_ROWS and piece.start_ms >= newest_ms - _SLACK_MS:
            yield run
            run, rows = [], 0
        run.append(piece)
        rows, newest_ms = rows + piece.rows, max(newest_ms, piece.end_ms)
    if run:
        yield run


def _load(
    pieces: Sequence[_Piece], columns: list[str], names: _Names, needs_order: bool, start_ms: int, end_ms: int
) -> ReadingBatch:
    # A reading that was delivered twice stands in two files; the one of the later journal record comes first and counts.
    overlaps, newest_ms = False, pieces[0].start_ms
    for piece in pieces:
        overlaps |= piece.start_ms < newest_ms - _SLACK_MS
        newest_ms = max(newest_ms, piece.end_ms)
    if overlaps:
        pieces = sorted(pieces, key=lambda piece: (-piece.order, piece.number))
    parts = []
    try:
        for piece in pieces:
            with pq.ParquetFile(piece.path) as file:
                parts.append(_columns(file.read_row_group(piece.number, columns=columns), names, start_ms, end_ms))
    except (OSError, pa.ArrowException) as error:
        raise Unavailable(f"history in {pieces[0].path.parent}: {error}") from error
    series, time_ms, value, quality, key = (
        parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    )
    if not len(series):
        return empty_batch()
    if overlaps or needs_order:
        order = np.argsort(time_ms, kind="stable")
        series, time_ms, value, quality = series[order], time_ms[order], value[order], quality[order]
        key = key[order] if len(key) else key
    keys = {int(row): key[row] for row in np.flatnonzero(key != "")} if len(key) else {}
    return ReadingBatch(series, time_ms, value, quality, keys)


def _columns(table: Any, names: _Names, start_ms: int, end_ms: int) -> tuple[Any, Any, Any, Any, Any]:
    """(series, time, value, quality, key) of the rows that are wanted; keys as text, none when they were not read."""
    device, metric = (table[name].combine_chunks() for name in ("device", "metric"))
    number = names.numbers(device.dictionary.to_pylist(), metric.dictionary.to_pylist())
    if number.shape[1] == 1:
        series = number[:, 0].astype(np.int32)[device.indices.to_numpy()]
    else:
        series = number.astype(np.int32)[device.indices.to_numpy(), metric.indices.to_numpy()]
    time_ms, value, quality = (table[name].to_numpy() for name in ("time_ms", "value", "quality"))
    key = np.empty(0, object)
    if "key" in table.column_names:
        key = table["key"].fill_null("").to_numpy()
    is_whole = (number >= 0).all() and time_ms.min() >= start_ms and time_ms.max() < end_ms
    series = series.view(np.uint32)
    if is_whole:
        return series, time_ms, value, quality, key
    rows = np.flatnonzero((series.view(np.int32) >= 0) & (time_ms >= start_ms) & (time_ms < end_ms))
    return series[rows], time_ms[rows], value[rows], quality[rows], key[rows] if len(key) else key
