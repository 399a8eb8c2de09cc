import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.rules import RuleFile
from tests.alerts.streams import POWER, POWER_FACTOR, Reading, Told, maker, same, told
from tests.oracles import load as oracle

T0 = 1_700_000_000_000
FIELDS = {
    "type": "forbidden-load",
    "least_w": 500,
    "most_w": 2000,
    "allowed_w": [1000],
    "gap_max_s": 60,
    "count_s": 100,
}
# (what is told: 0 and 1 a room's power, 2 and 3 its power factor; seconds; W about every limit, or a power factor).
TOLD = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 1, 2, 3]),
        st.sampled_from([5, 5, 10, 10, 20, 61]),
        st.sampled_from(
            [0, 0, 100, 100, 399, 400, 499, 500, 600, 700, 920, 921, 1100, 1600, 2100, 2101, 350, 900, 550]
        ),
        st.sampled_from([1.0, 0.95, 0.94, 0.6, 0.02, -1.0, -0.6]),
    ),
    min_size=30,
    max_size=100,
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@given(TOLD, CUTS, st.sampled_from([2, 5]))
def test_loads_are_those_of_the_oracle(
    drawn: list[tuple[int, int, int, float]], cuts: list[int], readings: int
) -> None:
    now = T0
    stream: list[Reading] = []
    expected: Told = {}
    asked: list[list[tuple[int, float, float | None]]] = [[], []]
    factors: list[tuple[int, float] | None] = [None, None]
    for what, gap, watts, factor in drawn:
        now += gap * 1000
        room = what % 2
        if what < 2:
            stream.append((POWER[room], now, float(watts), True))
            said = factors[room]
            asked[room].append((now, float(watts), said[1] if said is not None and now - said[0] <= 60_000 else None))
        else:
            stream.append((POWER_FACTOR[room], now, factor, True))
            factors[room] = now, factor
    for room in (0, 1):
        expected[POWER[room]] = oracle.forbidden(asked[room], (500, 2000), [1000], 20_000, readings, 60_000, 100_000)
    same(told(maker(POWER, rise_readings=readings, **FIELDS), stream, cuts), expected)


def of_room(watts: list[float], **fields: object) -> list[float]:
    stream = [(POWER[0], T0 + 10_000 * i, value, True) for i, value in enumerate(watts)]
    return [value for _, value in told(maker(POWER, type="forbidden-load", **fields), stream, [3])[POWER[0]]]


def test_a_kettle_is_on_from_its_third_reading_and_over_at_its_switch() -> None:
    assert of_room([80, 80, 1300, 2100, 2100, 2100, 80, 80]) == [0, 0, 0, 0, 1, 1, 0, 0]


def test_seven_tenths_of_a_step_down_end_it_whatever_else_is_on() -> None:
    watts = [0.0, 0, 500, 500, 500, 600]
    assert of_room([*watts, 250])[-1] == 0
    assert of_room([*watts, 251])[-1] == 1


def test_a_kettle_that_goes_off_beside_a_heater_does_not_end_the_heater() -> None:
    watts = [80.0, 80, 1580, 1580, 1580, 3580, 3580, 3580]
    assert of_room([*watts, 1580, 1580])[-2:] == [1, 1]
    assert of_room([*watts, 1580, 1580, 80])[-1] == 0
    # What was off first nobody can know: as long as the heater may be on, it counts as on.
    assert of_room([*watts, 2080, 2080, 80])[-3:] == [1, 1, 0]


def test_a_motor_that_starts_is_no_heater() -> None:
    assert of_room([80, 80, 700, 180, 180, 180]) == [0] * 6


def test_the_third_time_in_a_day_is_another_stage() -> None:
    assert max(of_room([80.0, 80, 1500, 1500, 1500, 80, 80, 80] * 3)) == 3


def test_an_allowed_appliance_is_left_out() -> None:
    assert max(of_room([80.0, 80, 1080, 1080, 1080, 80], allowed_w=[1000])) == 0


def test_a_band_that_is_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="least_w"):
        maker(POWER, type="forbidden-load", least_w=3000, most_w=500)
    assert RuleFile().rules == ()
