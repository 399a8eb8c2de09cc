"""Alarms judged at the gateway: the same as the core's, with the same ids, whatever the core is doing."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerts.alarm import What
from alerts.engine import Engine
from alerts.program import Program, compile_rules
from alerts.rules import load_rules
from gateway.events import Events
from gateway.local_alarms import LocalAlarms
from gateway.settings import LocalAlarmSettings
from gateway.spool import Spool
from telemetry import frames
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock
from telemetry.identity import alarm_id
from telemetry.journal import Kind, Stored
from telemetry.quality import Quality
from telemetry.reading import Reading, encode_readings
from telemetry.series import ONLINE, SeriesRegistry
from tests import district

T0 = 1_795_000_000_000
LEVEL = {"rule": "drain", "device": "level-1", "metric": "level", "at_least": 1.5, "clear": 1.0, "output": "lamp"}
FEVER = {"rule": "fever", "device": "scanner", "metric": "skin_temperature", "at_least": 37.3, "per_passage": True}


class SlewedClock(ManualClock):
    """A clock that is not only set but then moved a little, as those who keep clocks right do."""

    def step(self, milliseconds: int) -> None:
        self._now_ms += milliseconds


class Gateway:
    """Local alarms with their lamps."""

    def __init__(self, folder: Path, *entries: dict[str, Any], clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock(T0)
        self.spool = Spool(folder, self.clock)
        self.lamps: dict[str, bool] = {}
        declared = [LocalAlarmSettings.model_validate({"output": "lamp", **entry}) for entry in entries]
        self.alarms = LocalAlarms(declared, self.spool, Events(self.clock), self.lamps.__setitem__, lambda: None)

    def at(self, seconds: float, value: float, quality: Quality = Quality.GOOD) -> None:
        self.clock.advance(T0 / 1000 + seconds - self.clock.now_ms() / 1000)
        self.alarms.judge([Reading("level-1", "level", T0 + round(seconds * 1000), value, quality)])

    def passes(self, key: str | None, value: float, seconds: float = 0, quality: Quality = Quality.GOOD) -> None:
        self.alarms.judge([Reading("scanner", "skin_temperature", T0 + round(1000 * seconds), value, quality, key)])

    @property
    def open(self) -> list[dict[str, Any]]:
        return [alarm for alarm in self.alarms.told() if alarm["cleared_ms"] is None]

    def written(self) -> None:
        """Let the alarms keep what they know, once."""

        async def briefly() -> None:
            task = asyncio.create_task(self.alarms.run())
            await asyncio.sleep(0.05)
            task.cancel()

        asyncio.run(briefly())


def test_a_level_raises_at_the_limit_and_is_over_strictly_past_the_clear_limit(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, LEVEL)
    assert gateway.lamps == {"lamp": False}
    gateway.at(0, 1.499)
    assert not gateway.open
    gateway.at(1, 1.5)
    (alarm,) = gateway.open
    assert alarm["id"] == alarm_id("drain", "level-1", "level", None, T0 + 1000)
    assert (alarm["onset_ms"], alarm["raised_ms"], alarm["severity"]) == (T0 + 1000, T0 + 1000, None)
    assert gateway.lamps == {"lamp": True}
    gateway.at(2, 1.0)
    assert gateway.open
    gateway.at(3, 0.999)
    (alarm,) = gateway.alarms.told()
    assert alarm["cleared_ms"] == T0 + 3000 and gateway.lamps == {"lamp": False}


def test_only_good_readings_clear_and_bad_ones_do_nothing(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, LEVEL)
    gateway.at(0, 2.0, Quality.BAD)
    assert not gateway.open
    gateway.at(1, 2.0, Quality.SUSPECT)
    assert gateway.open
    gateway.at(2, 0.5, Quality.SUSPECT)
    gateway.at(3, 0.5, Quality.BAD)
    assert gateway.open
    gateway.at(2.5, 0.5)
    assert not gateway.open


def test_a_reading_that_is_not_newer_counts_for_nothing(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, LEVEL)
    gateway.at(5, 1.2)
    gateway.alarms.judge([Reading("level-1", "level", T0 + 5000, 2.0), Reading("level-1", "level", T0 + 4000, 2.0)])
    assert not gateway.open


def test_a_reading_from_the_future_counts_from_its_arrival_and_keeps_no_other_out(tmp_path: Path) -> None:
    ahead_ms = T0 + 10**11
    gateway = Gateway(tmp_path, LEVEL)
    gateway.alarms.judge([Reading("level-1", "level", ahead_ms, 0.5)])
    gateway.at(1, 1.6)
    assert gateway.open[0]["onset_ms"] == T0 + 1000
    gateway.alarms.judge([Reading("level-1", "level", ahead_ms, 0.5)])
    assert gateway.open  # as a suspect one: it clears nothing
    gateway.at(3, 0.5)
    assert not gateway.open
    gateway.clock.advance(1)
    gateway.alarms.judge([Reading("level-1", "level", ahead_ms, 1.6)])
    assert gateway.open[0]["onset_ms"] == T0 + 4000


def test_a_clock_that_was_set_back_keeps_no_reading_out(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {**LEVEL, "for_s": 20}, clock=SlewedClock(T0))
    gateway.at(7200, 1.6)
    gateway.clock.step(-7_200_000)  # type: ignore[attr-defined]
    gateway.alarms.judge([Reading("level-1", "level", T0 + 1000, 1.6), Reading("level-1", "level", T0 + 21_000, 1.6)])
    assert gateway.open[0]["onset_ms"] == T0 + 1000


def test_a_breach_must_last_and_lasts_by_time_alone_while_its_reading_is_fresh(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {**LEVEL, "for_s": 20})
    gateway.at(0, 1.6)
    gateway.at(19, 1.6)
    gateway.alarms.tick()
    assert not gateway.open
    gateway.clock.advance(1)
    gateway.alarms.tick()
    assert gateway.open[0]["onset_ms"] == T0
    late = Gateway(tmp_path / "late", {**LEVEL, "for_s": 600})
    late.at(0, 1.6)
    late.clock.advance(601)
    late.alarms.tick()
    assert not late.open  # nobody has heard of it for too long


@pytest.mark.parametrize(("pause_s", "onset_s"), [(3600, 0), (3601, 3601)])
def test_through_a_long_silence_no_breach_has_lasted(tmp_path: Path, pause_s: int, onset_s: int) -> None:
    gateway = Gateway(tmp_path, {**LEVEL, "for_s": 600})
    gateway.at(0, 2.0)
    gateway.at(pause_s, 2.0)
    gateway.at(pause_s + 600, 2.0)
    assert [alarm["onset_ms"] for alarm in gateway.open] == [T0 + 1000 * onset_s]


def test_a_clock_that_is_set_ahead_makes_no_breach_last(tmp_path: Path) -> None:
    """Found by the simulated district (seed 1036): the lamp went on for a kettle."""
    clock = SlewedClock(T0)
    gateway = Gateway(tmp_path, {**LEVEL, "for_s": 20}, clock=clock)
    gateway.at(0, 1.6)
    clock.step(30_000)
    gateway.alarms.tick()
    assert not gateway.open
    clock.advance(20)
    gateway.alarms.tick()
    assert gateway.open[0]["onset_ms"] == T0


def test_each_passage_is_judged_alone_and_over_when_measured_again(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, FEVER)
    gateway.passes("p1", 37.3)
    gateway.passes("p2", 36.5, 1)
    gateway.passes("p1", 36.5)  # of the same moment: no second measurement
    gateway.passes("p1", 36.5, 2, Quality.SUSPECT)
    assert [alarm["key"] for alarm in gateway.open] == ["p1"]
    gateway.passes("p1", 36.5, 3)
    assert not gateway.open and gateway.lamps == {"lamp": False}
    gateway.passes("p1", 37.3)  # the scanner pushed it once more
    assert not gateway.open
    gateway.passes(None, 39.0, 4)
    assert gateway.open[0]["key"] == f"t{T0 + 4000}"


def test_of_a_passage_the_worst_that_was_measured_is_shown(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, FEVER, {**FEVER, "at_least": 38.5})
    for seconds, value in enumerate((37.5, 38.9, 37.6)):
        gateway.passes("p1", value, seconds)
    (person,) = gateway.alarms.people()
    assert (person.value, person.limit) == (38.9, 38.5)
    gateway.alarms.ask(person.id)
    gateway.passes("p1", 39.5, 10)
    (person,) = gateway.alarms.people()
    assert (person.value, person.measured) == (38.9, 39.5)


def test_a_passage_that_was_refused_and_comes_again_raises_once_and_as_what_the_core_will_know(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, FEVER)

    def refused(key: str, seconds: float) -> None:
        gateway.passes(key, 38.0, seconds)
        gateway.alarms.refused([Reading("scanner", "skin_temperature", T0 + round(1000 * seconds), 38.0, key=key)])

    refused("p1", 1)
    gateway.passes("p1", 38.0, 1)  # with its own time
    gateway.passes("p1", 38.5, 2)  # measured again
    refused("p2", 3)
    refused("p2", 4)
    gateway.passes("p2", 38.0, 5)  # without a time: the gateway's
    assert gateway.lamps == {"lamp": True}
    expected = [("p1", T0 + 1000), ("p2", T0 + 5000)]
    assert [(alarm["key"], alarm["onset_ms"]) for alarm in gateway.open] == expected
    assert [alarm["id"] for alarm in gateway.open] == [
        alarm_id("fever", "scanner", "skin_temperature", key, onset_ms) for key, onset_ms in expected
    ]
    assert len(gateway.alarms.told()) == 2


def test_a_passage_that_nobody_measures_again_is_over_after_its_time(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {**FEVER, "passage_s": 60})
    gateway.passes("p1", 38.0, -3600)  # the scanner had kept it for an hour
    gateway.clock.advance(59)
    gateway.alarms.tick()
    assert gateway.lamps == {"lamp": True}
    gateway.clock.advance(1)
    gateway.alarms.tick()
    assert gateway.lamps == {"lamp": False}


def test_what_is_told_and_open_is_bounded(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, FEVER)
    for number in range(500):
        gateway.passes(f"p{number}", 38.0, number)
    assert len(gateway.open) == 200 and len(gateway.alarms.told()) == 220
    assert gateway.open[0]["key"] == "p300"


def test_two_levels_of_a_rule_are_one_alarm_with_two_lamps(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, LEVEL, {**LEVEL, "at_least": 2.0, "clear": None, "output": "siren"})
    gateway.at(0, 1.6)
    assert gateway.lamps == {"lamp": True, "siren": False}
    gateway.at(1, 2.0)
    assert gateway.lamps == {"lamp": True, "siren": True} and len(gateway.open) == 1
    gateway.at(2, 1.9)
    assert gateway.lamps == {"lamp": True, "siren": False} and len(gateway.open) == 1
    gateway.at(3, 0.5)
    assert gateway.lamps == {"lamp": False, "siren": False} and not gateway.open


def test_an_alarm_begins_with_the_first_of_the_levels_that_fire_together(tmp_path: Path) -> None:
    higher = {**LEVEL, "at_least": 2.0, "for_s": 20}
    gateway = Gateway(tmp_path, higher, {**LEVEL, "for_s": 30})
    gateway.at(0, 1.6)
    gateway.at(10, 2.0)
    gateway.at(40, 2.0)
    assert gateway.open[0]["onset_ms"] == T0


def test_alarms_and_what_was_waiting_survive_a_restart(tmp_path: Path) -> None:
    slow = {**LEVEL, "rule": "slow", "for_s": 60}
    gateway = Gateway(tmp_path, LEVEL, slow, FEVER)
    gateway.at(0, 1.6)
    gateway.passes("p1", 38.0, 1)
    gateway.written()
    told = gateway.alarms.told()
    again = Gateway(tmp_path, LEVEL, slow, FEVER, clock=ManualClock(T0 + 30_000))
    assert again.alarms.told() == told and len(told) == 2 and again.lamps == {"lamp": True}
    again.at(60, 1.6)
    assert {alarm["rule"]: alarm["onset_ms"] for alarm in again.open} == {"drain": T0, "slow": T0, "fever": T0 + 1000}
    again.at(61, 0.5)
    again.written()
    third = Gateway(tmp_path, LEVEL, slow, FEVER, clock=ManualClock(T0 + 62_000))
    assert [alarm["rule"] for alarm in third.open] == ["fever"]
    fourth = Gateway(tmp_path, LEVEL, clock=ManualClock(T0 + 63_000))
    assert not fourth.open and fourth.lamps == {"lamp": False}  # its entry is gone


def test_a_breach_that_ended_before_a_restart_does_not_count_after_it(tmp_path: Path) -> None:
    slow = {**LEVEL, "for_s": 60}
    gateway = Gateway(tmp_path, slow)
    gateway.at(0, 1.6)
    gateway.written()
    gateway.at(10, 0.5)
    gateway.written()
    again = Gateway(tmp_path, slow, clock=ManualClock(T0 + 30_000))
    again.at(70, 1.6)
    assert not again.open


def test_a_gateway_without_a_clock_judges_and_names_its_alarms_when_it_knows_the_time(tmp_path: Path) -> None:
    clock = ManualClock(1000)
    gateway = Gateway(tmp_path, {**LEVEL, "for_s": 20}, FEVER, clock=clock)
    clock.advance(5)
    gateway.alarms.judge([Reading("level-1", "level", 5_000, 1.6), Reading("scanner", "skin_temperature", 5_000, 38.0)])
    assert gateway.lamps == {"lamp": True} and gateway.alarms.told() == []
    gateway.spool.timekeeper.heard(T0 + 5_000)
    clock.advance(3)
    gateway.alarms.judge([Reading("level-1", "level", T0 + 8_000, 1.6)])
    assert [alarm["rule"] for alarm in gateway.open] == ["fever"]
    assert (gateway.open[0]["key"], gateway.open[0]["onset_ms"]) == (f"t{T0 + 5000}", T0 + 5000)
    gateway.alarms.judge([Reading("level-1", "level", T0 + 25_000, 1.6)])
    assert [alarm["onset_ms"] for alarm in gateway.open if alarm["rule"] == "drain"] == [T0 + 5000]


def test_after_a_restart_without_a_clock_readings_are_judged(tmp_path: Path) -> None:
    slow = {**LEVEL, "rule": "slow", "at_least": 3.0, "for_s": 20}
    gateway = Gateway(tmp_path, LEVEL, slow)
    gateway.at(0, 3.0)
    gateway.at(1, 0.5)
    gateway.at(2, 3.0)
    gateway.at(3, 1.2)
    gateway.at(4, 3.5)
    gateway.written()
    clock = ManualClock(1000)
    again = Gateway(tmp_path, LEVEL, slow, clock=clock)
    assert again.lamps == {"lamp": True}

    def after(seconds: float, value: float) -> None:
        clock.advance(seconds)
        again.alarms.judge([Reading("level-1", "level", again.spool.timekeeper.now_ms(), value)])

    after(5, 1.2)  # not below where it clears
    assert again.lamps == {"lamp": True}
    after(5, 0.5)
    assert again.lamps == {"lamp": False}
    after(5, 3.5)
    assert again.lamps == {"lamp": True}
    after(20, 3.5)
    again.spool.timekeeper.heard(T0 + 100_000)
    clock.advance(3)
    again.alarms.tick()
    assert {a["rule"]: a["onset_ms"] for a in again.open} == {"drain": T0 + 80_000, "slow": T0 + 80_000}


def test_after_a_restart_without_a_clock_a_lamp_goes_out_some_time(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, FEVER)
    gateway.passes("p1", 38.0)
    gateway.written()
    clock = ManualClock(1000)
    again = Gateway(tmp_path, FEVER, clock=clock)
    again.alarms.tick()
    assert again.lamps == {"lamp": True}
    clock.advance(301)
    again.alarms.tick()
    assert again.lamps == {"lamp": False} and len(again.alarms.people()) == 1


def test_alarm_and_frame_of_one_reading_have_the_same_time_though_the_clock_is_slewed(tmp_path: Path) -> None:
    clock = SlewedClock(0)
    gateway = Gateway(tmp_path, LEVEL, clock=clock)
    clock.advance(5)
    reading = Reading("level-1", "level", 5_000, 1.6)
    gateway.alarms.judge([reading])
    gateway.spool.append(encode_readings([reading]))
    clock.step(T0)
    gateway.spool.place()
    clock.step(3)
    gateway.alarms.tick()
    gateway.spool._begin_live()
    gateway.spool.append(encode_readings([reading]))  # it stood in a queue meanwhile
    frames_sent = [stored for lane in gateway.spool.lanes for stored in gateway.spool.frames(lane, 0, 10, 10_000)]
    times = {frames.decode(frames.encode("g", "e", 1, 1, each.payload)).time_ms[0] for each in frames_sent}
    assert {alarm["onset_ms"] for alarm in gateway.open} == times == {T0 + 5_000}


RULES = """
rules:
  - {id: high, type: level, class: drain, name: A, metric: level, reopen_within_s: 0, flap_slot_s: 0.001,
     raise_after_s: 20, hold_max_s: 300,
     levels: [{severity: high, at_least: 2.0, clear: 1.0}, {severity: critical, at_least: 3.0}]}
  - {id: low, type: level, class: drain, name: B, metric: level, reopen_within_s: 0, flap_slot_s: 0.001,
     levels: [{severity: high, at_most: 1.0, clear: 2.0}]}
  - {id: fever, type: level, class: fever, name: C, metric: skin_temperature, per_passage: true,
     levels: [{severity: high, at_least: 2.0}]}
