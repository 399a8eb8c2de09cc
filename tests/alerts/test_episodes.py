"""Outages that are made up for: the outcome must be that of an undisturbed run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alarm import LATE_DATA, Alarm, Transition, What
from alerts.conditions import RETRACTED, Conditions
from alerts.engine import Engine
from alerts.lifecycle import PENDING
from alerts.past import partners
from alerts.program import Program, compile_rules
from alerts.rule import Severity
from alerts.rules import RuleFile
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.identity import alarm_id
from telemetry.journal import Kind, Stored
from telemetry.series import ONLINE, SeriesRegistry
from tests.oracles.lifecycle import Condition

T0 = 1_795_000_000_000
GATEWAYS = {"a1": "gw-a", "a2": "gw-a", "b1": "gw-b"}

Row = tuple[str, float, int, int]
"""(device, value, seconds after T0, quality)."""


def compiled(declared: Mapping[str, Mapping[str, object]], **common: object) -> Program:
    """Rules over three levels behind two gateways."""
    common = {"class": "drain", "metric": "level", "reopen_within_s": 0, **common}
    rules = RuleFile.model_validate({"rules": [{"id": n, "name": n, **common, **rule} for n, rule in declared.items()]})
    catalogue = Catalogue.model_validate(
        CatalogueFile.model_validate(
            {
                "sites": [{"id": "east", "name": "East"}],
                "kinds": [{"id": "drain-level", "name": "L", "metrics": [{"id": "level", "name": "L", "unit": "m"}]}],
                "gateways": [{"id": g, "name": g, "site": "east"} for g in ("gw-a", "gw-b")],
                "places": [{"id": "drains", "name": "Drains", "kind": "drain", "site": "east"}],
                "devices": [
                    {"id": d, "kind": "drain-level", "place": "drains", "gateway": g} for d, g in GATEWAYS.items()
                ],
            }
        ).model_dump()
    )
    registry = SeriesRegistry([*catalogue.metric, ("gw-a", ONLINE), ("gw-b", ONLINE)])
    return compile_rules(rules.rules, catalogue, registry)


@cache
def program(reopen_s: float = 0) -> Program:
    """Two levels with a dead band and an end that must last, a breach that must last, a rate, a forecast."""
    high, critical = {"severity": "high", "at_least": 10}, {"severity": "critical", "at_least": 20}
    soon = [{"severity": "medium", "at_most": 10}, {"severity": "high", "at_most": 3}]
    declared: dict[str, dict[str, object]] = {
        "level": {"type": "level", "levels": [high, critical], "deadband": 2, "clear_after_s": 20},
        "lasts": {
            "type": "level",
            "levels": [high, critical],
            "raise_after_s": 20,
            "hold_max_s": 15,
            "clear_after_s": 5,
        },
        "twice": {"type": "level", "levels": [high], "raise_after_s": 5, "raise_count": 2},
        "low": {"type": "level", "levels": [{"severity": "low", "at_most": 5, "clear": 8}]},
        "rate": {"type": "rate", "window_readings": 8, "levels": [high, critical], "raise_after_s": 10},
        "soon": {"type": "forecast", "window_readings": 8, "target": 40, "levels": soon},
    }
    return compiled(declared, reopen_within_s=reopen_s, flap_slot_s=0.001)


@dataclass
class World:
    """An engine and its journal."""

    journal: list[Stored] = field(default_factory=list)
    steps: list[Transition] = field(default_factory=list)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    incomplete: list[str] = field(default_factory=list)
    too_late: int = 0
    held_from: int = 1  # what is before was trimmed away
    crash_at: int = 0
    reopen_s: float = 0
    by: Program | None = None  # other rules than the usual ones

    def __post_init__(self) -> None:
        self.program = self.by or program(self.reopen_s)
        self.engine = Engine(self.program, self.reread)

    def reread(self, after: int, through: int) -> Iterator[Stored]:
        return (r for r in self.journal if after < r.offset <= through and r.offset >= self.held_from)

    def take(self, kind: Kind, second: float, payload: bytes) -> None:
        record = Stored(len(self.journal) + 1, kind, T0 + round(second * 1000), payload)
        if record.offset == self.crash_at:
            saved = self.engine.save()
            self.engine = Engine(self.program, self.reread)
            assert not self.engine.load(saved, T0).transitions
            # The alarms that people know of are the engine's own again.
            self.alarms |= {alarm.id: alarm for alarm in self.engine.open_alarms}
        self.journal.append(record)
        effects = self.engine.apply(record)
        self.steps += effects.transitions
        self.alarms |= effects.alarms
        self.incomplete += effects.incomplete
        self.too_late += effects.too_late

    def switch(self, rules: Program, second: float) -> None:
        """Other rules hold from now on."""
        record = Stored(len(self.journal) + 1, Kind.RULES, T0 + round(second * 1000), b"")
        self.journal.append(record)
        settled = self.engine.before_other_rules(record)
        before, saved = self.program, self.engine.save()
        self.program, self.engine = rules, Engine(rules, self.reread)
        effects = self.engine.load(saved, record.time_ms, before)
        self.steps += [*settled.transitions, *effects.transitions]
        self.alarms |= settled.alarms | {alarm.id: alarm for alarm in self.engine.open_alarms} | effects.alarms

    def command(self, second: float, action: str, alarm: Alarm, **more: object) -> None:
        body = {"id": f"{action}{second}", "action": action, "alarm": alarm.id, "seq": alarm.seq, "actor": "li", **more}
        self.take(Kind.COMMAND, second, json.dumps(body).encode())

    def live(self, second: float, *rows: Row, **behind: int) -> None:
        self.take(Kind.READINGS, second, payload(rows, behind))

    def backlog(self, second: float, *rows: Row, **behind: int) -> None:
        self.take(Kind.BACKLOG, second, payload(rows, behind))

    def ticks(self, first: int, last: int) -> None:
        for second in range(first, last + 1):
            self.take(Kind.TICK, second, b"connected")

    def close(self, second: float, device: str, rule: str) -> None:
        self.command(second, "close", self.open(rule, device))

    def open(self, rule: str, device: str = "a1") -> Alarm:
        (alarm,) = [a for a in self.engine.open_alarms if (a.rule, a.device) == (rule, device)]
        return alarm

    def of(self, rule: str, device: str = "a1") -> list[Alarm]:
        return sorted(
            (a for a in self.alarms.values() if (a.rule, a.device) == (rule, device)), key=lambda a: a.onset_ms
        )

    def said(self, alarm: Alarm) -> list[tuple[str, str]]:
        return [(step.what.value, step.reason) for step in self.steps if step.alarm == alarm.id]

    def occurrences(self) -> list[tuple[object, ...]]:
        """Everything that was, without what was taken back."""
        return sorted(
            (a.rule, a.device, (a.onset_ms - T0) // 1000, a.severity_max.word, str(_seconds(a.closed_ms)))
            for a in self.alarms.values()
            if a.closed_reason != RETRACTED
        )

    def state(self) -> list[Any]:
        now: Conditions = self.engine._conditions
        # What was seen counts only while something waits; batches leave different things behind elsewhere.
        ring = np.where(now.state == PENDING, now.ring, 0)
        arrays: list[Any] = [now.state, now.since_ms, ring, now.last_ms, np.nan_to_num(now.last_value, nan=-1.0)]
        for detector in now.detectors:
            arrays += [np.nan_to_num(column, nan=-1.0) for column in detector.columns.values()]
        shown = sorted(
            (a.rule, a.device, a.severity, a.value, a.limit, str(a.forecast)) for a in self.engine.open_alarms
        )
        return [*(array.tolist() for array in arrays), shown]


def _seconds(time_ms: int | None) -> float | None:
    return None if time_ms is None else (time_ms - T0) / 1000


def payload(rows: Sequence[Row], behind: Mapping[str, int]) -> bytes:
    index = {name: number for number, (name, _) in enumerate(program().names)}
    batch = ReadingBatch(
        np.array([index[row[0]] for row in rows], np.uint32),
        np.array([T0 + row[2] * 1000 for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.uint8),
    )
    return encode_batch(batch, {gateway.replace("_", "-"): left for gateway, left in behind.items()})


def level(value: float, second: int, device: str = "a1") -> Row:
    return (device, value, second, 0)


def in_pieces(at_once: int) -> AbstractContextManager[object]:
    """The end of an outage reads so many records at once."""
    return mock.patch.multiple("alerts.engine", _AGAIN_AT_ONCE=at_once, _AGAIN_EVERY=3, _AGAIN_EACH=at_once + 3)


# --- the law --------------------------------------------------------------------------------------------------------

# Limits and their neighbours; ramps, because a rate and a forecast need a trend; what is doubtful, and what is broken.
VALUES = st.sampled_from([4.0, 5.0, 7.9, 8.0, 9.9, 10.0, 18.0, 20.0])
STEPS = st.one_of(VALUES.map(lambda v: ("at", v)), st.sampled_from([0.0, 1.5, 4.0]).map(lambda v: ("by", v)))
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a1", "a1", "a2", "b1"]),
        st.sampled_from([0, 1, 5, 5, 15, 20, 25, 31]),
        STEPS,
        st.sampled_from([0, 0, 0, 0, 1, 2]),
    ),
    min_size=20,
    max_size=60,
)
OUTAGES = st.lists(st.floats(0, 1), min_size=2, max_size=6)


def history(drawn: Sequence[tuple[str, int, tuple[str, float], int]]) -> list[Row]:
    rows: list[Row] = []
    value: dict[str, float] = {}
    last: dict[str, int] = {}
    second = 0
    for device, gap, (how, amount), quality in drawn:
        second += gap
        value[device] = amount if how == "at" else value.get(device, 7.0) + amount
        if last.get(device) != second:
            last[device] = second
            rows.append((device, value[device], second, quality))
    return rows


def outages(rows: Sequence[Row], drawn: Sequence[float]) -> list[tuple[int, int]]:
    """One to three stretches in which nothing comes."""
    end = rows[-1][2] + 1
    bounds = sorted(int(part * end) for part in drawn)
    return list(zip(bounds[::2], bounds[1::2], strict=False))


def moments(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """(second, next second) of the readings."""
    seconds = sorted({row[2] for row in rows})
    return list(zip(seconds, [*seconds[1:], seconds[-1] + 50], strict=True))


def undisturbed(rows: Sequence[Row], reopen_s: float = 0) -> World:
    world = World(reopen_s=reopen_s)
    for second, next_second in moments(rows):
        world.live(second, *[row for row in rows if row[2] == second])
        world.take(Kind.TICK, second, b"connected")
        world.take(Kind.TICK, (second + next_second) / 2, b"connected")
    world.ticks(rows[-1][2] + 1, rows[-1][2] + 60)
    return world


def disturbed(
    rows: Sequence[Row],
    away: Mapping[str, list[tuple[int, int]]],
    chunks: Sequence[tuple[int, int]],
    crash_at: int,
    reopen_s: float = 0,
) -> World:
    """The same readings; what was taken while its gateway was away follows in pieces, between what is new."""
    world = World(crash_at=crash_at, reopen_s=reopen_s)
    kept: dict[str, list[Row]] = {gateway: [] for gateway in away}
    rhythm = iter([*chunks] * 20)

    def is_away(gateway: str, second: int) -> bool:
        return any(start <= second < end for start, end in away[gateway])

    def make_up(second: int, everything: bool) -> None:
        while True:
            piece, go_on = next(rhythm, (1000, 1))
            sent: list[Row] = []
            behind = {}
            for gateway, waiting in kept.items():
                count = len(waiting) if everything else piece
                if count and waiting and not is_away(gateway, second):
                    sent += waiting[:count]
                    del waiting[:count]
                    behind[gateway] = len(waiting)
            if sent:
                world.backlog(second, *sent, **behind)
            if not go_on or not sent:
                return

    for second, next_second in moments(rows):
        fresh: list[Row] = []
        for row in rows:
            gateway = GATEWAYS[row[0]]
            if row[2] == second:
                (kept[gateway] if is_away(gateway, second) else fresh).append(row)
        if fresh:
            behind = {GATEWAYS[row[0]]: len(kept[GATEWAYS[row[0]]]) for row in fresh}
            world.live(second, *fresh, **behind)
        world.take(Kind.TICK, second, b"connected")
        make_up(second, everything=False)
        world.take(Kind.TICK, (second + next_second) / 2, b"connected")
    away = {gateway: [] for gateway in away}
    make_up(rows[-1][2] + 50, everything=True)
    world.ticks(rows[-1][2] + 1, rows[-1][2] + 60)
    return world


@settings(max_examples=250, deadline=None)
@given(
    ROWS,
    OUTAGES,
    OUTAGES,
    st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, 5]), st.sampled_from([0, 0, 1])), min_size=1, max_size=12),
    st.integers(0, 120),
    st.sampled_from([0, 20, 60]),
    st.sampled_from([5, 20, 400]),
)
def test_what_comes_of_readings_does_not_depend_on_outages(
    drawn: list[tuple[str, int, tuple[str, float], int]],
    away_a: list[float],
    away_b: list[float],
    chunks: list[tuple[int, int]],
    crash_at: int,
    reopen_s: float,
    at_once: int,
) -> None:
    rows = history(drawn)
    calm = undisturbed(rows, reopen_s)
    away = {"gw-a": outages(rows, away_a), "gw-b": outages(rows, away_b)}
    with in_pieces(at_once):
        world = disturbed(rows, away, chunks, crash_at, reopen_s)
    assert world.engine._episodes.needed_after is None
    assert world.occurrences() == calm.occurrences()
    assert world.state() == calm.state()
    assert not world.incomplete
    amended = {step.alarm for step in world.steps if step.what is What.AMENDED}
    for alarm in world.alarms.values():
        if alarm.closed_reason != RETRACTED and alarm.id not in amended:
            assert alarm.id == alarm_id(alarm.rule, alarm.device, alarm.metric, None, alarm.onset_ms)
        said = [step for step in world.steps if step.alarm == alarm.id]
        assert [step.seq for step in said] == list(range(1, len(said) + 1))
        assert said[0].what is What.RAISED
        ends = sum(step.what.is_end for step in said) - sum(step.what is What.REOPENED for step in said)
        assert ends == (not alarm.is_open)


def test_an_alarm_that_ended_twice_in_an_outage_is_one_alarm_after_a_crash() -> None:
    still = ("at", 4.0)

    def calm_for(*gaps: int) -> list[tuple[str, int, tuple[str, float], int]]:
        return [("a1", gap, still, 0) for gap in gaps]

    drawn = [
        *calm_for(0, 0, 0, 0, 0, 0, 0),
        ("a2", 25, ("by", 4.0), 0),
        ("a2", 15, ("by", 0.0), 0),
        *calm_for(5, 5, 20, 25, 25, 31),
        ("a2", 25, still, 0),
        *calm_for(5, 5, 15, 15, 15, 15, 15, 15),
        ("a2", 20, still, 0),
        ("a2", 1, ("at", 18.0), 0),
        *calm_for(20, 31, 31),
        ("a2", 5, ("by", 0.0), 0),
        *calm_for(25),
        ("a2", 0, still, 0),
    ]
    rows = history(drawn)
    away = {"gw-a": outages(rows, [0.0, 0.0, 0.625, 0.5, 0.5, 0.3359375]), "gw-b": []}
    calm = undisturbed(rows, 20)
    for crash_at in range(60, 90):
        with in_pieces(5):
            world = disturbed(rows, away, [(0, 0), (0, 0)], crash_at, 20)
        assert world.occurrences() == calm.occurrences()
        for alarm in world.alarms.values():
            said = [step.seq for step in world.steps if step.alarm == alarm.id]
            assert said == list(range(1, len(said) + 1))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.just("a1"), st.sampled_from([1, 5, 10, 15, 16, 20]), VALUES.map(lambda v: ("at", v)), st.integers(0, 2)
        ),
        min_size=20,
        max_size=60,
    )
)
def test_what_must_last_agrees_with_the_scalar_reference(drawn: list[tuple[str, int, tuple[str, float], int]]) -> None:
    rows = history(drawn)
    world = World()
    world.live(rows[-1][2], *rows)
    expected: list[tuple[str, int]] = []
    high, critical = (Condition(bar, bar, 20_000, 1, 5_000) for bar in (10.0, 20.0))
    last_ms = worst = 0

    def becomes(now: int, time_ms: int) -> None:
        nonlocal worst
        if now != worst:
            what = "returned" if not now else "raised" if not worst else "up" if now > worst else "down"
            expected.append((what, time_ms))
            worst = now

    for _, value, second, quality in rows:
        if quality == 2:
            continue
        time_ms = second * 1000
        fired = [(condition.wait(time_ms, last_ms, 15_000), rank) for rank, condition in ((1, high), (2, critical))]
        for due_ms in sorted({due_ms for due_ms, _ in fired if due_ms is not None}):
            becomes(max(worst, *(rank for at_ms, rank in fired if at_ms == due_ms)), due_ms)
        for condition in (high, critical):
            if quality == 0 or value >= condition.clear_below:
                condition.observe(value, time_ms)
        fires = [condition.state in ("firing", "clearing") for condition in (high, critical)]
        becomes(2 if fires[1] else int(fires[0]), time_ms)
        last_ms = time_ms
    said = [
        (step.what.value.removeprefix("severity-"), step.event_ms - T0)
        for step in world.steps
        if world.alarms[step.alarm].rule == "lasts"
    ]
    assert said == expected


# --- what is put right, case by case --------------------------------------------------------------------------------


def test_what_began_and_ended_in_the_outage_is_on_record_with_its_own_times() -> None:
    world = World()
    world.live(0, level(7, 0))
    world.live(100, level(7, 100), gw_a=2)
    world.backlog(101, level(12, 20), level(7, 40), gw_a=1)
    assert not world.of("level")  # not before the whole outage is known
    world.backlog(102, level(7, 60), gw_a=0)
    (alarm,) = world.of("level")
    assert world.said(alarm) == [("raised", LATE_DATA), ("returned", LATE_DATA)]
    assert [step.event_ms - T0 for step in world.steps if step.alarm == alarm.id] == [20_000, 60_000]
    assert (alarm.onset_ms, alarm.closed_ms, alarm.raised_ms) == (T0 + 20_000, T0 + 60_000, T0 + 102_000)


def test_what_began_in_the_outage_and_lasts_is_raised_with_its_true_onset() -> None:
    world = World()
    world.live(0, level(7, 0))
    world.live(100, level(9, 100), gw_a=1)  # inside the dead band: nothing to see for who does not know
    world.backlog(101, level(12, 20), gw_a=0)
    alarm = world.open("level")
    assert world.said(alarm) == [("raised", LATE_DATA)]
    assert alarm.onset_ms == T0 + 20_000


def test_an_alarm_that_began_earlier_is_amended_and_keeps_its_id() -> None:
    world = World()
    world.live(0, level(7, 0))
    world.live(100, level(12, 100), gw_a=1)
    name = world.open("level").id
    world.backlog(101, level(12, 20), gw_a=0)
    alarm = world.open("level")
    assert (alarm.id, alarm.onset_ms) == (name, T0 + 20_000)
    assert world.said(alarm) == [("raised", "limit-reached"), ("amended", LATE_DATA)]


def test_an_alarm_that_had_been_worse_says_so() -> None:
    world = World()
    world.live(0, level(12, 0))
    world.live(100, level(12, 100), gw_a=1)
    world.backlog(101, level(25, 20), level(12, 40), gw_a=0)
    alarm = world.open("level")
    assert (alarm.severity.word, alarm.severity_max.word) == ("high", "critical")
    assert world.said(alarm)[1:] == [("amended", LATE_DATA)]


def test_an_alarm_that_has_become_worse_is_told_again() -> None:
    world = World()
    world.live(0, level(12, 0))
    world.live(100, level(19, 100), gw_a=1)  # critical for who knows that it was at 25
    world.backlog(101, level(25, 20), gw_a=0)
    assert world.said(world.open("level"))[1:] == [("amended", LATE_DATA), ("severity-up", LATE_DATA)]


def test_an_alarm_that_ended_in_the_outage_is_closed_at_that_time() -> None:
    world = World()
    world.live(0, level(12, 0))
    world.live(100, level(9, 100), gw_a=1)
    world.backlog(101, level(7, 20), level(7, 45), gw_a=0)
    (alarm,) = world.of("level")
    assert world.said(alarm)[1:] == [("returned", LATE_DATA)]
    assert alarm.closed_ms == T0 + 45_000


def test_an_alarm_that_was_not_over_is_open_again() -> None:
    world = World()
    world.live(0, level(12, 0), level(7, 1))
    world.live(100, level(7, 100), gw_a=1)  # for long enough, it seems
    assert world.of("level")[0].closed_ms
    world.backlog(101, level(12, 50), gw_a=0)
    alarm = world.open("level")
    assert world.said(alarm)[-2:] == [("returned", "good-readings"), ("reopened", LATE_DATA)]
    world.live(130, level(7, 130))
    assert world.said(alarm)[-1] == ("returned", "good-readings")


def test_an_alarm_that_ended_at_another_time_is_amended() -> None:
    world = World()
    world.live(0, level(12, 0), level(7, 1))
    world.live(100, level(7, 100), gw_a=1)
    world.backlog(101, level(7, 50), gw_a=0)
    (alarm,) = world.of("level")
    assert world.said(alarm)[-1] == ("amended", LATE_DATA)
    assert alarm.closed_ms == T0 + 50_000


def test_an_alarm_that_never_was_is_closed_and_says_why() -> None:
    world = World()
    world.live(0, level(12, 0))
    world.live(6, level(12, 6))
    world.ticks(6, 25)  # it seems to last
    world.live(100, level(7.5, 100), level(7.5, 105), gw_a=1)
    closed = [a for a in world.of("lasts") if not a.is_open]
    world.backlog(106, level(9, 10), gw_a=0)
    (alarm,) = closed
    assert world.said(alarm)[-1] == ("amended", RETRACTED)
    still_open = World()
    still_open.live(0, level(12, 0))
    still_open.live(6, level(12, 6))
    still_open.ticks(6, 25)
    still_open.backlog(101, level(9, 10), gw_a=0)
    (alarm,) = still_open.of("lasts")
    assert still_open.said(alarm)[-1] == ("closed", RETRACTED)
    assert not alarm.is_open


def test_an_alarm_that_fired_by_time_stays_where_the_backlog_bears_it_out() -> None:
    world = World()
    world.live(0, level(12, 0))
    world.live(6, level(12, 6))
    world.ticks(6, 25)
    world.backlog(26, level(12, 9), gw_a=0)
    world.ticks(26, 45)
    assert world.said(world.open("lasts")) == [("raised", "lasted")]


def test_an_alarm_that_a_person_closed_stays_closed_and_comes_again_only_when_its_limit_is_reached_anew() -> None:
    world = World()
    world.live(0, level(12, 0))
    world.live(100, level(12, 100), gw_a=1)
    world.close(110, "a1", "level")
    world.live(120, level(12, 120), gw_a=1)
    world.backlog(121, level(13, 20), gw_a=0)
    (alarm,) = world.of("level")
    assert (alarm.closed_reason, world.said(alarm)[-1]) == ("person", ("closed", "person"))
    world.live(130, level(25, 130))
    assert world.open("level").onset_ms == T0 + 130_000


def test_what_became_worse_after_a_person_closed_it_is_not_taken_back() -> None:
    world = World()
    world.live(0, level(12, 0))
    world.live(100, level(12, 100), gw_a=1)
    world.close(110, "a1", "level")
    world.live(120, level(25, 120), gw_a=1)
    before = world.open("level").id
    world.backlog(121, level(13, 20), gw_a=0)
    assert world.open("level").id == before
    assert world.said(world.open("level")) == [("raised", "limit-reached")]


def test_live_readings_between_two_outages_come_before_the_backlog_of_the_second() -> None:
    world = World()
    world.live(0, level(7, 0))
    world.live(100, level(12, 100), gw_a=2)  # back; then away again before its backlog was through
    world.live(300, level(7, 300), gw_a=3)
    world.backlog(301, level(7, 50), gw_a=2)
    world.backlog(302, level(7, 200), gw_a=1)  # the end of what began at 100
    world.backlog(303, level(7, 250), gw_a=0)
    (alarm,) = world.of("level")
    assert (alarm.onset_ms, alarm.closed_ms) == (T0 + 100_000, T0 + 250_000)


def test_live_readings_of_several_returns_find_their_places_in_one_backlog() -> None:
    world = World()
    world.live(0, level(7, 0))
    world.live(100, level(12, 100), gw_a=1)
    world.live(200, level(12, 200), gw_a=2)
    world.live(300, level(7, 300), gw_a=3)
    world.backlog(301, level(7, 50), level(7, 150), level(7, 180), level(7, 250), gw_a=0)
    assert [(a.onset_ms - T0, (a.closed_ms or 0) - T0) for a in world.of("level")] == [
        (100_000, 180_000),
        (200_000, 300_000),
    ]


def test_what_got_worse_by_time_alone_is_taken_back_where_the_backlog_knows_better() -> None:
    world = World()
    world.live(0, level(12, 0), level(12, 10), level(12, 20), level(25, 25), level(25, 32))
    world.ticks(32, 46)
    assert world.open("lasts").severity_max.word == "critical"
    world.backlog(101, level(12, 40), gw_a=0)
    alarm = world.open("lasts")
    assert (alarm.severity.word, alarm.severity_max.word) == ("high", "high")
    assert world.said(alarm)[-2:] == [("amended", LATE_DATA), ("severity-down", LATE_DATA)]


def test_the_backlog_is_over_too_when_a_live_frame_has_nothing_behind_it() -> None:
    world = World()
    world.live(0, level(7, 0))
    world.live(100, level(7, 100), gw_a=5)
    world.backlog(101, level(12, 20), gw_a=4)
    world.live(102, level(7, 102), gw_a=0)  # what was left is lost
    assert world.engine._episodes.needed_after is None
    assert world.of("level")[0].onset_ms == T0 + 20_000


def test_what_is_new_is_judged_between_the_pieces_of_a_long_end() -> None:
    world = World()
    with in_pieces(2):
        world.live(0, level(7, 0))
        for second in range(100, 130):
            world.live(second, level(7, second), gw_a=1)
        world.backlog(130, level(12, 20), gw_a=0)
        assert not world.of("level")  # the past is not at its end yet
        world.live(131, level(12, 131, "a2"), gw_a=0)
        assert world.said(world.open("level", "a2")) == [("raised", "limit-reached")]
        assert world.engine._episodes.needed_after is not None
        world.ticks(132, 180)
    assert world.engine._episodes.needed_after is None
    assert world.said(world.of("level")[0]) == [("raised", LATE_DATA), ("returned", LATE_DATA)]
    assert world.said(world.open("level", "a2")) == [("raised", "limit-reached")]


def test_backlog_after_the_end_of_the_backlog_still_comes_in_its_place() -> None:
    world = World()
    with in_pieces(2):
        world.live(0, level(7, 0))
        for second in range(100, 120):
            world.live(second, level(7, second), gw_a=2)
        world.backlog(120, level(12, 20), gw_a=0)
        world.ticks(121, 123)
        world.live(124, level(7, 124), gw_a=1)
        world.ticks(125, 160)
        assert world.engine._episodes.needed_after is not None  # it waits for what there is still to come
        world.backlog(161, level(7, 90), gw_a=0)
        world.ticks(162, 220)
    assert world.engine._episodes.needed_after is None
    assert world.of("level")[0].onset_ms == T0 + 20_000


def test_a_second_outage_while_the_first_is_ending_comes_behind_what_was_live_between_them() -> None:
    world = World()
    with in_pieces(2):
        world.live(0, level(7, 0))
        for second in range(100, 120):
            world.live(second, level(12 if second == 119 else 7, second), gw_a=1)
        world.backlog(120, level(7, 20), gw_a=0)
        world.live(150, level(7, 150), gw_a=1)
        world.backlog(151, level(7, 140), gw_a=0)
        world.live(170, level(7, 170), gw_a=0)
        world.ticks(171, 230)
    assert world.engine._episodes.needed_after is None
    (alarm,) = world.of("level")
    assert (alarm.onset_ms, alarm.closed_reason) == (T0 + 119_000, "good-readings")


def test_what_several_have_to_see_is_read_once() -> None:
    world = World()
    read: list[int] = []
    reread = world.engine._episodes._reread

    def noted(after: int, through: int) -> Iterator[Stored]:
        for record in reread(after, through):
            read.append(record.offset)
            yield record

    world.engine._episodes._reread = noted
    world.live(0, level(7, 0), level(7, 0, "b1"))
    for second in range(100, 120):
        world.live(second, level(7, second), level(7, second, "b1"), gw_a=1, gw_b=1)
    with in_pieces(2):
        world.backlog(120, level(12, 20), gw_a=0)
        world.backlog(121, level(12, 20, "b1"), gw_b=0)
        world.ticks(122, 160)
    assert world.engine._episodes.needed_after is None
    assert len(read) == len(set(read)) + 2  # what the first had seen before the second began


def test_one_gateways_outage_is_nothing_to_another() -> None:
    world = World()
    world.live(0, level(7, 0), level(7, 0, "b1"))
    world.live(100, level(7, 100), level(12, 100, "b1"), gw_a=1, gw_b=0)
    world.live(110, level(7, 110, "b1"), gw_b=0)
    world.live(140, level(7, 140, "b1"), gw_b=0)
    assert world.said(world.of("level", "b1")[0]) == [("raised", "limit-reached"), ("returned", "good-readings")]
    world.backlog(141, level(12, 20), gw_a=0)
    assert len(world.of("level", "b1")) == 1


def test_the_end_of_one_gateways_outage_lets_no_time_pass_in_the_past_of_another() -> None:
    world = World()
    world.live(0, level(7, 0), level(7, 0, "b1"))
    world.live(100, level(7, 100), level(7, 100, "b1"), gw_a=1, gw_b=2)
    world.backlog(101, level(12, 10, "b1"), level(12, 16, "b1"), gw_b=1)
    world.ticks(101, 140)
    world.backlog(141, level(7, 20), gw_a=0)
    world.backlog(142, level(7, 18, "b1"), gw_b=0)
    assert not world.of("lasts", "b1")


def test_the_reading_of_the_moment_at_which_a_breach_has_lasted_says_more_than_the_time() -> None:
    world = World()
    world.live(20, level(12, 0), level(12, 5), level(9, 20))
    assert not world.of("lasts")


def test_a_reading_that_comes_by_another_way_meanwhile_is_kept_in_its_place() -> None:
    world = World()
    world.live(0, level(7, 0))
    world.live(100, level(7, 100), gw_a=1)
    world.live(101, level(12, 101, "a2"))  # plain, without a frame
    world.backlog(102, level(12, 20), gw_a=0)
    assert world.said(world.open("level", "a2")) == [("raised", "limit-reached")]


def test_where_the_journal_was_trimmed_what_was_said_stands_and_what_was_missed_is_added() -> None:
    world = World()
    world.live(0, level(7, 0), level(7, 0, "a2"))
    world.live(100, level(12, 100), level(7, 100, "a2"), gw_a=1)
    world.live(101, level(12, 101), gw_a=1)
    world.held_from = 3
    world.backlog(102, level(12, 20), level(12, 20, "a2"), level(7, 40, "a2"), gw_a=0)
    assert world.incomplete == ["gw-a"]
    assert world.said(world.open("level")) == [("raised", "limit-reached")]
    assert world.said(world.of("level", "a2")[0]) == [("raised", LATE_DATA), ("returned", LATE_DATA)]
    world.live(130, level(12, 130))
    assert world.open("level").onset_ms == T0 + 100_000


def test_what_is_to_be_read_again_is_known_from_the_first_record_on() -> None:
    world = World()
    world.live(0, level(7, 0))
    assert world.engine._episodes.needed_after is None
    world.live(100, level(7, 100), gw_a=1)
    world.live(101, level(7, 101), gw_a=1)
    assert world.engine._episodes.needed_after == 1


# --- by other rules -------------------------------------------------------------------------------------------------


def at_least(limit: float, severity: str = "high", **more: object) -> dict[str, object]:
    return {"type": "level", "levels": [{"severity": severity, "at_least": limit}], **more}


def test_what_flaps_behind_a_gateway_that_is_through_is_nothing_to_the_past_of_another() -> None:
    world = World(by=compiled({"full": at_least(10, flap_slot_s=60)}))
    second = 0
    for _ in range(30):
        for value in (12, 5):
            world.live(second, level(value, second))
            second += 30
    assert world.open("full").flapping
    world.live(second, level(5, second), level(5, second, "b1"), gw_a=1, gw_b=2)
    world.backlog(second + 1, level(5, second - 10), gw_a=0)
    world.backlog(second + 2, level(5, second - 10, "b1"), gw_b=1)
    world.backlog(second + 3, level(12, second - 5, "b1"), gw_b=0)
    assert [alarm.onset_ms for alarm in world.of("full", "b1")] == [T0 + 1000 * (second - 5)]


def coming_and_going(first: int, count: int) -> list[Row]:
    """A minute above and a minute below, and above in the end."""
    return [level(12 if number % 2 else 5, first + 60 * number) for number in range(count)]


@pytest.mark.parametrize("known", [0, 6])
def test_that_an_alarm_comes_and_goes_is_said_also_where_a_backlog_says_so(known: int) -> None:
    rows = coming_and_going(0, 32)
    world = World(by=compiled({"full": at_least(10, flap_slot_s=60, reopen_within_s=600)}))
    for row in rows[:known]:
        world.live(row[2], row)
    world.live(2000, level(12, 2000), gw_a=1)
    world.backlog(2001, *rows[known:], gw_a=0)
    alarm = world.open("full")
    assert alarm.flapping
    said = world.said(alarm)
    assert said.count(("flapping", LATE_DATA)) == 1
    assert said[-1] == ("flapping", LATE_DATA)


def test_that_an_alarm_never_came_and_went_is_said_where_a_backlog_says_so() -> None:
    world = World(by=compiled({"full": at_least(10, flap_slot_s=60, reopen_within_s=600)}))
    world.live(0, level(5, 0))
    world.live(1, level(5, 1), gw_a=1)
    for row in coming_and_going(60, 32):
        world.live(row[2], row)
    assert world.open("full").flapping
    world.backlog(2001, *(level(12, second) for second in range(61, 2000, 1)), gw_a=0)
    alarm = world.open("full")
    assert not alarm.flapping
    assert world.said(alarm)[-1] == ("steady", LATE_DATA)


@pytest.mark.parametrize("left", [{}, {"gone": at_least(99)}])
def test_what_other_rules_ended_in_an_outage_does_not_come_back_with_its_end(left: dict[str, Any]) -> None:
    world = World(by=compiled({"full": at_least(10), "gone": at_least(11)}))
    world.live(0, level(12, 0))
    world.live(100, level(12, 100, "a2"), gw_a=1)
    world.switch(compiled({"full": at_least(15), **left}), 110)
    world.backlog(120, level(12, 50, "a2"), gw_a=0)
    world.live(130, level(12, 130), gw_a=0)
    assert not list(world.engine.open_alarms)
    assert all(
        [step.seq for step in world.steps if step.alarm == alarm.id] == list(range(1, alarm.seq + 1))
        for alarm in world.alarms.values()
    )


def test_what_other_rules_raised_in_an_outage_stays_with_its_end() -> None:
    world = World(by=compiled({"full": at_least(15)}))
    world.live(0, level(12, 0))
    world.live(100, level(5, 100, "a2"), gw_a=1)
    world.switch(compiled({"full": at_least(10)}), 110)
    world.backlog(120, level(5, 50, "a2"), gw_a=0)
    assert world.said(world.open("full")) == [("raised", "rule-changed")]


@pytest.mark.parametrize(("other", "steps"), [("b1", ["raised"]), ("a2", ["raised", "returned", "raised"])])
def test_a_rule_that_looks_behind_another_gateway_is_not_judged_in_an_outage(other: str, steps: list[str]) -> None:
    conditions = [{"metric": "level", "at_least": 10}, {"metric": "level", "device": other, "at_least": 10}]
    levels = [{"severity": "critical", "at_least": 2}]
    both = {"type": "composite", "devices": ["a1"], "conditions": conditions, "age_max_s": 10_000, "levels": levels}
    world = World(by=compiled({"both": both}))
    world.live(0, level(12, 0, other), level(12, 0))
    world.live(1, level(12, 1))
    world.live(100, level(12, 100, other), level(12, 100), gw_a=4)
    # What is behind the same gateway says so in its place: it was lower for a while.
    behind = [level(5, 40, other), level(12, 41), level(12, 60, other), level(12, 61)] if other == "a2" else []
    world.backlog(101, *behind, level(12, 70), gw_a=0)
    assert world.open("both")
    assert [step.what.value for step in sorted(world.steps, key=lambda step: step.event_ms)][: len(steps)] == steps


@pytest.mark.parametrize("is_outage", [True, False])
def test_who_has_seen_an_alarm_has_seen_it_wherever_it_is_judged_again(is_outage: bool) -> None:
    world = World(by=compiled({"full": at_least(10, latch="until-acknowledged")}))
    behind = {"gw_a": 1} if is_outage else {}
    world.live(0, level(7, 0))
    world.ticks(1, 2)
    world.live(100, level(12, 100), **behind)
    world.command(105, "acknowledge", world.open("full"))
    world.live(110, level(7, 110), **behind)
    if is_outage:
        world.backlog(120, level(7, 50), gw_a=0)
    else:
        world.live(120, level(7, 50))
        world.ticks(121, 126)
    assert not list(world.engine.open_alarms)
    (alarm,) = world.of("full")
    assert "reopened" not in [what for what, _ in world.said(alarm)]


def test_an_outage_that_begins_with_the_record_before_which_another_ends_takes_nothing_back() -> None:
    with mock.patch.multiple("alerts.engine", _AGAIN_AT_ONCE=1, _AGAIN_EVERY=6, _AGAIN_EACH=100):
        world = World(by=compiled({"full": at_least(10)}))
        world.live(0, level(7, 0))
        for second in (100, 101, 102):
            world.live(second, level(7, second), gw_a=1)
        world.backlog(103, level(12, 20), level(7, 30), level(12, 40), level(7, 50), gw_a=0)
        world.live(130, level(7, 130), gw_a=3)  # the sixth
        world.backlog(131, level(7, 120), gw_a=0)
        world.ticks(132, 150)
    assert [alarm.onset_ms - T0 for alarm in world.of("full")] == [20_000, 40_000]
    assert all(alarm.closed_reason == LATE_DATA for alarm in world.of("full"))


def test_a_shelf_that_was_broken_covers_nothing_any_more_and_a_crash_changes_nothing() -> None:
    levels = [{"severity": "high", "at_least": 10}, {"severity": "critical", "at_least": 20}]
    for crash_at in (0, 5):
        world = World(by=compiled({"full": {"type": "level", "levels": levels}}), crash_at=crash_at)
        world.live(0, level(12, 0))
        world.command(1, "shelve", world.open("full"), note="known", until_ms=T0 + 3_000_000)
        world.live(2, level(25, 2))
        world.live(3, level(12, 3))
        world.ticks(4, 5)
        said = [what for what, _ in world.said(world.open("full"))]
        assert said == ["raised", "masked", "severity-up", "unmasked", "severity-down"]


def test_what_was_taken_back_is_not_what_truly_was_at_another_time() -> None:
    """It counts as one only under its own id or onset; else people would read of two alarms as one that came and went."""

    def one(onset_s: int, closed_s: int, reason: str) -> Alarm:
        name, at_ms = f"a{onset_s}", T0 + 1000 * onset_s
        about = name, "full", "drain", "east", "drains", "a1", "level", None
        alarm = Alarm(*about, Severity.HIGH, Severity.HIGH, 1, at_ms, at_ms, 12.0, 10.0)
        alarm.closed_ms, alarm.closed_reason = T0 + 1000 * closed_s, reason
        return alarm

    true, back, over = one(20, 60, "good-readings"), one(10, 40, RETRACTED), one(10, 40, "good-readings")
    assert partners([true], [back]) == {}
    assert partners([true], [over]) == {0: over}
    assert partners([one(10, 60, "good-readings")], [back]) == {0: back}


def test_late_readings_of_others_are_judged_while_an_outage_lasts() -> None:
    """However much came since it began."""
    with mock.patch("alerts.lateness._RECORDS_MAX", 500):
        world = World(by=compiled({"full": at_least(10)}))
        world.live(0, level(7, 0), level(7, 0, "b1"))
        world.live(2, level(7, 2), gw_a=9)
        for second in range(4, 602, 2):
            world.live(second, level(7, second, "b1"))
            world.ticks(second, second)
        world.live(601, level(12, 591, "b1"))
        world.live(602, level(7, 602, "b1"))
        world.ticks(603, 608)
    assert world.too_late == 0
    assert [(alarm.onset_ms - T0, alarm.closed_reason) for alarm in world.of("full", "b1")] == [(591_000, LATE_DATA)]


def test_readings_that_a_backlog_has_out_of_order_are_judged_in_theirs() -> None:
    world = World(by=compiled({"full": at_least(10)}))
    world.live(0, level(7, 0))
    world.live(300, level(7, 300), gw_a=1)
    world.backlog(301, level(7, 100), level(12, 80), level(7, 102), gw_a=0)
    (alarm,) = world.of("full")
    assert (alarm.onset_ms, alarm.closed_ms) == (T0 + 80_000, T0 + 100_000)
