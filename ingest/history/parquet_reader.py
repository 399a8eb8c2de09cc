"""Reads the Parquet history with DuckDB, in memory. Apart from the writer, so that the core does not carry a database.

One value a step is put together from rollups as far as they are current; what they lack is read from the readings.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Generic, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.history.history import Aggregate, Curve, Lately, Newest, ReaderOfMany
from ingest.history.parquet_files import DAY_MS, DAYS, SCHEMA, day_name, files_of
from ingest.history.parquet_rollups import Covered, covered_days, month_folder
from ingest.history.parquet_slices import each_once
from ingest.history.rollups import (
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
from telemetry.errors import Unavailable

_LISTING_RESTS_NS = 1_000_000_000  # a folder that changed later than this ago may change again within its clock's step
_DAYS_ASKED_MAX = 4_000  # over a longer span the folders that there are are fewer than the days
_DEVICE_DAYS_MAX = 400  # of one query over readings, which must fit into memory all at once
_Span = tuple[int, int]
T = TypeVar("T")
_day_name = functools.lru_cache(maxsize=4 * _DAYS_ASKED_MAX)(day_name)


class ParquetReader(ReaderOfMany):
    """The API's side of the embedded history: DuckDB over the files that count, in memory, never over SQL from outside."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._days = _Listings(files_of)
        self._months = _Listings(covered_days)
        self._db = _connect()

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
        for attempt in (1, 2):
            try:
                width = None if every_ms is None else width_for(every_ms)
                if every_ms is None or width is None:
                    curves = self._readings(kind, devices, metric, start_ms, end_ms)
                    if every_ms is not None:
                        curves = [curve_steps(curve, every_ms, how) for curve in curves]
                else:
                    windows = self._windows(kind, devices, metric, start_ms, end_ms, width, FIELDS_OF[how])
                    curves = [steps(each, every_ms, how) for each in split(windows, len(devices))]
                return curves
            except Unavailable:
                # The core merged files between our listing and our reading; the second listing sees the merged one.
                if attempt == 2:
                    raise
                self._days.forget()
                self._months.forget()
        raise AssertionError

    def newest(self, since_ms: int, known: Set[str] = frozenset()) -> Lately:
        seen = self._files("*", since_ms, since_ms + 400 * DAY_MS)
        files = [file for file in seen if file not in known]
        query = """
            SELECT device, metric, max(time_ms), arg_max(value, time_ms), arg_max(quality, time_ms)
            FROM read_parquet($files) WHERE time_ms >= $since GROUP BY 1, 2
        """
        rows: list[Any] = []
        if files:
            # A database of its own: these files are read once, and DuckDB lets go of what groups took when it is closed.
            with self._translated(), contextlib.closing(_connect()) as db:
                rows = db.execute(query, {"files": files, "since": since_ms}).fetchall()
        newest = {(device, metric): Newest(time_ms, value, quality) for device, metric, time_ms, value, quality in rows}
        return Lately(newest, frozenset(seen))

    def identities(self, kind: str, start_ms: int, end_ms: int) -> pa.Table:
        """Every stored reading as (device, metric, time_ms, value, key), repetitions left out: what an audit compares."""
        files = self._files(kind, start_ms, end_ms)
        query = """
            SELECT DISTINCT device, metric, time_ms, value, key FROM read_parquet($files)
            WHERE time_ms >= $start AND time_ms < $end
        """
        if not files:
            return SCHEMA.empty_table().drop_columns(["quality"])
        return self._table(query, files, {"start": start_ms, "end": end_ms})

    def _readings(self, kind: str, devices: Sequence[str], metric: str, start_ms: int, end_ms: int) -> list[Curve]:
        """The readings of each device, in the order given."""
        days = max(1, _DEVICE_DAYS_MAX // len(devices))
        cuts = [start_ms, *range((start_ms // DAY_MS + days) * DAY_MS, end_ms, days * DAY_MS), end_ms]
        parts = [self._readings_at_once(kind, devices, metric, *span) for span in itertools.pairwise(cuts)]
        if len(parts) == 1:
            return parts[0]
        return [
            Curve(
                *(
                    np.concatenate([getattr(curve, name) for curve in curves])
                    for name in ("time_ms", "value", "quality")
                )
            )
            for curves in zip(*parts, strict=True)
        ]

    def _readings_at_once(
        self, kind: str, devices: Sequence[str], metric: str, start_ms: int, end_ms: int
    ) -> list[Curve]:
        files = sorted(self._files(kind, start_ms, end_ms))
        if not files:
            return [Curve(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))] * len(devices)
        names, given = _named(devices)
        # Without a window or a group, of which DuckDB 2.0 never gives back some kilobytes a question.
        query = f"""
            SELECT device, time_ms, value, quality, key,
                list_position($files, filename)::BIGINT AS file, file_row_number AS row
            FROM read_parquet($files, filename = true, file_row_number = true)
            WHERE device IN ({names}) AND metric = $metric AND time_ms >= $start AND time_ms < $end
        """  # noqa: S608 - the parameters' names are our own
        given |= {"metric": metric, "start": start_ms, "end": end_ms}
        table = self._table(query, files, given)
        series = _numbered(table, devices)
        time_ms, value, quality, *told = _columns(table, ("time_ms", "value", "quality", "file", "row"))
        key = pc.fill_null(table["key"].combine_chunks().dictionary_encode().indices, -1).to_numpy()
        order = each_once(series, time_ms, key, *told)
        ends = np.searchsorted(series[order], np.arange(len(devices) + 1)).tolist()
        return [
            Curve(time_ms[at], value[at], quality[at])
            for at in (order[start:end] for start, end in itertools.pairwise(ends))
        ]

    def _windows(
        self,
        kind: str,
        devices: Sequence[str],
        metric: str,
        start_ms: int,
        end_ms: int,
        width: str,
        fields: Sequence[str],
    ) -> Windows:
        """The windows of [start, end): whole ones from rollups where these are current, the rest from readings.

        What the rollups lack of one device is read of all: it is the newest hours, as a rule, and of all alike.
        """
        width_ms = WIDTHS_MS[width]
        first_ms, last_ms = -(-start_ms // width_ms) * width_ms, end_ms // width_ms * width_ms
        covered: dict[int, Covered] = {}
        spans: list[_Span] = [(start_ms, min(first_ms, end_ms)), (max(last_ms, start_ms), end_ms)]
        if first_ms < last_ms:
            covered = self._covered(kind, width, first_ms // DAY_MS, (last_ms - 1) // DAY_MS)
            spans += self._not_current(kind, devices, metric, covered, first_ms, last_ms, width_ms)
        else:
            spans = [(start_ms, end_ms)]
        spans = _joined(spans)
        parts = [
            windows_of(curve, width_ms, number)
            for span in spans
            for number, curve in enumerate(self._readings(kind, devices, metric, *span))
        ]
        rolled = self._rolled(devices, metric, covered, first_ms, last_ms, fields)
        is_missing = np.ones(len(rolled), np.bool_)
        for start, end in spans:
            is_missing &= (rolled.time_ms < start) | (rolled.time_ms >= end)
        return join([*parts, rolled.take(is_missing)])

    def _not_current(
        self,
        kind: str,
        devices: Sequence[str],
        metric: str,
        covered: Mapping[int, Covered],
        first_ms: int,
        last_ms: int,
        width_ms: int,
    ) -> list[_Span]:
        """What of these series the rollups do not hold yet, in whole windows."""
        spans: list[_Span] = []
        newer: list[str] = []
        for day in range(first_ms // DAY_MS, (last_ms - 1) // DAY_MS + 1):
            files = self._days.of(self._day_folder(kind, day))
            if files is None or not files.parts:
                continue
            if day not in covered or files.marks:
                spans.append((max(day * DAY_MS, first_ms), min((day + 1) * DAY_MS, last_ms)))
            else:
                newer += [str(part.path) for part in files.parts if part.last > covered[day].through]
        if newer:
            # In order or late: from the first reading that the rollup lacks on, the day is read as it is now.
            names, given = _named(devices)
            query = f"""
                SELECT time_ms FROM read_parquet($files)
                WHERE device IN ({names}) AND metric = $metric AND time_ms >= $start AND time_ms < $end
            """  # noqa: S608 - the parameters' names are our own
            given |= {"metric": metric, "start": first_ms, "end": last_ms}
            time_ms = np.sort(self._table(query, newer, given)["time_ms"].to_numpy())
            _, first_of_day = np.unique(time_ms // DAY_MS, return_index=True)
            for first in time_ms[first_of_day].tolist():
                spans.append((first // width_ms * width_ms, min((first // DAY_MS + 1) * DAY_MS, last_ms)))
        return spans

    def _rolled(
        self,
        devices: Sequence[str],
        metric: str,
        covered: Mapping[int, Covered],
        first_ms: int,
        last_ms: int,
        fields: Sequence[str],
    ) -> Windows:
        files = sorted({str(each.path) for each in covered.values()})
        if not files:
            return windows_from(np.empty(0, np.int64), np.empty(0, np.int64), {})
        names, given = _named(devices)
        query = f"""
            SELECT device, time_ms, list_position($files, filename)::BIGINT AS file, {", ".join(fields)}
            FROM read_parquet($files, filename = true)
            WHERE device IN ({names}) AND metric = $metric AND time_ms >= $start AND time_ms < $end
        """  # noqa: S608 - the columns' and the parameters' names are our own
        given |= {"metric": metric, "start": first_ms, "end": last_ms}
        table = self._table(query, files, given)
        time_ms, file, *columns = _columns(table, ("time_ms", "file", *fields))
        windows = windows_from(_numbered(table, devices), time_ms, dict(zip(fields, columns, strict=True)))
        # A file of a month holds days that a file of a day has replaced. Files are numbered from 1 on, as SQL does.
        number = {path: at for at, path in enumerate(files, 1)}
        days = range(min(covered), max(covered) + 2)
        counts = np.array([number[str(covered[day].path)] if day in covered else 0 for day in days], np.int64)
        return windows.take(counts[windows.time_ms // DAY_MS - days.start] == file)

    def _covered(self, kind: str, width: str, first_day: int, last_day: int) -> dict[int, Covered]:
        found: dict[int, Covered] = {}
        for month in dict.fromkeys(_day_name(day)[:7] for day in range(first_day, last_day + 1)):
            found |= self._months.of(str(month_folder(self._folder, width, kind, month))) or {}
        return {day: each for day, each in found.items() if first_day <= day <= last_day}

    def _table(self, query: str, files: list[str], given: Mapping[str, object]) -> pa.Table:
        with self._translated():
            return self._db.cursor().sql(query, params={"files": files, **given}).to_arrow_table()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise Unavailable(f"reading history in {self._folder}: {error}") from error

    def _files(self, kind: str, start_ms: int, end_ms: int) -> list[str]:
        first, last = start_ms // DAY_MS, (end_ms - 1) // DAY_MS
        if kind == "*" or last - first > _DAYS_ASKED_MAX:
            names = self._folder.glob(f"kind={kind}/{DAYS}")
            span = (f"day={day_name(first)}", f"day={day_name(last)}")
            folders = [str(path) for path in sorted(names) if span[0] <= path.name <= span[1]]
        else:
            folders = [self._day_folder(kind, day) for day in range(first, last + 1)]
        listed = (self._days.of(folder) for folder in folders)
        return [str(part.path) for files in listed if files is not None for part in files.parts]

    def _day_folder(self, kind: str, day: int) -> str:
        return f"{self._folder}/kind={kind}/day={_day_name(day)}"


def _connect() -> duckdb.DuckDBPyConnection:
    """DuckDB in memory, which remembers no file: history's come and go for years."""
    made = duckdb.connect(":memory:")
    made.execute("SET threads = 2; SET memory_limit = '512MB'; SET enable_progress_bar = false")
    # Nothing of local files is cached in it, but each that was ever read would be on its list.
    made.execute("SET enable_external_file_cache = false")
    # What a large question needed goes back to the system while nobody asks.
    made.execute("SET allocator_background_threads = true")
    return made


class _Listings(Generic[T]):
    """What was made of the names in folders, remembered while these do not change.

    Args:
        make: From a folder and the names in it.
    """

    _KEPT_MAX = 20_000

    def __init__(self, make: Callable[[Path, list[str]], T]) -> None:
        self._make = make
        self._kept: dict[str, tuple[int, T]] = {}
        self._lock = threading.Lock()

    def of(self, folder: str) -> T | None:
        """None when there is no such folder. Raises Unavailable."""
        try:
            changed_ns = os.stat(folder).st_mtime_ns  # noqa: PTH116 - a year of days is asked for: a Path costs more than this
            with self._lock:
                kept = self._kept.get(folder)
            if kept is not None and kept[0] == changed_ns:
                return kept[1]
            made = self._make(Path(folder), [path.name for path in Path(folder).iterdir()])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"history in {folder}: {error}") from error
        if time.time_ns() - changed_ns > _LISTING_RESTS_NS:
            with self._lock:
                if len(self._kept) >= self._KEPT_MAX:
                    self._kept.clear()
                self._kept[folder] = (changed_ns, made)
        return made

    def forget(self) -> None:
        """Look again everywhere."""
        with self._lock:
            self._kept.clear()


def _named(devices: Sequence[str]) -> tuple[str, dict[str, object]]:
    """Parameters for the names of devices: as they stand in a query, and their values."""
    values: dict[str, object] = {f"device{number}": device for number, device in enumerate(devices)}
    return ", ".join(f"${name}" for name in values), values


def _numbered(table: pa.Table, devices: Sequence[str]) -> NDArray[np.int64]:
    """For each row which of the devices it is of."""
    coded = table["device"].combine_chunks().dictionary_encode()
    number = {device: at for at, device in enumerate(devices)}
    numbers = np.array([number[name] for name in coded.dictionary.to_pylist()], np.int64)
    found: NDArray[np.int64] = numbers[coded.indices.to_numpy()]
    return found


def _columns(table: pa.Table, names: Sequence[str]) -> list[NDArray[Any]]:
    return [table[name].to_numpy() for name in names]


def _joined(spans: list[_Span]) -> list[_Span]:
    """The same stretches, none touching another."""
    found: list[_Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
