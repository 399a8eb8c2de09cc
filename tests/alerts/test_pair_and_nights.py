import math

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.detector import Detector
from alerts.detectors.nights import NightMinimumDetector, NightMinimumRule, SiltationDetector, SiltationRule
from alerts.detectors.pair import PairDetector, PairRule
from alerts.rules import DETECTORS, LevelRule, RuleFile
from alerts.world import World
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.errors import BadConfiguration
from telemetry.series import SeriesRegistry
from tests.alerts import streams
from tests.alerts.rows import Told, agree, signals_of
from tests.alerts.stage import Stage, program
from tests.oracles import nights, pair
from tests.oracles.registers import Register

HOUR_S = 3600
T0 = 1_795_000_000_000 // 86_400_000 * 86_400_000 + 18 * 3_600_000  # two o'clock in Shanghai
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=10)
PIPES: dict[str, list[dict[str, object]]] = {
    "sites": [{"id": "east", "name": "East", "timezone": "Asia/Shanghai"}],
    "kinds": [
        {"id": "level", "name": "Level", "metrics": [{"id": "level", "name": "Level", "unit": "m"}]},
        {"id": "gauge", "name": "Gauge", "metrics": [{"id": "rain_rate", "name": "Rain", "unit": "mm/h"}]},
    ],
    "gateways": [{"id": "gw", "name": "Gateway", "site": "east"}],
    "devices": [
        {"id": "up", "kind": "level", "place": "a", "gateway": "gw"},
        {"id": "down", "kind": "level", "place": "c", "gateway": "gw"},
        {"id": "rain", "kind": "gauge", "place": "b", "gateway": "gw"},
    ],
}  # fmt: skip
FLOWS: dict[str, dict[str, object]] = {"a": {"downstream": "b"}, "b": {"downstream": "c"}, "c": {}}
NAMES = [("up", "level"), ("down", "level"), ("rain", "rain_rate")]


def places(crown_m: float) -> list[dict[str, object]]:
    return [
        {"id": p, "name": p, "kind": "manhole", "site": "east", "drain": {"depth_m": 2, "crown_m": crown_m, **flows}}
        for p, flows in FLOWS.items()
    ]


def world(without: str = "", crown_m: float = 0.5) -> World:
    devices = [one for one in PIPES["devices"] if one["id"] != without]
    file = CatalogueFile.model_validate({**PIPES, "places": places(crown_m), "devices": devices})
    catalogue = Catalogue(**{part: getattr(file, part) for part in CatalogueFile.model_fields})
    return World(catalogue, SeriesRegistry([name for name in NAMES if name[0] != without]))


def rule_of(type_name: str, **more: object) -> dict[str, object]:
    levels = [{"severity": "low", "at_least": 4}]
    return {"id": "r", "name": "R", "class": "drain", "metric": "level", "type": type_name, "levels": levels, **more}


LEVELS = st.tuples(
    st.integers(0, 1),
    st.sampled_from([60, 60, 300, 899, 900, 901]),
    st.sampled_from([0.0, 0.1, 0.1, 0.12, 0.14, 0.2, 0.4, 1.0]),
    st.sampled_from([True] * 9 + [False]),  # good
)


@given(st.lists(LEVELS, min_size=30, max_size=120), CUTS, st.sampled_from(["high", "low", "both"]))
def test_a_pair_agrees_with_arithmetic_by_hand(
    line: list[tuple[int, int, float, bool]], sizes: list[int], side: str
) -> None:
    rule = PairRule.model_validate(rule_of("pair", side=side, learn_readings=8, memory_readings=16))
    one = pair.Pair(0.02, 8, 16, side)
    stream: list[Told] = []
    expected, now = {}, T0
    down: tuple[int, float] | None = None
    doubtful: set[tuple[int, int]] = set()
    for series, gap_s, value, good in line:
        now += gap_s * 1000
        stream.append((series, now, value))
        if not good:
            doubtful.add((series, now))
        if series == 1:
            down = (now, value)
        if series == 1 or not good:
            continue
        signal = one.reading(value, down[1] if down is not None and now - down[0] <= 900_000 else None)
        if signal is not None:
            expected[0, now] = signal

    def make() -> PairDetector:
        return PairDetector(rule, np.array([0]), np.array([1]), world())

    agree(signals_of(make, stream, sizes, doubtful=doubtful), expected)


