"""What leaves the spool, in which order and how marked, over a link and to a core of our own making."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gateway.events import Events
from gateway.link import Link, Listener
from gateway.spool import Spool
from gateway.uplink import Uplink
from gateway.window import WindowLimits
from telemetry import frames
from telemetry.clock import ManualClock
from telemetry.frames import Frame
from telemetry.reading import Reading, encode_readings
from telemetry.settings import BrokerSettings
from tests.gateway.support import until

NOW_MS = 1_790_000_000_000


class Core:
    """Broker and core in one: takes everything at once, gives receipts while it is `there`, answers a status."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.statuses: list[dict[str, Any]] = []
        self.seen: dict[str, int] = {}
        self.is_there = True
        self.time_ms: int | None = None
        self.taken: Callable[[int], None] = lambda count: None
        self._listener: Listener | None = None
        self._message_id = 0

    def link(self, _broker: BrokerSettings, _client: str, listener: Listener) -> Link:
        self._listener = listener
        return self

    async def open(self, receipts: str, sampling: str, will_topic: str, will: bytes) -> bool:
        return False

    def publish(self, topic: str, payload: bytes, retain: bool) -> int | None:
        self._message_id += 1
        loop = asyncio.get_running_loop()
        assert self._listener is not None
        loop.call_soon(self._listener.link_taken, self._message_id)
        if retain:
            status = json.loads(payload)
            self.statuses.append(status)
            if self.is_there:
                for epoch in status.get("lanes", ()):
                    loop.call_soon(self._receipt, epoch)
        else:
            frame = frames.decode(payload)
            self.frames.append(frame)
            self.taken(len(self.frames))
            if self.is_there and frame.seq <= max(self.seen.get(frame.epoch, 0) + 1, frame.base):
                assert frame.base <= self.seen.get(frame.epoch, 0) + 1, "a frame was freed without its receipt"
                self.seen[frame.epoch] = max(frame.seq, self.seen.get(frame.epoch, 0))
                loop.call_soon(self._receipt, frame.epoch)
        return self._message_id

    def _receipt(self, epoch: str) -> None:
        assert self._listener is not None
        receipt = {"epoch": epoch, "seq": self.seen.get(epoch, 0), "time_ms": self.time_ms}
        self._listener.link_message(json.dumps(receipt).encode())

    async def close(self) -> None: ...

    async def abort(self) -> None: ...

    @property
    def values(self) -> list[float]:
        return [value for frame in self.frames for value in frame.value]


def frame(value: float, time_ms: int = NOW_MS) -> bytes:
    return encode_readings([Reading("mh-1", "level", time_ms, value)])


def check(
    spool: Spool, clock: ManualClock, core: Core, scenario: Callable[[], Awaitable[None]], **limits: int
) -> Events:
    """Run a scenario beside the uplink; time passes as fast as the loop turns."""
    events = Events(clock)

    async def run() -> None:
        uplink = Uplink(
            clock,
            spool,
            events,
            BrokerSettings(),
            "s",
            "g",
            WindowLimits(**limits),
            5,
            dict,
            print,
            make_link=core.link,
        )
        task = asyncio.create_task(uplink.run())
        async with asyncio.timeout(30):
            passing = asyncio.create_task(time_passes(clock, uplink))
            await scenario()
            uplink.stop(0)
            await task
            passing.cancel()

    asyncio.run(run())
    spool.close()
    return events


async def time_passes(clock: ManualClock, uplink: Uplink) -> None:
    while True:
        clock.advance(0.2)
        uplink.wake()
        await asyncio.sleep(0.002)


def test_lanes_of_a_short_outage_go_out_in_order_and_unmarked(tmp_path: Path) -> None:
    clock, core = ManualClock(NOW_MS), Core()
    spool = Spool(tmp_path, clock)
    for value in range(3):
        spool.append(frame(value))
    spool = Spool(tmp_path, clock)
    for value in range(3, 6):
        spool.append(frame(value))

    async def scenario() -> None:
        await until(lambda: spool.count == 0, "an empty spool")

    check(spool, clock, core, scenario)
    assert core.values == [0, 1, 2, 3, 4, 5]
    assert all(not f.is_backlog and f.behind == 0 for f in core.frames)


def test_after_a_long_outage_what_is_new_overtakes_the_backlog(tmp_path: Path) -> None:
    clock, core = ManualClock(NOW_MS), Core()
    spool = Spool(tmp_path, clock)
    for value in range(200):
        spool.append(frame(value))
    clock.advance(3600)

    def taken(count: int) -> None:
        if count == 20:
            spool.append(frame(1000))

    core.taken = taken

    async def scenario() -> None:
        await until(lambda: not spool.count and not core.frames[-1].is_backlog, "an empty spool, and that it is told")

    check(spool, clock, core, scenario)
    backlog = [f for f in core.frames if f.is_backlog]
    new, over = [f for f in core.frames if not f.is_backlog]
    assert (len(over), over.behind) == (0, 0)
    assert [f.value[0] for f in backlog] == list(range(200))
    assert [f.behind for f in backlog] == list(range(199, -1, -1))
    # No more than a window of backlog lies before it.
    assert 20 <= core.frames.index(new) <= 36 and new.behind >= 200 - 36


