"""Time as an argument: everything that needs "now" is given a clock, so that tests and simulations own time."""

from __future__ import annotations

import ctypes
import time
from typing import Annotated, Protocol

import msgspec

_TIME_ERROR = 5  # of timex.h: the clock is not kept right by anybody
TIME_MAX_MS = 253_402_300_799_999  # the end of 9999, the last day that a date can say
TimeMs = Annotated[int, msgspec.Meta(ge=0, le=TIME_MAX_MS)]
"""A moment that somebody else says, epoch milliseconds, UTC: one that every date, database and language can hold."""


class Clock(Protocol):
    """Where the present comes from."""

    def now_ms(self) -> int:
        """Wall-clock time, epoch milliseconds, UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed instant; never goes back. For intervals and timeouts."""


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that a test moves by hand."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self._now_ms += round(seconds * 1000)
        self._monotonic_s += seconds


class SteadyClock:
    """A server's clock that a sudden step does not lead astray.

    A wall clock that jumps by more than a minute against the monotonic one is not followed for ten minutes: whoever is
    setting it may be doing so twice, and an hour in the wrong year would spoil every reading and every decision of that
    hour. If the new time stays, it is right. The same when the process starts before the newest thing that it recorded.

    Args:
        clock: The machine's.
        newest_ms: The newest time that was recorded; 0 when none was.
    """

    _STEP_MAX_MS = 60_000
    _BELIEVED_AFTER_S = 600.0

    def __init__(self, clock: Clock, newest_ms: int) -> None:
        self._clock = clock
        self._shift_ms = max(clock.now_ms(), newest_ms) - self._run_ms()
        self._doubted_s: float | None = None  # since when the wall clock says something else

    def now_ms(self) -> int:
        """Wall-clock time, epoch milliseconds, UTC."""
        run_ms = self._run_ms()
        wall_ms = self._clock.now_ms()
        step_ms = wall_ms - run_ms - self._shift_ms
        if abs(step_ms) <= self._STEP_MAX_MS:
            self._doubted_s = None
            self._shift_ms += step_ms
        elif self._doubted_s is None:
            self._doubted_s = self._clock.monotonic_s()
        elif self._clock.monotonic_s() - self._doubted_s >= self._BELIEVED_AFTER_S:
            self._doubted_s = None
            self._shift_ms += step_ms
        return run_ms + self._shift_ms

    def monotonic_s(self) -> float:
        """Seconds since some fixed instant; never goes back."""
        return self._clock.monotonic_s()

    @property
    def is_doubted(self) -> bool:
        """Whether the machine's clock says something else just now."""
        return self._doubted_s is not None

    def _run_ms(self) -> int:
        return round(self._clock.monotonic_s() * 1000)


def is_synchronised() -> bool | None:
    """Whether the kernel says that its clock is kept right; None where it cannot be asked.

    Source: adjtimex(2).
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        timex = ctypes.create_string_buffer(512)  # zeroes: nothing is to be changed; larger than the structure
        state = int(libc.adjtimex(timex))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
