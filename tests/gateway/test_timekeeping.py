"""The time on a box whose clock was never set, or is set while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import timekeeping
from gateway.timekeeping import EARLIEST_MS, Timekeeper, is_placed
from telemetry.clock import ManualClock

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


class WallClock(ManualClock):
    """A clock that somebody sets."""

    def step(self, milliseconds: int) -> None:
        self._now_ms += milliseconds


def trusted() -> tuple[WallClock, Timekeeper]:
    clock = WallClock(NOW_MS)
    return clock, Timekeeper(clock, NOW_MS - DAY_MS)


def test_a_clock_that_was_never_set_counts_from_when_the_run_began() -> None:
    clock = WallClock(5_000)
    clock.advance(100)
    keeper = Timekeeper(clock, 0)
    assert keeper.now_ms() == 0 and not keeper.began_trusted
    clock.advance(1.5)
    assert keeper.now_ms() == 1500 and keeper.shift_ms is None and not is_placed(keeper.now_ms())


def test_a_clock_that_is_right_is_simply_right() -> None:
    clock, keeper = trusted()
    clock.advance(10)
    assert keeper.now_ms() == NOW_MS + 10_000 and keeper.began_trusted


@pytest.mark.parametrize(
    ("wall_ms", "newest_ms", "trusted"),
    [
        (EARLIEST_MS - 1, 0, False),
        (EARLIEST_MS, 0, True),
        (NOW_MS - 60_000, NOW_MS, True),
        (NOW_MS - 60_001, NOW_MS, False),
        (NOW_MS + YEAR_MS, NOW_MS, True),
    ],
)
def test_a_clock_behind_2020_or_behind_what_was_recorded_is_not_trusted(
    wall_ms: int, newest_ms: int, trusted: bool
) -> None:
    assert Timekeeper(WallClock(wall_ms), newest_ms).began_trusted is trusted


def test_the_time_of_the_last_shutdown_is_not_believed_and_the_core_tells_what_time_it_is() -> None:
    clock = WallClock(NOW_MS - 30 * DAY_MS)
    keeper = Timekeeper(clock, NOW_MS - 30 * DAY_MS, lambda wall_ms: False)
    clock.advance(10)
    assert not keeper.began_trusted and keeper.now_ms() == 10_000 and keeper.placing_shift_ms is None
    keeper.heard(NOW_MS)
    clock.advance(5)
    assert keeper.now_ms() == NOW_MS + 5_000
    assert keeper.placing_shift_ms == NOW_MS - 10_000


def test_a_clock_with_nothing_behind_it_that_the_core_agrees_with_is_believed_at_once() -> None:
    clock = WallClock(NOW_MS)
    keeper = Timekeeper(clock, 0, lambda wall_ms: False)
    keeper.heard(NOW_MS - 1_000)
    assert keeper.now_ms() == NOW_MS


def test_a_clock_is_believed_when_ntp_has_set_it_and_what_stands_behind_it_is_looked_for_now_and_then() -> None:
    clock, asked = WallClock(NOW_MS - 30 * DAY_MS), list[int]()

    def backed(wall_ms: int) -> bool:
        asked.append(wall_ms)
        return wall_ms >= NOW_MS

    keeper = Timekeeper(clock, NOW_MS - 30 * DAY_MS, backed)
    for _ in range(100):
        clock.advance(0.01)
        keeper.now_ms()
    assert len(asked) == 1
    clock.step(30 * DAY_MS)
    clock.advance(5)
    assert keeper.now_ms() == NOW_MS + 6_000 and keeper.shift_ms == NOW_MS
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("synchronised", "hardware_ms", "backed"),
    [
        (True, [], True),
        (None, [], True),
        (False, [], False),
        (False, [NOW_MS - 59_000], True),
        (False, [0, NOW_MS], True),
        (False, [946_684_800_000], False),  # without a battery: 2000-01-01
    ],
)
def test_ntp_or_a_clock_with_a_battery_stands_behind_a_clock(
    synchronised: bool | None,
    hardware_ms: list[int],
    backed: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for number, at_ms in enumerate(hardware_ms):
        (tmp_path / f"rtc{number}").mkdir()
        (tmp_path / f"rtc{number}" / "since_epoch").write_text(f"{at_ms // 1000}\n")
    (tmp_path / "rtc9").mkdir()
    (tmp_path / "rtc9" / "since_epoch").mkdir()  # one that cannot be read
    monkeypatch.setattr(timekeeping, "_HARDWARE_CLOCKS", tmp_path)
    monkeypatch.setattr(timekeeping, "is_synchronised", lambda: synchronised)
    assert timekeeping.is_backed(NOW_MS) is backed


def test_a_clock_that_is_set_places_what_was_counted() -> None:
    clock = WallClock(0)
    keeper = Timekeeper(clock, 0)
    clock.advance(30)
    stamped = keeper.now_ms()
    clock.advance(30)
    clock.step(NOW_MS)
    assert keeper.shift_ms == NOW_MS
    assert keeper.shift_ms + stamped == NOW_MS + 30_000


def test_what_was_counted_is_placed_with_one_shift_whatever_the_clock_does_later() -> None:
    clock = WallClock(0)
    keeper = Timekeeper(clock, 0)
    clock.advance(30)
    keeper.now_ms()
    clock.step(NOW_MS)
    keeper.now_ms()
    clock.step(7)  # slewed
    assert (keeper.shift_ms, keeper.placing_shift_ms) == (NOW_MS + 7, NOW_MS)


def test_the_core_tells_the_time_and_the_answer_that_travelled_least_counts() -> None:
    clock = WallClock(0)
    keeper = Timekeeper(clock, NOW_MS)
    clock.advance(50)
    keeper.heard(NOW_MS - 3_600_000)  # the broker had kept it for an hour
    keeper.heard(NOW_MS)
    keeper.heard(NOW_MS - 7)
    assert keeper.shift_ms is None
    clock.advance(2)
    assert keeper.now_ms() == NOW_MS + 2_000
    clock.advance(100)
    assert keeper.now_ms() == NOW_MS + 102_000  # though the wall clock still stands in 1970


@pytest.mark.parametrize("nonsense", [0, -1, EARLIEST_MS - 1, 2**62])
def test_nonsense_from_the_core_is_not_believed(nonsense: int) -> None:
    clock = WallClock(0)
    keeper = Timekeeper(clock, 0)
    keeper.heard(nonsense)
    clock.advance(10)
    assert keeper.shift_ms is None


@pytest.mark.parametrize("step_ms", [1_000, -1_000, 59_000, -3_600_000, DAY_MS, -DAY_MS, 300 * DAY_MS])
def test_steps_that_set_a_clock_right_are_followed(step_ms: int) -> None:
    clock, keeper = trusted()
    clock.step(step_ms)
    assert keeper.now_ms() == NOW_MS + step_ms


@pytest.mark.parametrize("step_ms", [-DAY_MS - 1, -YEAR_MS, -50 * YEAR_MS, 50 * YEAR_MS, 367 * DAY_MS, -NOW_MS])
def test_steps_that_no_clock_needs_are_not_followed_until_the_clock_agrees_again(step_ms: int) -> None:
    clock, keeper = trusted()
    clock.step(step_ms)
    clock.advance(100)
    assert keeper.now_ms() == NOW_MS + 100_000
    clock.step(-step_ms + 59_000)
    assert keeper.now_ms() == NOW_MS + 159_000  # it is followed again


def test_a_step_that_the_core_confirms_is_followed() -> None:
    clock = WallClock(NOW_MS + 50 * YEAR_MS)  # the box began in a wrong future
    keeper = Timekeeper(clock, NOW_MS)
    clock.step(-50 * YEAR_MS)
    assert keeper.now_ms() == NOW_MS + 50 * YEAR_MS
    keeper.heard(NOW_MS - 5_000)
    assert keeper.now_ms() == NOW_MS


def test_what_the_core_told_is_left_only_for_a_clock_that_agrees() -> None:
    clock = WallClock(0)
    keeper = Timekeeper(clock, NOW_MS)
    keeper.heard(NOW_MS)
    clock.advance(3)
    assert keeper.now_ms() == NOW_MS + 3_000
    clock.step(NOW_MS + 3_600_000)
    assert keeper.now_ms() == NOW_MS + 3_000
    clock.step(-3_600_000 + 500)
    assert keeper.now_ms() == NOW_MS + 3_500
