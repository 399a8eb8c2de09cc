"""What does history cost over InfluxDB itself, and does a year's chart come at once?

writer   the writer as the core calls it, 200,000 readings at a time, against posting ready bodies of the same size through
         the same client to the same server. Wall clock, pairs in the order A B B A, each round into a stretch of time of its
         own; a round counts when InfluxDB has the rows of both.
a year   a reading a minute of one series for a year, rolled up; its chart in steps of nine hours, and fifty charts, as
         `store` has it.
gzip     what compressing a request would cost and save, to tell whether it pays.
Non-goals: InfluxDB's own speed. Needs influxd (deploy/influxdb/build.sh).
"""

from __future__ import annotations

import gzip
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from influxdb_client.client.write_api import SYNCHRONOUS
from pydantic import SecretStr

from bench import processes
from bench.line_protocol import meters, readings
from bench.report import Goal, Report, Table, steps
from bench.store import CHARTS, STEP_MS
from ingest.history.history import Aggregate
from ingest.history.influx import LINES_MAX, InfluxWriter, connect
from ingest.history.influx_reader import InfluxReader
from ingest.history.influx_rollups import HOUR_MS, HourRoller
from ingest.history.influx_setup import set_up
from ingest.history.line_protocol import LineEncoder
from ingest.history.settings import InfluxSettings
from telemetry.batch import ReadingBatch

GOAL_RATIO = 0.9
GOAL_YEAR_MS = 200.0
GOAL_WALL_S = 1.0
_DAY_MS = 86_400_000
_START_MS = 20_089 * _DAY_MS  # 1 January 2025


def run(rows: int = 200_000, series: int = 1_000, rounds: int = 7, year_days: int = 365) -> Report:
    """`rounds` pairs of `rows`, and `year_days` of one series."""
    parameters = {"rows": rows, "series": series, "rounds": rounds, "year_days": year_days}
    report = Report("influx_history", "what does history cost over InfluxDB itself?", dict(parameters))
    with TemporaryDirectory() as name, processes.influxdb(Path(name)) as server:
        settings = InfluxSettings(url=server.url, token=SecretStr(server.token), timeout_ms=60_000)
        set_up(settings)
        _writer(settings, rows, series, rounds, report)
        _year(settings, year_days, rounds, report)
    return report


