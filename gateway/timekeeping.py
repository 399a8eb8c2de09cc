"""What time it is, on a box whose clock may never have been set.

A gateway without a battery boots in 1970, or with the time at which it was last shut down, where the system keeps that for
it (fake-hwclock, systemd). Neither says what time it is. Until its clock can be believed it counts milliseconds since this
run began: small numbers, before 2020, called *unplaced*. They keep the order and the distances right, and one addition (the
*shift*: right time − time of the run) makes them times once the shift is known. Everybody adds the same one, as it was when
it became known, whatever the clock does later: what two places say of one reading must be the same time.

    not trusted ── the wall clock is past 2020, not behind what was recorded, and
                   NTP or a clock with a battery stands behind it ────────────────▶ follows the wall clock
    not trusted ── the core has told its time ───────────────────────────────────▶ goes on by itself from there
    follows ── the wall clock jumps further than anybody who sets a clock right ─▶ goes on by itself
    by itself ── the wall clock agrees within a minute, with it or with the core ▶ follows the wall clock

How far a jump is believed differs with its direction: a box that wakes up with the time at which it was switched off is
set ahead by as long as it was off; nobody sets a running clock back by more than a day.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from telemetry.clock import Clock, is_synchronised

EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: a clock before it was never set
AGREES_MS = 60_000
_AHEAD_MAX_MS = 366 * 86_400_000
_BACK_MAX_MS = 86_400_000
_HARDWARE_CLOCKS = Path("/sys/class/rtc")
_LATEST_MS = 7_258_118_400_000  # 2200-01-01: no core lives to tell it
_LOOK_EVERY_MS = 5_000  # for what stands behind the wall clock
_SETTLES_MS = 2_000  # the broker may hand out what the core said long ago before what it says now


class Timekeeper:
    """Implements `Clock` for everything that stamps readings. `monotonic_s` is the machine's own.

    Args:
        clock: The machine's.
        newest_ms: The newest time that was ever recorded here; 0 when none was. Time does not go back over a restart.
        is_backed: Whether anything stands behind a wall clock that shows this; asked until something does.
    """

    def __init__(self, clock: Clock, newest_ms: int, is_backed: Callable[[int], bool] = lambda wall_ms: True) -> None:
        self._is_backed = is_backed
        self._look_ms = 0  # of the run, for what stands behind the clock
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._newest_ms = newest_ms
        self._shift_ms: int | None = None
        self._placing_shift_ms: int | None = None
        self._placing = threading.Lock()  # of several threads that find it known, the first decides
        self._follows = False
        self._told_ms: int | None = None  # the shift as the core told it
        self._told_at_ms = 0
        self.now_ms()
        self.began_trusted = self._shift_ms is not None

    def now_ms(self) -> int:
        run_ms, wall_ms = self.run_ms(), self._clock.now_ms()
        if self._shift_ms is None:
            if wall_ms >= max(EARLIEST_MS, self._newest_ms - AGREES_MS) and self._is_backed_now(wall_ms, run_ms):
                self._shift_ms, self._follows = wall_ms - run_ms, True
            elif self._told_ms is not None and run_ms - self._told_at_ms >= _SETTLES_MS:
                self._shift_ms = self._told_ms
            else:
                return run_ms
        step_ms = wall_ms - run_ms - self._shift_ms
        self._follows = -_BACK_MAX_MS <= step_ms <= _AHEAD_MAX_MS if self._follows else abs(step_ms) <= AGREES_MS
        if self._follows:
            self._shift_ms += step_ms
        if self._placing_shift_ms is None:
            with self._placing:
                if self._placing_shift_ms is None:
                    self._placing_shift_ms = self._shift_ms
        return run_ms + self._shift_ms

    def _is_backed_now(self, wall_ms: int, run_ms: int) -> bool:
        if run_ms < self._look_ms:
            return False
        self._look_ms = run_ms + _LOOK_EVERY_MS
        return self._is_backed(wall_ms)

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def run_ms(self) -> int:
        """Milliseconds since this run began."""
        return round((self._clock.monotonic_s() - self._began_s) * 1000)

    @property
    def shift_ms(self) -> int | None:
        """What makes a time of this run right, as far as is known now; None while nobody knows."""
        self.now_ms()
        return self._shift_ms

    @property
    def placing_shift_ms(self) -> int | None:
        """What unplaced times of this run are placed with, the same for all of them; None while nobody knows."""
        self.now_ms()
        return self._placing_shift_ms

    def heard(self, core_ms: int) -> None:
        """The core's time, in a receipt. It is never ahead, and behind by as long as the receipt was under way."""
        if not EARLIEST_MS <= core_ms < _LATEST_MS:
            return
        wall_ms, run_ms = self._clock.now_ms(), self.run_ms()
        if abs(wall_ms - core_ms) <= AGREES_MS:
            self._shift_ms, self._follows = wall_ms - run_ms, True
            return
        if self._told_ms is None:
            self._told_at_ms = run_ms
        # Of several answers the one that was under way the shortest is the nearest to the truth.
        self._told_ms = max(core_ms - run_ms, self._told_ms or 0)


def is_placed(time_ms: int) -> bool:
    """Whether a time is one, and not a count since a run began."""
    return time_ms >= EARLIEST_MS


def is_backed(wall_ms: int) -> bool:
    """Whether NTP or the like has set this machine's clock, or one that runs without power shows the same.

    Where the kernel cannot be asked the clock is believed.
    """
    return is_synchronised() is not False or any(abs(wall_ms - at_ms) <= AGREES_MS for at_ms in _hardware_clocks_ms())


def _hardware_clocks_ms() -> list[int]:
    """What the machine's own clocks show; of one without a battery that is anything. Source: Linux, rtc.rst, sysfs."""
    found = []
    for file in sorted(_HARDWARE_CLOCKS.glob("rtc*/since_epoch")):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(file.read_text(encoding="ascii")) * 1000)
    return found
