"""A server's clock while somebody, or a failing battery, plays with it."""

import pytest

from telemetry.clock import ManualClock, SteadyClock

T0 = 1_790_000_000_000
YEAR_MS = 366 * 86_400_000


class Played(ManualClock):
    """A clock that can be set without time passing."""

    def set_by(self, milliseconds: int) -> None:
        self._now_ms += milliseconds


def test_small_corrections_are_followed() -> None:
    wall = Played(T0)
    clock = SteadyClock(wall, 0)
    for step_ms in (1000, -1000, 50_000, -59_000):
        wall.set_by(step_ms)
        assert clock.now_ms() == wall.now_ms()
    assert not clock.is_doubted


@pytest.mark.parametrize("step_ms", [61_000, -61_000, 50 * YEAR_MS, -50 * YEAR_MS])
def test_a_jump_that_is_taken_back_was_never_there(step_ms: int) -> None:
    wall = Played(T0)
    clock = SteadyClock(wall, 0)
    wall.set_by(step_ms)
    for _ in range(9):
        wall.advance(60)
        assert clock.now_ms() == wall.now_ms() - step_ms
        assert clock.is_doubted
    wall.set_by(-step_ms)
    assert clock.now_ms() == wall.now_ms()
    assert not clock.is_doubted


def test_a_jump_that_stays_is_believed_after_ten_minutes() -> None:
    wall = Played(T0)
    clock = SteadyClock(wall, 0)
    wall.set_by(YEAR_MS)
    assert clock.now_ms() == T0
    wall.advance(600)
    assert clock.now_ms() == wall.now_ms() == T0 + YEAR_MS + 600_000
    assert not clock.is_doubted


def test_a_start_before_the_newest_record_goes_on_from_that() -> None:
    wall = Played(T0 - YEAR_MS)
    clock = SteadyClock(wall, T0)
    assert clock.now_ms() == T0
    wall.advance(5)
    assert clock.now_ms() == T0 + 5000
    assert clock.is_doubted