def test_a_core_that_was_away_while_the_broker_stayed_finds_the_newest_first(tmp_path: Path) -> None:
    clock, core = ManualClock(NOW_MS), Core()
    core.is_there = False
    spool = Spool(tmp_path, clock)

    async def scenario() -> None:
        for value in range(100):
            spool.append(frame(value))
        began_s = clock.monotonic_s()
        await until(lambda: clock.monotonic_s() > began_s + 200, "an outage has passed")
        assert len(spool.lanes) == 1  # no lane is begun for a core that is away
        assert {f.base for f in core.frames} == {1} and {f.seq for f in core.frames} == set(range(1, 9))
        core.frames.clear()
        core.is_there = True
        await until(lambda: spool.count == 0, "an empty spool")

    check(spool, clock, core, scenario, frames_max=8)
    assert any(f.is_backlog for f in core.frames)
    assert [f.behind for f in core.frames if f.is_backlog][-1] == 0
    assert sorted(set(core.values)) == list(range(100))


def test_little_backlog_lies_at_the_broker_at_once(tmp_path: Path) -> None:
    clock, core = ManualClock(NOW_MS), Core()
    core.is_there = False
    spool = Spool(tmp_path, clock)
    for value in range(100):
        spool.append(frame(value))
    clock.advance(3600)

    async def scenario() -> None:
        began_s = clock.monotonic_s()
        await until(lambda: clock.monotonic_s() > began_s + 30, "half a minute has passed")
        assert {f.seq for f in core.frames} == set(range(1, 17)) and all(f.is_backlog for f in core.frames)

    check(spool, clock, core, scenario)


def test_the_status_names_the_lanes_and_its_answer_frees_what_the_core_has(tmp_path: Path) -> None:
    clock, core = ManualClock(NOW_MS), Core()
    spool = Spool(tmp_path, clock)
    for value in range(3):
        spool.append(frame(value))
    first = spool.epoch
    core.seen[first] = 3  # the receipts were lost
    spool = Spool(tmp_path, clock)

    async def scenario() -> None:
        await until(lambda: spool.count == 0, "an empty spool")

    check(spool, clock, core, scenario, frames_max=1)
    status = core.statuses[0]
    assert status["lanes"] == [spool.epoch, first] and status["epoch"] == spool.epoch
    assert (status["spooled"], status["behind"], status["damaged_lanes"]) == (3, 0, 0)
    assert status["oldest_ms"] == NOW_MS
    assert len(core.frames) <= 1


def test_what_a_gateway_without_a_clock_took_is_sent_once_the_core_has_told_the_time(tmp_path: Path) -> None:
    clock, core = ManualClock(7_000), Core()
    spool = Spool(tmp_path, clock)
    keeper = spool.timekeeper
    stamps = []
    for value in range(3):
        clock.advance(10)
        stamps.append(clock.monotonic_s())
        spool.append(frame(value, keeper.now_ms()))
    spool.append(frame(3, NOW_MS))  # a scanner with a clock of its own
    core.time_ms = NOW_MS
    began_s = clock.monotonic_s()

    async def scenario() -> None:
        await until(lambda: bool(core.statuses), "a status")
        assert not core.frames
        await until(lambda: spool.count == 0, "an empty spool")

    check(spool, clock, core, scenario)
    assert core.values == [0, 1, 2, 3]
    times = [f.time_ms[0] for f in core.frames]
    assert times[3] == NOW_MS
    assert [t - times[0] for t in times[:3]] == [0, 10_000, 20_000]
    assert abs(times[2] + round(1000 * (began_s - stamps[2])) - NOW_MS) < 5_000
    assert {f.quality[0] for f in core.frames} == {0}


def test_what_an_earlier_run_left_is_backlog_also_where_this_one_does_not_know_the_time_at_first(
    tmp_path: Path,
) -> None:
    clock, core = ManualClock(NOW_MS), Core()
    spool = Spool(tmp_path, clock)
    for value in range(3):
        spool.append(frame(value))
    spool.close()
    clock.advance(3600)
    spool = Spool(tmp_path, clock, is_backed=lambda wall_ms: False)  # neither NTP nor a clock that runs without power
    assert spool.timekeeper.shift_ms is None
    core.time_ms = clock.now_ms()

    async def scenario() -> None:
        await until(lambda: not spool.count and core.values[:3] == [0, 1, 2], "an empty spool")

    check(spool, clock, core, scenario)
    assert all(f.is_backlog for f in core.frames if len(f))
