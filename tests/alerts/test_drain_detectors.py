import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.blockage import BlockageDetector, BlockageRule
from alerts.detectors.saturation import SaturationDetector, SaturationRule
from tests.alerts.rows import Told, agree, signals_of
from tests.oracles.blockage import Drain, Gauge
from tests.oracles.saturation import Sensor

T0 = 1_795_000_000_000 // 3_600_000 * 3_600_000
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=10)


def fields(type_name: str, **more: object) -> dict[str, object]:
    levels = [{"severity": "high", "at_least": 1.0}]
    return {"id": "r", "name": "R", "class": "drain", "metric": "level", "type": type_name, "levels": levels, **more}


# The top is 2.5 m less a blind zone of 0.5; values sit on it, on 0.6 of the top and on a rise of a tenth of it.
LEVELS = st.tuples(
    st.integers(0, 1),
    st.sampled_from([60, 60, 600, 1200, 1201]),
    st.sampled_from([0.25, 1.25, 1.25, 1.375, 1.5, 1.5, 1.75, 1.875, 2.0, 2.0, 2.5]),
)


@given(st.lists(LEVELS, min_size=20, max_size=80), CUTS, st.booleans())
def test_saturation_agrees_with_one_sensor_after_another(
    line: list[tuple[int, int, float]], sizes: list[int], overflow: bool
) -> None:
    rule = SaturationRule.model_validate(fields("saturation", mode="overflow" if overflow else "fault", rise_s=3600))
    sensors = [Sensor(2.5, 0.5, 3_600_000, overflow) for _ in range(2)]
    stream: list[Told] = []
    expected, now = {}, T0
    for series, gap_s, value in line:
        now += gap_s * 1000
        stream.append((series, now, value))
        expected[series, now] = sensors[series].reading(now, value)
    top, blind = np.full(2, 2.5), np.full(2, 0.5)
    agree(signals_of(lambda: SaturationDetector(rule, np.array([0, 1]), 2, top, blind), stream, sizes), expected)


def pinned_after(before: list[float], every_ms: int = 60_000) -> tuple[float, float]:
    """(minutes of overflow, of fault) after five more readings than one at the top, 2 m."""
    stream = [(0, T0 + i * every_ms, v) for i, v in enumerate([*before, *[2.0] * 6])]
    found = []
    for mode in ("overflow", "fault"):
        rule = SaturationRule.model_validate(fields("saturation", mode=mode))
        top = np.array([2.0])

        def make(rule: SaturationRule = rule, top: np.ndarray = top) -> SaturationDetector:
            return SaturationDetector(rule, np.array([0]), 1, top, np.zeros(1))

        found.append(round(signals_of(make, stream, [100])[0, stream[-1][1]], 6))
    return found[0], found[1]


def test_pinned_after_a_rise_is_an_overflow_and_pinned_out_of_nothing_a_fault() -> None:
    assert pinned_after([0.4, 0.8, 1.2, 1.6]) == (5.0, 0.0)
    assert pinned_after([0.4, 0.4, 0.4, 0.4]) == (0.0, 5.0)
    assert pinned_after([]) == (0.0, 5.0)


def test_water_that_rises_by_a_decimetre_a_minute_is_an_overflow_to_a_sensor_that_reads_every_two_seconds() -> None:
    rise = [round(0.5 + i / 300, 3) for i in range(450)]
    assert pinned_after(rise, 2_000) == (round(10 / 60, 6), 0.0)
    assert pinned_after([0.5] * 450, 2_000) == (0.0, round(10 / 60, 6))


def test_waves_do_not_make_a_fault_of_an_overflow() -> None:
    hours = [2.0] * 90
    assert pinned_after([0.4, 0.8, 1.2, 1.6, *hours, 1.95]) == (5.0, 0.0)
    assert pinned_after([0.4, 0.8, 1.2, 1.6, *hours, 1.1]) == (0.0, 5.0)


