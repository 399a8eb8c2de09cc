"""Rollups against their slow twin, and their laws."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.history.history import Aggregate, Curve
from ingest.history.rollups import WIDTHS_MS, Windows, curve_steps, join, merge, roll, steps, width_for, windows_of
from tests.oracles import rollups as oracle

MINUTE, QUARTER, HOUR = WIDTHS_MS.values()
T0 = 1_795_000_000_000 // HOUR * HOUR
# Whole and halves, so that sums are exact in whatever order; a counter that rises, stands, and falls to zero or near it.
VALUES = st.sampled_from([0.0, 0.5, 1.0, 100.0, 100.5, 103.0, 250.0])
# Times at, before and after the edges of windows.
TIMES = st.builds(
    lambda hour, edge, off: T0 + hour * HOUR + edge + off,
    st.integers(0, 2),
    st.sampled_from([0, MINUTE, 2 * MINUTE, QUARTER, 2 * QUARTER, HOUR - MINUTE]),
    st.sampled_from([-1, 0, 1, 500]),
)
TOLD = st.lists(st.tuples(TIMES, VALUES, st.sampled_from([0, 0, 0, 1, 2])), min_size=0, max_size=60)


def as_told(told: list[tuple[int, float, int]]) -> Curve:
    latest = {time_ms: (value, quality) for time_ms, value, quality in told}
    rows = sorted((time_ms, *latest[time_ms]) for time_ms in latest)
    return Curve(
        np.array([r[0] for r in rows], np.int64),
        np.array([r[1] for r in rows], np.float64),
        np.array([r[2] for r in rows], np.uint8),
    )


def pairs(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True))


@given(TOLD, st.sampled_from(list(Aggregate)), st.sampled_from([7000, MINUTE, 5 * MINUTE, QUARTER, HOUR, 2 * HOUR]))
def test_steps_from_readings_agree_with_the_oracle(
    told: list[tuple[int, float, int]], how: Aggregate, every_ms: int
) -> None:
    expected = oracle.steps(told, 0, 2**62, every_ms, how.value)
    assert pairs(curve_steps(as_told(told), every_ms, how)) == expected


@given(TOLD, st.sampled_from(list(Aggregate)), st.sampled_from([QUARTER, HOUR, 2 * HOUR]))
def test_through_all_rollups_the_answer_is_the_same(
    told: list[tuple[int, float, int]], how: Aggregate, every_ms: int
) -> None:
    windows = windows_of(as_told(told), MINUTE)
    for width_ms in (QUARTER, HOUR):
        if every_ms % width_ms == 0:
            windows = merge(windows, width_ms)
    assert pairs(steps(windows, every_ms, how)) == oracle.steps(told, 0, 2**62, every_ms, how.value)


@given(TOLD, st.sampled_from(list(Aggregate)), st.lists(st.integers(0, 3 * 60), max_size=4))
def test_any_cut_at_windows_changes_nothing(
    told: list[tuple[int, float, int]], how: Aggregate, cuts: list[int]
) -> None:
    curve = as_told(told)
    edges_ms = [0, *sorted(T0 + cut * MINUTE for cut in cuts), 2**62]
    parts = []
    for start_ms, end_ms in itertools.pairwise(edges_ms):
        rows = (curve.time_ms >= start_ms) & (curve.time_ms < end_ms)
        parts.append(windows_of(Curve(curve.time_ms[rows], curve.value[rows], curve.quality[rows]), MINUTE))
    parts.reverse()
    assert pairs(steps(join(parts), HOUR, how)) == oracle.steps(told, 0, 2**62, HOUR, how.value)


@given(st.lists(TOLD, min_size=1, max_size=4))
def test_series_side_by_side_are_as_each_by_itself(each_told: list[list[tuple[int, float, int]]]) -> None:
    curves = [as_told(told) for told in each_told]
    together = roll(
        np.concatenate([np.full(len(c.time_ms), number, np.int64) for number, c in enumerate(curves)]),
        np.concatenate([c.time_ms for c in curves]),
        np.concatenate([c.value for c in curves]),
        np.concatenate([c.quality for c in curves]),
        MINUTE,
    )
    together = merge(merge(together, QUARTER), HOUR)
    for number, curve in enumerate(curves):
        mine = together.take(together.series == number)
        for how in Aggregate:
            assert pairs(steps(mine, HOUR, how)) == pairs(curve_steps(curve, HOUR, how))


@pytest.mark.parametrize(
    ("every_ms", "width"),
    [
        (MINUTE - 1, None),
        (90_000, None),
        (MINUTE, "1m"),
        (5 * MINUTE, "1m"),
        (QUARTER, "15m"),
        (HOUR, "1h"),
        (35 * QUARTER, "15m"),
    ],
)
def test_the_widest_that_fits_is_taken(every_ms: int, width: str | None) -> None:
    assert width_for(every_ms) == width


def test_none_is_none() -> None:
    assert len(windows_of(as_told([]), MINUTE)) == 0
    assert isinstance(merge(windows_of(as_told([]), MINUTE), HOUR), Windows)
    assert pairs(curve_steps(as_told([(T0, 1.0, 2)]), MINUTE, Aggregate.MEAN)) == []
