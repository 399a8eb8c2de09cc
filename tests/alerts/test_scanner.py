import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.cluster import FeverClusterDetector, FeverClusterRule, rarity
from alerts.detectors.scanner import ScannerHealthDetector, ScannerHealthRule
from tests.alerts.rows import Told, agree, signals_of
from tests.oracles import cluster, scanner

HOUR_S = 3600
T0 = 1_795_000_000_000 // 3_600_000 * 3_600_000  # a whole hour
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=10)


def fields(type_name: str, **more: object) -> dict[str, object]:
    levels = [{"severity": "low", "at_least": 0.3}]
    return {
        "id": "r",
        "name": "R",
        "class": "sensor",
        "metric": "skin_temperature",
        "type": type_name,
        "levels": levels,
        **more,
    }


# Two lanes of a gate; lane 0 has a reference body (series 3). Mornings at the same hour, a few of them longer than two hours,
# some days left out; values repeat.
PERSON = st.tuples(
    st.sampled_from([0, 0, 0, 1, 1, 1, 3]),
    st.sampled_from([20] * 24 + [1200, 2 * HOUR_S + 1] + [2 * HOUR_S - 20 * n for n in range(12)]),
    st.sampled_from([33.9, 33.9, 34.0, 36.3, 36.4, 36.4, 36.5, 36.5, 36.7, 36.8, 36.9, 42.0, 42.1]),
)
DAYS = st.lists(
    st.tuples(st.sampled_from([1, 1, 1, 1, 2, 6]), st.lists(PERSON, min_size=26, max_size=34)), min_size=2, max_size=5
)


def line_of(days: list[tuple[int, list[tuple[int, int, float]]]]) -> list[tuple[int, int, float]]:
    """(series, time, value) of mornings, each of which begins so many days after the one before."""
    found, day = [], 0
    for later, people in days:
        day += later
        now = T0 + day * 24 * HOUR_S * 1000
        for series, gap_s, value in people:
            now += gap_s * 1000
            if now < T0 + (day + 1) * 24 * HOUR_S * 1000:
                found.append((series, now, value if series != 3 else 35.0 + round(value - 36.4, 1) / 2))
    return found


@given(DAYS, CUTS, st.booleans())
def test_scanner_health_agrees_with_one_lane_after_another(
    days: list[tuple[int, list[tuple[int, int, float]]]], sizes: list[int], has_body: bool
) -> None:
    rule = ScannerHealthRule.model_validate(
        fields("scanner-health", people_min=5, days_min=1, identical=3, blackbody_c=35.0 if has_body else None)
        | {"people": 10, "no_result": 3}
    )
    lanes = [scanner.Lane(10, 5, 1, 3) for _ in range(3)]
    others = [np.setdiff1d(np.arange(3), [lane]) for lane in range(3)]
    bodies = np.array([3 if has_body else -1, -1, -1])
    stream: list[Told] = []
    expected: dict[tuple[int, int], float] = {}
    body: float | None = None
    for series, now, value in line_of(days):
        stream.append((series, now, value))
        if series == 3:
            body = value
            continue
        if not 34 <= value <= 42:
            if lanes[series].unmeasured(3) is not None:
                expected[series, now] = math.inf
            continue
        shown = body if has_body and series == 0 else None
        others_of = [lanes[o] for o in range(3) if o != series]
        signal = scanner.health(lanes[series], others_of, now, value, shown, 35.0)
        if signal is not None:
            expected[series, now] = signal
    agree(signals_of(lambda: ScannerHealthDetector(rule, np.arange(3), others, bodies, 4), stream, sizes), expected)