def _writer(settings: InfluxSettings, rows: int, series: int, rounds: int, report: Report) -> None:
    places = meters(series)
    encoder, writer = LineEncoder(places), InfluxWriter(settings, places)
    api = connect(settings).write_api(write_options=SYNCHRONOUS)

    def ours(batch: ReadingBatch) -> float:
        started_s = time.perf_counter()
        assert not writer.write(batch, 1, 1)
        return time.perf_counter() - started_s

    def ready(batch: ReadingBatch) -> float:
        bodies = [
            encoder.encode(ReadingBatch(batch.series[at], batch.time_ms[at], batch.value[at], batch.quality[at]))
            for at in (slice(start, start + LINES_MAX) for start in range(0, len(batch), LINES_MAX))
        ]
        started_s = time.perf_counter()
        for body in bodies:
            api.write(settings.bucket, settings.org, body, write_precision="ms")
        return time.perf_counter() - started_s

    walls: dict[str, list[float]] = {"ours": [], "ready": []}
    reader = InfluxReader(settings)
    span_ms = -(-rows // series) * 60_000
    for number in steps(range(rounds + 1), "writing"):
        order: list[tuple[str, Callable[[ReadingBatch], float]]] = [("ours", ours), ("ready", ready)]
        for turn, (name, work) in enumerate(order if number % 2 else order[::-1]):
            start_ms = _START_MS - (2 * number + turn + 1) * (span_ms + _DAY_MS)
            batch = readings(rows, series, number, start_ms)
            wall_s = work(batch)
            # The first few series stand for all: reading back every row would take longer than writing it.
            some = [place.device for place in places[:20]]
            found = reader.readings("room-meter", some, start_ms, start_ms + span_ms)
            expected = int((batch.series < 20).sum())
            assert sum(len(curve.time_ms) for curve in found.values()) == expected, "rows are missing"
            if number:  # the first pair warms up
                walls[name].append(wall_s)
    ratios = [there / here for here, there in zip(walls["ours"], walls["ready"], strict=True)]
    ratio = statistics.median(ratios)
    body = encoder.encode(readings(LINES_MAX, series))
    zipped: dict[int, tuple[float, float]] = {}
    for level in (1, 6, 9):
        started_s = time.process_time()
        size = len(gzip.compress(body, level))
        zipped[level] = (time.process_time() - started_s) / LINES_MAX * 1e9, size / len(body)
    report.tables += [
        Table(
            f"{rows:,} readings in requests of {LINES_MAX:,}",
            ("", "readings/s"),
            [[name, rows / statistics.median(found)] for name, found in walls.items()],
        ),
        Table(
            "gzip of a request",
            ("level", "ns of CPU a line", "share of the bytes"),
            [[str(level), *found] for level, found in zipped.items()],
        ),
    ]
    report.samples |= {"ready / ours": ratios}
    report.goals.append(Goal("the writer against ready bodies, ×", f"≥ {GOAL_RATIO}", ratio, ratio >= GOAL_RATIO))


def _year(settings: InfluxSettings, days: int, rounds: int, report: Report) -> None:
    place = meters(1)[0]
    batch = readings(days * 1440, 1, 1, _START_MS)
    assert not InfluxWriter(settings, [place]).write(batch, 1, 1)
    roller = HourRoller(settings, [place])
    started_s = time.perf_counter()
    roller.roll_up((0, hour) for hour in range(_START_MS // HOUR_MS, (_START_MS + days * _DAY_MS) // HOUR_MS))
    rolled_s = time.perf_counter() - started_s
    end_ms = _START_MS + days * _DAY_MS
    roller.mark(end_ms)
    reader = InfluxReader(settings)

    def chart(
        start_ms: int, every_ms: int, how: Aggregate = Aggregate.MEAN
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return reader.read(place.kind, place.device, place.metric, start_ms, end_ms, every_ms, how).value

    assert chart(_START_MS, STEP_MS, Aggregate.COUNT).sum() == len(batch), "the chart does not hold every reading"
    one_ms, years_s, days_s = list[float](), list[float](), list[float]()
    for _ in steps(range(rounds), "charts"):
        started_s = time.perf_counter()
        points = len(chart(_START_MS, STEP_MS))
        one_ms.append((time.perf_counter() - started_s) * 1000)
        for found, start_ms, every_ms in ((years_s, _START_MS, STEP_MS), (days_s, end_ms - _DAY_MS, 120_000)):
            started_s = time.perf_counter()
            for _ in range(CHARTS):
                chart(start_ms, every_ms)
            found.append(time.perf_counter() - started_s)
    year_ms, year_s, day_s = (statistics.median(found) for found in (one_ms, years_s, days_s))
    report.tables.append(
        Table(
            f"{days} days of one series, {len(batch):,} readings, rolled up in {rolled_s:.1f} s",
            (f"a year, {points:,} points, ms", f"{CHARTS} of them, s", f"{CHARTS} of a day, s"),
            [[year_ms, year_s, day_s]],
        )
    )
    report.samples |= {"a year, ms": one_ms, "fifty years, s": years_s, "fifty days, s": days_s}
    report.goals += [
        Goal("a year's chart of one series, ms", f"≤ {GOAL_YEAR_MS:.0f}", year_ms, year_ms <= GOAL_YEAR_MS),
        Goal(f"{CHARTS} charts of a year, s", f"≤ {GOAL_WALL_S:.0f}", year_s, year_s <= GOAL_WALL_S),
        Goal(f"{CHARTS} charts of a day, s", f"≤ {GOAL_WALL_S:.0f}", day_s, day_s <= GOAL_WALL_S),
    ]
