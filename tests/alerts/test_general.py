"""Detectors for any metric: flat lines, spikes, unusual values, drifts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alerts.streams import POWER, Reading, maker, same, told
from tests.oracles import general as oracle

T0 = 1_700_000_000_000
# (series, seconds, value): few values, so that ties, equal neighbours and limits are met; now and then a wild one.
DRAWN = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from([60, 60, 60, 300]),
        st.sampled_from([0.0, 0.0, 1.0, 1.0, 1.5, 2.0, 2.0, 3.0, 10.0, -4.0, 50.0]),
    ),
    min_size=20,
    max_size=90,
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=8)
Drawn = list[tuple[int, int, float]]


def stream_of(drawn: Drawn) -> tuple[list[Reading], dict[int, list[tuple[int, float]]]]:
    now = [T0, T0]
    stream: list[Reading] = []
    by: dict[int, list[tuple[int, float]]] = {POWER[0]: [], POWER[1]: []}
    for series, gap, value in drawn:
        now[series] += gap * 1000
        stream.append((POWER[series], now[series], value, True))
        by[POWER[series]].append((now[series], value))
    return stream, by


@given(DRAWN, CUTS, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([None, 0.0]))
def test_flat_lines_are_those_of_the_oracle(
    drawn: Drawn, cuts: list[int], tolerance: float, still: float | None
) -> None:
    stream, by = stream_of(drawn)
    found = told(maker(POWER, type="flatline", tolerance=tolerance, readings=3, still_at=still), stream, cuts)
    same(found, {s: oracle.flatline(of, tolerance, 3, still) for s, of in by.items()})


@given(DRAWN, CUTS, st.sampled_from([1, 3]))
def test_spikes_are_those_of_the_oracle(drawn: Drawn, cuts: list[int], back: int) -> None:
    stream, by = stream_of(drawn)
    found = told(maker(POWER, type="spike", least=0.5, back_readings=back, window_readings=10), stream, cuts)
    same(found, {s: oracle.spike(of, 0.5, back, 10) for s, of in by.items()})


@given(DRAWN, CUTS, st.sampled_from(["both", "high", "low"]))
def test_unusual_values_are_those_of_the_oracle(drawn: Drawn, cuts: list[int], side: str) -> None:
    stream, by = stream_of(drawn)
    fields = {"least": 0.5, "memory_readings": 12, "learn_readings": 6, "side": side}
    found = told(maker(POWER, type="robust-z", **fields), stream, cuts)
    same(found, {s: oracle.robust_z(of, 0.5, 12, 6, side) for s, of in by.items()})


@given(DRAWN, CUTS)
def test_drifts_are_those_of_the_oracle(drawn: Drawn, cuts: list[int]) -> None:
    stream, by = stream_of(drawn)
    found = told(maker(POWER, type="drift", least=0.5, learn_readings=10), stream, cuts)
    same(found, {s: oracle.drift(of, 0.5, 0.5, 10) for s, of in by.items()})


def of_series(values: list[float], **fields: object) -> list[float]:
    stream = [(POWER[0], T0 + 60_000 * i, value, True) for i, value in enumerate(values)]
    return [value for _, value in told(maker(POWER, **fields), stream, [4])[POWER[0]]]


def test_a_stuck_sensor_is_told_by_the_minutes() -> None:
    assert of_series([1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0], type="flatline", readings=3) == [0, 0, 0, 2, 3, 4, 0]


def test_no_rain_is_no_flat_line() -> None:
    assert max(of_series([0.0] * 20, type="flatline", readings=3, still_at=0.0)) == 0


def test_a_step_that_stays_is_no_spike() -> None:
    assert max(of_series([1.0, 1.1] * 12 + [9.0] * 12, type="spike", least=0.1, back_readings=3)) < 1


def test_a_shift_of_one_deviation_is_found_within_about_ten_readings() -> None:
    ordinary = [0.0, 1.0, -1.0, 1.0, -1.0] * 20
    said = of_series(ordinary + [one + 1.0 for one in ordinary], type="drift", least=0.1)
    assert 3 < next(i for i, value in enumerate(said) if value >= 5) < 15


def test_a_spike_needs_readings_to_know_the_noise_by() -> None:
    with pytest.raises(ValueError, match="window_readings"):
        maker(POWER, type="spike", least=1, back_readings=5, window_readings=9)
