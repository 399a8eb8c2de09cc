import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import BadConfiguration
from tests.alerts.streams import TOTAL, VOLUME, Reading, maker, same, told
from tests.oracles import sums as oracle
from tests.oracles.registers import Register

T0 = 1_700_000_000_000
DRAWN = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, TOTAL, TOTAL]),
        st.sampled_from([5, 5, 10, 30]),
        st.sampled_from([0, 1, 3, 10, 10, -1, -9]),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=40,
    max_size=120,
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@given(DRAWN, CUTS)
def test_residuals_are_those_of_the_oracle(drawn: list[tuple[int, int, int, bool]], cuts: list[int]) -> None:
    now, stands = T0, {0: 50.0, 1: 50.0, 2: 50.0, TOTAL: 100.0}
    stream: list[Reading] = []
    for series, minutes, use, good in drawn:
        now += minutes * 60_000
        stands[series] += use
        stream.append((series, now, stands[series], good))
    plain = [(s, time, value) for s, time, value, _ in stream]
    fields = {"part_metric": "volume", "window_s": 3600, "least": 5, "age_max_s": 3600}
    found = told(maker([TOTAL], type="sum-check", **fields), stream, cuts)
    good_of, register = [each[3] for each in stream], Register(math.inf, math.inf, [])
    said = oracle.residual(plain, good_of, TOTAL, register, list(VOLUME), 3_600_000, 5, 3_600_000)
    same(found, {TOTAL: said})


def test_a_main_meter_without_parts_is_refused() -> None:
    with pytest.raises(BadConfiguration, match=r"rule 'rule'.*'main'.*'parts'"):
        maker([TOTAL], type="sum-check", least=1)()
