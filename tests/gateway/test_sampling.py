"""Devices that are read more often because the core asks for it, and only as long as it does."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gatehouse.mqtt import Publisher
from gateway import gateway
from gateway.events import Events
from gateway.sampling import Asked, EveryS
from gateway.schedule import Schedule, Turns
from gateway.settings import load_settings
from telemetry.clock import ManualClock, SystemClock
from telemetry.sampling import LASTS_MAX_S, Sampling, encode_sampling
from telemetry.settings import BrokerSettings
from tests import servers
from tests.gateway.support import FakeModbus, ListSink, until
from tests.gateway.test_gateway import configuration

NOW_MS = 1_795_000_000_000


def word(every_s: Mapping[str, float], for_s: float = 900, time_ms: int = NOW_MS) -> bytes:
    return encode_sampling(Sampling(every_s, for_s, time_ms))


def heard(
    *payloads: bytes, then: Callable[[Asked, ManualClock], None] = lambda *_: None
) -> tuple[list[EveryS], Events]:
    """What drivers are told after these words, and after time has passed."""
    clock = ManualClock(NOW_MS)
    events, applied = Events(clock), list[EveryS]()

    async def run() -> None:
        asked = Asked(clock, events, lambda every_s: applied.append(dict(every_s)))
        task = asyncio.create_task(asked.run())
        for payload in payloads:
            asked.hear(payload)
            await asyncio.sleep(0.01)
        then(asked, clock)
        asked._news.set()  # a manual clock wakes nobody
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
    return applied, events


def test_a_word_holds_until_the_next() -> None:
    applied, _ = heard(word({"level-1": 60}), word({"level-1": 60}), word({"level-1": 30, "level-2": 60}), word({}))
    assert applied == [{"level-1": 60}, {"level-1": 30, "level-2": 60}, {}]


def test_a_word_ends_by_itself() -> None:
    def pass_by(seconds: float) -> Callable[[Asked, ManualClock], None]:
        return lambda _, clock: clock.advance(seconds)

    assert heard(word({"level-1": 60}), then=pass_by(899))[0] == [{"level-1": 60}]
    assert heard(word({"level-1": 60}), then=pass_by(900))[0] == [{"level-1": 60}, {}]


def test_a_word_that_the_broker_kept_counts_from_when_it_was_said() -> None:
    assert heard(word({"level-1": 60}, time_ms=NOW_MS - 901_000))[0] == []
    ending, _ = heard(word({"level-1": 60}, time_ms=NOW_MS - 800_000), then=lambda _, clock: clock.advance(100))
    assert ending == [{"level-1": 60}, {}]


def test_the_same_word_at_each_connection_lasts_no_longer_for_it() -> None:
    """A gateway without a clock of its own thinks that each was said in its future."""

    def again(asked: Asked, clock: ManualClock) -> None:
        for _ in range(10):
            clock.advance(100)
            asked.hear(word({"level-1": 60}, time_ms=NOW_MS + 10**9))

    assert heard(word({"level-1": 60}, time_ms=NOW_MS + 10**9), then=again)[0] == [{"level-1": 60}, {}]


def test_a_word_of_no_time_is_refused() -> None:
    applied, events = heard(b'{"every_s":{"level-1":60},"for_s":900,"time_ms":-' + b"9" * 400 + b"}")
    assert applied == []
    assert any("sampling" in name for name, count in events.counters().items() if count)


def test_a_clock_that_is_behind_makes_no_word_last_longer() -> None:
    ending, _ = heard(word({"level-1": 60}, time_ms=NOW_MS + 10**9), then=lambda _, clock: clock.advance(900))
    assert ending == [{"level-1": 60}, {}]
    assert Sampling({}, 1e9, NOW_MS).left_s(NOW_MS) == LASTS_MAX_S


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[",
        b"{}",
        b'{"every_s":{"a":0.5},"for_s":9,"time_ms":1}',
        b'{"every_s":{"a":-1},"for_s":9,"time_ms":1}',
        b'{"every_s":{"a":"often"},"for_s":9,"time_ms":1}',
        b'{"every_s":{"a":1e999},"for_s":9,"time_ms":1e30}',
    ],
)
def test_what_is_no_such_word_changes_nothing_and_is_counted(payload: bytes) -> None:
    applied, events = heard(word({"level-1": 60}), payload)
    assert applied == [{"level-1": 60}]
    assert events.counters()["sampling_refused"] == 1


# --- on a line --------------------------------------------------------------------------------------------------------


def asked_at(schedule: Schedule, count: int, now_s: float) -> list[tuple[float, int]]:
    found = []
    for _ in range(count):
        unit, wait_s = schedule.next(now_s)
        now_s += wait_s
        found.append((now_s, unit))
        schedule.answered(unit, now_s)
    return found


def test_a_unit_is_asked_more_often_at_once_and_in_its_own_rhythm_afterwards() -> None:
    schedule = Schedule(1, 900, 3600, 0)
    assert asked_at(schedule, 1, 0) == [(0, 0)]
    schedule.pace(0, 60, 100)
    assert asked_at(schedule, 3, 100) == [(160, 0), (220, 0), (280, 0)]
    schedule.pace(0, math.inf, 290)
    assert asked_at(schedule, 2, 290) == [(340, 0), (1240, 0)]


def test_nobody_is_asked_more_rarely_than_the_configuration_says() -> None:
    schedule = Schedule(1, 30, 3600, 0)
    schedule.pace(0, 60, 0)
    assert asked_at(schedule, 2, 0) == [(0, 0), (30, 0)]


def test_who_does_not_answer_is_not_asked_more_often_for_it() -> None:
    schedule = Schedule(2, 100, 3600, 0)
    schedule.failed(0, 1)
    schedule.pace(0, 10, 2)
    schedule.pace(1, 10, 2)
    assert schedule.next(2) == (1, 10)
    schedule.answered(1, 12)
    assert schedule.next(200) == (1, 0)


def test_a_wait_is_cut_short() -> None:
    async def run() -> None:
        clock = SystemClock()
        schedule = Schedule(1, 3600, 3600, clock.monotonic_s())
        turns = Turns(("level-1",), schedule, clock)
        assert await turns.next() == 0
        schedule.answered(0, clock.monotonic_s())
        waiting = asyncio.create_task(turns.next())
        await asyncio.sleep(0.01)
        turns.pace({"level-2": 0.01})
        await asyncio.sleep(0.05)
        assert not waiting.done()
        turns.pace({"level-1": 0.01})
        async with asyncio.timeout(10):
            assert await waiting == 0

    asyncio.run(run())


def test_drivers_follow_also_those_that_begin_later(tmp_path: Path) -> None:
    async def run() -> None:
        device, later = FakeModbus({1: {0: 7}}), FakeModbus({1: {0: 7}})
        await device.start()
        await later.start()
        file = configuration(tmp_path, ("m1", device.port), every_s=3600)
        clock, sink = SystemClock(), ListSink()
        async with asyncio.TaskGroup() as group:
            drivers = gateway.RunningDrivers(group, sink, clock, Events(clock))
            await drivers.change(load_settings(file, {}).drivers)
            await until(lambda: len(device.requests) == 1, "the first reading")
            drivers.pace({"m1": 0.02, "m2": 0.02})
            await until(lambda: len(device.requests) > 4, "readings in a faster rhythm")
            configuration(tmp_path, ("m1", device.port), ("m2", later.port), every_s=3600)
            await drivers.change(load_settings(file, {}).drivers)
            await until(lambda: len(later.requests) > 4, "the second one too")
            drivers.pace({})
            await asyncio.sleep(0.05)
            count = len(device.requests)
            await asyncio.sleep(0.2)
            assert len(device.requests) == count
            await drivers.change(())
        await device.stop()
        await later.stop()

    asyncio.run(run())


# --- through a broker -------------------------------------------------------------------------------------------------


@pytest.mark.integration
def test_a_retained_word_reaches_a_gateway_and_its_devices(tmp_path: Path) -> None:
    topic = "gatehouse/v1/s/g/sampling"

    async def run(port: int) -> None:
        device = FakeModbus({1: {0: 7}})
        await device.start()
        file = configuration(tmp_path, ("m1", device.port), every_s=3600)
        told: dict[str, Any] = json.loads(file.read_text())
        broker = BrokerSettings(host="127.0.0.1", port=port)
        file.write_text(json.dumps(told | {"broker": broker.model_dump(mode="json"), "drain_on_stop_s": 0}))
        clock, stop = SystemClock(), asyncio.Event()
        core = Publisher(broker, "core-out")
        await until(core._client.is_connected, "the core's connection")
        core.publish(topic, word({"m1": 1}, time_ms=clock.now_ms()), True)
        task = asyncio.create_task(gateway.run(load_settings(file, {}), clock, stop))
        await until(lambda: len(device.requests) >= 3, "readings in the rhythm that is asked for")
        core.publish(topic, word({}, time_ms=clock.now_ms()), True)
        await asyncio.sleep(1.5)
        count = len(device.requests)
        await asyncio.sleep(2.5)
        assert len(device.requests) == count
        core.close()
        stop.set()
        async with asyncio.timeout(10):
            await task
        await device.stop()

    with servers.mosquitto(tmp_path) as port:
        asyncio.run(run(port))