def test_a_pair_looks_past_a_place_without_a_sensor_and_a_drain_without_a_neighbour_is_refused() -> None:
    assert world().downstream(np.array([0, 1])).tolist() == [1, -1]
    (rule,) = RuleFile.model_validate({"rules": [rule_of("pair")]}).rules
    with pytest.raises(BadConfiguration, match="device 'down' with the next one downstream"):
        DETECTORS[PairRule](rule, np.array([0, 1]), world())


def test_an_advisory_stands_at_the_crown_or_at_half_of_the_depth() -> None:
    (rule,) = RuleFile.model_validate({"rules": [rule_of("level", relative_to="crown-or-half")]}).rules
    assert isinstance(rule, LevelRule)
    assert world().scales(rule, np.array([0, 1]))[:2].tolist() == [1.0, 1.0]
    assert world(crown_m=1.4).scales(rule, np.array([0, 1]))[:2].tolist() == [1.4, 1.4]


def test_a_blockage_without_a_gauge_is_refused() -> None:
    (rule,) = RuleFile.model_validate({"rules": [rule_of("blockage")]}).rules
    with pytest.raises(BadConfiguration, match="no device at the site of 'up' measures 'rain_rate'"):
        DETECTORS[type(rule)](rule, np.array([0]), world(without="rain"))  # type: ignore[index]


@pytest.mark.parametrize(
    ("dry", "wet", "told"),
    [
        (
            0.80,
            0.80,
            ["raised", "severity-up"],
        ),  # twice the usual, in the rain as before: nothing is known, nothing ends
        (0.80, 4.00, ["raised", "severity-up"]),
        (0.80, 0.48, ["raised", "severity-up", "severity-down"]),  # even in the rain no more than 1.2 times
        (0.80, 0.30, ["raised", "severity-up", "returned"]),
        (0.48, 4.00, ["raised"]),
        (0.30, 4.00, []),
    ],
)
def test_rain_begins_nothing_and_ends_nothing_at_any_level(dry: float, wet: float, told: list[str]) -> None:
    rules = """
rules:
  - {id: blocked, type: blockage, class: drain, name: B, metric: level, devices: [up], raise_after_s: 0, reopen_within_s: 0,
     levels: [{severity: medium, at_least: 1.1}, {severity: high, at_least: 1.5}]}
"""
    stage = Stage(program(yaml.safe_dump({**PIPES, "places": places(0.5)}), rules))
    week_s = 168 * HOUR_S
    for week in range(5):
        hour_s = (week + 1) * week_s
        for half_hour in range(14, 0, -1):
            stage.read(hour_s - half_hour * 1800, rain=0.0)
        values = [0.4] if week < 4 else [0.48, dry] if dry > 0.4 else [dry]
        for number, value in enumerate(values):
            stage.read(hour_s + 60 * number, rain=0.0)
            stage.read(hour_s + 60 * number + 1, up=value)
    for minute in range(10, 60, 10):
        stage.read(hour_s + 60 * minute, rain=9.0)
        if minute > 10:
            stage.read(hour_s + 60 * minute + 1, up=wet)
    assert stage.told("blocked") == told


def test_what_rain_leaves_open_begins_nothing_at_any_drain() -> None:
    (rule,) = RuleFile.model_validate({"rules": [rule_of("blockage")]}).rules
    stream: list[Told] = []
    for week in range(5):
        now = T0 + week * 168 * HOUR_S * 1000
        stream += [(2, now - half_hour * 1_800_000, 0.0) for half_hour in range(14, 0, -1)]
        stream += [(2, now, 9.0 if week == 4 else 0.0)]
        stream += [(2, now + 600_000, 9.0 if week == 4 else 0.0)]
        stream += [(series, now + 601_000, 0.4 if week < 4 else 0.8) for series in (0, 1)]

    def make() -> Detector:
        return DETECTORS[type(rule)](rule, np.array([0, 1]), world())  # type: ignore[index]

    wet: set[tuple[int, int]] = set()
    found = signals_of(make, stream, [1000], ends_only=wet)
    assert [found[series, stream[-1][1]] for series in (0, 1)] == [2.0, 2.0]
    assert wet == {(0, stream[-1][1]), (1, stream[-1][1])}


