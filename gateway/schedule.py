"""When each of several devices on one line is asked next: a pure decision that is told the time."""

from __future__ import annotations

import math
from collections.abc import Callable


def _steady() -> float:
    return 1.0


class Schedule:
    """When each of U units is asked next. Units keep their rhythm; one that fails is asked ever more rarely.

    Args:
        unit_count: U.
        every_s: The rhythm.
        backoff_max_s: How rarely one that fails is asked in the end.
        start_s: The present.
        jitter: A factor up to 1 for each pause after a failure, so that dead units do not come in step.
    """

    def __init__(
        self,
        unit_count: int,
        every_s: float,
        backoff_max_s: float,
        start_s: float,
        jitter: Callable[[], float] = _steady,
    ) -> None:
        self._every_s = every_s
        self._backoff_max_s = max(every_s, backoff_max_s)
        self._jitter = jitter
        # Spread over the interval, so that a long line does not come in one burst.
        self._due_s = [start_s + every_s * i / unit_count for i in range(unit_count)]
        self._failures = [0] * unit_count

    def next(self, now_s: float) -> tuple[int, float]:
        """The unit to ask next and how long to wait for it [s]."""
        due_s, unit = min((due_s, unit) for unit, due_s in enumerate(self._due_s))
        return unit, max(0.0, due_s - now_s)

    def is_failing(self, unit: int) -> bool:
        """Whether it did not answer when it was asked last: then it is asked once and not again."""
        return self._failures[unit] > 0

    def answered(self, unit: int, now_s: float) -> None:
        self._failures[unit] = 0
        behind = max(0.0, now_s - self._due_s[unit])
        self._due_s[unit] += self._every_s * (1 + math.floor(behind / self._every_s))  # missed turns are not made up

    def failed(self, unit: int, now_s: float) -> None:
        self._failures[unit] += 1
        pause_s = min(self._every_s * 2.0 ** min(self._failures[unit], 30), self._backoff_max_s)
        self._due_s[unit] = now_s + pause_s * self._jitter()
