"""Dry nights and what rises in them, against the scalar twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.drains.silt import Nights, Rain, base_m, days_until, dry_nights, local_day, rise_m_per_30_days
from tests.oracles import silt as oracle

HOUR_MS = 3_600_000
ZONE = "Asia/Shanghai"  # eight hours ahead, without summer time
# Hours around the edges of the night and of the twelve dry hours.
gaps = st.sampled_from([1, 1, 1, 2, 11, 12, 13, 21, 24])
lows = st.sampled_from([0.1, 0.12, 0.3])
wets = st.sampled_from([False] * 12 + [True])
heards = st.sampled_from([True] * 6 + [False])  # whether the gauge was
pasts = st.lists(st.tuples(gaps, lows, wets, heards), max_size=150)


def dry(
    rows: list[tuple[int, float, bool, bool]], has_gauge: bool
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    first = hour = 24 * 100
    hours, wet, silent = [], [], set()
    for gap, low, is_wet, is_heard in rows:
        hour += gap
        hours.append((hour, low))
        if is_heard:
            wet += [hour] * is_wet
        else:
            silent.add(hour)
    heard = [h for h in range(first - 12, hour + 1) if h not in silent]
    wet = wet if has_gauge else []
    times = np.array([(h - 8) * HOUR_MS for h, _ in hours], np.int64)
    wet_ms, heard_ms = (np.array([(h - 8) * HOUR_MS for h in some], np.int64) for some in (wet, heard))
    rain = Rain(wet_ms, heard_ms if has_gauge else None)
    got = dry_nights(times, np.array([low for _, low in hours], np.float64), rain, ZONE)
    told = list(zip(got.day.tolist(), got.low_m.tolist(), strict=True))
    return told, oracle.nights(hours, set(wet), set(heard) if has_gauge else None)


@given(pasts, st.booleans())
def test_dry_nights_are_those_of_the_oracle(rows: list[tuple[int, float, bool, bool]], has_gauge: bool) -> None:
    got, expected = dry(rows, has_gauge)
    assert got == expected


@given(st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 20, 59, 60]), lows), min_size=12, max_size=60))
def test_the_rise_is_that_of_the_oracle(rows: list[tuple[int, float]]) -> None:
    days = np.cumsum([gap for gap, _ in rows])
    nights = Nights(days.astype(np.int64), np.array([low for _, low in rows]))
    expected = oracle.rise(list(zip(days.tolist(), nights.low_m.tolist(), strict=True)))
    got = rise_m_per_30_days(nights)
    assert got == (None if expected is None else pytest.approx(expected))


def test_days_until_half_of_the_pipe_are_told_only_where_it_rises() -> None:
    assert days_until(0.1, 0.05, 0.2) == pytest.approx(60)
    assert days_until(0.2, 0.05, 0.2) == 0
    assert days_until(0.1, 0.0, 0.2) is None
    assert days_until(0.1, None, 0.2) is None
    assert days_until(None, 0.1, 0.2) is None


def test_the_base_level_is_the_median_of_five_nights_at_either_end() -> None:
    nights = Nights(np.arange(8), np.array([1.0, 1, 1, 1, 1, 2, 2, 2]))
    assert (base_m(nights, last=True), base_m(nights, last=False)) == (2.0, 1.0)
    assert base_m(Nights(np.empty(0, np.int64), np.empty(0))) is None


def test_a_day_is_that_of_the_site() -> None:
    assert local_day(24 * HOUR_MS * 10 + 16 * HOUR_MS, ZONE) == 11
