"""How long from the moment a reading is due to be published until its alarm is with an independent listener?

A real core under an open-loop load of single JSON readings over many series; every 50 ms one more reading is a fever (its
own passage key), whose alarm comes back as the retained message that the core's notices publish. Latency counts from the
*intended* time of sending, so a generator or broker that falls behind is not forgiven. One loop sends and listens with
one clock; it stamps an arrival within about two milliseconds. The loads are shares of what generator, broker and core take
side by side on this machine, which is tried first: a flood of ready messages, as fast as the broker acknowledges them.

Non-goals: the gateway's polling interval, screens, other channels than MQTT.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import district, link, processes, stream
from bench.report import Cell, Goal, Report, Table, steps
from ingest import packets
from telemetry.topics import ALARMS_FILTER, readings_topic

GOALS_MS = {0.5: 100.0, 0.8: 250.0}  # p99 at a share of the most
FEVER_EVERY_S = 0.05
_STEP_S = 0.002  # load is sent in small lots of what has become due
_WARM_S = 2.0
_GRACE_S = 10.0


@dataclass(slots=True)
class Trial:
    """What happened to the fevers. Times are of the monotonic clock."""

    due_s: dict[str, float] = field(default_factory=dict)  # passage key -> when it was to be published
    seen_s: dict[str, float] = field(default_factory=dict)  # passage key -> when its alarm arrived
    load_count: int = 0
    behind_max_s: float = 0.0  # by how much the generator was late at worst


def run(seconds: float = 60.0, series: int = 1_000, flood: int = 300_000) -> Report:
    """Load at each share of the most, for `seconds` after two of warming up.

    Args:
        flood: Readings by which the most is found.
    """
    report = Report(
        "latency",
        "how long from publish to the alarm?",
        {"seconds": seconds, "series": series, "flood": flood, "fever_every_s": FEVER_EVERY_S},
    )
    most = _most(flood, series)
    rows: list[list[Cell]] = []
    for share, goal in GOALS_MS.items():
        rate = share * most
        trial, used = _trial(rate, seconds, series)
        warm_s = min(trial.due_s.values()) + _WARM_S
        waited_ms = [(trial.seen_s[key] - due_s) * 1000 for key, due_s in trial.due_s.items() if due_s >= warm_s]
        p50, p90, p99 = (float(x) for x in np.percentile(waited_ms, [50, 90, 99]))
        late_ms = trial.behind_max_s * 1000
        rows.append([f"{share:.0%}: {rate:,.0f}", len(waited_ms), p50, p90, p99, max(waited_ms), used, late_ms])
        report.goals.append(Goal(f"p99 at {share:.0%} load, publish → alarm, ms", f"≤ {goal:.0f}", p99, p99 <= goal))
        report.samples[f"{share:.0%}, ms"] = [round(each, 3) for each in waited_ms]
    columns = ("readings/s", "samples", "p50", "p90", "p99", "max", "core's cores", "generator late at most")
    report.tables.append(Table(f"publish → retained alarm message, ms; the most is {most:,.0f}/s", columns, rows))
    report.notes.append("all readings were taken, and every fever came back as an alarm")
    return report


def _most(flood: int, series: int) -> float:
    """Readings a second that generator, broker and core take side by side."""
    made = stream.generate(flood, series, time.time_ns() // 1_000_000)
    messages = list(stream.json_packets(made))
    with _running(series) as (port, core), link.link(port, "bench-flood") as generator:
        started_s = time.monotonic()
        generator.publish_all(messages)
        processes.wait_until(lambda: core.metrics("gatehouse_readings_total")[0] >= len(made), "the flood")
        return len(made) / (time.monotonic() - started_s)


@contextlib.contextmanager
def _running(series: int) -> Iterator[tuple[int, processes.CoreProcess]]:
    """A broker's port and the core that is connected to it."""
    with (
        TemporaryDirectory() as name,
        processes.broker(Path(name)) as broker,
        processes.core(Path(name), series, broker.port) as core,
    ):
        processes.wait_until(lambda: core.metrics("gatehouse_broker_connected")[0] == 1, "the core to connect")
        yield broker.port, core


def _trial(rate: float, seconds: float, series: int) -> tuple[Trial, float]:
    """(what happened, how many cores the core used)."""
    with _running(series) as (port, core):
        cpu_s, started_s = processes.cpu_s(core.pid), time.monotonic()
        trial = _load(port, rate, seconds, series)
        used = (processes.cpu_s(core.pid) - cpu_s) / (time.monotonic() - started_s)
        sent = trial.load_count + len(trial.due_s)
        processes.wait_until(lambda: core.metrics("gatehouse_readings_total")[0] >= sent, "the last readings")
        (taken,) = core.metrics("gatehouse_readings_total")
    assert taken == sent, f"the core took {taken:,.0f} readings of {sent:,}"
    assert len(trial.seen_s) == len(trial.due_s), f"{len(trial.due_s) - len(trial.seen_s)} alarms never came"
    return trial, used


def _load(port: int, rate: float, seconds: float, series: int) -> Trial:
    trial = Trial()
    value = np.random.default_rng(1).uniform(0.25, 0.75, 4096).round(3).tolist()
    topics = [readings_topic(district.SITE, district.gateway(number)) for number in range(series)]
    fevers = iter(steps(range(round((seconds + _WARM_S) / FEVER_EVERY_S)), "waiting for alarms"))
    ids = itertools.cycle(range(1, 65_536))
    with link.link(port, "bench-listener") as listener, link.link(port, "bench-load") as load:
        listener.subscribe([ALARMS_FILTER])
        start_s = time.monotonic()
        epoch_ms = time.time_ns() // 1_000_000  # of start_s
        fever: int | None = next(fevers)
        until_s = start_s + seconds + _WARM_S + _GRACE_S
        while (now_s := time.monotonic()) < until_s and (fever is not None or len(trial.seen_s) < len(trial.due_s)):
            lot: list[bytes] = []
            # After the last fever there is no more load: what is missing then is late by itself.
            while fever is not None and start_s + (trial.load_count / rate) <= now_s:
                number = trial.load_count
                due_ms = epoch_ms + int(number / rate * 1000)
                reading = stream.reading_json(number % series, due_ms, value[number % 4096])
                lot.append(packets.publish(topics[number % series], reading, next(ids)))
                trial.load_count += 1
            while fever is not None and start_s + fever * FEVER_EVERY_S <= now_s:
                key, due_s = f"p{fever}", start_s + fever * FEVER_EVERY_S
                due_ms = epoch_ms + round(fever * FEVER_EVERY_S * 1000)
                reading = stream.plain_json(district.SCANNER, district.SCANNER_METRIC, due_ms, district.FEVER_C, key)
                lot.append(packets.publish(topics[0], reading, next(ids)))
                trial.due_s[key] = due_s
                trial.behind_max_s = max(trial.behind_max_s, now_s - due_s)
                fever = next(fevers, None)
            if lot:
                load.socket.sendall(b"".join(lot))
            ready, _, _ = select.select([listener.socket, load.socket], [], [], _STEP_S)
            if listener.socket in ready:
                messages = listener.messages()
                arrived_s = time.monotonic()
                for message in messages:
                    if message.payload:
                        trial.seen_s.setdefault(json.loads(message.payload)["key"], arrived_s)
            if load.socket in ready:
                assert load.socket.recv(65_536), "the broker closed the connection"
    return trial