def week(shift_c: tuple[float, float, float], seed: int = 5) -> dict[tuple[int, int], float]:
    """Five mornings of three lanes; on the fifth each is moved by so much."""
    rng = np.random.default_rng(seed)
    stream: list[Told] = []
    for day in range(5):
        for i in range(300):
            value = round(float(rng.normal(36.4, 0.25)), 2) + (shift_c[i % 3] if day == 4 else 0.0)
            stream.append((i % 3, T0 + day * 86_400_000 + i * 10_000, value))
    rule = ScannerHealthRule.model_validate(fields("scanner-health"))
    others = [np.array([1, 2]), np.array([0, 2]), np.array([0, 1])]
    return signals_of(lambda: ScannerHealthDetector(rule, np.arange(3), others, np.full(3, -1), 3), stream, [64])


def last_of(found: dict[tuple[int, int], float], lane: int) -> float:
    return found[lane, max(t for s, t in found if s == lane)]


def test_a_scanner_that_moved_is_told_from_its_gate_and_from_the_weather() -> None:
    alone = week((0.6, 0.0, 0.0))
    assert last_of(alone, 0) >= 0.3
    assert last_of(alone, 1) < 0.3
    assert max(last_of(week((0.6, 0.6, 0.6)), lane) for lane in range(3)) < 0.3


def gate_of(stream: list[Told], **fields_of: object) -> dict[tuple[int, int], float]:
    """Two lanes, the first with a reference body (series 2)."""
    rule = ScannerHealthRule.model_validate(fields("scanner-health", **fields_of))
    others, bodies = [np.array([1]), np.array([0])], np.array([2, -1])
    return signals_of(lambda: ScannerHealthDetector(rule, np.arange(2), others, bodies, 3), stream, [64])


def mornings(shift_c: float = 0.0) -> list[Told]:
    """Five mornings of both lanes; on the fifth both are moved."""
    rng = np.random.default_rng(5)
    return [
        (i % 2, T0 + day * 86_400_000 + i * 10_000, round(float(rng.normal(36.4, 0.25)), 2) + shift_c * (day == 4))
        for day in range(5)
        for i in range(300)
    ]


def test_somebody_without_a_result_at_the_other_lane_takes_nothing_from_what_it_says() -> None:
    stream = mornings(0.6)
    stream = [*stream[:-1], (1, stream[-1][1] - 1, 33.5), (0, stream[-1][1] + 1, 37.0)]
    assert last_of(gate_of(stream), 0) < 0.3


def test_a_scanner_that_measures_nobody_any_more_is_not_well() -> None:
    stream = mornings()
    end = stream[-1][1]
    lost = [*stream, *((0, end + i * 10_000, 33.0 + i % 7 / 10) for i in range(1, 21))]
    assert last_of(gate_of(lost[:-1]), 0) < 0.3
    assert last_of(gate_of(lost), 0) == math.inf


def test_a_reference_body_that_is_not_heard_any_more_is_still_off() -> None:
    stream = mornings()
    body = [(2, stream[-300][1], 35.5)]
    assert last_of(gate_of([*stream[:-300], *body, *stream[-300:]], blackbody_c=35.0, age_max_s=600), 0) == 0.5


# --- clusters -------------------------------------------------------------------------------------------------------

CROWD = st.tuples(
    st.integers(0, 1),
    st.sampled_from([*[5] * 9, 60, 60, 1739, 1740, 1790, 1800, 1800, 24 * HOUR_S]),
    st.sampled_from([33.9, 36.3, 36.3, 36.3, 36.4, 36.4, 36.5, 36.5, 37.2, 37.3, 37.3, 38.0, 38.0, 42.1]),
    st.sampled_from([0, 0, 0, 1, 2, *range(3, 20)]),  # whose passage it is
)


