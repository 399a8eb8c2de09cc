"""How long from the moment a reading is due to be published until a query of InfluxDB returns its row?

A real core writes history into a real InfluxDB under an open-loop load of single JSON readings; every 50 ms one more
reading, of a series of its own, is a probe. A second connection asks InfluxDB for the newest row of that series without
pause, and a probe is there when an answer comes back with it or with a later one. Latency counts from the
*intended* time of sending; CPU is the core's, over all readings of the load. At the end InfluxDB must hold every probe.

Non-goals: what asking costs InfluxDB (it is in the figure, as both share the machine); history in Parquet, which is written
every two seconds. Needs mosquitto and influxd (deploy/influxdb/build.sh).
"""

from __future__ import annotations

import itertools
import select
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from influxdb_client import InfluxDBClient
from pydantic import SecretStr

from bench import district, link, processes, stream
from bench.report import Goal, Report, Table, steps
from ingest import packets
from ingest.history.influx_setup import set_up
from ingest.history.settings import InfluxSettings
from telemetry.topics import readings_topic

GOALS_MS = {"p50": 20.0, "p99": 50.0}
GOAL_CPU_US = 120.0
PROBE = 0  # the level sensor that is asked for; it has no other readings
PROBE_EVERY_S = 0.05
_STEP_S = 0.001
_WARM_S = 3.0
_GRACE_S = 10.0


@dataclass(slots=True)
class Trial:
    """What happened to the probes. Times are of the monotonic clock."""

    due_s: dict[int, float] = field(default_factory=dict)  # its time, ms -> when it was to be published
    seen_s: list[tuple[float, int]] = field(default_factory=list)  # when an answer came, and its newest probe
    load_count: int = 0
    behind_max_s: float = 0.0


def run(rate: float = 1_000, seconds: float = 60.0, series: int = 1_000) -> Report:
    """`rate` single readings a second for `seconds` after three of warming up."""
    parameters = {"rate": rate, "seconds": seconds, "series": series, "probe_every_s": PROBE_EVERY_S}
    report = Report("row_latency", "how long from publish to the row in InfluxDB?", dict(parameters))
    with (
        TemporaryDirectory() as name,
        processes.broker(Path(name)) as broker,
        processes.influxdb(Path(name)) as server,
    ):
        settings = InfluxSettings(url=server.url, token=SecretStr(server.token), timeout_ms=60_000)
        set_up(settings)
        history = settings.model_dump(exclude_none=True) | {"token": server.token}
        with (
            processes.core(Path(name), series, broker.port, history=history) as core,
            InfluxDBClient(server.url, server.token, org=settings.org, timeout=60_000) as client,
        ):
            processes.wait_until(lambda: core.metrics("gatehouse_broker_connected")[0] == 1, "the core to connect")
            cpu_s = processes.cpu_s(core.pid)
            trial = _load(broker.port, client, settings.bucket, rate, seconds, series)
            sent = trial.load_count + len(trial.due_s)
            processes.wait_until(lambda: core.metrics("gatehouse_history_rows_total")[0] >= sent, "the last rows")
            cpu_us = (processes.cpu_s(core.pid) - cpu_s) * 1e6 / sent
            newest, count = _newest(client, settings.bucket), _count(client, settings.bucket)
    assert (newest, count) == (max(trial.due_s), len(trial.due_s)), "InfluxDB does not hold every probe"
    from_s = min(trial.due_s.values()) + _WARM_S
    waited_ms: list[float] = []
    answers = iter(trial.seen_s)
    at_s, newest = next(answers)
    for time_ms, due_s in sorted(trial.due_s.items()):
        while newest < time_ms:
            at_s, newest = next(answers)
        if due_s >= from_s:
            waited_ms.append((at_s - due_s) * 1000)
    p50, p90, p99 = np.percentile(waited_ms, [50, 90, 99]).tolist()
    report.tables.append(
        Table(
            f"publish → row returned by a query, ms, at {rate:,.0f} readings/s",
            (
                "samples",
                "p50",
                "p90",
                "p99",
                "max",
                "core's CPU, µs a reading",
                "questions/s",
                "generator late at most",
            ),
            [
                (
                    len(waited_ms),
                    p50,
                    p90,
                    p99,
                    max(waited_ms),
                    cpu_us,
                    len(trial.seen_s) / (trial.seen_s[-1][0] - trial.seen_s[0][0]),
                    trial.behind_max_s * 1000,
                )
            ],
        )
    )
    for what, figure in (("p50", p50), ("p99", p99)):
        goal = GOALS_MS[what]
        report.goals.append(Goal(f"{what}, publish → row in InfluxDB, ms", f"≤ {goal:.0f}", figure, figure <= goal))
    report.goals.append(Goal("CPU of it, µs a reading", f"≤ {GOAL_CPU_US:.0f}", cpu_us, cpu_us <= GOAL_CPU_US))
    report.samples["publish → row, ms"] = [round(each, 2) for each in waited_ms]
    report.notes.append("InfluxDB holds every probe once")
    return report


