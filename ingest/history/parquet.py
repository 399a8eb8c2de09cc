"""History as Parquet files by kind and day: written, fsynced, renamed; read by DuckDB in memory, or by anybody's tools.

A file's name says which journal records it holds (`parquet_files`). That makes a crash harmless: what lies past the writer's
cursor is removed on start and written again, and a merged file hides the ones it was merged from until they are deleted.
Axis: N readings.
"""

from __future__ import annotations

import itertools
import math
import secrets
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest import events
from ingest.history.history import Refused, SeriesPlace
from ingest.history.merging import mergeable
from ingest.history.parquet_files import (
    CHANGED,
    DAY_MS,
    DAYS,
    SCHEMA,
    Lock,
    Part,
    brought_name,
    day_folder,
    day_name,
    day_number,
    files_of,
    make_folder,
    write_file,
)
from ingest.history.parquet_files import parts_of as parts_of
from ingest.history.parquet_keep import Keeper
from ingest.history.parquet_rollups import Roller, month_of
from ingest.history.settings import ParquetSettings
from telemetry.batch import Indexes, ReadingBatch
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Unavailable
from telemetry.segments import group

_SORT_ROWS_MAX = 100_000  # a sorted merge of more would be the largest thing that the core ever holds in memory
_DELETE_AFTER_S = 60.0  # a reader that listed a folder may still open what it saw
_ROLL_QUIET_S = 300.0  # a day to which nothing has come for so long is rolled up
_SAMPLE_ROWS = 50_000
_DAYS = 100_000  # keys are kind · _DAYS + day
_LOOK_EVERY_S = 300.0  # for marks of others
_ROLL_AGAIN_S = 600.0  # a day that could not be rolled up is tried again after so long
_ROLL_ROWS = 50_000  # or when it has grown by so many readings, and by as many as there are windows to take over,
_ROLL_EVERY_S = 60.0  # and this long ago


@dataclass(slots=True)
class _Unrolled:
    """A day whose rollups lack readings."""

    rows: int  # that came since
    since_s: float  # when the last of them came


class _Rolled(NamedTuple):
    """How a day was rolled up last."""

    windows: int
    through: int  # the last journal record that is in it
    at_s: float


_NEVER = _Rolled(0, 0, -math.inf)


class _Rolling(NamedTuple):
    """A day that is being rolled up."""

    kind: str
    day: int
    through: int
    steps: Generator[None, None, tuple[int, list[Path]]]