@given(st.lists(CROWD, min_size=50, max_size=150), CUTS)
def test_clusters_agree_with_one_lane_after_another(line: list[tuple[int, int, float, int]], sizes: list[int]) -> None:
    rule = FeverClusterRule.model_validate(fields("fever-cluster"))
    lanes = [cluster.Lane(37.3) for _ in range(2)]
    stream: list[Told] = []
    expected, now = {}, T0
    keys: dict[tuple[int, int], int] = {}
    for series, gap_s, value, key in line:
        now += gap_s * 1000
        stream.append((series, now, value))
        keys[series, now] = key
        signal = lanes[series].person(now, value, key)
        if signal is not None:
            expected[series, now] = signal
    agree(signals_of(lambda: FeverClusterDetector(rule, np.arange(2), 2), stream, sizes, None, keys), expected)


@pytest.mark.parametrize(("apart_min", "in_window"), [(29, 3), (30, 2)])
def test_positives_count_for_thirty_minutes_to_the_minute(apart_min: int, in_window: int) -> None:
    times = [0, apart_min - 1, apart_min]
    stream = [(0, T0 + minute * 60_000, 38.5) for minute in times]
    rule = FeverClusterRule.model_validate(fields("fever-cluster"))
    found = signals_of(lambda: FeverClusterDetector(rule, np.arange(1), 1), stream, [1])
    assert (found[0, stream[-1][1]] > 0.0) == (in_window >= 3)


def test_the_hour_in_which_the_window_began_is_not_among_what_is_usual() -> None:
    # Ten past: the window began at twenty to, and whoever came in its hour is not held against those in it.
    stream = [(0, T0 + minute * 60_000, 38.5) for minute in (45, 50, 70)]
    rule = FeverClusterRule.model_validate(fields("fever-cluster"))
    found = signals_of(lambda: FeverClusterDetector(rule, np.arange(1), 1), stream, [3])
    assert np.isclose(found[0, stream[-1][1]], -np.log10(cluster.tail(3, 3, 1 / 200)))


def test_one_person_with_a_fever_who_is_measured_three_times_is_no_cluster() -> None:
    stream = [(0, T0 + i * 30_000, 36.4) for i in range(20)] + [(0, T0 + i * 30_000, 38.5) for i in range(20, 23)]
    rule = FeverClusterRule.model_validate(fields("fever-cluster"))

    def last(keys: dict[tuple[int, int], int]) -> float:
        return last_of(signals_of(lambda: FeverClusterDetector(rule, np.arange(1), 1), stream, [64], None, keys), 0)

    people = {(0, when): number for number, (_, when, _) in enumerate(stream, 1)}
    assert last(people) > 3
    assert last(people | {(0, when): 21 for _, when, value in stream if value > 38}) == 0


def test_the_tail_of_a_binomial_is_exact_and_never_negative() -> None:
    for people, positives, share in ((10, 0, 0.1), (30, 3, 0.005), (400, 9, 0.004), (900, 900, 0.001)):
        found = rarity(np.array([people]), np.array([positives]), np.array([share]))[0]
        exact = cluster.tail(people, positives, share)
        assert found >= 0
        if exact > 0:
            assert math.isclose(found, -math.log10(min(exact, 1.0)), rel_tol=1e-9, abs_tol=1e-9)


def morning(fifth: float, shift_c: float) -> float:
    """The highest signal of a morning in which every fifth of a hundred people has fever, or the scanner is moved."""
    rng = np.random.default_rng(3)
    normal = rng.normal(36.4, 0.25, 400).round(1)
    stream: list[Told] = [(0, T0 + i * 20_000, float(v)) for i, v in enumerate(normal)]
    for i in range(300, 400):
        value = 38.1 if fifth and i % 5 == 0 else stream[i][2] + shift_c
        stream[i] = (0, stream[i][1], value)
    rule = FeverClusterRule.model_validate(fields("fever-cluster"))
    found = signals_of(lambda: FeverClusterDetector(rule, np.array([0]), 1), stream, [50])
    return max(value for (_, t), value in found.items() if t >= stream[300][1])


def test_a_cluster_is_told_from_a_moved_scanner() -> None:
    assert morning(0.2, 0.0) >= 3
    assert morning(0.0, 0.8) < 3
    assert morning(0.0, 0.0) < 3
