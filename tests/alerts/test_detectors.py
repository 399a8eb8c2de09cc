from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.detector import UNSET_MS
from alerts.detectors.trend import ForecastRule, RateRule, TrendDetector, minutes_until, trend
from alerts.detectors.windows import Windows
from telemetry.segments import group
from tests.alerts.rows import agree, signals_of
from tests.oracles import trend as oracle

# (seconds since the one before, millimetres): steep and gentle, so that many windows have a trend and some have none.
WINDOWS = st.tuples(
    st.lists(st.tuples(st.integers(1, 120), st.integers(-9, 9)), min_size=15, max_size=16),
    st.sampled_from([-8, -1, 0, 0, 1, 3, 20]),
).map(lambda drawn: [(gap, noise + i * drawn[1]) for i, (gap, noise) in enumerate(drawn[0][:15])])


@given(st.lists(WINDOWS, min_size=1, max_size=4))
def test_trends_agree_with_all_pairs_by_hand(windows: list[list[tuple[int, int]]]) -> None:
    times = np.array([np.cumsum([gap for gap, _ in w]) * 1000 for w in windows], np.int64)
    values = np.array([[v / 1000 for _, v in w] for w in windows])
    found = trend(times, values)
    for row in range(len(windows)):
        minutes = ((times[row] - times[row, -1]) / 60_000).tolist()
        if oracle.has_trend(values[row].tolist()):
            slope, level = oracle.theil_sen(minutes, values[row].tolist())
            assert np.isclose(found.slope[row], slope, rtol=1e-9, atol=1e-12)
            assert np.isclose(found.level[row], level, rtol=1e-9, atol=1e-12)
            low, high = oracle.quartiles(minutes, values[row].tolist())
            assert np.isclose(found.slope_low[row], low, rtol=1e-9, atol=1e-12)
            assert np.isclose(found.slope_high[row], high, rtol=1e-9, atol=1e-12)
            assert low <= found.slope[row] <= high
        else:
            assert found.slope[row] == 0


# (series, seconds, value beside what it climbs by with each reading): spans around what is too close and too far, and values
# on the target.
STREAMS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from([1, 3, 3, 3, 3, 3, 3, 4]),
        st.sampled_from([0.0, 0.0, 0.125, 0.25, 0.5, 1.0]),
    ),
    min_size=30,
    max_size=80,
)


@given(
    STREAMS,
    st.lists(st.integers(1, 12), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.125, -0.125]),
    st.sampled_from([None, 0.125, 1.0]),
    st.sampled_from([1, 29]),
)
def test_what_is_said_of_a_stream_is_that_of_the_oracle(
    drawn: list[tuple[int, int, float]], sizes: list[int], climbs: float, target: float | None, times: int
) -> None:
    fields = {"id": "r", "name": "R", "class": "drain", "metric": "level", "window_readings": 8}
    fields |= {"span_min_s": 21, "span_max_s": 609}
    rule: RateRule | ForecastRule
    if target is None:
        rule = RateRule.model_validate(fields | {"type": "rate", "levels": [{"severity": "high", "at_least": 1}]})
    else:
        level = {"severity": "high", "at_most": 60}
        rule = ForecastRule.model_validate(fields | {"type": "forecast", "target": target, "levels": [level]})
    now, by = [0, 0], dict[int, list[tuple[int, float]]]({0: [], 1: []})
    stream = []
    for series, gap_s, value in drawn:
        now[series] += gap_s * times * 1000
        value += climbs * len(by[series])
        by[series].append((now[series], value))
        stream.append((series, now[series], value))
    targets = None if target is None else np.full(2, target)
    expected = {
        (series, when): value
        for series, of in by.items()
        for when, value in oracle.said(of, 8, (21_000, 609_000), target)
    }
    agree(signals_of(lambda: TrendDetector(rule, np.arange(2), 2, targets), stream, sizes), expected)


def test_a_steady_rise_reaches_its_limit_when_arithmetic_says() -> None:
    times = (np.arange(15, dtype=np.int64) * 2000)[None, :]
    noise = np.array([1, -1, 2, 0, -2, 1, 0, -1, 2, -1, 0, 1, -2, 1, 0]) * 1e-4
    values = (1.0 + np.arange(15) * 2 * 0.002 + noise)[None, :]  # 2 mm a second
    minutes, low, high = minutes_until(trend(times, values), np.array([2.0]))
    assert abs(minutes[0] - (2.0 - values[0, -1]) / 0.12) < 0.1
    assert low[0] <= minutes[0] <= high[0]


def test_an_overflow_is_foreseen_by_a_sensor_that_reads_every_five_minutes() -> None:
    level = {"severity": "high", "at_most": 60}
    fields = {"id": "r", "name": "R", "class": "drain", "metric": "level", "type": "forecast", "levels": [level]}
    rule = ForecastRule.model_validate(fields | {"target": 2.0, "span_max_s": 7200})
    rise = [(0, i * 300_000, 1.0 + i * 0.05) for i in range(15)]  # a centimetre a minute
    found = signals_of(lambda: TrendDetector(rule, np.array([0]), 1, np.array([2.0])), rise, [4])
    assert round(found[0, 14 * 300_000], 6) == 30


def test_two_wild_readings_in_fifteen_do_not_move_the_slope() -> None:
    times = (np.arange(15, dtype=np.int64) * 60_000)[None, :]
    values = np.linspace(0, 1.4, 15)[None, :].copy()
    values[0, [3, 9]] = [2.2, -1.0]
    assert abs(trend(times, values).slope[0] - 0.1) < 0.01


def test_noise_has_no_slope_and_never_overflows() -> None:
    rng = np.random.default_rng(4)
    times = np.tile(np.arange(15, dtype=np.int64) * 2000, (500, 1))
    values = 0.5 + rng.normal(0, 0.002, (500, 15))
    minutes, _, _ = minutes_until(trend(times, values), np.full(500, 2.0))
    assert np.isinf(minutes).mean() > 0.95


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), max_size=12), min_size=1, max_size=8),
    st.integers(2, 5),
)
def test_windows_are_the_last_n_readings_however_the_stream_is_cut(
    batches: list[list[tuple[int, int]]], readings: int
) -> None:
    windows = Windows(4, readings)
    rings = [deque([(UNSET_MS, 0.0)] * readings, maxlen=readings) for _ in range(4)]
    now = 0
    for batch in batches:
        if not batch:
            continue
        rows = np.array([row for row, _ in batch], np.int64)
        value = np.array([float(v) for _, v in batch])
        time = np.arange(now, now + len(batch), dtype=np.int64)
        now += len(batch)
        groups = group(rows)
        times, values = windows.push(groups, time[groups.order], value[groups.order])
        expected = {}
        for i, row in enumerate(rows.tolist()):
            rings[row].append((int(time[i]), float(value[i])))
            expected[i] = list(rings[row])
        for position, i in enumerate(groups.order.tolist()):
            complete = [(t, v) for t, v in expected[i] if t != UNSET_MS]
            got = [
                (t, v)
                for t, v in zip(times[position].tolist(), values[position].tolist(), strict=True)
                if t != UNSET_MS
            ]
            assert got == complete