# Hours of a few weeks at one place in the week; levels around the usual one, rain around its limit.
WEEK_S = 168 * 3600
WEATHER = st.lists(
    st.tuples(
        st.sampled_from(
            [24_000, 24_000, 21_600, 21_300, 0]
        ),  # for how long the gauge has been heard again after a pause
        st.sampled_from([300, 600, 900, 21_000, WEEK_S, WEEK_S, WEEK_S - 300]),
        st.sampled_from([0.0, 0.0, 0.04, 0.2, 0.25, 0.25, 0.5]),
        st.sampled_from([0.0, 0.0, 5.5, 6.0, 6.5]),
        st.sampled_from([0, 0, 0, 3600, 3601]),  # how much later than the gauge the level is read
    ),
    min_size=30,
    max_size=80,
)


@given(WEATHER, CUTS)
def test_blockage_agrees_with_one_drain_and_its_gauge(
    line: list[tuple[int, int, float, float, int]], sizes: list[int]
) -> None:
    rule = BlockageRule.model_validate(fields("blockage"))
    gauge, drain = Gauge(), Drain()
    stream: list[Told] = []
    wet: set[tuple[int, int]] = set()
    expected, now = {}, T0
    for heard_s, gap_s, level, rate, later_s in line:
        now += gap_s * 1000
        if gap_s > 24_000:
            for before_s in range(heard_s, 0, -3000):
                stream.append((1, now - before_s * 1000, 0.0))
                gauge.reading(now - before_s * 1000, 0.0)
        fallen = gauge.reading(now, rate)
        stream += [(1, now, rate), (0, now + later_s * 1000, level)]
        now += later_s * 1000
        signal = drain.reading(now, level, fallen) if later_s <= 3600 else None
        if signal is not None:
            expected[0, now], may_begin = signal
            if not may_begin:
                wet.add((0, now))
    found_wet: set[tuple[int, int]] = set()
    made = signals_of(
        lambda: BlockageDetector(rule, np.array([0]), np.array([1]), 2), stream, sizes, ends_only=found_wet
    )
    agree(made, expected)
    assert found_wet == wet


def heard_until(week: int) -> list[Told]:
    """Seven dry hours of the gauge."""
    return [(1, T0 + week * WEEK_S * 1000 - i * 1_800_000, 0.0) for i in range(14, 0, -1)]


def test_a_storm_in_which_the_gauge_was_not_heard_is_no_blockage() -> None:
    for is_heard in (True, False):
        stream: list[Told] = []
        for week in range(5):
            stream += heard_until(week)[: 14 if is_heard or week < 4 else 10]
            for i in range(60):
                now = T0 + week * WEEK_S * 1000 + i * 60_000
                stream += [(1, now, 0.0), (0, now, 0.8 if week == 4 else 0.3)]
        rule = BlockageRule.model_validate(fields("blockage"))

        def make(rule: BlockageRule = rule) -> BlockageDetector:
            return BlockageDetector(rule, np.array([0]), np.array([1]), 2)

        wet: set[tuple[int, int]] = set()
        last = stream[-1][1]
        assert signals_of(make, stream, [1000], ends_only=wet)[0, last] > 2.0
        assert ((0, last) not in wet) == is_heard


def test_a_drain_that_stands_high_in_dry_weather_is_blocked_and_in_rain_it_is_not() -> None:
    for rate in (0.0, 4.0):
        stream: list[Told] = []
        for week in range(5):
            stream += heard_until(week)
            for i in range(60):
                now = T0 + week * WEEK_S * 1000 + i * 60_000
                stream += [(1, now, rate if week == 4 else 0.0), (0, now, 0.8 if week == 4 else 0.3)]
        rule = BlockageRule.model_validate(fields("blockage"))

        def make(rule: BlockageRule = rule) -> BlockageDetector:
            return BlockageDetector(rule, np.array([0]), np.array([1]), 2)

        wet: set[tuple[int, int]] = set()
        last = stream[-1][1]
        assert signals_of(make, stream, [1000], ends_only=wet)[0, last] > 2.0
        assert ((0, last) not in wet) == (rate == 0.0)