def test_water_that_is_held_back_between_two_manholes_is_seen_and_a_storm_is_not() -> None:
    rng = np.random.default_rng(2)
    for blocked, low, high in ((0.4, 4.0, math.inf), (0.0, 0.0, 4.0)):
        stream: list[Told] = []
        for i in range(900):
            down = 0.3 + 0.1 * math.sin(i / 46) + rng.normal(0, 0.01) + (0.5 if 600 < i < 640 or i > 860 else 0)
            up = 0.1 + 0.8 * (down - 0.3) + rng.normal(0, 0.01) + (blocked if i > 880 else 0)
            stream += [(1, T0 + i * 300_000, down), (0, T0 + i * 300_000, up)]
        rule = PairRule.model_validate(rule_of("pair"))

        def make(rule: PairRule = rule) -> PairDetector:
            return PairDetector(rule, np.array([0]), np.array([1]), world())

        found = signals_of(make, stream, [100])
        assert low <= found[0, stream[-1][1]] < high


# --- nights ---------------------------------------------------------------------------------------------------------

# Readings of a day at its night's ends and around them, days left out now and then; a gauge that is heard every hour but for
# one, and rain between two of its words, around how long it counts: twelve hours before two, three and five o'clock.
OF_DAY_S = [
    0,
    1,
    HOUR_S,
    3 * HOUR_S,
    3 * HOUR_S + 1,
    12 * HOUR_S,
    13 * HOUR_S,
    14 * HOUR_S,
    15 * HOUR_S,
    24 * HOUR_S - 1,
]
DAY = st.tuples(
    st.sampled_from([1, 1, 1, 2, 15]),
    st.lists(
        st.tuples(
            st.sampled_from(OF_DAY_S),
            st.sampled_from([0.1, 0.1, 0.12, 0.14, 0.3]),
            st.sampled_from([True] * 5 + [False]),
        ),
        min_size=2,
        max_size=5,
        unique_by=lambda one: one[0],
    ),
    st.sampled_from([None] * 6 + [0, 3, 13, 14, 22]),  # the hour in which nothing is heard
    st.sampled_from([None] * 6 + [0, 14 * HOUR_S - 1, 14 * HOUR_S, 14 * HOUR_S + 1, 15 * HOUR_S, 17 * HOUR_S + 1]),
    st.sampled_from([0.1, 0.2]),
)


@given(st.lists(DAY, min_size=8, max_size=25), CUTS, st.booleans(), st.sampled_from([None, "depth"]))
def test_siltation_agrees_with_all_slopes_by_hand(
    days: list[tuple[int, list[tuple[int, float, bool]], int | None, int | None, float]],
    sizes: list[int],
    has_gauge: bool,
    relative_to: str | None,
) -> None:
    fields = {"nights": 14, "nights_min": 5, "age_days_max": 20, "relative_to": relative_to}
    rule = SiltationRule.model_validate(rule_of("siltation", **fields))
    one = nights.Drain(14, 5, 20, 8, 2.0 if relative_to else 1.0)
    gauge = nights.Gauge()
    told: dict[tuple[int, int], float] = {}  # (second, 2 for the gauge and 0 for the drain)
    doubtful: set[tuple[int, int]] = set()
    day = 0
    for later, readings, silent_h, rain_s, rate in days:
        day += later
        for hour in range(-24 if later > 1 or not told else 0, 24):
            if hour != silent_h:
                told[day * 24 * HOUR_S + hour * HOUR_S, 2] = 0.0
        if rain_s is not None:
            told[day * 24 * HOUR_S + rain_s, 2] = rate
        for of_day, level, good in readings:
            told[day * 24 * HOUR_S + of_day, 0] = level
            if not good:
                doubtful.add((0, T0 + (day * 24 * HOUR_S + of_day) * 1000))
    stream: list[Told] = []
    expected = {}
    for second, series in sorted(told, key=lambda at: (at[0], -at[1])):
        now, value = T0 + second * 1000, told[second, series]
        if series == 2:
            gauge.reading(now, value)
            if not has_gauge:
                continue
        stream.append((series, now, value))
        if series == 0 and (0, now) not in doubtful:
            signal = one.reading(now, value, gauge if has_gauge else None)
            if signal is not None:
                expected[0, now] = signal
    gauges = np.array([2 if has_gauge else -1])

    def make() -> SiltationDetector:
        return SiltationDetector(rule, np.array([0]), gauges, world())

    agree(signals_of(make, stream, sizes, doubtful=doubtful), expected)


