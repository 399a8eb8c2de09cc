"""Does the core stay small? Resident memory under a steady stream of frames.

A real core, its history in Parquet, is fed frames of 200 readings at a steady rate: ten thousand series once a second, and a
hundred thousand at the rate that the whole is to bear. Its resident memory (VmRSS) is looked at twice a second, from when it
is idle. It includes numpy, pyarrow, DuckDB and the alarm database: the whole process. Flat means that the last quarter of a
run is no larger than the third, when caches have filled.

Non-goals: how the broker's or the gateway's memory grows; what grows by megabytes an hour (`soak`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import processes
from bench.feeding import Offered, feed
from bench.report import Cell, Goal, Report, Table

GOALS_MB = {10_000: 300.0, 100_000: 1_000.0}
GOAL_GROWTH = 2.0  # per cent from the third quarter to the last that still count as flat
_LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class _Run:
    """What a core came to."""

    start_s: float = 0.0
    idle_mb: float = 0.0
    rate: float = 0.0
    cores: float = 0.0
    memory_mb: list[float] = field(default_factory=list)


def run(
    cases: Sequence[tuple[int, float]] = ((10_000, 10_000.0), (100_000, 150_000.0)),
    seconds: float = 300.0,
    change_share: float = 0.000_05,
) -> Report:
    """Each of `cases`, (series, readings a second), for `seconds`.

    Args:
        change_share: Of the readings, how many change a level.
    """
    given: dict[str, Cell] = {"cases": str(list(cases)), "seconds": seconds, "change_share": change_share}
    report = Report("memory", "does the core stay small?", given)
    rows: list[Sequence[Cell]] = []
    for series, rate in cases:
        found = _fed(series, rate, seconds, change_share)
        quarters = [float(np.mean(part)) for part in np.array_split(found.memory_mb, 4)]
        most, growth = max(found.memory_mb), (quarters[3] / quarters[2] - 1) * 100
        rows.append((f"{series:,}", found.rate, found.idle_mb, *quarters, most, found.cores, found.start_s))
        goal_mb = GOALS_MB.get(series, max(GOALS_MB.values()))
        report.goals += [
            Goal(f"most resident memory with {series:,} series, MB", f"≤ {goal_mb:,.0f}", most, most <= goal_mb),
            Goal(
                f"growth in the last quarter, {series:,} series, %",
                f"≤ {GOAL_GROWTH:g} (flat)",
                growth,
                growth <= GOAL_GROWTH,
            ),
        ]
        report.samples |= {f"{series:,} series, MB": [round(mb, 1) for mb in found.memory_mb]}
    columns = ("series", "readings/s", "idle", "1st quarter", "2nd", "3rd", "4th", "most", "CPU, cores", "start s")
    report.tables.append(Table("resident MB of a core", columns, rows))
    return report


def _fed(series: int, rate: float, seconds: float, change_share: float) -> _Run:
    found, offered = _Run(), Offered()
    with TemporaryDirectory() as name, processes.broker(Path(name)) as broker:
        before_s = time.perf_counter()
        with processes.core(Path(name), series, broker.port) as core:
            processes.wait_until(lambda: core.metrics("gatehouse_broker_connected")[0] == 1, "the core to connect")
            found.start_s = time.perf_counter() - before_s
            found.idle_mb = processes.memory_mb(core.pid)

            def look(_at_s: float) -> None:
                found.memory_mb.append(processes.memory_mb(core.pid))

            cpu_s, started_s = processes.cpu_s(core.pid), time.perf_counter()
            feed(broker.port, rate, seconds, series, change_share, look, _LOOK_EVERY_S, offered)
            elapsed_s = time.perf_counter() - started_s
            found.cores = (processes.cpu_s(core.pid) - cpu_s) / elapsed_s
            found.rate = offered.count / elapsed_s
            processes.wait_until(
                lambda: core.metrics("gatehouse_readings_total")[0] >= offered.count, "the last frames"
            )
    return found
