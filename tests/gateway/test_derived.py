"""Rates out of counters: rain by the tip, counters that go round, are reset, pause or come late."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.derived import CounterRate, Derived, RateSettings
from telemetry.clock import ManualClock
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.gateway.support import ListSink

RAIN = {"device": "rain-1", "counter": "rain_total", "metric": "rain_rate", "window_s": 300}

BEGIN_S = 1_795_392_000
LATER_MS = (BEGIN_S + 100_000) * 1000


def total(second: int, value: float, quality: Quality = Quality.GOOD) -> Reading:
    return Reading("rain-1", "rain_total", (BEGIN_S + second) * 1000, value, quality)


def rates(counts: Sequence[tuple[int, float]], wraps_at: float | None = None) -> list[float | None]:
    counter = CounterRate(RateSettings.model_validate({**RAIN, "wraps_at": wraps_at}))
    found = [counter.rate(total(second, value), LATER_MS) for second, value in counts]
    return [None if rate is None else round(rate.value, 6) for rate in found]


def test_rain_by_the_tip_is_a_mean_over_the_window() -> None:
    # 0.2 mm every minute is 12 mm/h, however often one looks.
    counts = [(second, 0.2 * (second // 60)) for second in range(0, 1201, 30)]
    found = rates(counts)
    assert found[:10] == [None] * 10 and found[10:] == [12.0] * 31


@pytest.mark.parametrize(
    ("counts", "wraps_at", "expected"),
    [
        ([(0, 99.8), (300, 0.2)], 100.0, 4.8),
        ([(0, 50.0), (300, 0.2)], 100.0, 0.0),
        ([(0, 99.8), (300, 0.2)], None, 0.0),
        ([(0, 1.0), (300, 1.0)], None, 0.0),
        ([(0, 5.0), (150, 0.0), (300, 1.0)], None, 12.0),
    ],
)
def test_a_counter_that_goes_round_is_counted_on_and_one_that_was_reset_counts_anew(
    counts: list[tuple[int, float]], wraps_at: float | None, expected: float
) -> None:
    assert rates(counts, wraps_at)[-1] == pytest.approx(expected)


def test_what_comes_late_or_twice_or_bad_changes_nothing() -> None:
    counter = CounterRate(RateSettings.model_validate(RAIN))
    assert counter.rate(total(0, 0.0), LATER_MS) is None
    assert counter.rate(total(400, 1.0, Quality.BAD), LATER_MS) is None
    assert counter.rate(total(300, 1.0), LATER_MS) is not None
    assert counter.rate(total(300, 9.0), LATER_MS) is None and counter.rate(total(200, 9.0), LATER_MS) is None
    found = counter.rate(total(600, 1.0), LATER_MS)
    assert found is not None and found.value == 0.0


def test_after_a_long_pause_the_rate_is_suspect() -> None:
    counter = CounterRate(RateSettings.model_validate(RAIN))
    counter.rate(total(0, 0.0), LATER_MS)
    good, long = counter.rate(total(600, 1.0), LATER_MS), counter.rate(total(7800, 21.0), LATER_MS)
    assert good is not None and (good.value, good.quality) == (6.0, Quality.GOOD)
    assert long is not None and (long.value, long.quality) == (10.0, Quality.SUSPECT)


def test_one_time_from_years_ahead_does_not_end_the_rates() -> None:
    counter = CounterRate(RateSettings.model_validate(RAIN))
    now_ms = (BEGIN_S + 1200) * 1000
    for second, value in ((0, 0.0), (10**9, 0.2), (300, 0.4)):
        counter.rate(total(second, value), now_ms)
    assert counter.rate(total(150, 9.0), now_ms) is None
    found = counter.rate(total(600, 1.4), now_ms)
    assert found is not None and found.value == pytest.approx(12.0) and found.quality is Quality.GOOD


def test_the_window_stays_as_long_as_it_is_however_many_readings_there_are() -> None:
    counter = CounterRate(RateSettings.model_validate(RAIN))
    rate = None
    for tenth in range(12_000):
        reading = Reading("rain-1", "rain_total", BEGIN_S * 1000 + 100 * tenth, 0.001 * min(tenth, 3000))
        rate = counter.rate(reading, LATER_MS)
    assert rate is not None and (rate.value, rate.quality) == (0.0, Quality.GOOD)
    assert len(counter._points) < 2_010


def test_a_count_before_the_time_was_known_is_no_rate_over_the_years_until_then() -> None:
    counter = CounterRate(RateSettings.model_validate(RAIN))
    assert counter.rate(Reading("rain-1", "rain_total", 5_000, 1.0), 5_000) is None
    assert counter.rate(total(0, 3.0), LATER_MS) is None
    found = counter.rate(total(300, 4.0), LATER_MS)
    assert found is not None and found.value == pytest.approx(12.0)


gaps = st.lists(st.tuples(st.sampled_from([1, 30, 299, 300, 301, 900]), st.sampled_from([0.0, 0.2, 5.0])), max_size=40)


@given(gaps)
def test_what_is_told_is_what_was_counted(steps: list[tuple[int, float]]) -> None:
    """The rate times the time since the oldest point that the window needs is the count since then (a slow twin)."""
    counts = [(0, 0.0)]
    for gap, more in steps:
        counts.append((counts[-1][0] + gap, counts[-1][1] + more))
    for number, rate in enumerate(rates(counts)):
        second, value = counts[number]
        before = [point for point in counts[: number + 1] if point[0] <= second - 300]
        if not before:
            assert rate is None
        else:
            begin, begun = before[-1]
            assert rate == pytest.approx((value - begun) / (second - begin) * 3600, abs=1e-5)


def test_the_counter_goes_on_unchanged_with_its_rate_behind_it() -> None:
    async def run() -> None:
        sink = ListSink()
        derived = Derived([RateSettings.model_validate(RAIN)], sink, ManualClock(LATER_MS))
        other = Reading("rain-2", "rain_total", 0, 1.0)
        await derived.offer([total(0, 0.0), other])
        await derived.keep([total(300, 1.0)])
        assert [(r.device, r.metric, r.value) for r in sink.readings] == [
            ("rain-1", "rain_total", 0.0),
            ("rain-2", "rain_total", 1.0),
            ("rain-1", "rain_total", 1.0),
            ("rain-1", "rain_rate", 12.0),
        ]

    asyncio.run(run())
