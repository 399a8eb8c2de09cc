"""Late readings: any order of arrival within the bound gives the alarms of the true order."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alarm import LATE_DATA, What
from alerts.conditions import RETRACTED
from alerts.lateness import LATE_MAX_MS
from tests.alerts.test_episodes import ROWS, T0, Row, World, history

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


def test_what_is_too_late_is_history_only_and_counted() -> None:
    minutes = int(LATE_MAX_MS / 60_000)
    rows = [(60 * minute, ("a1", 7.0, 60 * minute, 0)) for minute in range(minutes + 3)]
    world = arriving([*rows, (60 * minutes + 90, ("a1", 15.0, 30, 0))], 60 * minutes + 180)
    assert not world.alarms
    assert world.too_late == 1


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
