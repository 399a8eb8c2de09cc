import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.baseline import BaselineRule
from tests.alerts.streams import POWER, VOLUME, Reading, maker, same, told
from tests.oracles import baseline as oracle
from tests.oracles.registers import Register

HOUR_MS, SHANGHAI_MS = 3_600_000, 8 * 3_600_000
MONDAY_MS = 1_735_488_000_000  # 2024-12-30, local midnight
# Hours of two kinds of day, an hour or a week apart, so that each hour of the week comes often.
DRAWN = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 24, 168, 168, 168, 168, 168]),
        st.sampled_from([2.0, 2.0, 2.0, 2.0, 2.5, 4.0, 4.0, 4.0, 9.0]),
    ),
    min_size=40,
    max_size=90,
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=8)
SIDES = st.sampled_from(["both", "high", "low"])
# Two readings a day of a register, a day or a week after the last ones: minutes after the full hour, minutes to the second,
# what it adds in between; whether it is read in the middle too, and well.
PAIRS = st.lists(
    st.tuples(
        st.sampled_from([1, 7, 7, 7]),
        st.sampled_from([0, 0, 0, 15, 16]),
        st.sampled_from([60, 60, 60, 59, 90, 91]),
        st.sampled_from([4, 4, 4, 4, 5, 8, 30, 0, -9]),
        st.booleans(),
        st.sampled_from([True] * 9 + [False]),
    ),
    min_size=20,
    max_size=50,
)


@given(DRAWN, CUTS, st.booleans(), SIDES)
def test_unusual_hours_are_those_of_the_oracle(
    drawn: list[tuple[int, float]], cuts: list[int], is_holiday: bool, side: str
) -> None:
    now = MONDAY_MS
    stream: list[Reading] = []
    for number, (hours, value) in enumerate(drawn):
        now += hours * HOUR_MS if hours else 1000
        stream.append((POWER[number % 2], now, value, True))
    mondays = [date(2024, 12, 30) + timedelta(days=7 * n) for n in range(0, 300, 3)] if is_holiday else []
    sundays = [day - timedelta(days=1) for day in mondays]
    fields = {
        "least": 0.5,
        "least_distance": 1.0,
        "weeks": 4,
        "weeks_min": 3,
        "side": side,
        "holidays": [d.isoformat() for d in mondays],
        "workdays": [d.isoformat() for d in sundays],
    }
    found = told(maker(POWER, type="baseline", levels=[{"severity": "low", "at_least": 4}], **fields), stream, cuts)
    holidays, workdays = ({(day - date(1970, 1, 1)).days for day in days} for days in (mondays, sundays))
    expected = {}
    for series in POWER:
        local = [(time + SHANGHAI_MS, value) for s, time, value, _ in stream if s == series]
        said = oracle.unusual(oracle.means(local), 0.5, 1.0, 4, 3, 4.0, holidays, workdays, side)
        expected[series] = [(time - SHANGHAI_MS, signal) for time, signal in said]
    same(found, expected)


@given(PAIRS, CUTS, SIDES)
def test_unusual_hours_of_registers_are_those_of_the_oracle(
    drawn: list[tuple[int, int, int, int, bool, bool]], cuts: list[int], side: str
) -> None:
    day, total = 0, 1000.0
    readings: list[tuple[int, float, bool]] = []
    for days, after, minutes, grows, has_middle, good in drawn:
        day += days
        first = MONDAY_MS + day * 24 * HOUR_MS + after * 60_000
        total += 3
        readings.append((first, total, True))
        if has_middle:
            readings.append((first + minutes * 30_000, total + grows // 2, good))
        total += grows
        readings.append((first + minutes * 60_000, total, good))
    fields = {"least": 1.0, "least_distance": 2.0, "weeks": 4, "weeks_min": 3, "side": side}
    make = maker(VOLUME, type="baseline", levels=[{"severity": "low", "at_least": 3}], **fields)
    found = told(make, [(VOLUME[0], time, value, good) for time, value, good in readings], cuts)
    local = [(time + SHANGHAI_MS, value) for time, value, good in readings if good]
    hours = oracle.added(Register(math.inf, math.inf, []), local)
    said = oracle.unusual(hours, 1.0, 2.0, 4, 3, 3.0, set(), set(), side)
    same(found, {VOLUME[0]: [(time - SHANGHAI_MS, signal) for time, signal in said]})


def test_a_day_is_a_holiday_or_a_workday() -> None:
    with pytest.raises(ValueError, match="2026-05-01 is among 'holidays' and among 'workdays'"):
        BaselineRule.model_validate(
            {
                "id": "unusual",
                "type": "baseline",
                "class": "dormitory",
                "name": "Unusual",
                "metric": "power",
                "least": 1.0,
                "levels": [{"severity": "low", "at_least": 5}],
                "holidays": ["2026-05-01"],
                "workdays": ["2026-05-01", "2026-05-09"],
            }
        )


def test_a_register_is_judged_by_what_an_hour_adds() -> None:
    stream: list[Reading] = []
    total = 0.0
    for hour in range(24 * 40):
        total += 200 if hour == 24 * 38 + 3 else 5 + hour % 24
        stream.append((VOLUME[0], MONDAY_MS + (hour + 1) * HOUR_MS, total, True))
    make = maker(VOLUME, type="baseline", least=1.0, levels=[{"severity": "low", "at_least": 5}])
    said = told(make, stream, [500])[VOLUME[0]]
    unusual = [(time - MONDAY_MS) // HOUR_MS for time, value in said if value >= 5]
    assert unusual == [24 * 38 + 4]


def test_what_is_left_of_an_hour_after_an_outage_is_no_hour() -> None:
    minutes = [m for m in range(0, 60 * 24 * 40, 10) if not 60 * 24 * 38 < m < 60 * (24 * 38 + 2) + 50]
    stream = [(VOLUME[0], MONDAY_MS + m * 60_000, m / 10, True) for m in minutes]  # always six an hour
    make = maker(VOLUME, type="baseline", least=0.1, levels=[{"severity": "low", "at_least": 5}])
    said = told(make, stream, [500])[VOLUME[0]]
    assert len(said) > 24 * 30
    assert max(value for _, value in said) < 1
