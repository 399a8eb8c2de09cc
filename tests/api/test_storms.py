"""Storms from rain against the scalar twin, and the laws of them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.drains.storms import find_storms, reached
from tests.oracles import storms as oracle

STEP_MS = 300_000
# Dry stretches around the six hours (72 steps) that part two storms, and rates around what counts as wet.
gaps = st.sampled_from([1, 1, 1, 2, 71, 72, 73, 74])
rates = st.sampled_from([0.0, 0.1, 0.11, 3.0, 6.0, 40.0])
rains = st.lists(st.tuples(gaps, rates), max_size=60)
levels = st.lists(st.sampled_from([0.1, 0.96, 0.97, 0.98, 1.0]), max_size=20)


def steps_of(rain: list[tuple[int, float]]) -> list[tuple[int, float]]:
    time_ms, steps = 0, []
    for gap, rate in rain:
        time_ms += gap * STEP_MS
        steps.append((time_ms, rate))
    return steps


def found(steps: list[tuple[int, float]]) -> list[tuple[int, int, float, float]]:
    times, values = [t for t, _ in steps], [v for _, v in steps]
    got = find_storms(np.array(times, np.int64), np.array(values, np.float64), STEP_MS)
    columns = (got.start_ms, got.end_ms, got.depth_mm, got.heard)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(rains)
def test_storms_are_those_of_the_oracle(rain: list[tuple[int, float]]) -> None:
    steps = steps_of(rain)
    got, expected = found(steps), oracle.storms(steps, STEP_MS)
    assert [storm[:2] for storm in got] == [storm[:2] for storm in expected]
    for one, other in zip(got, expected, strict=True):
        assert one[2:] == pytest.approx(other[2:])


@given(rains)
def test_storms_lie_six_dry_hours_apart_and_hold_all_the_rain_but_drizzle(rain: list[tuple[int, float]]) -> None:
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
