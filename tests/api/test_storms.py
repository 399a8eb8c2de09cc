"""Storms from rain against the scalar twin, and the laws of them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.drains.storms import find_storms, is_over, reached
from tests.oracles import storms as oracle

STEP_MS = 300_000
# Stretches around the hour that may pass between two reports (12 steps), the six hours (72) and the day (288) that part two
# storms, in which the gauge was heard or not; and rates around what counts as wet.
gaps = st.sampled_from([1, 1, 1, 2, 12, 13, 71, 72, 73, 74, 287, 288, 289])
rates = st.sampled_from([0.0, 0.1, 0.11, 3.0, 6.0, 40.0])
rains = st.lists(st.tuples(gaps, st.booleans(), rates), max_size=60)
levels = st.lists(st.sampled_from([0.1, 0.96, 0.97, 0.98, 1.0]), max_size=20)


def steps_of(rain: list[tuple[int, bool, float]]) -> list[tuple[int, float]]:
    time_ms, steps = 0, []
    for gap, is_heard, rate in rain:
        steps += [(time_ms + n * STEP_MS, 0.0) for n in range(1, gap) if is_heard]
        time_ms += gap * STEP_MS
        steps.append((time_ms, rate))
    return steps


def found(steps: list[tuple[int, float]]) -> list[tuple[int, int, float, float]]:
    times, values = [t for t, _ in steps], [v for _, v in steps]
    got = find_storms(np.array(times, np.int64), np.array(values, np.float64), STEP_MS)
    columns = (got.start_ms, got.end_ms, got.depth_mm, got.heard)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(rains)
def test_storms_are_those_of_the_oracle(rain: list[tuple[int, bool, float]]) -> None:
    steps = steps_of(rain)
    got, expected = found(steps), oracle.storms(steps, STEP_MS)
    assert [storm[:2] for storm in got] == [storm[:2] for storm in expected]
    for one, other in zip(got, expected, strict=True):
        assert one[2:] == pytest.approx(other[2:])


@given(rains)
def test_storms_lie_six_dry_hours_apart_and_hold_all_the_rain_but_drizzle(rain: list[tuple[int, bool, float]]) -> None:
    steps = steps_of(rain)
    got = found(steps)
    for before, after in pairwise(got):
        assert after[0] - before[1] >= 6 * 3_600_000
    fallen = sum(rate * STEP_MS / 3_600_000 for _, rate in steps)
    assert sum(storm[2] for storm in got) <= fallen + 1e-4


@given(levels)
def test_a_peak_and_an_overflow_are_those_of_the_oracle(values: list[float]) -> None:
    rows = [(n * 60_000, value) for n, value in enumerate(values)]
    got = reached(np.array([t for t, _ in rows], np.int64), np.array(values, np.float64), 0.97)
    assert (got.before_m, got.peak_m, got.peak_ms, got.overflow_ms) == oracle.peak(rows, 0.97)


def test_a_gauge_that_was_not_heard_for_half_of_the_storm_is_told() -> None:
    (storm,) = found([(0, 12.0), (3 * STEP_MS, 12.0)])
    assert storm[3] == 0.5


HOUR = 12  # steps


def rained(*stretches: tuple[int, float | None]) -> list[tuple[int, float]]:
    """Steps of stretches, (how many, mm/h or None where nothing was heard)."""
    at, steps = 0, list[tuple[int, float]]()
    for count, rate in stretches:
        steps += [((at + n) * STEP_MS, rate) for n in range(count) if rate is not None]
        at += count
    return steps


def test_a_gauge_that_falls_silent_parts_no_storm_before_it_is_a_day() -> None:
    for silent_h, count in ((7, 1), (23, 1), (25, 2)):
        assert len(found(rained((HOUR, 6.0), (silent_h * HOUR, None), (HOUR, 6.0)))) == count
    assert len(found(rained((HOUR, 6.0), (7 * HOUR, 0.0), (HOUR, 6.0)))) == 2
    every_quarter = [each for each in rained((HOUR, 6.0), (7 * HOUR, 0.0), (HOUR, 6.0)) if not each[0] % (3 * STEP_MS)]
    assert len(found(every_quarter)) == 2


def test_a_storm_is_over_after_six_hours_that_were_heard_to_be_dry_or_a_day_that_was_not() -> None:
    rain = rained((HOUR, 6.0), (5 * HOUR, 0.0))
    times = np.array([time for time, _ in rain], np.int64)
    for hours, expected in ((7, False), (29, False), (31, True)):
        assert is_over(times, HOUR * STEP_MS, hours * HOUR * STEP_MS, STEP_MS) is expected
    heard = np.array([time for time, _ in rained((HOUR, 6.0), (7 * HOUR, 0.0))], np.int64)
    assert is_over(heard, HOUR * STEP_MS, 7 * HOUR * STEP_MS, STEP_MS)
