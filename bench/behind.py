"""Does the core stay small, however much is behind?

Two ways of being behind, each with a fresh core, its most resident memory (VmHWM) read as the work goes on:

journal   readings lie in the journal that neither alarms nor history have seen, and history (InfluxDB) is away: the alarm
          engine catches up, history only tries. At 25 % means that a quarter of the records is judged.
gateways  the same readings come as frames of backlog from gateways after an outage, with a little live beside them. The
          gateways here are a generator that keeps to the protocol (two lanes, `is_backlog`, `behind`, at most 16 frames
          without a receipt), with Parquet on. At 25 % means that a quarter is durable and receipted.

Flat means: from the first quarter to the end VmHWM grows by less than a tenth. Every reading must be there once.
Non-goals: speed; the memory of the gateways (`small_gateway`, `catch_up`) and of the broker.
"""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import district, link, processes, small_gateway
from bench.report import Cell, Goal, Report, Table, steps
from ingest import packets
from telemetry import frames
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.journal import CONNECTED, Journal, Kind, Record
from telemetry.series import SeriesRegistry
from telemetry.topics import frames_topic, receipt_topic

GOAL_MB = 512.0
GOAL_GROWTH = 1.1
_QUARTERS = (0.25, 0.5, 0.75, 1.0)
_FRAME_READINGS = 200
_WINDOW_FRAMES = 16  # of backlog without a receipt, as the uplink has it
_LIVE_EVERY = 20  # frames of backlog to one live
_GROUP_RECORDS = 100  # written with one fsync
_LOOK_EVERY_S = 0.2
_JUST_WRITTEN = 5  # records: a tick a second goes on beside the work
_PATIENCE_S = 3600.0


def run(readings: int = 10_000_000, series: int = 2_000) -> Report:
    """`readings` behind, of `series`."""
    report = Report("behind", "does the core stay small?", {"readings": readings, "series": series})
    rows: list[list[Cell]] = []
    for name, trial in (("journal, history away", _in_the_journal), ("from gateways", _from_gateways)):
        idle_mb, most_mb, wall_s = trial(readings, series)
        rows.append([name, f"{idle_mb:.0f}", *(f"{mb:.0f}" for mb in most_mb), wall_s, readings / wall_s])
        growth = most_mb[-1] / most_mb[0]
        report.goals += [
            Goal(f"most memory, {name}, MB", f"≤ {GOAL_MB:.0f}", most_mb[-1], most_mb[-1] <= GOAL_MB),
            Goal(f"growth after the first quarter, {name}, ×", f"≤ {GOAL_GROWTH}", growth, growth <= GOAL_GROWTH),
        ]
    columns = ("", "started", "at 25 %", "50 %", "75 %", "100 %", "s", "readings/s")
    report.tables.append(Table(f"VmHWM of the core, MB, with {readings:,} readings behind", columns, rows))
    return report