"""
ENTRIES = [
    {"rule": "high", "device": "level-1", "metric": "level", "at_least": 2.0, "clear": 1.0, "for_s": 20},
    {"rule": "high", "device": "level-1", "metric": "level", "at_least": 3.0, "for_s": 20},
    {"rule": "low", "device": "level-1", "metric": "level", "at_most": 1.0, "clear": 2.0},
    {**FEVER, "at_least": 2.0, "passage_s": 10**8},
]


@cache
def program() -> tuple[SeriesRegistry, Program]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        district.write_district(folder)
        (folder / "rules" / "all.yaml").write_text(RULES, encoding="utf-8")
        catalogue = Catalogue.load(folder / "catalogue")
        registry = SeriesRegistry([*catalogue.metric, ("gw-east", ONLINE), ("gw-west", ONLINE)])
        return registry, compile_rules(load_rules(folder / "rules", catalogue), catalogue, registry)


# Values from the limits and their neighbours, gaps around the hold time.
moves = st.tuples(
    st.sampled_from([0, 10_000, 19_000, 20_000, 21_000]),
    st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
    st.sampled_from([0, 0, 0, 0, 1, 2]),
    st.sampled_from(["level", "level", "level", "skin_temperature"]),
    st.sampled_from([None, "p1", "p2"]),
    st.booleans(),  # whether a tick of the clock follows
)


@settings(deadline=None)
@example(
    [(0, 0.5, 0, "level", None, False)] * 18
    + [(10_000, 2.0, 0, "level", None, False), (20_000, 0.5, 2, "level", None, False)]
)
@example(
    [(0, 0.5, 0, "level", None, False)] * 18
    + [
        (10_000, 2.0, 0, "level", None, False),
        (20_000, 0.5, 0, "skin_temperature", None, True),
        (0, 1.0, 0, "level", None, False),
    ]
)
@example(
    [(0, 0.5, 0, "level", None, False)] * 18
    + [
        (10_000, 2.5, 0, "skin_temperature", "p1", False),
        (10_000, 1.0, 0, "skin_temperature", "p1", False),
        (0, 2.5, 0, "skin_temperature", "p1", False),
    ]
)
@given(st.lists(moves, min_size=20, max_size=60))
def test_the_gateways_alarms_are_those_of_the_core(
    history: list[tuple[int, float, int, str, str | None, bool]],
) -> None:
    registry, rules = program()
    engine = Engine(rules)
    raised: dict[str, tuple[str, int]] = {}
    ended: dict[str, int] = {}
    seen: dict[str, tuple[str, int]] = {}
    seen_ended: dict[str, int] = {}
    with TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder), *ENTRIES)
        time_ms = newest_ms = T0
        for number, (gap_ms, value, quality, metric, key, ticks) in enumerate(history, 1):
            time_ms += gap_ms
            # The core counts the time in which it listens, a tick a second.
            quiet = [(Kind.TICK, t, b"connected") for t in range(newest_ms + 1000, time_ms, 1000)]
            newest_ms = max(newest_ms, time_ms)
            gateway.clock.advance((newest_ms - gateway.clock.now_ms()) / 1000)
            device = "level-1" if metric == "level" else "scanner"
            passage = None if metric == "level" else key
            keys = {} if passage is None else {0: passage}
            batch = ReadingBatch(
                np.array([registry.index[device, metric]], np.uint32),
                np.array([time_ms], np.int64),
                np.array([value], np.float64),
                np.array([quality], np.uint8),
                keys,
            )
            gateway.alarms.judge([Reading(device, metric, time_ms, value, Quality(quality), passage)])
            records = [*quiet, (Kind.READINGS, newest_ms, encode_batch(batch))]
            if ticks or number == len(history):
                gateway.alarms.tick()
                records.append((Kind.TICK, newest_ms, b"connected"))
            for kind, known_ms, payload in records:
                effects = engine.apply(Stored(1, kind, known_ms, payload))
                for step in effects.transitions:
                    alarm = effects.alarms[step.alarm]
                    if step.what is What.RAISED:
                        raised[alarm.id] = (alarm.rule, alarm.onset_ms)
                    if step.what is What.RETURNED:
                        ended[alarm.id] = step.event_ms
            for told in gateway.alarms.told():
                seen[told["id"]] = (told["rule"], told["onset_ms"])
                if told["cleared_ms"] is not None:
                    seen_ended[told["id"]] = told["cleared_ms"]
        assert (seen, seen_ended) == (raised, ended)
        gateway.spool.close()


@pytest.mark.parametrize("written", [b"", b"nonsense", b"{}", b'{"open": 3}'])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, written: bytes) -> None:
    gateway = Gateway(tmp_path, LEVEL)
    gateway.spool.remember("alarms", written)
    assert Gateway(tmp_path, LEVEL).alarms.told() == []
