"""The whole chain into InfluxDB: the core beside Telegraf and mosquitto_sub, on the same backlog, broker and database.

A persistent session is filled at QoS 1 while its owner is away; then the consumer starts while the broker is held still,
and time runs from the moment it is let go until every reading stands in InfluxDB. Telegraf is tuned as
reference/measured.md has it (QoS 1, persistent session, batches of 5,000, a buffer of a million, flushed every 100 ms); the
core fsyncs its journal, judges three level rules a series and writes history. Shapes: messages of one plain JSON reading, the
same bytes for both; and 200 readings a message, as frames for the core and as JSON arrays for Telegraf.

mosquitto_sub drains the single readings too, acknowledges them and prints them to /dev/null: what the broker alone takes.

A round counts only if InfluxDB holds all distinct rows and the sum of their values is right. Rounds are interleaved and
turned round; medians, ratios within a round. CPU is user + system of the consumer's processes from the same moment on:
start-up, broker and InfluxDB are apart. InfluxDB is asked as often how many rows it has, whoever writes them.
Needs mosquitto, influxd and Telegraf (bench/rivals/build_telegraf.sh). Non-goals: Telegraf at its defaults; a network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from influxdb_client import InfluxDBClient
from pydantic import SecretStr

from bench import district, drain, link, processes, stream
from bench.drain import Backlog, framed, settle, single
from bench.report import Cell, Goal, Report, Table, steps
from ingest.history.influx_setup import set_up
from ingest.history.settings import InfluxSettings
from ingest.packets import publish
from telemetry.errors import BadConfiguration
from telemetry.topics import FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER, readings_topic

CORE, TELEGRAF, SUB = "core", "Telegraf, tuned", "mosquitto_sub"
SINGLE = "single JSON readings"
GOALS = {SINGLE: 4.0, "200 readings a message": 8.0}
GOAL_WALL = 0.8
_CLIENT = "gatehouse-core"
_LOOK_EVERY_S = 0.25
_PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Finish:
    """One consumer at the end of a backlog."""

    wall_s: float
    cpu_s: float


def program() -> str | None:
    """Where Telegraf is: installed, or built; None without it."""
    cache = os.environ.get("GATEHOUSE_TOOLS") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "gatehouse"
    built = sorted(Path(cache).expanduser().glob("telegraf-*"))
    return shutil.which("telegraf") or (str(built[-1]) if built else None)


def run(readings: int = 1_000_000, frame_messages: int = 4_000, rounds: int = 3) -> Report:
    """Both shapes, `rounds` pairs each.

    Args:
        frame_messages: Of 200 readings each; no more than Telegraf's buffer holds, as it drops what does not fit while
            InfluxDB takes its time, and a round without all rows does not count.
    """
    telegraf, subscriber = program(), shutil.which("mosquitto_sub")
    if (
        telegraf is None
        or subscriber is None
        or processes.broker_program() is None
        or processes.influxdb_program() is None
    ):
        raise BadConfiguration("mosquitto, influxd or Telegraf is missing; the last: bench/rivals/build_telegraf.sh")
    parameters: dict[str, Cell] = {"readings": readings, "frame_messages": frame_messages, "rounds": rounds}
    report = Report("telegraf", "the whole chain into InfluxDB beside Telegraf", parameters)
    frames = framed(frame_messages)
    in_arrays = Backlog("arrays", frames.made, list(arrays(frames.made)), READINGS_FILTER)
    alone = single(readings, 0.0)
    for (name, goal), of_core, of_telegraf in zip(GOALS.items(), (alone, frames), (alone, in_arrays), strict=True):
        found: dict[str, list[Finish]] = {CORE: [], TELEGRAF: []}
        for number in steps(range(rounds), name):
            race: list[tuple[str, Callable[[], Finish]]] = [
                (CORE, partial(_drain, of_core, _core)),
                (TELEGRAF, partial(_drain, of_telegraf, _telegraf(telegraf))),
            ]
            if name == SINGLE:
                race.insert(1, (SUB, partial(_received, of_core, subscriber)))
            for who, work in race if number % 2 == 0 else race[::-1]:
                found.setdefault(who, []).append(work())
        count = len(of_core.made)
        rows: list[Sequence[Cell]] = []
        for who, finishes in found.items():
            wall_s, cpu_s = (
                statistics.median(each) for each in zip(*((f.wall_s, f.cpu_s) for f in finishes), strict=True)
            )
            rows.append((who, wall_s, count / wall_s, cpu_s, count / cpu_s))
            report.samples |= {f"{name}, {who}, CPU s": [f.cpu_s for f in finishes]}
        report.tables.append(
            Table(f"{count:,} readings, {name}", ("", "wall s", "readings/s", "CPU s", "readings per CPU s"), rows)
        )
        ratios = [there.cpu_s / here.cpu_s for here, there in zip(found[CORE], found[TELEGRAF], strict=True)]
        ratio = statistics.median(ratios)
        report.samples |= {f"{name}, Telegraf ÷ core, CPU": ratios}
        if SUB in found:
            ratio_wall = statistics.median(
                there.wall_s / here.wall_s for here, there in zip(found[CORE], found[SUB], strict=True)
            )
            report.goals.append(
                Goal(f"{name}: into InfluxDB, × of {SUB}", f"≥ {GOAL_WALL} ×", ratio_wall, ratio_wall >= GOAL_WALL)
            )
        report.goals.append(
            Goal(f"{name}: readings per CPU second, core ÷ Telegraf", f"≥ {goal} ×", ratio, ratio >= goal)
        )
    report.notes.append("InfluxDB was asked after each round: all rows there, their sum right")
    return report


def arrays(made: stream.Stream, count: int = 200) -> Iterator[bytes]:
    """The readings of a stream in JSON arrays of `count`, gateway by gateway, as its frames hold them."""
    number = 0
    for at, row in enumerate(made.value):
        time_ms = made.start_ms + at * stream.ROUND_MS
        for start in range(0, len(row), count):
            parts = [
                stream.reading_json(s, time_ms, v) for s, v in enumerate(row[start : start + count].tolist(), start)
            ]
            number = number % 65_535 + 1
            topic = readings_topic(district.SITE, district.gateway(start))
            yield publish(topic, b'{"readings":[' + b",".join(parts) + b"]}", number)


Consumer = Callable[[processes.Server, InfluxSettings, Path, Backlog], contextlib.AbstractContextManager[int]]
"""Starts one on a broker and a database, in a folder; yields its process id."""


def _drain(backlog: Backlog, start: Consumer) -> Finish:
    """A broker, a database and a folder of their own: nothing of the consumer before is left."""
    with (
        TemporaryDirectory() as name,
        processes.broker(Path(name)) as broker,
        processes.influxdb(Path(name)) as server,
    ):
        settings = InfluxSettings(url=server.url, token=SecretStr(server.token), timeout_ms=60_000)
        set_up(settings)
        link.leave_session(broker.port, _CLIENT, [FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER])
        assert link.fill(broker.port, backlog.packets) == len(backlog.packets)
        broker.pause()
        with start(broker, settings, Path(name), backlog) as pid:
            settle(pid)
            start_cpu_s, started_s = processes.cpu_s(pid), time.perf_counter()
            broker.resume()
            with InfluxDBClient(server.url, server.token, org=settings.org) as client:
                while True:
                    asking_s = time.perf_counter()
                    if _rows(client, settings.bucket) >= len(backlog.made):
                        break
                    asked_s = time.perf_counter() - asking_s
                    assert time.perf_counter() < started_s + _PATIENCE_S, "not all rows in three minutes"
                    time.sleep(max(_LOOK_EVERY_S, 2 * asked_s))  # counting many rows takes the server a while
                finish = Finish(time.perf_counter() - started_s, _cpu_s(processes.cpu_s(pid) - start_cpu_s))
                count, total = _rows(client, settings.bucket), round(1000 * _sum(client, settings.bucket))
                assert (count, total) == (len(backlog.made), backlog.made.checksum_mm), (count, total)
    return finish


def _received(backlog: Backlog, subscriber: str) -> Finish:
    """The same backlog through mosquitto_sub, which stores nothing."""
    with TemporaryDirectory() as name, processes.broker(Path(name)) as broker:
        link.leave_session(broker.port, _CLIENT, [FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER])
        assert link.fill(broker.port, backlog.packets) == len(backlog.packets)
        finish = drain.subscriber(subscriber)(broker, backlog, Path(name))[drain.SUB]
    return Finish(finish.wall_s, _cpu_s(finish.cpu_s))


def _cpu_s(counted_s: float) -> float:
    """At least the one tick that may have gone uncounted: a small backlog takes less."""
    return max(processes.TICK_S, counted_s)


@contextlib.contextmanager
def _core(broker: processes.Server, settings: InfluxSettings, folder: Path, backlog: Backlog) -> Iterator[int]:
    history = settings.model_dump(exclude_none=True) | {"token": settings.token.get_secret_value()}
    with processes.core(folder, backlog.made.value.shape[1], broker.port, history=history) as core:
        yield core.pid


def _telegraf(telegraf: str) -> Consumer:
    @contextlib.contextmanager
    def start(broker: processes.Server, settings: InfluxSettings, folder: Path, backlog: Backlog) -> Iterator[int]:
        config = folder / "telegraf.conf"
        path = "readings" if backlog.name == "arrays" else "@this"
        config.write_text(
            f"""
