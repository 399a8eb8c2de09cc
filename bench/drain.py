"""How fast a backlog is taken in: the core against mosquitto_sub, which does nothing with what it receives.

A persistent session is filled at QoS 1 while its owner is away. Then the consumer starts and connects while the broker
is held still (SIGSTOP), so that starting up is nobody's race; time runs from the moment the broker is let go.
Consumers: mosquitto_sub (receives, acknowledges, prints to /dev/null), paho-mqtt (receives, acknowledges by hand), and a
real `gatehouse core` with three level rules on each series, its journal fsynced, Parquet on. The core is done when every
reading is durable in the journal, and once more when it stands in history (a reading waits there up to 2 s for company,
by design); in a storm also when every transition of an alarm is in the database. Order is reversed each second round;
medians; the ratio is taken within a round.

A round counts only if every reading is in Parquet, with the right sum, and every alarm was raised and returned.
The calm stream once more over TLS, where a broker makes a record of each message; mosquitto_sub reads in the clear.

Non-goals: no network, no cost of generating. CPU is user + system of the consumer's processes from the same
moment on; the core's includes answering /metrics every 20 ms, which is how it is watched (about a millisecond each).
"""

from __future__ import annotations

import itertools
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from bench import ladder, link, processes, stream
from bench.report import Cell, Goal, Report, Table, steps
from telemetry.errors import BadConfiguration
from telemetry.topics import FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER

