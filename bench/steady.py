"""Does everything together keep up, and stay small, hour after hour?

Mosquitto, a core with its journal fsynced, three level rules a series, and InfluxDB share the machine with a generator that
offers frames of 200 readings by a fixed plan, each made when it is due. A few readings change a level: alarms begin and end
all the time. Twice a minute: memory and open files of the core, and how far the journal is ahead of alarms and of history.
At the end every reading must be in InfluxDB, with the right sum, and every alarm raised.

Non-goals: the most that the machine can do (`drain`, `telegraf`); a network. Needs mosquitto and influxd.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from influxdb_client import InfluxDBClient
from pydantic import SecretStr

from bench import district, processes
from bench.feeding import Offered, feed
from bench.report import Goal, Report, Table
from ingest.history.influx_setup import set_up
from ingest.history.settings import InfluxSettings

GOAL_RATE = 150_000
GOAL_MB = 1_000.0
_LOOK_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Look:
    """The core at one moment."""

    at_s: float
    memory_mb: float
    open_files: int
    behind: float  # journal records that the slower of alarms and history has not seen


def run(
    rate: float = 160_000, seconds: float = 1_800.0, series: int = 10_000, change_share: float = 0.000_05
) -> Report:
    """Offer `rate` readings a second for `seconds`; so many of them change a level."""
    report = Report(
        "steady",
        "does everything together keep up?",
        {"rate": rate, "seconds": seconds, "series": series, "change_share": change_share},
    )
    with (
        TemporaryDirectory() as name,
        processes.broker(Path(name)) as broker,
        processes.influxdb(Path(name)) as server,
    ):
        settings = InfluxSettings(url=server.url, token=SecretStr(server.token), timeout_ms=60_000)
        set_up(settings)
        history = settings.model_dump(exclude_none=True) | {"token": server.token}
        with processes.core(Path(name), series, broker.port, history=history) as core:
            processes.wait_until(lambda: core.metrics("gatehouse_broker_connected")[0] == 1, "the core to connect")
            cpu_s, started_s = processes.cpu_s(core.pid), time.monotonic()
            looks: list[Look] = []
            offered = Offered()

            def look(at_s: float) -> None:
                looks.append(_look(core, at_s))

            feed(broker.port, rate, seconds, series, change_share, look, _LOOK_EVERY_S, offered)
            look(time.monotonic() - started_s)
            count, raised = offered.count, offered.change_count
            offered_s = time.monotonic() - started_s
            processes.wait_until(lambda: core.metrics("gatehouse_history_rows_total")[0] >= count, "the last rows")
            done_s = time.monotonic() - started_s
            used = (processes.cpu_s(core.pid) - cpu_s) / done_s
            (told,) = core.metrics("gatehouse_alarm_transitions_total")
        with InfluxDBClient(server.url, server.token, org=settings.org, timeout=600_000) as client:
            stored = _stored(client, settings.bucket)
    assert stored == (count, offered.total_mm), f"InfluxDB holds {stored}, not {(count, offered.total_mm)}"
    assert told >= raised, f"{told:,.0f} transitions of alarms, {raised:,} were due"
    half = looks[len(looks) // 2 :]
    slope = None  # a short run has none
    if len(half) > 3:
        slope = float(np.polyfit([look.at_s for look in half], [look.memory_mb for look in half], 1)[0]) * 3600
    most = max(look.memory_mb for look in looks)
    figure = count / done_s
    report.tables.append(
        Table(
            f"{count:,} readings of {series:,} series in {offered_s:,.0f} s, {raised:,} alarm transitions",
            (
                "readings/s, all in InfluxDB",
                "core's cores",
                "most MB",
                "MB/h, second half",
                "open files, first and last",
                "most records behind",
                "generator late at most, s",
            ),
            [
                (
                    figure,
                    used,
                    most,
                    slope,
                    f"{looks[0].open_files}, {looks[-1].open_files}",
                    max(look.behind for look in looks),
                    offered.late_max_s,
                )
            ],
        )
    )
    report.goals += [
        Goal("readings/s, nothing lost", f"≥ {GOAL_RATE:,}", figure, figure >= GOAL_RATE),
        Goal("most memory of the core, MB", f"≤ {GOAL_MB:,.0f}", most, most <= GOAL_MB),
    ]
    report.samples = {
        "at_s": [round(look.at_s, 1) for look in looks],
        "memory_mb": [round(look.memory_mb, 1) for look in looks],
        "behind": [look.behind for look in looks],
    }
    report.notes.append("InfluxDB holds every reading once, their sum right")
    return report


def _look(core: processes.CoreProcess, at_s: float) -> Look:
    behind = max(core.metrics("gatehouse_alerts_lag_records", "gatehouse_history_lag_records"))
    return Look(at_s, processes.memory_mb(core.pid), len(list(Path(f"/proc/{core.pid}/fd").iterdir())), behind)


def _stored(client: InfluxDBClient, bucket: str) -> tuple[int, int]:
    """(rows, their sum in mm)."""
    asked = f'from(bucket: "{bucket}") |> range(start: -30d, stop: 1d) |> filter(fn: (r) => r._field == "{district.METRIC}")'
    count, total = (
        sum(record.get_value() for table in client.query_api().query(f"{asked} |> {how}()") for record in table.records)
        for how in ("count", "sum")
    )
    return round(count), round(1000 * total)