class ParquetWriter:
    """The core's side of the embedded history."""

    gather_s = 2.0  # each write is a file of every kind and day, synced

    def __init__(
        self,
        folder: Path,
        series: Sequence[SeriesPlace],
        settings: ParquetSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._folder = folder
        self._series = series
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
        self._lock = Lock(folder)
        self._doomed: list[tuple[float, Path]] = []
        self._touched: set[Path] = set()
        self._roller = Roller(folder)
        self._clock = clock or SystemClock()
        self._keeper = Keeper(settings or ParquetSettings(folder=folder), self._roller, self._clock)
        self._unrolled: dict[tuple[str, int], _Unrolled] = {}
        self._rolling: _Rolling | None = None
        self._rolled: dict[tuple[str, int], _Rolled] = {}
        self._unjoined: set[tuple[str, str]] = set()  # (kind, month)
        self._written = 0
        self._look_s = 0.0

    def start(self, cursor: int) -> None:
        try:
            make_folder(self._folder)
            self._lock.take()
            self._keeper.start()
            self._roller.start(cursor)
            for folder in self._folder.glob(f"kind=*/{DAYS}"):
                # One listing: what somebody brings meanwhile is not in it, and stays.
                present = list(folder.iterdir())
                found = files_of(folder, [path.name for path in present], through=cursor)
                for path in set(present) - {part.path for part in found.parts} - set(found.marks):
                    path.unlink(missing_ok=True)
                self._touched.add(folder)
                kind, day = _kind_and_day(folder)
                self._unjoined.add((kind, month_of(day)))
                if not self._roller.is_current(kind, day):
                    self._unrolled[kind, day] = _Unrolled(0, self._clock.monotonic_s())
            self._written = cursor
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"history in {self._folder}: {error}") from error

    def write(self, batch: ReadingBatch, first: int, last: int) -> Sequence[Refused]:
        now_s = self._clock.monotonic_s()
        try:
            for kind, day, table in self._by_day(batch):
                folder = day_folder(self._folder, kind, day)
                make_folder(folder)
                _write_file(folder / f"{first:012d}-{last:012d}.parquet", [table])
                self._touched.add(folder)
                waiting = self._unrolled.setdefault((kind, day), _Unrolled(0, now_s))
                waiting.rows, waiting.since_s = waiting.rows + len(table), now_s
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"writing history to {self._folder}: {error}") from error
        self._written = last
        return self._refused(batch)

    def bring(self, batch: ReadingBatch, name: str) -> Sequence[Refused]:
        try:
            self._keeper.start()
            for kind, day, table in self._by_day(batch):
                folder = day_folder(self._folder, kind, day)
                make_folder(folder)
                table = _without_passages(table, parts_of(folder))
                # Marked before: once the readings are there no rollup without them counts. And after: whoever rolls up
                # takes only those marks away that it saw before it read, and may have read before the readings were there.
                (folder / f"{CHANGED}{secrets.token_hex(8)}").touch()
                _write_file(folder / brought_name(name), [table])
                (folder / f"{CHANGED}{secrets.token_hex(8)}").touch()
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"writing history to {self._folder}: {error}") from error
        return self._refused(batch)

    def rebuild(self, batches: Iterable[tuple[int, ReadingBatch]], first: int, last: int, days: range) -> list[str]:
        """Make some days anew from what the journal still holds: records `first` to `last`. The core must not be running.

        Files of older records stay, unless nothing can be read of them, and so does what rollups say of days let go of.

        Args:
            batches: Readings of these days, each with its last record, ascending.

        Returns:
            What could not be put right, a line each. Raises Unavailable.
        """
        try:
            make_folder(self._folder)
            self._lock.take()
            self._keeper.start()
            made, start = set[Path](), first
            for record, batch in batches:
                for kind, day, table in self._by_day(batch):
                    folder = day_folder(self._folder, kind, day)
                    make_folder(folder)
                    path = folder / f"{start:012d}-{record:012d}.parquet"
                    _write_file(path, [table])
                    made.add(path)
                start = record + 1
            lost = []
            if days.start < self._keeper.from_day:  # their rollups hold more than the journal, as a rule
                lost.append(
                    f"readings before {day_name(self._keeper.from_day)} have been let go of; their rollups stay"
                )
            held = range(max(days.start, self._keeper.from_day), days.stop)
            for folder in (path for day in held for path in self._folder.glob(f"kind=*/day={day_name(day)}")):
                kind, day = _kind_and_day(folder)
                for path in [path for path in folder.iterdir() if path.suffix == ".parquet" and path not in made]:
                    part = files_of(folder, [path.name]).parts
                    if part and first <= part[0].first and part[0].last <= last:
                        path.unlink()
                    elif not _is_readable(path):
                        path.unlink()
                        lost.append(
                            f"{path.relative_to(self._folder)} could not be read, and the journal no longer has it all"
                        )
                self._roller.roll_day(kind, day, last)
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"rebuilding history in {self._folder}: {error}") from error
        return lost

    def _by_day(self, batch: ReadingBatch) -> Iterator[tuple[str, int, pa.Table]]:
        """(kind, day, readings) of all days that are still kept."""
        days = batch.time_ms // DAY_MS
        kept = np.flatnonzero(days >= self._keeper.from_day)
        pieces = group(self._kind_of[batch.series[kept]] * _DAYS + days[kept])
        for key, start, end in zip(pieces.key.tolist(), pieces.start, pieces.end, strict=True):
            kind, day = divmod(key, _DAYS)
            yield self._kinds[kind], day, self._table(batch, kept[pieces.order[start:end]])

    def _refused(self, batch: ReadingBatch) -> list[Refused]:
        rows = np.flatnonzero(batch.time_ms // DAY_MS < self._keeper.from_day).tolist()
        why = f"readings before {day_name(self._keeper.from_day)} have been let go of" if rows else ""
        return [Refused(row, why, self._excerpt(batch, row)) for row in rows]

    def warning(self) -> str:
        return self._keeper.warning

    def tidy(self) -> bool:
        """Merge files of like size, roll some of a day up, or delete what was replaced a while ago; whether more waits."""
        try:
            return self._tidy(self._clock.monotonic_s())
        except OSError as error:
            raise Unavailable(f"tidying history in {self._folder}: {error}") from error

    def _tidy(self, now_s: float) -> bool:
        # A day that is being rolled up is read from the files that there were when that began.
        while self._rolling is None and self._doomed and self._doomed[0][0] <= now_s:
            self._doomed.pop(0)[1].unlink(missing_ok=True)
        if self._touched:
            try:
                self._merge(self._touched.pop(), now_s)
            except Unavailable as error:
                events.history_untidy(str(error))  # as it is it can be read as well; the next write looks again
            return True
        if self._roll_up(now_s):
            return True
        if not self._keeper.let_go(self._written):
            self._join_month(now_s)
        return False

    def _look_for_marks(self, now_s: float) -> None:
        """Days that somebody else has changed."""
        if now_s < self._look_s:
            return
        self._look_s = now_s + _LOOK_EVERY_S
        for mark in self._folder.glob(f"kind=*/{DAYS}/{CHANGED}*"):
            self._unrolled.setdefault(_kind_and_day(mark.parent), _Unrolled(0, now_s))

    def _roll_up(self, now_s: float) -> bool:
        """Some readings of one day for which it is time, if there is one."""
        self._look_for_marks(now_s)
        if self._rolling is None:
            for (kind, day), waiting in self._unrolled.items():
                rolled = self._rolled.get((kind, day), _NEVER)
                has_grown = waiting.rows >= max(_ROLL_ROWS, rolled.windows) and now_s - rolled.at_s >= _ROLL_EVERY_S
                if has_grown or now_s - waiting.since_s >= _ROLL_QUIET_S:
                    del self._unrolled[kind, day]  # what comes from now on is not in it
                    self._rolling = _Rolling(kind, day, self._written, self._roller.rolling(kind, day, self._written))
                    break
            else:
                return False
        kind, day, through, steps = self._rolling
        try:
            next(steps)
        except StopIteration as end:
            windows, replaced = end.value
            self._rolling = None
            self._rolled[kind, day] = _Rolled(windows, through, now_s)
            self._doomed += [(now_s + _DELETE_AFTER_S, path) for path in replaced]
            self._unjoined.add((kind, month_of(day)))
        except Unavailable as error:
            # One day that cannot be read must not keep the others from being rolled up, nor readings from being kept.
            events.history_untidy(str(error))
            self._rolling = None
            self._unrolled[kind, day] = _Unrolled(0, now_s + _ROLL_AGAIN_S)
        pa.default_memory_pool().release_unused()
        return True

    def _join_month(self, now_s: float) -> None:
        """One month that is over, if there is one: newer readings are of another."""
        newest = max((month for _, month in self._unjoined), default="")
        for kind, month in self._unjoined:
            is_rolled = all((kind, month) != (k, month_of(day)) for k, day in self._unrolled)
            if month < newest and is_rolled:
                self._unjoined.remove((kind, month))
                try:
                    replaced = self._roller.join_month(kind, month, self._written)
                except Unavailable as error:
                    events.history_untidy(str(error))
                    return
                self._doomed += [(now_s + _DELETE_AFTER_S, path) for path in replaced]
                gone = [each for each in self._rolled if (each[0], month_of(each[1])) == (kind, month)]
                for each in gone:
                    del self._rolled[each]
                return

    def _merge(self, folder: Path, now_s: float) -> None:
        try:
            parts = [part for part in parts_of(folder) if part.last]  # what was brought keeps its name
            kind, day = _kind_and_day(folder)
            rows = [self._roller.readings.row_count(part, day) for part in parts]
            # What rollups hold is not mixed with what they lack, which would make all of it be read anew.
            through = self._rolled.get((kind, day), _NEVER).through
            rolled_count = sum(part.last <= through for part in parts)
            for first, stop in ((0, rolled_count), (rolled_count, len(parts))):
                if (found := mergeable(rows[first:stop])) is not None:
                    chosen = parts[first:stop][found]
                    path = folder / f"{chosen[0].first:012d}-{chosen[-1].last:012d}.parquet"
                    _write_file(path, _joined(chosen, sum(rows[first:stop][found])))
                    self._doomed += [(now_s + _DELETE_AFTER_S, part.path) for part in chosen]
                    self._touched.add(folder)
                    pa.default_memory_pool().release_unused()
                    return
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"tidying history in {folder}: {error}") from error

    def _excerpt(self, batch: ReadingBatch, row: int) -> str:
        place = self._series[batch.series[row]]
        return f"{place.device}/{place.metric} {float(batch.value[row])!r} {batch.time_ms[row]}"

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
    tables = iter(row_groups)
    first = next(tables, SCHEMA.empty_table())
    with write_file(path, SCHEMA, ["value"] if _repeats(first["value"]) else []) as file:
        for table in itertools.chain([first], tables):
            file.write(table)