def _load(port: int, client: InfluxDBClient, bucket: str, rate: float, seconds: float, series: int) -> Trial:
    trial = Trial()
    last = threading.Event()
    asking = threading.Thread(target=_ask, args=(client, bucket, trial, last), daemon=True)
    value = np.random.default_rng(1).uniform(0.25, 0.75, 4096).round(3).tolist()
    topics = [readings_topic(district.SITE, district.gateway(number)) for number in range(series)]
    ids = itertools.cycle(range(1, 65_536))
    probes = steps(range(round((seconds + _WARM_S) / PROBE_EVERY_S)), "waiting for rows")
    with link.link(port, "bench-load") as load:
        asking.start()
        start_s, epoch_ms = time.monotonic(), time.time_ns() // 1_000_000
        for probe in probes:
            due_s = start_s + probe * PROBE_EVERY_S
            while True:
                now_s = time.monotonic()
                lot: list[bytes] = []
                while start_s + trial.load_count / rate <= min(now_s, due_s):
                    number = 1 + trial.load_count % (series - 1)
                    due_ms = epoch_ms + int(trial.load_count / rate * 1000)
                    reading = stream.reading_json(number, due_ms, value[trial.load_count % 4096])
                    lot.append(packets.publish(topics[number], reading, next(ids)))
                    trial.load_count += 1
                if now_s >= due_s:
                    time_ms = epoch_ms + round(probe * PROBE_EVERY_S * 1000)
                    reading = stream.reading_json(PROBE, time_ms, value[probe % 4096])
                    lot.append(packets.publish(topics[PROBE], reading, next(ids)))
                    trial.due_s[time_ms] = due_s
                    trial.behind_max_s = max(trial.behind_max_s, now_s - due_s)
                if lot:
                    load.socket.sendall(b"".join(lot))
                if select.select([load.socket], [], [], _STEP_S)[0]:
                    assert load.socket.recv(65_536), "the broker closed the connection"
                if now_s >= due_s:
                    break
    wanted = max(trial.due_s)
    processes.wait_until(lambda: bool(trial.seen_s) and trial.seen_s[-1][1] >= wanted, "the last probe's row")
    last.set()
    asking.join(_GRACE_S)
    return trial


def _ask(client: InfluxDBClient, bucket: str, trial: Trial, last: threading.Event) -> None:
    while not last.is_set():
        newest = _newest(client, bucket)
        trial.seen_s.append((time.monotonic(), newest))


def _newest(client: InfluxDBClient, bucket: str) -> int:
    """The time of the newest probe, epoch ms; 0 without any."""
    found = client.query_api().query(f"{_probes(bucket)} |> last()")
    return max((round(record.get_time().timestamp() * 1000) for table in found for record in table.records), default=0)


def _count(client: InfluxDBClient, bucket: str) -> int:
    found = client.query_api().query(f"{_probes(bucket)} |> count()")
    return sum(int(record.get_value()) for table in found for record in table.records)


def _probes(bucket: str) -> str:
    return (
        f'from(bucket: "{bucket}") |> range(start: -1h, stop: 1h) |> filter(fn: (r) => '
        f'r._measurement == "level-sensor" and r.device == "{district.device(PROBE)}" and r._field == "{district.METRIC}")'
    )
