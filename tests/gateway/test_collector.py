"""Readings of all drivers become frames; a disk that refuses, a budget that is used up, a queue that is full."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from gateway.collector import Collector, GroupLimits
from gateway.events import Events
from gateway.spool import Spool, SpoolFull
from telemetry import frames
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from telemetry.reading import Reading
from tests.gateway.support import ignore, until

LIMITS = GroupLimits(gather_s=0.02, readings_max=5, queue_readings_max=10, retry_s=0.01)


class MoodySpool(Spool):
    """A spool whose disk can be made to refuse."""

    mood: Unavailable | None = None
    tries = 0

    def append(self, columns: bytes) -> int:
        self.tries += 1
        if self.mood is not None:
            raise self.mood
        return super().append(columns)


def readings(count: int, device: str = "mh-1") -> list[Reading]:
    return [Reading(device, "level", number, float(number)) for number in range(count)]


def counts(spool: Spool) -> list[int]:
    """Readings in each frame."""
    stored = spool.frames(spool.live, 0, 1000, 10_000_000)
    return [len(frames.decode(frames.encode("g", "e", s.offset, 1, s.payload))) for s in stored]


def check(
    folder: Path,
    scenario: Callable[[Collector, MoodySpool, Events], Awaitable[None]],
    limits: GroupLimits = LIMITS,
    judge: Callable[[Sequence[Reading]], None] = ignore,
    refused: Callable[[Sequence[Reading]], None] = ignore,
) -> MoodySpool:
    """Run a scenario beside the collector, then close it and let it end."""
    clock = ManualClock()
    spool, events = MoodySpool(folder / "spool", clock), Events(clock)

    async def run() -> None:
        collector = Collector(spool, events, judge, ignore, refused, limits)
        task = asyncio.create_task(collector.run())
        await scenario(collector, spool, events)
        collector.close()
        async with asyncio.timeout(10):
            await task
        assert collector.queued == 0

    asyncio.run(run())
    return spool


def test_what_comes_in_one_moment_becomes_one_frame(tmp_path: Path) -> None:
    async def scenario(collector: Collector, spool: MoodySpool, _: Events) -> None:
        await asyncio.gather(collector.keep(readings(1, "a")), collector.keep(readings(2, "b")))
        assert counts(spool) == [3]
        assert collector.last_ms == 1

    check(tmp_path, scenario)


def test_keep_returns_when_the_frame_is_on_disk_and_not_before(tmp_path: Path) -> None:
    async def scenario(collector: Collector, spool: MoodySpool, _: Events) -> None:
        kept = asyncio.create_task(collector.keep(readings(1)))
        await asyncio.sleep(0)
        assert not kept.done() and spool.live.last == 0
        await kept
        assert spool.live.last == 1

    check(tmp_path, scenario)


def test_a_full_group_does_not_wait_for_the_gathering_to_end(tmp_path: Path) -> None:
    async def scenario(collector: Collector, _spool: MoodySpool, _: Events) -> None:
        async with asyncio.timeout(5):
            await collector.keep(readings(5))

    check(tmp_path, scenario, GroupLimits(gather_s=3600, readings_max=5, queue_readings_max=10))


def test_a_frame_holds_no_more_than_its_limit_unless_one_batch_does(tmp_path: Path) -> None:
    async def scenario(collector: Collector, spool: MoodySpool, _: Events) -> None:
        await asyncio.gather(*(collector.keep(readings(2)) for _ in range(4)), collector.keep(readings(9)))
        assert counts(spool) == [4, 4, 9]

    check(tmp_path, scenario)


def test_what_is_queued_when_it_closes_is_still_written(tmp_path: Path) -> None:
    async def scenario(collector: Collector, _spool: MoodySpool, _: Events) -> None:
        await collector.offer(readings(2))

    assert counts(check(tmp_path, scenario)) == [2]


def test_after_a_disk_error_nothing_is_lost_and_the_waiters_wait(tmp_path: Path) -> None:
    async def scenario(collector: Collector, spool: MoodySpool, events: Events) -> None:
        spool.mood = Unavailable("disk I/O error")
        kept = asyncio.create_task(collector.keep(readings(3)))
        await until(lambda: events.counters().get("outages") == 1, "an outage")
        assert not kept.done() and collector.queued == 3
        spool.mood = None
        await kept
        assert counts(spool) == [3]

    check(tmp_path, scenario)


def test_a_full_queue_blocks_until_there_is_room(tmp_path: Path) -> None:
    async def scenario(collector: Collector, spool: MoodySpool, _: Events) -> None:
        spool.mood = Unavailable("disk I/O error")
        await collector.offer(readings(5))
        await collector.offer(readings(5))
        blocked = asyncio.create_task(collector.offer(readings(1)))
        await until(lambda: spool.tries >= 1, "a try")
        assert not blocked.done() and collector.queued == 10
        spool.mood = None
        await blocked
        await until(lambda: sum(counts(spool)) == 11, "everything written")

    check(tmp_path, scenario)


def test_a_used_up_budget_refuses_aloud_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async def scenario(collector: Collector, spool: MoodySpool, events: Events) -> None:
        spool.mood = SpoolFull("the budget")
        await collector.offer(readings(2))
        with pytest.raises(SpoolFull):
            await collector.keep(readings(1))
        assert events.counters()["refused"] == 3
        assert events.counters()["readings"] == 0
        spool.mood = None
        await collector.keep(readings(1))
        told, kept = spool.frames(spool.live, 0, 10, 1000)
        gaps = frames.decode(frames.encode("g", "e", 1, 1, told.payload)).gaps
        assert [gap.missing for gap in gaps] == [2]  # whoever waited keeps theirs
        assert len(frames.decode(frames.encode("g", "e", 1, 1, kept.payload))) == 1

    check(tmp_path, scenario)


def test_closing_while_the_disk_refuses_ends_and_counts_what_is_lost(tmp_path: Path) -> None:
    lost = Events(ManualClock())

    async def scenario(collector: Collector, spool: MoodySpool, events: Events) -> None:
        nonlocal lost
        lost = events
        spool.mood = Unavailable("disk I/O error")
        await collector.offer(readings(2))
        await until(lambda: spool.tries >= 1, "a try")

    check(tmp_path, scenario)
    assert lost.counters()["lost"] == 2


def test_a_waiter_that_gives_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    async def scenario(collector: Collector, spool: MoodySpool, _: Events) -> None:
        impatient = asyncio.create_task(collector.keep(readings(1)))
        patient = asyncio.create_task(collector.keep(readings(1)))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        assert counts(spool) == [2]

    check(tmp_path, scenario)


def test_a_reading_is_judged_once_and_at_once_whatever_the_disk_says(tmp_path: Path) -> None:
    judged: list[Reading] = []

    async def scenario(collector: Collector, spool: MoodySpool, _: Events) -> None:
        spool.mood = Unavailable("disk I/O error")
        await collector.offer(readings(5, "a"))
        assert judged == readings(5, "a")
        await until(lambda: spool.tries >= 3, "some tries")
        await collector.offer(readings(5, "b"))  # behind a group that cannot be written
        blocked = asyncio.create_task(collector.offer(readings(1, "c")))  # and before a queue that is full
        await asyncio.sleep(0)
        assert judged == readings(5, "a") + readings(5, "b") + readings(1, "c")
        spool.mood = None
        await blocked
        await until(lambda: sum(counts(spool)) == 11, "everything written")

    check(tmp_path, scenario, judge=judged.extend)
    assert len(judged) == 11


def test_what_was_judged_and_then_refused_to_whoever_waits_is_said(tmp_path: Path) -> None:
    refused: list[Reading] = []

    async def scenario(collector: Collector, spool: MoodySpool, _: Events) -> None:
        spool.mood = SpoolFull("the budget")
        await collector.offer(readings(2, "a"))
        with pytest.raises(SpoolFull):
            await collector.keep(readings(1, "b"))

    check(tmp_path, scenario, refused=refused.extend)
    assert refused == readings(1, "b")
