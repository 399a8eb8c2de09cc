import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import BadConfiguration
from tests.alerts.streams import POWER, POWER_FACTOR, VOLUME, Reading, maker, same, told
from tests.oracles import beside as oracle
from tests.oracles.registers import Register

T0 = 1_700_000_000_000
MINUTE_MS = 60_000
# (series, minutes since the reading before, value or what a register does, minutes that it was taken earlier, good)
DRAWN = st.lists(
    st.tuples(
        st.sampled_from([*VOLUME, *VOLUME, *POWER, *POWER, *POWER_FACTOR]),
        st.sampled_from([1, 1, 1, 4, 5, 6]),
        st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.0, 10.0, 10.0, -1.0]),
        st.sampled_from([0, 0, 0, 2]),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=50,
    max_size=120,
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=8)
Drawn = list[tuple[int, int, float, int, bool]]
# A register stands, runs, jitters and is reset.
GROWS = {0.0: 0.0, 1.0: 0.0, 2.0: 1.0, 10.0: -9.0, -1.0: -1.0}


def stream_of(drawn: Drawn) -> list[Reading]:
    now, total, newest = T0, [50.0] * 3, dict[int, int]()
    found: list[Reading] = []
    for series, minutes, value, earlier, good in drawn:
        now += minutes * MINUTE_MS
        if series in VOLUME:
            total[series] = max(total[series] + GROWS[value], 0.0)
            value = total[series]
        newest[series] = max(now - earlier * MINUTE_MS, newest.get(series, 0) + 1)
        found.append((series, newest[series], value, good))
    return found


@given(DRAWN, CUTS)
def test_registers_that_stand_are_those_of_the_oracle(drawn: Drawn, cuts: list[int]) -> None:
    stream = stream_of(drawn)
    plain = [(s, time, value) for s, time, value, _ in stream]
    fields = {"while_metric": "power", "above": 0.5, "age_max_s": 600, "gap_max_s": 3600}
    found = told(maker(VOLUME, type="stuck", **fields), stream, cuts)
    good = [each[3] for each in stream]
    expected = {
        v: oracle.stuck(plain, good, v, Register(math.inf, math.inf, []), p, 0.5, 600_000, 3_600_000)
        for v, p in zip(VOLUME, POWER, strict=True)
    }
    same(found, expected)


@given(DRAWN, CUTS)
def test_peers_are_those_of_the_oracle(drawn: Drawn, cuts: list[int]) -> None:
    stream = stream_of(drawn)
    plain = [(s, time, value) for s, time, value, _ in stream]
    found = told(maker(POWER, type="peers", least=0.5, peers_min=2, age_max_s=600), stream, cuts)
    same(found, {s: oracle.peers(plain, s, [o for o in POWER if o != s], 0.5, 2, 600_000) for s in POWER})


@given(DRAWN, CUTS)
def test_conditions_that_hold_are_those_of_the_oracle(drawn: Drawn, cuts: list[int]) -> None:
    stream = stream_of(drawn)
    plain = [(s, time, value) for s, time, value, _ in stream]
    conditions = [
        {"metric": "power_factor", "at_least": 1},
        {"metric": "power_factor", "at_most": 1},
        {"metric": "power", "device": "meter-2", "at_least": 2},
    ]
    found = told(maker(POWER, type="composite", conditions=conditions, age_max_s=300), stream, cuts)
    expected = {
        s: oracle.composite(
            plain, s, [(pf, "at least", 1.0), (pf, "at most", 1.0), (POWER[2], "at least", 2.0)], 300_000
        )
        for s, pf in zip(POWER, POWER_FACTOR, strict=True)
    }
    same(found, expected)


def test_what_is_not_there_cannot_be_looked_at() -> None:
    with pytest.raises(BadConfiguration, match=r"rule 'rule'.*'current'.*meter-0"):
        maker(VOLUME, type="stuck", while_metric="current", above=0)()
    with pytest.raises(BadConfiguration, match=r"rule 'rule'.*meter-0.*peers_min"):
        maker(POWER, type="peers", least=1)()
    with pytest.raises(BadConfiguration, match=r"rule 'rule'.*'level'"):
        maker(POWER, type="composite", conditions=[{"metric": "level", "at_most": 1}])()


def test_the_silence_of_a_condition_ends_nothing_and_begins_nothing() -> None:
    conditions = [{"metric": "power_factor", "at_least": 1}, {"metric": "power", "device": "meter-2", "at_least": 2}]
    power, factor, other = POWER[0], POWER_FACTOR[0], POWER[2]
    stream = [
        (factor, T0, 1.0, True),
        (other, T0, 2.0, True),
        (power, T0 + MINUTE_MS, 0.0, True),  # both hold
        (other, T0 + 10 * MINUTE_MS, 2.0, True),
        (power, T0 + 11 * MINUTE_MS, 0.0, True),  # nobody knows the factor any more
        (other, T0 + 12 * MINUTE_MS, 0.0, True),
        (power, T0 + 13 * MINUTE_MS, 0.0, True),  # one at most
        (other, T0 + 14 * MINUTE_MS, 2.0, True),
        (power, T0 + 15 * MINUTE_MS, 0.0, True),  # one for certain
    ]
    found = told(maker(POWER, type="composite", conditions=conditions, age_max_s=300), stream, [1])[power]
    assert [count for _, count in found] == [2.0, 2.0, 1.0, 1.0]
