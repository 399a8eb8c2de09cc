"""The moment from which the age of a visit is counted.

It is the clock's, unless the clock stands where it cannot have come to since it was looked at. A machine whose clock stands
years ahead would forget every visitor of the last month at once, and nobody gets them back. Nothing that is measured can say
better: visitors may stay away for weeks, and a visit grows older all the same. So the moment that was believed last is kept
beside the visits, and looked at every hour. A clock within `LEAP_MS` of it is believed. One that is not is believed once it
has gone on steadily for `DOUBT_MS`, in which who looks after the machine is told (runbook, clock-wrong).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_DAY_MS = 86_400_000
LEAP_MS = 4 * _DAY_MS
"""A weekend without power is no wrong clock."""
DOUBT_MS = 3 * _DAY_MS
"""A weekend, too, is what it takes until somebody comes who sets it right."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of the time: all in epoch ms of the machine's clock.

    Args:
        believed_ms: The last moment that was believed.
        doubted_ms: Since when the clock has been elsewhere; None while it is believed.
        seen_ms: What it said when it was looked at last.
    """

    believed_ms: int
    doubted_ms: int | None
    seen_ms: int

    def looked(self, now_ms: int) -> Belief:
        """After another look at the clock."""
        if abs(now_ms - self.believed_ms) <= LEAP_MS:
            return believed(now_ms)
        if self.doubted_ms is None:
            return Belief(self.believed_ms, now_ms, now_ms)
        if not 0 <= now_ms - self.seen_ms <= LEAP_MS:  # it leapt again: the time until then has passed all the same
            return Belief(self._passed_ms(), now_ms, now_ms)
        if now_ms - self.doubted_ms >= DOUBT_MS:
            return believed(now_ms)
        return replace(self, seen_ms=now_ms)

    def counted_from_ms(self) -> int:
        """From when age is counted: never ahead of the clock, nor of the time that is known to have passed."""
        return min(self.seen_ms, self._passed_ms())

    def _passed_ms(self) -> int:
        return self.believed_ms + (0 if self.doubted_ms is None else self.seen_ms - self.doubted_ms)


def believed(now_ms: int) -> Belief:
    """Of a clock that is right."""
    return Belief(now_ms, None, now_ms)