def write_journal(folder: Path, readings: int, series: int, spread_ms: int = 1000, end_ms: int | None = None) -> int:
    """A core's journal with about so many readings that nobody has read, a round each `spread_ms`; its last offset.

    In records of up to 200 readings, with a tick for every second, the last round shortly before `end_ms` (now).
    """
    journal = Journal(folder / "data" / "journal")
    registry = SeriesRegistry.open(journal, district.catalogue(series))
    index = np.array([registry.index[district.device(n), district.METRIC] for n in range(series)], np.uint32)
    made = np.random.default_rng(1)
    rounds = max(1, round(readings / series))
    start_ms = (time.time_ns() // 1_000_000 if end_ms is None else end_ms) - rounds * spread_ms
    ticked_ms, waiting = start_ms, list[Record]()
    for number in steps(range(rounds), "writing the journal"):
        time_ms = start_ms + number * spread_ms
        value = made.uniform(0.25, 0.75, series).round(3)
        for first in range(0, series, _FRAME_READINGS):
            part = index[first : first + _FRAME_READINGS]
            batch = ReadingBatch(
                part,
                np.full(len(part), time_ms, np.int64),
                value[first : first + len(part)],
                np.zeros(len(part), np.uint8),
            )
            waiting.append(Record(Kind.READINGS, time_ms, encode_batch(batch)))
        while ticked_ms < time_ms + spread_ms:
            waiting.append(Record(Kind.TICK, ticked_ms, CONNECTED))
            ticked_ms += 1000
        if len(waiting) >= _GROUP_RECORDS or number == rounds - 1:
            journal.append(waiting)
            waiting = []
    last = journal.last
    journal.close()
    return last


def _in_the_journal(readings: int, series: int) -> tuple[float, list[float], float]:
    with TemporaryDirectory() as name, processes.broker(Path(name)) as broker:
        folder = Path(name)
        records = write_journal(folder, readings, series)
        away = {"store": "influxdb", "url": f"http://127.0.0.1:{processes.free_port()}", "token": "none"}
        started_s = time.perf_counter()
        with processes.core(folder, series, broker.port, history=away, journal={"keep_mb": 10_000}) as core:
            idle_mb = processes.memory_peak_mb(core.pid)

            def judged() -> float:
                (lag,) = core.metrics("gatehouse_alerts_lag_records")
                return 1 - max(lag - _JUST_WRITTEN, 0) / records

            most_mb = _quarters(core.pid, judged, lambda: time.sleep(_LOOK_EVERY_S))
            wall_s = time.perf_counter() - started_s
            (written,) = core.metrics("gatehouse_history_rows_total")
            assert not written, "history was to be away"
    return idle_mb, most_mb, wall_s


def _from_gateways(readings: int, series: int) -> tuple[float, list[float], float]:
    with TemporaryDirectory() as name, processes.broker(Path(name)) as broker:
        folder = Path(name)
        with processes.core(folder, series, broker.port, journal={"keep_mb": 10_000}) as core:
            processes.wait_until(lambda: core.metrics("gatehouse_broker_connected")[0] == 1, "the core to connect")
            idle_mb = processes.memory_peak_mb(core.pid)
            boxes = _boxes(readings, series)
            started_s = time.perf_counter()
            with link.link(broker.port, "bench-gateways") as out, link.link(broker.port, "bench-receipts") as back:
                back.subscribe([receipt_topic(district.SITE, one.name) for one in boxes])
                most_mb = _quarters(core.pid, lambda: _share(boxes), lambda: _ship(out, back, boxes))
                wall_s = time.perf_counter() - started_s

                def is_all_receipted() -> bool:
                    _ship(out, back, boxes)
                    return all(lane.receipted == lane.sent for one in boxes for lane in one.lanes)

                processes.wait_until(is_all_receipted, "the last receipts")
        taken, sent = small_gateway.journaled(folder), sum(one.reading_count for one in boxes)
    assert taken == sent, f"the core took {taken:,} readings of {sent:,}"
    return idle_mb, most_mb, wall_s


def _quarters(pid: int, share: Callable[[], float], work: Callable[[], object]) -> list[float]:
    """VmHWM when each quarter is done."""
    most_mb: list[float] = []
    until_s = time.monotonic() + _PATIENCE_S
    for goal in steps(_QUARTERS, "behind"):
        while share() < goal:
            assert time.monotonic() < until_s, f"no end in sight at {share():.0%}"
            work()
        most_mb.append(processes.memory_peak_mb(pid))
    return most_mb


@dataclass(slots=True)
class _Lane:
    """Frames of one epoch, made when they are sent."""

    epoch: str
    is_backlog: bool
    start_ms: int
    end: int  # its last frame
    sent: int = 0
    receipted: int = 0


@dataclass(slots=True)
class _Box:
    """A gateway that obeys the protocol."""

    name: str
    first: int  # of its level sensors
    series_count: int
    lanes: list[_Lane]  # backlog, live
    value: bytes = field(default_factory=lambda: np.linspace(0.25, 0.75, _FRAME_READINGS).tobytes())
    reading_count: int = 0

    def frame(self, lane: _Lane) -> bytes:
        """The next frame of a lane, as a PUBLISH packet."""
        frames_a_round = -(-self.series_count // _FRAME_READINGS)
        round_number, part = divmod(lane.sent, frames_a_round)
        start = part * _FRAME_READINGS
        count = min(_FRAME_READINGS, self.series_count - start)
        lane.sent += 1
        self.reading_count += count
        columns = frames.encode_columns(
            "\n".join(f"{district.device(self.first + start + n)}/{district.METRIC}" for n in range(count)),
            np.arange(count, dtype=np.uint16).tobytes(),
            np.full(count, lane.start_ms + round_number * 1000, np.int64).tobytes(),
            self.value[: count * 8],
            bytes(count),
            {},
        )
        backlog = self.lanes[0]
        behind = backlog.end - (lane.sent if lane.is_backlog else backlog.receipted)
        payload = frames.encode(
            self.name,
            lane.epoch,
            lane.sent,
            lane.receipted + 1,
            columns,
            is_backlog=lane.is_backlog,
            behind=behind,
        )
        return packets.publish(frames_topic(district.SITE, self.name), payload, lane.sent % 65_535 + 1)


def _boxes(readings: int, series: int) -> list[_Box]:
    now_ms = time.time_ns() // 1_000_000
    boxes: list[_Box] = []
    for first in range(0, series, district.GATEWAY_SERIES_MAX):
        count = min(district.GATEWAY_SERIES_MAX, series - first)
        rounds = max(1, round(readings / series))
        name = district.gateway(first)
        backlog = _Lane(f"{name}-outage", True, now_ms - (rounds + 5) * 1000, rounds * -(-count // _FRAME_READINGS))
        boxes.append(_Box(name, first, count, [backlog, _Lane(f"{name}-now", False, now_ms, 0)]))
    return boxes


def _share(boxes: Sequence[_Box]) -> float:
    return sum(one.lanes[0].receipted for one in boxes) / sum(one.lanes[0].end for one in boxes)


def _ship(out: link.Link, back: link.Link, boxes: Sequence[_Box]) -> None:
    """Fill every window; then wait a moment for receipts and take them."""
    lot: list[bytes] = []
    for one in boxes:
        backlog, live = one.lanes
        while backlog.sent < backlog.end and backlog.sent - backlog.receipted < _WINDOW_FRAMES:
            if backlog.sent % _LIVE_EVERY == 0 and live.sent - live.receipted < _WINDOW_FRAMES:
                lot.append(one.frame(live))
            lot.append(one.frame(backlog))
    if lot:
        out.socket.sendall(b"".join(lot))
    ready, _, _ = select.select([out.socket, back.socket], [], [], 0.05)
    if out.socket in ready:
        assert out.socket.recv(65_536), "the broker closed the connection"
    if back.socket in ready:
        for message in back.messages():
            receipt = json.loads(message.payload or b"")
            for one in boxes:
                for lane in one.lanes:
                    if lane.epoch == receipt["epoch"]:
                        lane.receipted = max(lane.receipted, receipt["seq"])
