import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.registers import CounterDetector, Growth
from alerts.rules import RuleFile
from telemetry.errors import BadConfiguration
from tests.alerts.streams import POWER, VOLUME, Reading, Told, maker, rows_of, same, told
from tests.oracles import registers as oracle

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
T0 = 1_700_000_000_000
MODULUS, MAX_RATE = 1000.0, 60.0
REPLACED_MS = T0 + 5 * HOUR_MS
FIELDS = {
    "modulus": MODULUS,
    "max_rate_per_h": MAX_RATE,
    "last_digit": 1,
    "replaced": [{"device": "meter-1", "time": REPLACED_MS / 1000}],
}
# (series, minutes since its last reading, step of the register; "to" sets it, good): steps about every limit.
STEPS = st.one_of(
    st.sampled_from([0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 3.0, 30.0, 31.0, 60.0, 61.0, -1.0, -2.0, -3.0, -500.0]),
    st.sampled_from(["to 0", "to 3", "to 899", "to 900", "to 901", "to 990", "to 500", "to fell"]),
)
MOVES = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from([1, 30, 30, 60, 60, 61, 121]), STEPS, st.sampled_from([True] * 9 + [False])
    ),
    min_size=1,
    max_size=90,
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def stream_of(moves: list[tuple[int, int, float | str, bool]]) -> list[Reading]:
    now, value, top = [T0] * 3, [500.0] * 3, [500.0] * 3
    found: list[Reading] = []
    for series, minutes, step, good in moves:
        now[series] += minutes * MINUTE_MS
        if isinstance(step, float):
            value[series] = max(value[series] + step, 0.0)
        elif step == "to fell":
            value[series] = top[series]
        else:
            value[series] = float(step.removeprefix("to "))
        top[series] = max(top[series], value[series])
        found.append((VOLUME[series], now[series], value[series], good))
    return found


def register(series: int) -> oracle.Register:
    return oracle.Register(MODULUS, MAX_RATE, [REPLACED_MS] if series == 1 else [])


def good_of(stream: list[Reading], series: int) -> list[tuple[int, float]]:
    return [(time, value) for s, time, value, good in stream if s == series and good]


@given(MOVES, CUTS, st.sampled_from(["unexplained", "falls"]))
def test_corrections_are_those_of_the_oracle(
    moves: list[tuple[int, int, float | str, bool]], cuts: list[int], counts: str
) -> None:
    stream = stream_of(moves)
    counted = {"unexplained"} if counts == "falls" else {"unexplained", "leap"}
    found = told(maker(VOLUME, type="counter", counts=counts, window_s=7200, **FIELDS), stream, cuts)
    expected: Told = {s: oracle.counter(register(s), good_of(stream, s), counted, 7_200_000) for s in VOLUME}
    same(found, expected)


@given(MOVES, CUTS)
def test_bursts_are_those_of_the_oracle(moves: list[tuple[int, int, float | str, bool]], cuts: list[int]) -> None:
    stream = stream_of(moves)
    found = told(maker(VOLUME, type="burst", over_s=3600, gap_max_s=3600, **FIELDS), stream, cuts)
    same(found, {s: oracle.burst(register(s), good_of(stream, s), HOUR_MS, HOUR_MS) for s in VOLUME})


# Long histories that seldom rest, so that the window of three hours is reached.
FLOWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([30, 30, 30, 60, 61, 29, 121]),
        st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 5.0, 30.0, -2.0, "to 0"]),
        st.sampled_from([True] * 9 + [False]),
    ),
    min_size=40,
    max_size=120,
)


@given(FLOWS, CUTS, st.sampled_from([0, 1]))
def test_flow_that_never_rests_is_that_of_the_oracle(
    moves: list[tuple[int, int, float | str, bool]], cuts: list[int], digits: int
) -> None:
    stream = stream_of(moves)
    fields = {"window_s": 10_800, "standstill_s": 3600, "still_digits": digits, "gap_max_s": 3600}
    found = told(maker(VOLUME, type="continuous-flow", **fields, **FIELDS), stream, cuts)
    expected = {
        s: oracle.continuous_flow(register(s), good_of(stream, s), 10_800_000, HOUR_MS, digits, HOUR_MS) for s in VOLUME
    }
    same(found, expected)


