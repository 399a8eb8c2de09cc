"""Whether a clock is believed, by which visitors are forgotten."""

import pytest

from api.register.age import DOUBT_MS, LEAP_MS, Belief, believed

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW = 1_795_000_000_000
YEARS_MS = 8 * 366 * DAY_MS


def hourly(belief: Belief, start_ms: int, hours: int) -> Belief:
    for hour in range(hours + 1):
        belief = belief.looked(start_ms + hour * HOUR_MS)
    return belief


@pytest.mark.parametrize("away_ms", [0, HOUR_MS, LEAP_MS, -LEAP_MS])
def test_a_clock_that_can_have_come_there_is_believed(away_ms: int) -> None:
    after = believed(NOW).looked(NOW + away_ms)
    assert (after.doubted_ms, after.counted_from_ms()) == (None, NOW + away_ms)


@pytest.mark.parametrize("away_ms", [LEAP_MS + 1, YEARS_MS])
def test_a_clock_that_leaps_ahead_takes_nobody_with_it(away_ms: int) -> None:
    after = believed(NOW).looked(NOW + away_ms)
    assert after.counted_from_ms() == NOW
    later = hourly(after, NOW + away_ms + HOUR_MS, 10)
    assert later.counted_from_ms() == NOW + 11 * HOUR_MS  # that much has passed


def test_a_clock_that_is_set_right_is_believed_at_once() -> None:
    wrong = hourly(believed(NOW), NOW + YEARS_MS, 20)
    assert wrong.looked(NOW + 21 * HOUR_MS) == believed(NOW + 21 * HOUR_MS)


@pytest.mark.parametrize("away_ms", [60 * DAY_MS, -60 * DAY_MS])
def test_a_clock_that_goes_on_steadily_for_days_is_believed(away_ms: int) -> None:
    there_ms = NOW + away_ms
    assert hourly(believed(NOW), there_ms, DOUBT_MS // HOUR_MS - 1).doubted_ms == there_ms
    assert hourly(believed(NOW), there_ms, DOUBT_MS // HOUR_MS) == believed(there_ms + DOUBT_MS)


def test_a_clock_behind_makes_nobody_older() -> None:
    after = hourly(believed(NOW), NOW - YEARS_MS, 5)
    assert after.counted_from_ms() == NOW - YEARS_MS + 5 * HOUR_MS


def test_a_clock_that_leaps_again_and_again_counts_what_passed_between() -> None:
    belief = believed(NOW)
    for leap in range(1, 5):
        belief = hourly(belief, NOW + leap * YEARS_MS, 10)
    assert belief.counted_from_ms() == NOW + 40 * HOUR_MS


def test_a_server_that_is_off_each_weekend_forgets_in_time() -> None:
    belief, now_ms = believed(NOW), NOW
    for _week in range(8):
        belief = hourly(belief, now_ms, 4 * 24)
        now_ms += 7 * DAY_MS
        assert belief.looked(now_ms).counted_from_ms() == now_ms