def _kind_and_day(folder: Path) -> tuple[str, int]:
    return folder.parent.name.removeprefix("kind="), day_number(folder.name.removeprefix("day="))


def _repeats(values: pa.ChunkedArray) -> bool:
    """Whether values are so rounded that most of them come again: three decimals of a level, not a computed mean."""
    some = values.slice(0, _SAMPLE_ROWS)
    return len(pc.unique(some)) * 4 <= len(some)


def _without_passages(table: pa.Table, own: Sequence[Part]) -> pa.Table:
    """What is brought has no passage keys: a passage that we have with its key would else count twice."""
    for part in own:
        metadata = pq.read_metadata(part.path)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        if part.last and any(_null_count(each.column(5)) < each.num_rows for each in groups):
            known = pq.read_table(part.path, schema=SCHEMA, columns=["device", "metric", "time_ms", "key"])
            known = known.filter(pc.is_valid(known["key"])).drop_columns(["key"])
            left = (
                _plain(table).join(_plain(known), ["device", "metric", "time_ms"], join_type="left anti").cast(SCHEMA)
            )
            table = left.take(_in_order(left))  # threads that join hand in their pieces as they finish
    return table


def _null_count(column: Any) -> int:
    return 0 if column.statistics is None else int(column.statistics.null_count)


def _plain(table: pa.Table) -> pa.Table:
    """Names as text: dictionaries of two tables cannot be compared."""
    return table.cast(
        pa.schema([f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema])
    )


def _is_readable(path: Path) -> bool:
    try:
        pq.read_table(path)
    except (OSError, pa.ArrowException):
        return False
    return True