def test_the_ledger_names_every_step_that_is_no_plain_growth() -> None:
    detector = maker(VOLUME, type="counter", **FIELDS)()
    assert isinstance(detector, CounterDetector)
    values = [10.0, 12.0, 11.0, 990.0, 995.0, 5.0, 700.0, 0.0]
    detector.push(rows_of([(0, T0 + i * HOUR_MS, value, True) for i, value in enumerate(values)]))
    assert [(one.from_value, one.to_value, one.kind) for one in detector.ledger()] == [
        (12.0, 990.0, Growth.LEAP),
        (995.0, 5.0, Growth.ROLLOVER),
        (5.0, 700.0, Growth.LEAP),
        (700.0, 0.0, Growth.UNEXPLAINED),
    ]


def test_a_reset_and_a_gap_never_look_like_flow() -> None:
    make = maker(VOLUME, type="continuous-flow", last_digit=1)
    hours = [*range(20), *range(30, 45)]  # ten hours are missing
    stream = [(0, T0 + h * HOUR_MS, 100.0 + 3 * h if h < 40 else 3.0 * h - 100, True) for h in hours]
    assert told(make, stream, [7]) == {}


def test_a_leak_of_a_day_shows_its_least_hour_and_a_standstill_ends_it() -> None:
    stream = [(0, T0 + h * HOUR_MS, 100.0 + 3 * min(h, 26), True) for h in range(30)]
    found = told(maker(VOLUME, type="continuous-flow", last_digit=1), stream, [5])[0]
    assert [value for _, value in found] == [3.0, 3.0, 3.0, 0.0, 0.0, 0.0]
    assert found[0][0] == T0 + 24 * HOUR_MS


def test_a_rule_over_a_metric_that_is_no_register_is_refused() -> None:
    with pytest.raises(BadConfiguration, match=r"rule 'rule'.*meter-0.*counter: true"):
        maker(POWER, type="burst")()


def test_a_declared_replacement_of_no_device_is_refused() -> None:
    with pytest.raises(BadConfiguration, match=r"rule 'rule'.*'meter-9' replaced"):
        maker(VOLUME, type="counter", replaced=[{"device": "meter-9", "time": "2026-01-01T00:00:00Z"}])()


def test_a_modulus_without_a_greatest_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="max_rate_per_h"):
        RuleFile.model_validate(
            {
                "rules": [
                    {
                        "id": "r",
                        "type": "counter",
                        "class": "x",
                        "name": "R",
                        "metric": "volume",
                        "levels": [{"severity": "low", "at_least": 1}],
                        "modulus": 10,
                    }
                ]
            }
        )


def test_a_register_of_thousandths_jitters_by_two_of_them() -> None:
    make = maker(VOLUME, type="counter", last_digit=0.001)
    values = np.array([1.005, 1.003, 1.005, 1.0, 1.004])
    stream = [(0, T0 + i * MINUTE_MS, float(value), True) for i, value in enumerate(values)]
    assert [value for _, value in told(make, stream, [2])[0]] == [0, 0, 0, 1, 1]


def test_a_register_rolls_over_only_from_the_last_tenth() -> None:
    detector = maker(VOLUME, type="counter", **FIELDS)()
    assert isinstance(detector, CounterDetector)
    for series, value in ((0, 900.0), (1, 901.0)):
        readings = [(series, T0 + 2 * n * HOUR_MS, each, True) for n, each in enumerate((value, 0.0))]
        detector.push(rows_of(readings))
    assert [one.kind for one in detector.ledger()] == [Growth.UNEXPLAINED, Growth.ROLLOVER]
