import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.catching_up import CatchUp


def test_the_time_is_what_is_behind_by_how_fast_it_goes() -> None:
    estimate = CatchUp()
    for second in range(5):
        estimate.observe(float(second), 100 * second)
    assert estimate.seconds(1000) == 10


def test_nothing_is_said_before_anything_was_measured_or_while_nothing_moves() -> None:
    estimate = CatchUp()
    assert estimate.seconds(1000) is None
    estimate.observe(0.0, 500)
    assert estimate.seconds(1000) is None
    estimate.observe(1.0, 500)
    assert estimate.seconds(1000) is None


def test_a_new_pace_is_taken_over_within_a_minute() -> None:
    estimate = CatchUp()
    judged = 0
    for second in range(200):
        judged += 10 if second < 100 else 1000
        estimate.observe(float(second), judged)
        if second == 99:
            assert estimate.seconds(1000) == 100
    assert estimate.seconds(1000) == pytest.approx(1, abs=1)


@given(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=50))
def test_it_does_not_matter_how_often_somebody_asks(pauses: list[float]) -> None:
    estimate, now_s = CatchUp(), 0.0
    estimate.observe(0.0, 0)
    for pause in pauses:
        now_s += pause
        estimate.observe(now_s, round(now_s * 100_000))
    assert estimate.seconds(1_000_000) in (10, 11)


def test_asking_twice_at_once_changes_nothing() -> None:
    estimate = CatchUp()
    for now_s, judged in ((0.0, 0), (1.0, 50), (1.0, 50)):
        estimate.observe(now_s, judged)
    assert estimate.seconds(100) == 2
