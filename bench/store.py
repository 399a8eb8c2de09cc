"""Does the embedded history keep up, take little room and answer at once?

append     a day of `series` sensors, once a minute give or take a second, 20 ± 2 with three decimals, through the writer
           as the core calls it; CPU of this process, files and their fsyncs included, merging and rolling up apart
room       bytes on disk of that day's readings as they are written, and of its rollups
a day      all of it read back as columns, in time, as a back-test reads it
a year     a chart of one series of `year_series`, a reading a minute for a year, in steps of nine hours; then fifty of them,
           and fifty of a day, as a wall screen has them. The first of each is thrown away.
Wall clock where a person waits. Every count and sum is checked. Non-goals: what DuckDB or pandas need for the same files.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.line_protocol import meters, readings
from bench.report import Goal, Report, Table, steps
from ingest.history.history import Aggregate
from ingest.history.loop import ROWS_MAX
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_files import DAY_MS
from ingest.history.parquet_reader import ParquetReader
from ingest.history.parquet_rollups import Roller, month_of
from ingest.history.stream import parquet_batches
from telemetry.batch import ReadingBatch

GOAL_APPEND = 3e6
GOAL_BYTES = 4.5
GOAL_DAY_S = 0.3
GOAL_YEAR_MS = 100.0
GOAL_WALL_S = 1.0
CHARTS = 50
STEP_MS = 9 * 3_600_000  # a year in 974 points
_DAY = 20_089  # 1 January 2025
_MINUTES = 1440


def run(series: int = 1_000, year_series: int = 50, year_days: int = 365, rounds: int = 5) -> Report:
    """A day of `series`, and `year_days` of `year_series`."""
    parameters = {"series": series, "year_series": year_series, "year_days": year_days, "rounds": rounds}
    report = Report("store", "is the embedded history quick, small and at hand?", dict(parameters))
    with TemporaryDirectory() as name:
        _day(Path(name), series, rounds, report)
    with TemporaryDirectory() as name:
        _year(Path(name), year_series, year_days, rounds, report)
    return report


def fill(folder: Path, series: int, days: int, first_day: int = _DAY) -> tuple[int, float]:
    """Write so many days and roll them up; readings and the sum of their values in thousandths."""
    places = meters(series)
    writer, roller = ParquetWriter(folder, places), Roller(folder)
    writer.start(0)
    total = 0.0
    for number in steps(range(days), "writing days"):
        batch = readings(_MINUTES * series, series, number, (first_day + number) * DAY_MS)
        writer.write(batch, number + 1, number + 1)
        total += float(np.rint(batch.value * 1000).sum())
    for day in steps(range(first_day, first_day + days), "rolling up"):
        roller.roll_day("room-meter", day, days)
    for month in sorted({month_of(day) for day in range(first_day, first_day + days)})[:-1]:
        for path in roller.join_month("room-meter", month, days):
            path.unlink()
    return days * _MINUTES * series, total


def _day(folder: Path, series: int, rounds: int, report: Report) -> None:
    places = meters(series)
    batch = readings(_MINUTES * series, series, 1, _DAY * DAY_MS)
    pieces = [slice(start, start + ROWS_MAX) for start in range(0, len(batch), ROWS_MAX)]
    costs_s = []
    for number in steps(range(rounds), "appending"):
        writer = ParquetWriter(folder / str(number), places)
        writer.start(0)
        started_s = time.process_time()
        for record, at in enumerate(pieces, 1):
            some = ReadingBatch(batch.series[at], batch.time_ms[at], batch.value[at], batch.quality[at])
            writer.write(some, record, record)
        costs_s.append(time.process_time() - started_s)
    Roller(folder / "0").roll_day("room-meter", _DAY, len(pieces))
    raw_bytes = sum(path.stat().st_size for path in (folder / "0").glob("kind=*/day=*/*.parquet"))
    rolled_bytes = sum(path.stat().st_size for path in (folder / "0").glob("rollup=*/kind=*/month=*/*.parquet"))
    reads_s = []
    for _ in range(rounds + 1):
        started_s = time.perf_counter()
        count, total = 0, 0.0
        span = (_DAY * DAY_MS, (_DAY + 1) * DAY_MS)
        for found in parquet_batches(folder / "0", places, set(range(series)), False, *span):
            count += len(found)
            total += float(found.value.sum())
        reads_s.append(time.perf_counter() - started_s)
        assert count == len(batch) and abs(total - batch.value.sum()) < 1e-3, "the day is not what was written"
    append, day_s = len(batch) / statistics.median(costs_s), statistics.median(reads_s[1:])
    size = raw_bytes / len(batch)
    report.tables.append(
        Table(
            f"a day of {series:,} series, {len(batch):,} readings",
            ("append, rows per CPU s", "bytes a reading", "and its rollups", "read back, s"),
            [[append, size, rolled_bytes / len(batch), day_s]],
        )
    )
    report.samples |= {"append, CPU s": costs_s, "a day read back, s": reads_s[1:]}
    report.goals += [
        Goal("append, rows per CPU second", f"≥ {GOAL_APPEND:,.0f}", append, append >= GOAL_APPEND),
        Goal("bytes of a reading on disk", f"≤ {GOAL_BYTES}", size, size <= GOAL_BYTES),
        Goal("a day of all series read back, s", f"≤ {GOAL_DAY_S}", day_s, day_s <= GOAL_DAY_S),
    ]


def _year(folder: Path, series: int, days: int, rounds: int, report: Report) -> None:
    count, total = fill(folder, series, days)
    places, reader = meters(series), ParquetReader(folder)
    span = (_DAY * DAY_MS, (_DAY + days) * DAY_MS)

    def chart(number: int, start_ms: int, every_ms: int, how: Aggregate = Aggregate.MEAN) -> int:
        place = places[number % series]
        return len(reader.read(place.kind, place.device, place.metric, start_ms, span[1], every_ms, how).value)

    counted = sum(
        reader.read(place.kind, place.device, place.metric, *span, STEP_MS, Aggregate.COUNT).value.sum()
        for place in places
    )
    assert counted == count, "the charts do not hold every reading"
    one_ms, walls_s, days_s = list[float](), list[float](), list[float]()
    for number in range(rounds + 1):
        started_s = time.perf_counter()
        points = chart(number, span[0], STEP_MS)
        one_ms.append((time.perf_counter() - started_s) * 1000)
        for found, start_ms, every_ms in ((walls_s, span[0], STEP_MS), (days_s, span[1] - DAY_MS, 120_000)):
            started_s = time.perf_counter()
            for each in range(CHARTS):
                chart(each, start_ms, every_ms)
            found.append(time.perf_counter() - started_s)
    year_ms, wall_s, day_s = (statistics.median(found[1:]) for found in (one_ms, walls_s, days_s))
    report.tables.append(
        Table(
            f"{days} days of {series} series, {count:,} readings (sum {total / 1000:,.0f})",
            (f"one series, {points:,} points, ms", f"{CHARTS} of them, s", f"{CHARTS} of the last day, s"),
            [[year_ms, wall_s, day_s]],
        )
    )
    report.samples |= {"a year, ms": one_ms[1:], "fifty years, s": walls_s[1:], "fifty days, s": days_s[1:]}
    report.goals += [
        Goal("a year's chart of one series, ms", f"≤ {GOAL_YEAR_MS:.0f}", year_ms, year_ms <= GOAL_YEAR_MS),
        Goal(f"{CHARTS} charts of a year, s", f"≤ {GOAL_WALL_S:.0f}", wall_s, wall_s <= GOAL_WALL_S),
        Goal(f"{CHARTS} charts of a day, s", f"≤ {GOAL_WALL_S:.0f}", day_s, day_s <= GOAL_WALL_S),
    ]
