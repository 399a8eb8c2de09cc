"""Late readings: any order of arrival within the bound gives the alarms of the true order."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alarm import LATE_DATA, Alarm, What
from alerts.conditions import RETRACTED
from alerts.lateness import LATE_MAX_MS
from telemetry.identity import alarm_id
from telemetry.journal import Kind
from tests.alerts.test_episodes import ROWS, T0, Row, World, compiled, history

_TICK_S = 2


def arriving(arrivals: Sequence[tuple[int, Row]], until_s: int, reopen_s: float = 0, crash_at: int = 0) -> World:
    """Readings at the second at which each arrives, and time that passes."""
    world = World(reopen_s=reopen_s, crash_at=crash_at)
    at = sorted(arrivals, key=lambda arrival: arrival[0])  # stable: what arrives together stays as it was
    start = 0
    for second in range(0, until_s, _TICK_S):
        end = start
        while end < len(at) and at[end][0] <= second + _TICK_S:
            end += 1
        if end > start:
            world.live(second + 1, *[row for _, row in at[start:end]])
        start = end
        world.ticks(second + _TICK_S, second + _TICK_S)
    return world


DELAYS = st.lists(st.sampled_from([0, 0, 0, 0, 3, 8, 25, 70, 240]), min_size=1, max_size=30)


@settings(max_examples=100, deadline=None)
@given(ROWS, DELAYS, st.integers(0, 300), st.sampled_from([0, 20, 60]))
def test_any_order_of_arrival_gives_the_alarms_of_the_true_order(
    drawn: list[tuple[str, int, tuple[str, float], int]], delays: list[int], crash_at: int, reopen_s: float
) -> None:
    rows = history(drawn)[:40]
    until_s = rows[-1][2] + 300
    calm = arriving([(row[2], row) for row in rows], until_s, reopen_s)
    late = [(row[2] + delays[number % len(delays)], row) for number, row in enumerate(rows)]
    world = arriving(late, until_s, reopen_s, crash_at)
    assert world.occurrences() == calm.occurrences()
    # An alarm that fired by time shows the value that was known then; all else is as in the true order.
    assert world.state()[:-1] == calm.state()[:-1]
    for alarm in world.alarms.values():
        said = [step for step in world.steps if step.alarm == alarm.id]
        assert [step.seq for step in said] == list(range(1, len(said) + 1))
        ends = sum(step.what.is_end for step in said) - sum(step.what is What.REOPENED for step in said)
        assert ends == (not alarm.is_open), alarm.closed_reason == RETRACTED


def test_a_late_breach_is_raised_with_its_own_onset() -> None:
    world = arriving([(10, ("a1", 7.0, 10, 0)), (30, ("a1", 12.0, 20, 0)), (25, ("a1", 7.0, 25, 0))], 60)
    (alarm,) = world.of("level")
    assert alarm.onset_ms == T0 + 20_000
    assert world.said(alarm) == [("raised", LATE_DATA)]


def test_a_late_return_ends_what_was_told_and_says_so() -> None:
    rows = [(second, ("a1", 12.0, second, 0)) for second in (10, 80)]
    late = [(90, ("a1", 5.0, second, 0)) for second in (20, 45)]
    world = arriving(rows + late, 120)
    was, now = world.of("level")
    assert world.said(was) == [("raised", "limit-reached"), ("returned", LATE_DATA)]
    assert (was.closed_ms, now.onset_ms) == (T0 + 45_000, T0 + 80_000)


def test_an_alarm_that_late_readings_deny_is_taken_back() -> None:
    """Two breaches in a row were one breach and one late reading between them."""
    world = arriving([(10, ("a1", 12.0, 10, 0)), (16, ("a1", 12.0, 16, 0)), (30, ("a1", 5.0, 13, 0))], 60)
    assert [alarm.closed_reason for alarm in world.of("twice")] == [RETRACTED]


def test_a_step_up_that_only_time_had_taken_is_denied_and_the_alarm_was_all_the_same() -> None:
    """A steep rise holds for ten seconds, a steeper one not quite: its end comes late, and is of the moment it was due."""
    rising = [(5, 7.0, 0), (10, 8.5, 1), (15, 10.0, 1), (20, 10.0, 1), (25, 10.0, 1), (30, 14.0, 0), (35, 15.5, 0)]
    rising += [(40, 20.0, 0), (45, 20.0, 1), (50, 21.5, 1), (60, 23.0, 0)]
    rows = [(second, ("a2", value, second, quality)) for second, value, quality in rising]
    calm = arriving([*rows, (70, ("a2", 18.0, 70, 0))], 120)
    world = arriving([*rows, (78, ("a2", 18.0, 70, 0))], 120)
    (alarm,) = world.of("rate", "a2")
    assert [what for what, _ in world.said(alarm)] == ["raised", "severity-up", "severity-down", "returned"]
    assert world.occurrences() == calm.occurrences()


def test_a_coming_back_that_only_time_had_found_is_undone_and_the_alarm_is_over_as_it_was() -> None:
    values = [(100, 10.0), (105, 11.5), (135, 9.9), (140, 9.9), (150, 13.9), (165, 10.0)]
    rows = [(second, ("a1", value, second, 0)) for second, value in values]
    calm = arriving([*rows, (170, ("a1", 9.9, 170, 0))], 300, reopen_s=60)
    world = arriving([*rows, (173, ("a1", 9.9, 170, 0))], 300, reopen_s=60)
    (alarm,) = world.of("lasts")
    assert [what for what, _ in world.said(alarm)] == ["raised", "returned", "reopened", "amended", "returned"]
    assert alarm.closed_ms == T0 + 140_000
    assert world.occurrences() == calm.occurrences()
    assert world.state()[:-1] == calm.state()[:-1]


def test_what_is_known_of_an_alarm_that_comes_back_for_ever_is_bounded() -> None:
    rows = [(10 * n, ("a1", 12.0 if n % 8 < 2 else 4.0, 10 * n, 0)) for n in range(240)]
    world = arriving(rows, 2400, reopen_s=600)
    (alarm,) = world.of("level")
    assert [what for what, _ in world.said(alarm)].count("reopened") > 20
    assert len(alarm.heights) <= 3


def test_what_is_too_late_is_history_only_and_counted() -> None:
    minutes = int(LATE_MAX_MS / 60_000)
    rows = [(60 * minute, ("a1", 7.0, 60 * minute, 0)) for minute in range(minutes + 3)]
    world = arriving([*rows, (60 * minutes + 90, ("a1", 15.0, 30, 0))], 60 * minutes + 180)
    assert not world.alarms
    assert world.too_late == 1


def test_what_is_late_by_ten_minutes_is_judged() -> None:
    minutes = int(LATE_MAX_MS / 60_000) + 2
    rows = [(60 * minute, ("a1", 7.0, 60 * minute, 0)) for minute in range(minutes + 1)]
    last = 60 * minutes + 1
    late = (last + 1, ("a1", 15.0, last - LATE_MAX_MS // 1000, 0))
    world = arriving([*rows, (last, ("a1", 7.0, last, 0)), late], last + 30)
    (alarm,) = world.of("level")
    assert (alarm.onset_ms, world.too_late) == (T0 + 121_000, 0)


def test_checkpoints_are_few_and_reach_back_far_enough() -> None:
    world = World()
    for second in range(0, 7200, 10):
        world.live(second, ("a1", 7.0, second, 0))
        world.ticks(second, second)
        kept = world.engine._lateness.checkpoints
        assert len(kept) <= 14
        if second > LATE_MAX_MS / 1000:
            assert second * 1000 - (kept[0].at_ms - T0) >= LATE_MAX_MS


def test_records_that_are_gone_are_not_judged_without() -> None:
    world = arriving([(10, ("a1", 7.0, 10, 0)), (50, ("a1", 7.0, 50, 0))], 60)
    world.held_from = len(world.journal)
    world.live(61, ("a1", 12.0, 20, 0))
    world.ticks(62, 70)
    assert (world.too_late, len(world.alarms)) == (1, 0)


def test_what_comes_late_while_its_gateway_catches_up_is_judged_when_that_is_over() -> None:
    """Found by the simulated district (seeds 200217, 200690, 201436): an outage and a broker that reorders, together."""
    world = World()
    world.ticks(0, 5)
    world.live(6, ("a1", 7.0, 5, 0))
    world.live(61, ("a1", 7.0, 60, 0), gw_a=1)  # back from an outage, with a backlog behind it
    world.live(62, ("a1", 12.0, 50, 0))
    world.ticks(63, 70)
    assert not world.of("level")
    world.backlog(71, ("a1", 7.0, 30, 0), gw_a=0)
    world.ticks(72, 80)
    (alarm,) = world.of("level")
    assert (alarm.onset_ms, alarm.is_open, world.too_late) == (T0 + 50_000, True, 0)


def test_nothing_is_judged_from_a_checkpoint_that_was_made_while_its_gateway_caught_up() -> None:
    world = World()
    world.ticks(0, 5)
    world.live(6, ("a1", 7.0, 5, 0))
    world.ticks(7, 60)
    world.live(61, ("a1", 9.0, 60, 0), gw_a=1)
    world.ticks(62, 100)
    assert not world.of("level")
    world.backlog(101, ("a1", 12.0, 30, 0), gw_a=0)
    world.ticks(102, 102)
    world.live(103, ("a1", 9.0, 102, 0))
    world.ticks(104, 112)
    world.live(113, ("a1", 9.0, 95, 0))
    world.ticks(114, 130)
    (alarm,) = world.of("level")
    assert (alarm.onset_ms, alarm.is_open) == (T0 + 30_000, True)


def test_what_waits_to_be_judged_in_its_own_place_is_judged_before_other_rules_hold() -> None:
    high = {"type": "level", "levels": [{"severity": "high", "at_least": 10}]}
    world = World(by=compiled({"full": high}))
    world.ticks(0, 5)
    world.live(6, ("a1", 7.0, 5, 0))
    world.ticks(7, 60)
    world.live(61, ("a1", 12.0, 60, 0))
    world.live(62, ("a1", 12.0, 30, 0))  # half a minute late, and nothing has looked at it yet
    world.switch(
        compiled({"full": high, "other": {"type": "level", "levels": [{"severity": "low", "at_least": 99}]}}), 62
    )
    world.ticks(63, 70)
    (alarm,) = world.of("full")
    assert (alarm.onset_ms, world.said(alarm)[-1]) == (T0 + 30_000, ("amended", LATE_DATA))


def told_of(world: World, alarm: Alarm, second: float) -> None:
    """The alarm's gateway, which can be heard now, says that it had raised it: by the name of its onset, as it knows it."""
    name = alarm_id(alarm.rule, alarm.device, alarm.metric, None, alarm.onset_ms)
    about = {"rule": alarm.rule, "device": alarm.device, "metric": alarm.metric, "onset_ms": alarm.onset_ms}
    command = {"id": f"local{second}", "action": "told-locally", "alarm": name, "raised_ms": alarm.onset_ms, **about}
    world.take(Kind.COMMAND, second, json.dumps(command).encode())