[agent]
  omit_hostname = true
  metric_batch_size = 5000
  metric_buffer_limit = 1000000
  flush_interval = "100ms"
  flush_jitter = "0s"
[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:{broker.port}"]
  topics = ["{READINGS_FILTER}"]
  topic_tag = ""
  qos = 1
  persistent_session = true
  client_id = "{_CLIENT}"
  max_undelivered_messages = 10000
  data_format = "json_v2"
  [[inputs.mqtt_consumer.json_v2]]
    measurement_name = "level-sensor"
    [[inputs.mqtt_consumer.json_v2.object]]
      path = "{path}"
      tags = ["device", "metric"]
      timestamp_key = "time"
      timestamp_format = "2006-01-02T15:04:05.000Z"
[[outputs.influxdb_v2]]
  urls = ["{settings.url}"]
  token = "{settings.token.get_secret_value()}"
  organization = "{settings.org}"
  bucket = "{settings.bucket}"
"""
        )
        with processes.process([telegraf, "--config", config], folder / "telegraf.log") as running:
            time.sleep(1.0)  # it connects while the broker is held still, and waits
            yield running.pid

    return start


def _rows(client: InfluxDBClient, bucket: str) -> int:
    """Distinct rows of readings."""
    return round(_asked(client, bucket, "count"))


def _sum(client: InfluxDBClient, bucket: str) -> float:
    return _asked(client, bucket, "sum")


def _asked(client: InfluxDBClient, bucket: str, how: str) -> float:
    query = (
        f'from(bucket: "{bucket}") |> range(start: -30d, stop: 1d) |> filter(fn: (r) => r._measurement == "level-sensor")'
        f' |> filter(fn: (r) => r._field == "{district.METRIC}" or r._field == "value")'
        f" |> group() |> {how}()"
    )
    return sum(float(record.get_value()) for table in client.query_api().query(query) for record in table.records)