@pytest.mark.parametrize("evening", ["dry", "rain", "unheard"])
def test_a_night_after_rain_that_no_reading_saw_or_nobody_heard_of_is_not_known_to_be_dry(evening: str) -> None:
    rule = SiltationRule.model_validate(rule_of("siltation", nights=14, nights_min=5))
    stream: list[Told] = []
    for day in range(6):
        for quarter in range(96):  # from two o'clock on
            now, hour = T0 + day * 86_400_000 + quarter * 900_000, quarter / 4
            rained = evening == "rain" and hour == 18.25
            if not (evening == "unheard" and 18 < hour < 20):
                stream.append((2, now, 4.0 if rained else 0.0))
            if hour in (0, 1, 2, 12, 18, 19, 20):
                stream.append((0, now, 0.1))

    def make() -> SiltationDetector:
        return SiltationDetector(rule, np.array([0]), np.array([2]), world())

    assert bool(signals_of(make, stream, [100])) == (evening == "dry")


def test_a_bottom_that_rises_by_a_centimetre_a_week_is_seen_beside_rain_and_noise() -> None:
    rng = np.random.default_rng(8)
    stream: list[Told] = []
    for day in range(40):
        wet = day % 6 == 0
        for half_hour in range(48):
            now = T0 + day * 86_400_000 + half_hour * 1_800_000
            level = 0.1 + day * 0.01 / 7 + 0.05 * (half_hour > 8) + rng.normal(0, 0.004) + 0.6 * wet
            stream += [(2, now, 5.0 if wet else 0.0), (0, now, level)]
    rule = SiltationRule.model_validate(rule_of("siltation"))

    def make() -> SiltationDetector:
        return SiltationDetector(rule, np.array([0]), np.array([2]), world())

    found = signals_of(make, stream, [500])
    assert abs(list(found.values())[-1] - 30 * 0.01 / 7) < 0.01


REGISTER = st.tuples(
    st.sampled_from([600, 899, 900, 900, 900, 901, HOUR_S, 2 * HOUR_S, 2 * HOUR_S + 1, 22 * HOUR_S, 22 * HOUR_S]),
    st.sampled_from([0, 0, 1, 1, 2, 8, 20, -1, -9]),
    st.sampled_from([True] * 9 + [False]),
)


@given(st.lists(REGISTER, min_size=60, max_size=150), CUTS, st.sampled_from([1.0, 5.0]))
def test_night_minima_agree_with_one_night_after_another(
    line: list[tuple[int, int, bool]], sizes: list[int], price: float
) -> None:
    fields = {"type": "night-minimum", "nights_min": 3, "least": 24, "price": price}
    levels = [{"severity": "low", "at_least": 100}]
    make = streams.maker([streams.VOLUME[0]], levels=levels, **fields)
    one = nights.Meter(Register(math.inf, math.inf, []), 100, 24, price, 8)
    stream: list[streams.Reading] = []
    said: list[tuple[int, float]] = []
    now, value = T0, 1000.0
    for gap_s, grown, good in line:
        now += gap_s * 1000
        value += grown
        stream.append((0, now, value, good))
        if not good:
            continue
        signal = one.reading(now, value, 3, 7_200_000)
        if signal is not None:
            said.append((now, signal))
    streams.same(streams.told(make, stream, sizes), {0: said})


def test_a_tap_that_runs_all_night_is_litres_a_day_and_money() -> None:
    for price, expected in ((None, 48.0), (4.0, 192.0)):
        register, stream = 0.0, []
        rng = np.random.default_rng(1)
        for quarter in range(20 * 96):
            now = T0 - 7_200_000 + quarter * 900_000
            local_h = (quarter // 4) % 24
            register += float(rng.integers(0, 2)) if local_h >= 6 else 0.0
            register += 0.5 if quarter >= 18 * 96 else 0.0
            stream.append((0, now, register, True))
        rule = NightMinimumRule.model_validate(
            {"id": "r", "name": "R", "class": "x", "metric": "volume", "type": "night-minimum", "least": 1}
            | {"last_digit": 0.1, "price": price, "levels": [{"severity": "low", "at_least": 10}]}
        )
        told = streams.told(lambda r=rule: NightMinimumDetector(r, np.array([0]), streams.world()), stream, [500])  # type: ignore[misc]
        values = [value for _, value in told[0]]
        assert values[:-2] == [0.0] * len(values[:-2])
        assert math.isclose(values[-1], expected)
