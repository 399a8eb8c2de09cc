import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import BadConfiguration
from tests.alerts.streams import VOLUME, Reading, maker, same, told
from tests.oracles import vacancy as oracle
from tests.oracles.registers import Register

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIDNIGHT_MS = 1_735_488_000_000  # 2024-12-30 in Shanghai
VACANT = [
    {"place": "room-0", "start": "2024-12-31", "end": "2025-01-02"},
    {"place": "room-0", "start": "2025-01-03", "end": "2025-01-04"},
    {"place": "house", "start": "2025-01-05"},
]
DRAWN = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from([6, 12, 12, 24, 36]), st.sampled_from([0, 0, 1, 5, -1, -9]), st.booleans()
    ),
    min_size=10,
    max_size=40,
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def days(start: int, end: int) -> tuple[int, int]:
    return MIDNIGHT_MS + start * DAY_MS, MIDNIGHT_MS + end * DAY_MS


@given(DRAWN, CUTS)
def test_use_in_vacant_rooms_is_that_of_the_oracle(drawn: list[tuple[int, int, int, bool]], cuts: list[int]) -> None:
    now, total = [MIDNIGHT_MS] * 2, [50.0] * 2
    stream: list[Reading] = []
    by: dict[int, list[tuple[int, float]]] = {0: [], 1: []}
    for series, hours, use, good in drawn:
        now[series] += hours * HOUR_MS
        total[series] += use
        stream.append((VOLUME[series], now[series], total[series], good))
        if good:
            by[series].append((now[series], total[series]))
    house = days(6, 10_000)
    vacant = {0: [days(1, 3), days(4, 5), house], 1: [house]}
    expected = {room: oracle.used(Register(math.inf, math.inf, []), by[room], when) for room, when in vacant.items()}
    same(told(maker(VOLUME, type="vacancy", vacant=VACANT), stream, cuts), expected)


def test_a_vacant_place_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadConfiguration, match=r"rule 'rule'.*'attic' vacant"):
        maker(VOLUME, type="vacancy", vacant=[{"place": "attic", "start": "2025-01-01"}])()


def test_a_vacancy_lasts_at_least_a_day() -> None:
    with pytest.raises(ValueError, match="after 'start'"):
        maker(VOLUME, type="vacancy", vacant=[{"place": "room-0", "start": "2025-01-01", "end": "2025-01-01"}])
