"""The rollups of the embedded history, as Parquet files beside the readings.

    rollup=1h/kind=drain-level/month=2026-11/23-23-000000001544.parquet

A file holds the windows of some days of a month (here the 23rd) as they follow from all readings up to a journal record. A
day whose readings hold a newer record, or that is marked as changed by somebody else, is not current: readers take that much
of it from the readings themselves, so that an answer is right at every moment, and the day is rolled up anew, as a whole.
Where a file of a single day and one of a whole month hold the same day, the one with the newer record counts; of equals the
day's own.

Minutes are kept only where they say the same in a quarter of the rows; where readings come less often, the readings
themselves are as quick to read. Axes: N readings, W windows.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.history.parquet_files import (
    DAY_MS,
    Draft,
    Part,
    day_files,
    day_folder,
    day_name,
    day_number,
    make_folder,
    write_file,
)
from ingest.history.parquet_slices import Names, Slicer, series_of
from ingest.history.rollups import WIDTHS_MS, Windows, merge, roll
from telemetry.errors import Unavailable

SCHEMA = pa.schema(
    [
        ("device", pa.dictionary(pa.int32(), pa.string())),
        ("metric", pa.dictionary(pa.int32(), pa.string())),
        ("time_ms", pa.int64()),
        ("count", pa.int64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("total", pa.float64()),
        ("first", pa.float64()),
        ("last", pa.float64()),
        ("grown", pa.float64()),
        ("quality", pa.uint8()),
        ("through", pa.int64()),
    ]
)
COLUMNS = [field.name for field in fields(Windows) if field.name != "series"]
GROUP_ROWS = 8_192  # a chart reads the row groups that hold its series: they must be small against a day
_MONTH_ROWS_MAX = 2_000_000  # a month with more windows stays as the files of its days
_FINEST_SAVES = 4  # how many readings a minute's window must stand for
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d{12})\.parquet")


class Covered(NamedTuple):
    """One day of a rollup."""

    through: int  # the last journal record that is in it
    path: Path


def month_of(day: int) -> str:
    """Of a day since 1970, like 2026-11."""
    return day_name(day)[:7]


def month_folder(folder: Path, width: str, kind: str, month: str) -> Path:
    """Where the rollups of a month stand."""
    return folder / f"rollup={width}" / f"kind={kind}" / f"month={month}"


def covered_days(of_month: Path, names: Sequence[str]) -> dict[int, Covered]:
    """For each day that the files of a month hold, the file that counts: the newest, of these its own, else the longest.

    Its own, because what is brought comes with no newer record: a day that was rolled up with it after its month was joined
    stands in a file as new as the month's.
    """
    first = day_number(f"{of_month.name.removeprefix('month=')}-01")
    matches = _in_order(names)
    found: dict[int, Covered] = {}
    for match in matches:
        covered = Covered(int(match[3]), of_month / match[0])
        found |= dict.fromkeys(range(first + int(match[1]) - 1, first + int(match[2])), covered)
    return found


def _in_order(names: Iterable[str]) -> list[re.Match[str]]:
    """Rollups by their names; where two hold a day, the later one in the list counts."""
    matches = [match for name in names if (match := _NAME.fullmatch(name))]
    return sorted(matches, key=lambda match: (int(match[3]), match[1] == match[2], int(match[2]) - int(match[1])))


class Roller:
    """The core's side: rolls days up, and puts the days of a month together when it is over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.readings = Slicer()

    def start(self, cursor: int) -> None:
        """Distrust what knows of records past the cursor: those that come will be others. Raises OSError.

        Days of which there are no readings any more keep what rollups say of them.
        """
        for of_month in self._folder.glob("rollup=*/kind=*/month=*"):
            names = _names_in(of_month)
            distrusted = [of_month / match[0] for match in _in_order(names) if int(match[3]) > cursor]
            for path in distrusted:
                self._keep_what_stands_alone(path, cursor)  # of several that hold a day the last is the one that counts
            for path in [*distrusted, *(of_month / name for name in names if not _NAME.fullmatch(name))]:
                path.unlink()

    def _keep_what_stands_alone(self, path: Path, cursor: int) -> None:
        """The days of a distrusted file of which there are no readings, each in a file of its own."""
        try:
            table = pq.read_table(path, schema=SCHEMA)
        except pa.ArrowException:
            return  # spoilt: there is nothing to keep
        days = table["time_ms"].to_numpy() // DAY_MS
        kind = path.parent.parent.name.removeprefix("kind=")
        for day in np.unique(days).tolist():
            if not day_files(day_folder(self._folder, kind, day)).parts:
                alone = table.filter(pa.array(days == day))
                alone = alone.set_column(11, "through", pa.array(np.full(len(alone), cursor)))
                with write_file(path.with_name(f"{_of_one_day(day)}{cursor:012d}.parquet"), SCHEMA) as file:
                    file.write(alone, GROUP_ROWS)

    def is_current(self, kind: str, day: int) -> bool:
        """Whether the rollups of a day hold all of its readings. Raises OSError."""
        files = day_files(day_folder(self._folder, kind, day))
        covered = self._covered("1h", kind, day)
        newest = max((part.last for part in files.parts), default=0)
        return covered is not None and newest <= covered.through and not files.marks

    def roll_day(self, kind: str, day: int, through: int) -> tuple[int, list[Path]]:
        """All of a day anew, whatever rollups say of it, in one go; else as `rolling`."""
        steps = self._rolling(kind, day, through, anew=True)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                found: tuple[int, list[Path]] = end.value
                return found

    def rolling(self, kind: str, day: int, through: int) -> Generator[None, None, tuple[int, list[Path]]]:
        """Roll a day up as its readings are now: some of them a step, as a day may take minutes.

        What rollups say of the time before the first reading that they lack is taken over. No file of the day may be
        deleted meanwhile.

        Args:
            through: The last journal record that history has written.

        Returns:
            How many windows were written, and the files that no longer count and may be deleted once nobody reads them.
            Raises Unavailable.
        """
        return self._rolling(kind, day, through, anew=False)

    def _rolling(self, kind: str, day: int, through: int, anew: bool) -> Generator[None, None, tuple[int, list[Path]]]:
        of_day = day_folder(self._folder, kind, day)
        try:
            files = day_files(of_day)
            if not files.parts:
                return 0, []
            old = {width: each for width in WIDTHS_MS if (each := self._covered(width, kind, day)) is not None}
            right = None if anew or files.marks else self._still_right(old, files.parts, day)
            row_count = yield from self._write_day(files.parts, right, kind, day, through)
            for mark in files.marks:
                mark.unlink(missing_ok=True)
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"rolling up {of_day}: {error}") from error
        replaced = [each.path for each in old.values() if each.through < through]
        return row_count, [path for path in replaced if _is_of_one_day(path, day)]

    def join_month(self, kind: str, month: str, through: int) -> list[Path]:
        """Put the files of a month that is over together; those that no longer count. Raises Unavailable."""
        doomed: list[Path] = []
        try:
            for width in WIDTHS_MS:
                doomed += self._join(month_folder(self._folder, width, kind, month), kind, through)
        except (OSError, pa.ArrowException) as error:
            raise Unavailable(f"rolling up {kind} of {month}: {error}") from error
        return doomed

    def _write_day(
        self, parts: Sequence[Part], right: _Right | None, kind: str, day: int, through: int
    ) -> Generator[None, None, int]:
        with contextlib.ExitStack() as stack:
            drafts: dict[str, Draft] = {}
            of_minute, of_quarter = _Unfinished(WIDTHS_MS["1m"]), _Unfinished(WIDTHS_MS["15m"])
            of_hour = _Unfinished(WIDTHS_MS["15m"])
            from_ms = day * DAY_MS
            if right is not None:
                from_ms = right.end_ms
                hour_ms, quarter_ms = (from_ms // WIDTHS_MS[width] * WIDTHS_MS[width] for width in ("1h", "15m"))
                drafts = self._drafts(stack, list(right.paths), kind, day, through)
                # Of a quarter or an hour that is not over, what is narrower goes into what it will be.
                for width, written_ms, wider, rest in (
                    ("1h", hour_ms, of_hour, (hour_ms, hour_ms)),
                    ("15m", hour_ms, of_hour, (hour_ms, quarter_ms)),
                    ("1m", from_ms, of_quarter, (quarter_ms, from_ms)),
                ):
                    if width in drafts:
                        yield from _take_over(right.paths[width], drafts[width], written_ms, through, wider, rest)
            for some in self.readings.slices(parts, day, from_ms):
                windows = roll(some.series, some.time_ms, some.value, some.quality, WIDTHS_MS["1m"])
                of_minute.add(some.names, windows)
                if found := of_minute.take(some.end_ms, WIDTHS_MS["1m"]):
                    names, minutes = found
                    if not drafts:
                        saves = len(minutes) * _FINEST_SAVES <= minutes.count.sum()
                        drafts = self._drafts(stack, [*WIDTHS_MS] if saves else ["15m", "1h"], kind, day, through)
                    if "1m" in drafts:
                        drafts["1m"].write(_table(names, minutes, through), GROUP_ROWS)
                    of_quarter.add(names, minutes)
                if found := of_quarter.take(some.end_ms, WIDTHS_MS["15m"]):
                    of_hour.add(*found)
                if found := of_hour.take(some.end_ms, WIDTHS_MS["1h"]):
                    names, quarters = found
                    drafts["15m"].write(_table(names, quarters, through), GROUP_ROWS)
                    drafts["1h"].write(_table(names, merge(quarters, WIDTHS_MS["1h"]), through), GROUP_ROWS)
                yield
            if not drafts:  # no reading was good: it is rolled up all the same
                drafts = self._drafts(stack, ["15m", "1h"], kind, day, through)
        return sum(draft.row_count for draft in drafts.values())

    def _still_right(self, old: Mapping[str, Covered], parts: Sequence[Part], day: int) -> _Right | None:
        of_hour = old.get("1h")
        if of_hour is None or not _is_of_one_day(of_hour.path, day):
            return None
        paths = {width: each.path for width, each in old.items() if each.path.name == of_hour.path.name}
        finest_ms = WIDTHS_MS["1m" if "1m" in paths else "15m"]
        lacking = [part for part in parts if part.last > of_hour.through]
        end_ms = self.readings.first_ms(lacking, day) // finest_ms * finest_ms
        return _Right(end_ms, paths) if "15m" in paths and end_ms > day * DAY_MS else None

    def _drafts(
        self, stack: contextlib.ExitStack, widths: Sequence[str], kind: str, day: int, through: int
    ) -> dict[str, Draft]:
        drafts = {}
        # Closed the other way round: when the widest stands, the others do.
        for width in reversed(widths):
            path = month_folder(self._folder, width, kind, month_of(day))
            make_folder(path)
            drafts[width] = stack.enter_context(write_file(path / f"{_of_one_day(day)}{through:012d}.parquet", SCHEMA))
        return drafts

    def _join(self, of_month: Path, kind: str, through: int) -> list[Path]:
        names = _names_in(of_month)
        covered = covered_days(of_month, names)
        paths = sorted({each.path for each in covered.values()})
        doomed = [of_month / name for name in names if _NAME.fullmatch(name) and of_month / name not in paths]
        row_count = sum(pq.read_metadata(path).num_rows for path in paths)
        if len(paths) < 2 or row_count > _MONTH_ROWS_MAX or not all(self.is_current(kind, day) for day in covered):
            return doomed
        table = pa.concat_tables(self._counting(path, covered) for path in paths).unify_dictionaries()
        device, metric = (table[name].combine_chunks().dictionary_decode() for name in ("device", "metric"))
        plain = table.set_column(0, "device", device).set_column(1, "metric", metric)
        order = plain.sort_by([("device", "ascending"), ("metric", "ascending"), ("time_ms", "ascending")])
        table = order.set_column(11, "through", pa.array(np.full(len(order), through)))
        first, last = _day_of_month(min(covered)), _day_of_month(max(covered))
        path = of_month / f"{first:02d}-{last:02d}-{through:012d}.parquet"
        with write_file(path, SCHEMA) as file:
            file.write(table.cast(SCHEMA), GROUP_ROWS)
        return [each for each in doomed + paths if each != path]  # one of the same name is replaced already

    @staticmethod
    def _counting(path: Path, covered: Mapping[int, Covered]) -> pa.Table:
        table = pq.read_table(path, schema=SCHEMA)
        counts = np.array([day for day, each in covered.items() if each.path == path], np.int64)
        return table.filter(pa.array(np.isin(table["time_ms"].to_numpy() // DAY_MS, counts)))

    def _covered(self, width: str, kind: str, day: int) -> Covered | None:
        of_month = month_folder(self._folder, width, kind, month_of(day))
        return covered_days(of_month, _names_in(of_month)).get(day)


class _Right(NamedTuple):
    """What rollups say of a day's beginning and newer readings do not change."""

    end_ms: int  # where a window of the finest width ends
    paths: dict[str, Path]  # by width


def _take_over(
    path: Path, draft: Draft, written_ms: int, through: int, wider: _Unfinished, rest: tuple[int, int]
) -> Iterator[None]:
    """A file's windows before `written_ms` into a newer one, those of `rest`, [start, end), into what is wider."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number).cast(SCHEMA)
            time_ms = table["time_ms"].to_numpy()
            written = table.filter(pa.array(time_ms < written_ms))
            written = written.set_column(len(SCHEMA) - 1, SCHEMA[-1], pa.array(np.full(len(written), through)))
            draft.write(written, GROUP_ROWS)
            wider.add(*_windows_in(table.filter(pa.array((time_ms >= rest[0]) & (time_ms < rest[1])))))
            yield


def _windows_in(table: pa.Table) -> tuple[Names, Windows]:
    """Back from `_table`."""
    names: dict[tuple[str, str], int] = {}
    series = series_of(table, names)
    return list(names), Windows(series, *(table[name].to_numpy() for name in COLUMNS))


class _Unfinished:
    """Windows that lack what later slices of the same readings' time hold."""

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._number: dict[tuple[str, str], int] = {}  # of each series: all slices name the same ones
        self._parts: list[Windows] = []

    def add(self, names: Names, windows: Windows) -> None:
        """Windows no wider than ours, later than those that were added before."""
        if len(windows):
            number = np.array([self._number.setdefault(name, len(self._number)) for name in names], np.int64)
            self._parts.append(replace(windows, series=number[windows.series]))

    def take(self, end_ms: int, until_ms: int) -> tuple[Names, Windows] | None:
        """Those up to the last multiple of `until_ms` before `end_ms`, at our width; None when there are none.

        In the order of series and time, series being numbered in the order of their names.
        """
        whole_ms = end_ms // until_ms * until_ms
        if not any(windows.time_ms.min() < whole_ms for windows in self._parts):
            return None
        columns = [np.concatenate([getattr(part, field.name) for part in self._parts]) for field in fields(Windows)]
        windows = Windows(*columns)
        is_whole = windows.time_ms < whole_ms
        rest, whole = windows.take(~is_whole), windows.take(is_whole)
        self._parts = [rest] if len(rest) else []
        names = sorted(self._number)
        rank = np.empty(len(names), np.int64)
        rank[[self._number[name] for name in names]] = np.arange(len(names))
        whole = replace(whole, series=rank[whole.series])
        return names, merge(whole.take(np.lexsort((whole.time_ms, whole.series))), self._width_ms)


def _table(names: Names, windows: Windows, through: int) -> pa.Table:
    return pa.table(
        [
            *(_named(windows.series, [name[part] for name in names]) for part in (0, 1)),
            *(pa.array(getattr(windows, name)) for name in COLUMNS),
            pa.array(np.full(len(windows), through, np.int64)),
        ],
        schema=SCHEMA,
    )


def _named(series: NDArray[np.int64], names: Sequence[str]) -> pa.DictionaryArray:
    """By text and not by series, so that the file's statistics are those of the names."""
    unique = sorted(set(names))
    code = {name: number for number, name in enumerate(unique)}
    codes = np.array([code[name] for name in names], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(codes[series] if len(series) else codes[:0]), pa.array(unique, pa.string())
    )


def _of_one_day(day: int) -> str:
    """How the name of a file begins that holds this day and no other."""
    number = _day_of_month(day)
    return f"{number:02d}-{number:02d}-"


def _is_of_one_day(path: Path, day: int) -> bool:
    return path.name.startswith(_of_one_day(day))


def _day_of_month(day: int) -> int:
    return int(day_name(day)[8:])


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []
