"""How long one rule takes over 90 days of a thousand series, one reading a minute: 130 million readings.

The history is written as the product leaves it: one file a day, sorted row groups of an hour (what 16 merged files become).
Wall, CPU and peak memory are those of a process of its own that opens the history, judges and counts.

Non-goals: InfluxDB; the journal; the disk's own speed (files are in the page cache when they have just been written).
"""

from __future__ import annotations

import itertools
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from alerts.backtest import backtest
from bench import district
from bench.report import Cell, Goal, Report, Table, steps
from ingest.history.history import series_places
from ingest.history.parquet import _write_file
from ingest.history.parquet_files import DAY_MS, SCHEMA, day_name
from ingest.history.stream import parquet_batches
from telemetry.series import ONLINE, SeriesRegistry

_START_MS = 1_795_046_400_000 // DAY_MS * DAY_MS
_EVERY_MS = 60_000
_FULL = 90 * 1000 * 1440
_WINDOWS = 24


def run(days: int = 90, series: int = 1000, seed: int = 1) -> Report:
    """Write the history, judge it in a process of its own."""
    given: dict[str, Cell] = {"days": days, "series": series, "every_s": _EVERY_MS / 1000, "seed": seed}
    report = Report("backtest", "how long does one rule take over the history?", given)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < days * series * 1440 * 12:
            report.notes.append("the disk may be too small")
        for day in steps(range(days), "writing history"):
            _write_day(folder, day, series, seed)
        size_mb = sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 1e6
        done = subprocess.run(
            [sys.executable, "-m", "bench.backtest", str(folder), str(days), str(series)],
            capture_output=True,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout)
    count = days * series * 1440
    assert found["readings"] == count
    report.tables = [
        Table(
            "one level rule",
            ("readings", "MB on disk", "alarms", "wall, s", "CPU, s", "peak MB", "ns a reading"),
            [
                [
                    count,
                    size_mb,
                    found["alarms"],
                    found["wall_s"],
                    found["cpu_s"],
                    found["peak_mb"],
                    found["wall_s"] / count * 1e9,
                ]
            ],
        )
    ]
    full_s = found["wall_s"] * _FULL / count
    if count != _FULL:
        report.notes.append(f"130 M readings would take {full_s:.0f} s if time grows with the count (extrapolated)")
    report.goals = [
        Goal("130 M readings, s" + ("" if count == _FULL else " (extrapolated)"), "≤ 60", full_s, full_s <= 60),
        Goal("peak memory, MB", "≤ 1000", found["peak_mb"], found["peak_mb"] <= 1000),
    ]
    return report


def _write_day(folder: Path, day: int, series: int, seed: int) -> None:
    """Levels below the first limit, one series in a hundred above it for two hours."""
    rng = np.random.default_rng([seed, day])
    count = DAY_MS // _EVERY_MS
    value = (0.4 + 0.2 * rng.random((series, 1)) + 0.02 * rng.standard_normal((series, count))).round(3)  # (S, T)
    value[rng.random(series) < 0.01, 600:720] = 1.2
    times = _START_MS + day * DAY_MS + _EVERY_MS * np.arange(count, dtype=np.int64)
    names = pa.array([district.device(n) for n in range(series)], pa.string())
    metric = pa.array([district.METRIC], pa.string())

    def table(start: int, end: int) -> pa.Table:
        rows = series * (end - start)
        return pa.table(
            [
                pa.DictionaryArray.from_arrays(
                    pa.array(np.repeat(np.arange(series, dtype=np.int32), end - start)), names
                ),
                pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), metric),
                pa.array(np.tile(times[start:end], series)),
                pa.array(value[:, start:end].ravel()),
                pa.array(np.zeros(rows, np.uint8)),
                pa.nulls(rows, pa.string()),
            ],
            schema=SCHEMA,
        )

    of_day = folder / "kind=level-sensor" / f"day={day_name(_START_MS // DAY_MS + day)}"
    of_day.mkdir(parents=True)
    bounds = np.linspace(0, count, _WINDOWS + 1).astype(int).tolist()
    pieces = (table(a, b) for a, b in itertools.pairwise(bounds))
    _write_file(of_day / f"{day * 24 + 1:012d}-{day * 24 + 24:012d}.parquet", pieces)


def _judge(folder: Path, days: int, series: int) -> dict[str, float]:
    began_s = time.monotonic()
    catalogue = district.catalogue(series)
    registry = SeriesRegistry([*catalogue.metric, *((gateway.id, ONLINE) for gateway in catalogue.gateways)])
    rule = district.rules()[0]
    end_ms = _START_MS + days * DAY_MS
    places = series_places(registry, catalogue)
    report = backtest(
        [rule],
        [rule],
        catalogue,
        registry,
        lambda wanted, needs_order: parquet_batches(folder, places, wanted, needs_order, _START_MS, end_ms),
        [],
        _START_MS,
        end_ms,
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "readings": report.readings,
        "alarms": report.tried.alarms,
        "wall_s": time.monotonic() - began_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(_judge(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