GOAL = 1.0
SINGLE, FRAMES = "single JSON readings", "frames of 200"
SUB, PAHO, DURABLE, HISTORY = "mosquitto_sub", "paho-mqtt", "core, durable", "core, in history"
STORMY, JUDGED = "core, stormy, durable", "core, stormy, alarms stored"
ENCRYPTED = "core, durable, TLS"
_ORDER = (SUB, PAHO, DURABLE, ENCRYPTED, HISTORY, STORMY, JUDGED)
_LOOK_EVERY_S = 0.02
_CLIENT = "gatehouse-core"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the session."""

    name: str
    made: stream.Stream
    packets: list[bytes]
    topic_filter: str


@dataclass(frozen=True, slots=True)
class Finish:
    """One consumer at the end of a backlog."""

    wall_s: float
    cpu_s: float
    broker_cpu_s: float


Consumer = Callable[[processes.Server, Backlog, Path], dict[str, Finish]]


def run(readings: int = 100_000, rounds: int = 4, frame_messages: int = 2_000, frame_rounds: int = 2) -> Report:
    """Drain a session of single readings, calm and stormy, and for information one of frames."""
    program = shutil.which("mosquitto_sub")
    if program is None or processes.broker_program() is None:
        raise BadConfiguration("mosquitto or mosquitto_sub is missing: apt-get install mosquitto mosquitto-clients")
    report = Report(
        "drain",
        "how fast is a backlog taken in?",
        {
            "readings": readings,
            "rounds": rounds,
            "frame_messages": frame_messages,
            "frame_rounds": frame_rounds,
            "max_inflight_messages": processes.BROKER_IN_FLIGHT_MAX,
        },
    )
    calm, stormy, frames = single(readings, 0.0), single(readings, stream.STORM_SHARE), framed(frame_messages)
    with_core: list[tuple[Consumer, Backlog]] = [(_core, calm), (_core, stormy), (_encrypted, calm)]
    alone = [(subscriber(program), calm), (_paho, calm), *with_core]
    for name, entries, count in (
        (SINGLE, alone, rounds),
        (FRAMES, [(c, frames) for c, _ in alone[:3]], frame_rounds),
    ):
        found = _race(name, entries, count)
        reading_count = len(entries[0][1].made)
        rows: list[Sequence[Cell]] = []
        for consumer, finishes in found.items():
            wall_s = statistics.median(f.wall_s for f in finishes)
            cpu_s = statistics.median(f.cpu_s for f in finishes)
            broker_s = statistics.median(f.broker_cpu_s for f in finishes)
            ratio = statistics.median(s.wall_s / f.wall_s for s, f in zip(found[SUB], finishes, strict=True))
            per_cpu = reading_count / cpu_s if cpu_s else None
            rows.append((consumer, wall_s, reading_count / wall_s, cpu_s, per_cpu, broker_s, ratio))
            report.samples[f"{name}, {consumer}, wall s"] = [f.wall_s for f in finishes]
            report.samples[f"{name}, {consumer}, CPU s"] = [f.cpu_s for f in finishes]
            if consumer == DURABLE and name == SINGLE:
                report.goals.append(
                    Goal(f"{name}, {DURABLE}", f"≥ {GOAL:.0f} × of mosquitto_sub", ratio, ratio >= GOAL)
                )
        columns = ("", "wall s", "readings/s", "CPU s", "readings per CPU s", "broker CPU s", "× of mosquitto_sub")
        report.tables.append(Table(f"{reading_count:,} readings as {name}", columns, rows))
    report.notes.append(
        "every core's Parquet was read back: all rows there, their sum right; every alarm raised and returned"
    )
    return report


def single(reading_count: int, storm_share: float) -> Backlog:
    """Messages of one plain JSON reading each."""
    made = stream.generate(reading_count, min(1_000, reading_count), time.time_ns() // 1_000_000, storm_share)
    return Backlog(SINGLE, made, list(stream.json_packets(made)), READINGS_FILTER)


def framed(message_count: int) -> Backlog:
    """Frames of 200 readings."""
    made = stream.generate(message_count * 200, 1_000, time.time_ns() // 1_000_000)
    return Backlog(FRAMES, made, list(stream.frame_packets(made)), FRAMES_FILTER)


def _race(name: str, entries: Sequence[tuple[Consumer, Backlog]], rounds: int) -> dict[str, list[Finish]]:
    found: dict[str, list[Finish]] = {}
    order = itertools.chain.from_iterable(entries if number % 2 == 0 else entries[::-1] for number in range(rounds))
    for consumer, backlog in steps(list(order), f"draining {name}"):
        # A broker and a folder of its own: nothing of the consumer before is left.
        with TemporaryDirectory() as folder, processes.broker(Path(folder)) as broker:
            link.leave_session(broker.port, _CLIENT, [FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER])
            assert link.fill(broker.port, backlog.packets) == len(backlog.packets)
            for part, finish in consumer(broker, backlog, Path(folder)).items():
                found.setdefault(part, []).append(finish)
    return dict(sorted(found.items(), key=lambda item: _ORDER.index(item[0])))


def subscriber(program: str) -> Consumer:
    """mosquitto_sub, which receives, acknowledges and prints."""

    def consume(broker: processes.Server, backlog: Backlog, _: Path) -> dict[str, Finish]:
        count = str(len(backlog.packets))
        command = [program, "-p", str(broker.port), "-i", _CLIENT, "-c", "-q", "1", "-t", backlog.topic_filter]
        return {SUB: _until_exit(broker, [*command, "-C", count])}

    return consume


def _paho(broker: processes.Server, backlog: Backlog, _: Path) -> dict[str, Finish]:
    command = [sys.executable, "-m", "bench.receiver", str(broker.port), _CLIENT, backlog.topic_filter]
    return {PAHO: _until_exit(broker, [*command, str(len(backlog.packets))])}


def _until_exit(broker: processes.Server, command: Sequence[str]) -> Finish:
    """A consumer that ends by itself when it has everything."""
    broker.pause()
    buried_s = _buried_cpu_s()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
        try:
            settle(running.pid)
            start_cpu_s, broker_cpu_s = processes.cpu_s(running.pid), processes.cpu_s(broker.pid)
            started_s = time.perf_counter()
            broker.resume()
            code = running.wait(120)
            wall_s = time.perf_counter() - started_s
        except BaseException:
            running.kill()
            raise
    assert code == 0, f"{command[0]} ended with {code}"
    spent_s = _buried_cpu_s() - buried_s - start_cpu_s
    return Finish(wall_s, max(spent_s, 0.0), processes.cpu_s(broker.pid) - broker_cpu_s)


def _encrypted(broker: processes.Server, backlog: Backlog, folder: Path) -> dict[str, Finish]:
    there = {"host": "localhost", "port": broker.tls_port, "tls": {"ca": str(broker.ca)}}
    return {ENCRYPTED: _core(broker, backlog, folder, {"broker": there})[DURABLE]}


def _core(
    broker: processes.Server, backlog: Backlog, folder: Path, settings: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Finish]:
    made = backlog.made
    step_count = sum(stream.expected_steps(made))
    # What says that a part is done, and how far it must come.
    goals = {DURABLE: ("gatehouse_readings_total", len(made)), HISTORY: ("gatehouse_history_rows_total", len(made))}
    if step_count:
        goals = {
            STORMY: goals[DURABLE],
            JUDGED: ("gatehouse_alarm_transitions_total", step_count),
            HISTORY: goals[HISTORY],
        }
    finishes: dict[str, Finish] = {}
    broker.pause()
    with processes.core(folder, made.value.shape[1], broker.port, **settings) as core:
        settle(core.pid)
        start_cpu_s, broker_cpu_s = processes.cpu_s(core.pid), processes.cpu_s(broker.pid)
        started_s = time.perf_counter()
        broker.resume()
        until_s = started_s + 120
        while len(finishes) < len(goals):
            time.sleep(_LOOK_EVERY_S)
            assert time.perf_counter() < until_s, (
                f"the core has not done all with {len(made):,} readings in two minutes"
            )
            counts = core.metrics(*(name for name, _ in goals.values()))
            wall_s = time.perf_counter() - started_s
            spent_s, broker_s = processes.cpu_s(core.pid) - start_cpu_s, processes.cpu_s(broker.pid) - broker_cpu_s
            for (part, (_, enough)), count in zip(goals.items(), counts, strict=True):
                assert count <= enough, f"{part}: {count:,.0f} of {enough:,}"
                if count == enough:
                    finishes.setdefault(part, Finish(wall_s, spent_s, broker_s))
    stored = ladder.read_back(folder / "data" / "history")
    assert stored == (len(made), made.checksum_mm), f"history holds {stored}, not {(len(made), made.checksum_mm)}"
    return {part: finish for part, finish in finishes.items() if part != HISTORY or not step_count}


def settle(pid: int) -> None:
    """Wait until a process that was started has nothing more to do than to wait for the broker."""
    before_s = -1.0
    while (now_s := processes.cpu_s(pid)) > before_s:
        before_s = now_s
        time.sleep(0.4)


def _buried_cpu_s() -> float:
    """CPU of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
