import itertools
import math
from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.fever import FeverDetector, FeverRule
from tests.alerts.rows import Told, agree, signals_of
from tests.alerts.stage import Stage, program
from tests.oracles.fever import Lane

T0 = 1_795_000_000_000 // 3_600_000 * 3_600_000  # a whole hour
HOUR_S = 3600
LEVELS = [{"severity": "high", "at_least": 37.3}, {"severity": "critical", "at_least": 38.0}]
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=10)


def fever_rule(**fields: object) -> FeverRule:
    return FeverRule.model_validate(
        {"id": "f", "name": "F", "class": "fever", "metric": "skin_temperature", "type": "fever", "levels": LEVELS}
        | fields
    )


# (series, seconds since the one before, value): two lanes, one with its ambient temperature (series 2). The gaps sit on
# the pause, the age and a day; the values on the limits of what is measured, normal people and fevers. Some come late, or
# are of the same moment as the one before.
PEOPLE = st.tuples(
    st.sampled_from([0, 1, 0, 1, 10, 11]),  # 10 and more: the passage of the one before
    st.sampled_from(
        [
            -HOUR_S,
            -20,
            0,
            *[20] * 30,
            300,
            300,
            600,
            600,
            HOUR_S,
            HOUR_S + 1,
            *(24 * HOUR_S * d - 600 for d in (1, 6, 7, 8)),
        ]
    ),
    st.sampled_from([33.9, 34.0, 36.2, 36.3, 36.3, 36.4, 36.4, 36.4, 36.5, 36.5, 36.6, 37.0, 37.3, 38.4, 42.0, 42.1]),
)
AMBIENT = st.tuples(st.just(2), st.sampled_from([1, 20]), st.sampled_from([15.9, 15.9, 16.0, 32.0, 32.1]))
LINES = st.lists(st.one_of(PEOPLE, PEOPLE, PEOPLE, AMBIENT), min_size=80, max_size=160)


@given(
    LINES,
    CUTS,
    st.sampled_from([0.0, 0.25, -0.25, 0.8, -1.6]),
    st.sampled_from(["body", "surface"]),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 0.1]),
)
def test_fever_agrees_with_judging_one_person_after_another(
    line: list[tuple[int, int, float]], sizes: list[int], step_c: float, mode: str, up_c: float, per_c: float
) -> None:
    site = {"mode": mode, "site": "forehead"} if mode == "surface" else {}
    rule = fever_rule(people_min=5, people=12, drift_max_c=(2.0, up_c), ambient_per_c=per_c, **site)
    offset = 37.3 - 36.65 if mode == "surface" else 0.0
    lanes = [Lane(12, 5, 36.5, offset, up_c, per_c) for _ in range(2)]
    stream: list[Told] = []
    expected = {}
    newest_ms = T0
    newest = {0: 0, 1: 0}
    told: list[tuple[int, float]] = []
    keys: dict[tuple[int, int], int] = {}
    key = 0
    for number, (which, gap_s, value) in enumerate(line):
        series = which % 10
        key += which < 10
        now = newest_ms + gap_s * 1000
        key = keys.setdefault((series, now), key)
        newest_ms = max(now, newest_ms)
        if series < 2 and 36 < value < 40 and number > len(line) // 2:
            value += step_c  # the scanner is knocked
        stream.append((series, now, value))
        if series == 2:
            told = [*told, (now, value)][-16:]
            continue
        ambient = next((one for one in reversed(told) if one[0] <= now), None)
        fresh = ambient[1] if ambient is not None and series == 0 and now - ambient[0] <= 3_600_000 else None
        signal = lanes[series].person(now, value, fresh, now <= newest[series], key)
        newest[series] = max(now, newest[series])
        if signal is not None:
            expected[series, now] = signal
    agree(
        signals_of(lambda: FeverDetector(rule, np.array([0, 1]), np.array([2, -1]), 3), stream, sizes, {}, keys),
        expected,
    )


def crowd(count: int, seed: int = 1, every_s: int = 15) -> list[Told]:
    normal = np.random.default_rng(seed).normal(36.5, 0.3, count).round(1)
    return [(0, T0 + i * every_s * 1000, float(v)) for i, v in enumerate(normal)]


def judged(stream: list[Told], keys: Mapping[tuple[int, int], int] | None = None, **fields: object) -> np.ndarray:
    rule = fever_rule(**fields)
    found = signals_of(lambda: FeverDetector(rule, np.array([0]), np.array([-1]), 1), stream, [1000], None, keys or {})
    return np.array([found.get((0, t), math.nan) for _, t, _ in stream])