@pytest.mark.parametrize("crash_at", [0, 13])
def test_what_a_gateway_told_is_on_alarms_that_were_over_when_it_could_be_heard(crash_at: int) -> None:
    rows: list[Row] = [("a1", 12.0, 10, 0), ("a1", 7.0, 20, 0), ("a1", 7.0, 45, 0)]
    rows += [("a1", 12.0, 60, 0), ("a1", 7.0, 70, 0), ("a1", 7.0, 95, 0)]
    world = World(crash_at=crash_at)
    for row in rows:
        world.live(row[2], row)
        world.ticks(row[2], row[2])
    both = world.of("level")
    assert [alarm.closed_ms for alarm in both] == [T0 + 45_000, T0 + 95_000]
    for alarm in both:
        told_of(world, alarm, 100)
    for alarm in both:
        assert world.said(alarm)[1:] == [("returned", "good-readings"), ("told-locally", "local")]


def test_what_a_gateway_told_is_on_an_alarm_whose_onset_late_readings_have_moved() -> None:
    world = arriving([(10, ("a1", 7.0, 10, 0)), (30, ("a1", 12.0, 30, 0)), (35, ("a1", 12.0, 20, 0))], 60)
    (alarm,) = world.of("level")
    assert (alarm.onset_ms, world.said(alarm)[-1]) == (T0 + 20_000, ("amended", LATE_DATA))
    told_of(world, alarm, 61)
    assert world.said(alarm)[-1] == ("told-locally", "local")
