"""Does the core stay small? Resident memory under a steady stream of frames.

A real core with many series is fed frames of 200 readings at a steady rate; its resident memory (VmRSS) is looked at
twice a second, and the slope is fitted to the second half, when caches have filled. It includes numpy, pyarrow, DuckDB
and the alarm database: the whole process.

Non-goals: how the broker's or the gateway's memory grows; leaks slower than a run of this length can show.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import link, processes, stream
from bench.report import Goal, Report, Table, steps

GOAL_MB = 300.0
GOAL_SLOPE = 1.0  # MB a minute that still count as flat in a run of a minute
_LOOK_EVERY_S = 0.5
_FRAME_READINGS = 200


def run(series: int = 10_000, rate: float = 10_000, seconds: float = 60.0, storm_share: float = 0.0) -> Report:
    """Feed `rate` readings a second for `seconds`."""
    report = Report(
        "memory",
        "does the core stay small?",
        {"series": series, "rate": rate, "seconds": seconds, "storm_share": storm_share},
    )
    made = stream.generate(round(rate * seconds), series, time.time_ns() // 1_000_000, storm_share)
    frames = list(stream.frame_packets(made, _FRAME_READINGS))
    at_s: list[float] = []
    size_mb: list[float] = []
    with TemporaryDirectory() as name, processes.broker(Path(name)) as broker:
        before_s = time.perf_counter()
        with processes.core(Path(name), series, broker.port) as core:
            processes.wait_until(lambda: core.metrics("gatehouse_broker_connected")[0] == 1, "the core to connect")
            ready_s = time.perf_counter() - before_s
            idle_mb = processes.memory_mb(core.pid)
            cpu_s, sent = processes.cpu_s(core.pid), 0
            started_s = time.perf_counter()
            with link.link(broker.port, "bench-generator") as generator:
                for number in steps(range(1, round(seconds / _LOOK_EVERY_S) + 1), "feeding the core"):
                    due = round(len(frames) * number * _LOOK_EVERY_S / seconds)
                    generator.publish_all(frames[sent:due])
                    sent = due
                    time.sleep(max(0.0, started_s + number * _LOOK_EVERY_S - time.perf_counter()))
                    at_s.append(time.perf_counter() - started_s)
                    size_mb.append(processes.memory_mb(core.pid))
            elapsed_s = time.perf_counter() - started_s
            used = (processes.cpu_s(core.pid) - cpu_s) / elapsed_s
            processes.wait_until(lambda: core.metrics("gatehouse_readings_total")[0] >= len(made), "the last frames")
    half = len(at_s) // 2
    slope = float(np.polyfit(at_s[half:], size_mb[half:], 1)[0]) * 60 if len(at_s) - half > 1 else 0.0
    quarters = [float(np.mean(part)) for part in np.array_split(size_mb, 4)]
    columns = ("idle", "1st quarter", "2nd", "3rd", "4th", "most", "slope of 2nd half, MB/min", "CPU, cores", "start s")
    table = Table(
        f"resident MB of a core with {series:,} series at {len(made) / elapsed_s:,.0f} readings/s",
        columns,
        [(f"{idle_mb:.0f}", *quarters, max(size_mb), slope, used, ready_s)],
    )
    report.tables.append(table)
    report.goals += [
        Goal("most resident memory, MB", f"≤ {GOAL_MB:.0f}", max(size_mb), max(size_mb) <= GOAL_MB),
        Goal("slope of the second half, MB/min", f"≤ {GOAL_SLOPE:.0f} (flat)", slope, slope <= GOAL_SLOPE),
    ]
    report.samples = {"at_s": [round(s, 2) for s in at_s], "memory_mb": [round(mb, 1) for mb in size_mb]}
    return report
