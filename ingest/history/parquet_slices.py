"""The readings of a day in the embedded history, a slice of its time after another, each of them once.

A day may hold billions: a slice holds about `SLICE_ROWS`, some minutes or, where one minute holds more, some seconds of it.
Row groups that reach over the end of a slice are read for both. Axes: N readings, G row groups, M moments.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.history.parquet_files import DAY_MS, Part, time_span
from telemetry.batch import Floats, Qualities, Times

SLICE_ROWS = 500_000  # in memory at once, or those of a second
_FILES_KNOWN = 2_000  # of days that are being written; about 1 kB each
Names = list[tuple[str, str]]
"""Device and metric of the series that a column of numbers means."""


class Slice(NamedTuple):
    """Readings by series and time, (N,) each."""

    end_ms: int  # no later slice begins before
    names: Names
    series: NDArray[np.int64]
    time_ms: Times
    value: Floats
    quality: Qualities


class Slicer:
    """Reads days. What stands in files is remembered: one that has its name does not change, unless it was brought."""

    def __init__(self) -> None:
        self._known = functools.lru_cache(_FILES_KNOWN)(_spans)

    def row_count(self, part: Part, day: int) -> int:
        """Readings in a file of a day. Raises OSError, pyarrow.ArrowException."""
        return int(self._spans(part, day)[:, 3].sum())

    def first_ms(self, parts: Sequence[Part], day: int) -> int:
        """The time of the earliest reading; the day's end where there is none. Raises OSError, pyarrow.ArrowException."""
        return int(self._groups(parts, day).start_ms.min(initial=(day + 1) * DAY_MS))

    def slices(self, parts: Sequence[Part], day: int, from_ms: int) -> Iterator[Slice]:
        """The readings of a day from a moment on; the last slice ends with the day, though nothing may be in it.

        Of a reading that stands in several files that of the last one counts. Raises OSError, pyarrow.ArrowException.
        """
        groups = self._groups(parts, day)
        for start_ms, end_ms in _cuts(groups, from_ms, (day + 1) * DAY_MS):
            names: dict[tuple[str, str], int] = {}
            columns = []
            overlapping = np.flatnonzero((groups.start_ms < end_ms) & (groups.end_ms > start_ms)).tolist()
            for path, of_file in itertools.groupby(overlapping, key=groups.path.__getitem__):
                with pq.ParquetFile(path) as file:
                    for at in of_file:
                        columns.append(_columns(file.read_row_group(int(groups.number[at])), names, start_ms, end_ms))
            if columns:
                ordered = sorted(names)
                series, time_ms, value, quality, key = (np.concatenate(each) for each in zip(*columns, strict=True))
                rank = np.argsort(np.array([names[name] for name in ordered]))
                series = rank[series] if len(series) else series
                rows = each_once(series, time_ms, key)
                yield Slice(end_ms, ordered, series[rows], time_ms[rows], value[rows], quality[rows])
        nothing = np.empty(0, np.int64)
        yield Slice((day + 1) * DAY_MS, [], nothing, nothing, np.empty(0), np.empty(0, np.uint8))

    def _spans(self, part: Part, day: int) -> NDArray[np.int64]:
        # What is brought again replaces the file of its name.
        return self._known(part.path, day, 0 if part.last else part.path.stat().st_mtime_ns)

    def _groups(self, parts: Sequence[Part], day: int) -> _Groups:
        found = [self._spans(part, day) for part in parts]
        paths = [part.path for part, spans in zip(parts, found, strict=True) for _ in spans]
        return _Groups(paths, *np.concatenate([np.empty((0, 4), np.int64), *found]).T)


@dataclass(frozen=True, slots=True)
class _Groups:
    """The row groups of a day's files, in the order of the files; (G,) each."""

    path: list[Path]
    number: NDArray[np.int64]  # in its file
    start_ms: Times  # of its earliest reading
    end_ms: Times  # after its latest
    rows: NDArray[np.int64]


def _spans(path: Path, day: int, written_ns: int) -> NDArray[np.int64]:
    """Of a file of that day as it was written then: (G, 4), a row as in `_Groups`."""
    about = pq.read_metadata(path)
    found = []
    for number in range(about.num_row_groups):
        first_ms, last_ms = time_span(about, number) or (day * DAY_MS, (day + 1) * DAY_MS - 1)
        found.append((number, first_ms, last_ms + 1, about.row_group(number).num_rows))
    return np.array(found, np.int64).reshape(-1, 4)


