"""What does a month of many meters cost to read, a meter at a time and all at once?

A month of readings a minute of `meters` room meters, rolled up; then the register at the end of each hour, with a week on
either side, as a bill asks for it: by a question for each meter, and by one question for all of them. Both answers are
compared, value by value. Wall clock, the median of `rounds`, the first of each thrown away. Non-goals: what a bill computes.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.line_protocol import meters as places_of
from bench.report import Goal, Report, Table
from bench.store import fill
from ingest.history.history import Aggregate, Curve
from ingest.history.parquet_files import DAY_MS
from ingest.history.parquet_reader import ParquetReader

GOAL_S = 1.0
_DAY = 20_089  # 1 January 2025
_HOUR_MS = 3_600_000


def run(sizes: tuple[int, ...] = (80, 500), days: int = 31, rounds: int = 3) -> Report:
    """A month of each number of meters."""
    report = Report("many_meters", "what does a month of many meters cost to read?", {"days": days, "rounds": rounds})
    rows: list[list[float]] = []
    for meters in sizes:
        with TemporaryDirectory() as name:
            one_s, all_s = _measured(Path(name), meters, days, rounds)
        rows.append([meters, statistics.median(one_s), statistics.median(all_s)])
        report.samples |= {f"{meters} one by one, s": one_s, f"{meters} at once, s": all_s}
    report.tables.append(Table(f"{days} days by the hour", ("meters", "one by one, s", "at once, s"), rows))
    at_once_s = rows[0][2]
    report.goals.append(Goal(f"a month of {sizes[0]} meters at once, s", f"≤ {GOAL_S}", at_once_s, at_once_s <= GOAL_S))
    return report


def _measured(folder: Path, meters: int, days: int, rounds: int) -> tuple[list[float], list[float]]:
    fill(folder, meters, days, _DAY)
    places = places_of(meters)
    kind, metric, devices = places[0].kind, places[0].metric, [place.device for place in places]
    reader = ParquetReader(folder)
    span = ((_DAY - 7) * DAY_MS, (_DAY + days + 7) * DAY_MS)
    one_s, all_s = list[float](), list[float]()
    for _ in range(rounds + 1):
        started_s = time.perf_counter()
        alone = {device: reader.read(kind, device, metric, *span, _HOUR_MS, Aggregate.LAST) for device in devices}
        one_s.append(time.perf_counter() - started_s)
        started_s = time.perf_counter()
        together = reader.read_many(kind, devices, metric, *span, _HOUR_MS, Aggregate.LAST)
        all_s.append(time.perf_counter() - started_s)
        assert all(_is_same(alone[device], together[device]) for device in devices), "the two ways differ"
    return one_s[1:], all_s[1:]


def _is_same(one: Curve, other: Curve) -> bool:
    return np.array_equal(one.time_ms, other.time_ms) and np.array_equal(one.value, other.value)
