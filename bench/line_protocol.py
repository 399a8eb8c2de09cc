"""What does a line of InfluxDB's line protocol cost, encoded by column, beside the client library's own `Point`?

The same readings both ways, in requests of the writer's size; afterwards both texts are taken apart and must say the same.
CPU time of this process, rounds interleaved, the median counts. Non-goals: sending (`influx_history`), other clients.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from influxdb_client import Point, WritePrecision

from bench.report import Goal, Report, Table, steps
from ingest.history.history import SeriesPlace
from ingest.history.influx import LINES_MAX
from ingest.history.line_protocol import LineEncoder
from telemetry.batch import ReadingBatch

GOAL_TIMES = 30.0
GOAL_LINES_PER_S = 5e6
_START_MS = 1_795_000_000_000
Said = tuple[str, str, str, float, str]


def meters(count: int) -> list[SeriesPlace]:
    """So many rooms, each with a meter's power."""
    return [
        SeriesPlace(f"room-{n:05d}-meter", "power", "room-meter", f"room-{n:05d}", f"compound-{n % 3 + 1}")
        for n in range(count)
    ]


def readings(rows: int, series: int, seed: int = 1, start_ms: int = _START_MS) -> ReadingBatch:
    """A round of all series a minute, each somewhere in the minute's first second; 20 ± 2 with three decimals; (rows,)."""
    made = np.random.default_rng(seed)
    number = np.arange(rows, dtype=np.int64)
    return ReadingBatch(
        (number % series).astype(np.uint32),
        start_ms + number // series * 60_000 + made.integers(0, 1000, rows),
        made.normal(20, 2, rows).round(3),
        np.zeros(rows, np.uint8),
    )


def run(rows: int = 1_000_000, point_rows: int = 20_000, series: int = 1_000, rounds: int = 7) -> Report:
    """`rows` by column and `point_rows` of them as points, `rounds` times."""
    parameters = {"rows": rows, "point_rows": point_rows, "series": series, "rounds": rounds}
    report = Report("line_protocol", "what does a line cost?", dict(parameters))
    places, batch = meters(series), readings(rows, series)
    encoder = LineEncoder(places)
    pieces = [
        ReadingBatch(batch.series[at], batch.time_ms[at], batch.value[at], batch.quality[at])
        for at in (slice(start, start + LINES_MAX) for start in range(0, rows, LINES_MAX))
    ]
    columns = (batch.series[:point_rows], batch.time_ms[:point_rows], batch.value[:point_rows])
    some = list(zip(*(column.tolist() for column in columns), strict=True))

    def by_column() -> list[bytes]:
        return [encoder.encode(piece) for piece in pieces]

    def by_point() -> list[str]:
        lines = []
        for index, time_ms, value in some:
            place = places[index]
            point = Point(place.kind).tag("device", place.device).tag("place", place.place).tag("site", place.site)
            lines.append(point.field(place.metric, value).time(time_ms, WritePrecision.MS).to_line_protocol())
        return lines

    ours = b"".join(by_column()).decode().splitlines()
    assert len(ours) == rows
    assert [_said(line) for line in ours[:point_rows]] == [_said(line) for line in by_point()], (
        "they say different things"
    )
    costs: dict[str, list[float]] = {"by column": [], "Point": []}
    for _ in steps(range(rounds), "encoding"):
        costs["by column"].append(_cpu_s(by_column) / rows)
        costs["Point"].append(_cpu_s(by_point) / len(some))
    report.samples |= {f"{name}, ns a line": [cost * 1e9 for cost in found] for name, found in costs.items()}
    median = {name: statistics.median(found) for name, found in costs.items()}
    report.tables.append(
        Table(
            "CPU of one line",
            ("", "ns", "lines per CPU second", "bytes"),
            [
                [name, cost * 1e9, 1 / cost, len("".join(ours)) / rows + 1 if name == "by column" else None]
                for name, cost in median.items()
            ],
        )
    )
    times, rate = median["Point"] / median["by column"], 1 / median["by column"]
    report.goals += [
        Goal("by column against Point, ×", f"≥ {GOAL_TIMES:.0f}", times, times >= GOAL_TIMES),
        Goal("lines per CPU second", f"≥ {GOAL_LINES_PER_S:,.0f}", rate, rate >= GOAL_LINES_PER_S),
    ]
    report.notes.append(f"{point_rows:,} lines of both, taken apart, say the same")
    return report


def _said(line: str) -> Said:
    """What a line means: measurement and tags in order, field, value, time."""
    head, fields, time_ms = line.split(" ")
    kind, *tags = head.split(",")
    metric, value = fields.split("=")
    return kind, ",".join(sorted(tags)), metric, float(value), time_ms


def _cpu_s(work: Callable[[], object]) -> float:
    started_s = time.process_time()
    work()
    return time.process_time() - started_s