def test_a_hundred_people_after_a_scanner_moved_the_normal_are_normal_and_the_feverish_are_seen() -> None:
    for step_c in (-0.8, 0.8):
        stream = [(s, t, v + (step_c if i >= 300 else 0.0)) for i, (s, t, v) in enumerate(crowd(900))]
        stream[600:900:10] = [(s, t, 38.3 + step_c) for s, t, _ in stream[600:900:10]]
        alarmed = judged(stream) >= 37.3
        assert alarmed[600:900:10].all()
        assert np.delete(alarmed, range(600, 900, 10))[400:].mean() < 0.03


def test_a_scanner_that_moved_up_overnight_stops_everybody_for_thirty_people_and_not_for_a_week() -> None:
    mornings = [[(0, t + day * 24 * HOUR_S * 1000, v) for _, t, v in crowd(200, seed=day)] for day in range(4)]
    mornings[3] = [(0, t, v + 2.0) for _, t, v in mornings[3]]
    alarmed = judged([one for morning in mornings for one in morning], drift_max_c=(2.0, 2.0)) >= 37.3
    assert alarmed[600:].mean() > 0.1
    assert alarmed[660:].mean() < 0.03


def test_people_with_fever_do_not_hide_one_another() -> None:
    stream = crowd(400)
    stream[200:280:2] = [(s, t, 38.2) for s, t, _ in stream[200:280:2]]
    assert (judged(stream)[200:280:2] >= 37.3).all()


def test_one_person_with_a_fever_who_is_measured_forty_times_does_not_hide_the_next() -> None:
    stream = crowd(101)
    stream[60:101] = [(s, t, 38.5) for s, t, _ in stream[60:101]]
    keys = {(s, t): 1 for s, t, _ in stream[60:100]}
    assert judged(stream)[-1] < 38
    assert judged(stream, keys)[-1] >= 38.4


def test_the_first_person_of_all_is_judged_absolutely() -> None:
    assert judged([(0, T0, 37.3)])[0] == 37.3


GATE = """
sites: [{id: east, name: East}]
places: [{id: lane, name: Lane, kind: lane, site: east}]
gateways: [{id: gw, name: G, site: east}]
kinds: [{id: scanner, name: S, metrics: [{id: skin_temperature, name: T, unit: degC}]}]
devices: [{id: scan, kind: scanner, place: lane, gateway: gw, name: S}]
"""
RULE = """
rules:
  - {id: fever, type: fever, class: fever, name: F, metric: skin_temperature, levels: [{severity: high, at_least: 37.3}]}
"""


def test_a_fever_is_seen_that_came_late_or_in_the_same_moment_as_somebody_else() -> None:
    for second in (5.0, 10.0):
        stage = Stage(program(GATE, RULE))
        stage.readings([(0, 1, 36.5, 0)], 1.5, key="a")
        stage.readings([(0, 10, 36.5, 0)], 10.5, key="b")
        stage.readings([(0, second, 38.6, 0)], 11, key="c")
        assert [alarm.key for alarm in stage.engine.open_alarms] == ["c"]


def test_a_second_measurement_that_came_late_is_one() -> None:
    stage = Stage(program(GATE, RULE))
    stage.readings([(0, 1, 38.6, 0)], 1.5, key="a")
    stage.readings([(0, 10, 36.5, 0)], 10.5, key="b")
    stage.readings([(0, 5, 36.5, 0)], 11, key="a")
    assert not stage.engine.open_alarms


def test_a_passage_is_one_person_from_the_journal_on_and_through_a_restart() -> None:
    rule = RULE.replace("type: fever,", "type: fever-cluster,").replace("37.3", "3")
    for keys, expected in ((("x", "y", "z"), 1), (("x", "x", "x"), 0)):
        stage = Stage(program(GATE, rule), crash_at=22)
        for number in range(20):
            stage.readings([(0, 30 * number, 36.4, 0)], 30 * number, key=f"n{number}")
        for number, key in enumerate(keys, 20):
            stage.readings([(0, 30 * number, 38.5, 0)], 30 * number, key=key)
        assert len(list(stage.engine.open_alarms)) == expected


def test_one_person_is_one_alarm_in_whatever_order_their_measurements_come() -> None:
    rule = RULE.replace("type: fever,", "type: level, per_passage: true,")
    for order in itertools.permutations([(10, 38.6), (20, 38.7), (30, 36.5)]):
        stage = Stage(program(GATE, rule))
        for known, (second, value) in enumerate(order, 40):
            stage.readings([(0, second, value, 0)], known, key="p")
        assert len(stage.alarms) == 1
        assert next(iter(stage.alarms.values())).is_open == (order[0][0] == 30)  # a normal one alone is forgotten