def _cuts(groups: _Groups, start_ms: int, end_ms: int, step_ms: int = 60_000) -> Iterator[tuple[int, int]]:
    """Where [start, end) is cut: (start, end) of some minutes with so many readings, or of some seconds of one minute."""
    edges = np.arange(start_ms, end_ms + 1, step_ms)
    begun_ms, held = start_ms, 0.0
    for edge_ms, count in zip(edges[:-1].tolist(), np.diff(_rows_before(groups, edges)).tolist(), strict=True):
        if begun_ms < edge_ms and held + count > SLICE_ROWS:
            yield begun_ms, edge_ms
            begun_ms, held = edge_ms, 0.0
        held += count
        if held > SLICE_ROWS and step_ms > 1000:
            yield from _cuts(groups, edge_ms, edge_ms + step_ms, 1000)
            begun_ms, held = edge_ms + step_ms, 0.0
    if begun_ms < end_ms:
        yield begun_ms, end_ms


def _rows_before(groups: _Groups, moments: Times) -> Floats:
    """How many readings lie before each moment, were those of a row group spread evenly over its time; (M,)."""
    rate = groups.rows / (groups.end_ms - groups.start_ms)
    before = np.zeros(len(moments))
    for edge_ms, sign in ((groups.start_ms, 1.0), (groups.end_ms, -1.0)):
        order = np.argsort(edge_ms)
        past = np.searchsorted(edge_ms[order], moments)
        # In steps of the day, so that large times leave the digits to the rows.
        from_ms = moments[0]
        rates = np.concatenate(([0.0], np.cumsum(rate[order])))[past]
        starts = np.concatenate(([0.0], np.cumsum(rate[order] * (edge_ms[order] - from_ms))))[past]
        before += sign * (rates * (moments - from_ms) - starts)
    return before


def _columns(table: pa.Table, names: dict[tuple[str, str], int], start_ms: int, end_ms: int) -> tuple[Any, ...]:
    times = table["time_ms"].to_numpy()
    if len(times) and (times.min() < start_ms or times.max() >= end_ms):
        table = table.filter(pa.array((times >= start_ms) & (times < end_ms)))
    series = series_of(table, names)
    key: NDArray[Any] = np.zeros(len(table), "<U1")  # each ""
    if table["key"].null_count < len(table):
        key = table["key"].fill_null("").to_numpy().astype(object)
    return (series, *(table[name].to_numpy() for name in ("time_ms", "value", "quality")), key)


def series_of(table: pa.Table, names: dict[tuple[str, str], int]) -> NDArray[np.int64]:
    """Each row's series, as numbered in `names`, to which those are added that it lacks."""
    table = table.unify_dictionaries().combine_chunks()
    device, metric = (_chunk(table[name]) for name in ("device", "metric"))
    devices, metrics = device.dictionary.to_pylist(), metric.dictionary.to_pylist()
    pair = device.indices.to_numpy().astype(np.int64) * max(1, len(metrics)) + metric.indices.to_numpy()
    used, inverse = np.unique(pair, return_inverse=True)
    code = np.array(
        [names.setdefault((devices[p // len(metrics)], metrics[p % len(metrics)]), len(names)) for p in used.tolist()],
        np.int64,
    )
    return code[inverse]


def _chunk(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def each_once(
    series: NDArray[np.int64], time_ms: Times, key: NDArray[Any], *told: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Rows by series and time; of a reading that was told twice the later telling, of one moment every key.

    Args:
        told: What tellings are ordered by, the first column before the others; without any, rows are in that order.
    """
    later = (series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (time_ms[1:] >= time_ms[:-1]))
    order = np.arange(len(series)) if later.all() else np.lexsort((time_ms, series))
    if not _are_alike(order, series, time_ms).any():
        return order
    _, code = np.unique(key, return_inverse=True)
    order = np.lexsort((*reversed(told), code, time_ms, series))
    kept = np.sort(order[~np.append(_are_alike(order, series, time_ms, code), False)])
    return kept[np.lexsort((time_ms[kept], series[kept]))]


def _are_alike(order: NDArray[np.intp], *columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row but the last is as the next is."""
    found = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in columns:
        found &= column[order[:-1]] == column[order[1:]]
    return found
