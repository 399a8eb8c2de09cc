import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.saturation import SaturationDetector, SaturationRule
from tests.alerts.rows import Told, agree, signals_of
from tests.oracles.saturation import Sensor

T0 = 1_795_000_000_000 // 3_600_000 * 3_600_000
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=10)


def fields(type_name: str, **more: object) -> dict[str, object]:
    levels = [{"severity": "high", "at_least": 1.0}]
    return {"id": "r", "name": "R", "class": "drain", "metric": "level", "type": type_name, "levels": levels, **more}


# The top is 2 m less a blind zone of 0.25; values sit on it, on 0.6 of the top and on a rise of a tenth of it.
LEVELS = st.tuples(
    st.integers(0, 1),
    st.sampled_from([60, 60, 600, 1200, 1201]),
    st.sampled_from([0.25, 1.0, 1.1875, 1.25, 1.25, 1.5, 1.7, 1.75, 1.75, 2.0, 2.0]),
)


@given(st.lists(LEVELS, min_size=20, max_size=80), CUTS, st.booleans())
def test_saturation_agrees_with_one_sensor_after_another(
    line: list[tuple[int, int, float]], sizes: list[int], overflow: bool
) -> None:
    rule = SaturationRule.model_validate(fields("saturation", mode="overflow" if overflow else "fault", rise_s=3600))
    sensors = [Sensor(2.0, 0.25, 3_600_000, overflow) for _ in range(2)]
    stream: list[Told] = []
    expected, now = {}, T0
    for series, gap_s, value in line:
        now += gap_s * 1000
        stream.append((series, now, value))
        expected[series, now] = sensors[series].reading(now, value)
    top, blind = np.full(2, 2.0), np.full(2, 0.25)
    agree(signals_of(lambda: SaturationDetector(rule, np.array([0, 1]), 2, top, blind), stream, sizes), expected)


def pinned_after(before: list[float]) -> tuple[float, float]:
    stream = [(0, T0 + i * 60_000, v) for i, v in enumerate([*before, *[2.0] * 6])]
    found = []
    for mode in ("overflow", "fault"):
        rule = SaturationRule.model_validate(fields("saturation", mode=mode))
        top = np.array([2.0])

        def make(rule: SaturationRule = rule, top: np.ndarray = top) -> SaturationDetector:
            return SaturationDetector(rule, np.array([0]), 1, top, np.zeros(1))

        found.append(signals_of(make, stream, [100])[0, stream[-1][1]])
    return found[0], found[1]


def test_pinned_after_a_rise_is_an_overflow_and_pinned_out_of_nothing_a_fault() -> None:
    assert pinned_after([0.4, 0.8, 1.2, 1.6]) == (5.0, 0.0)
    assert pinned_after([0.4, 0.4, 0.4, 0.4]) == (0.0, 5.0)
    assert pinned_after([]) == (0.0, 5.0)
