"""How long the core still needs to be level with the field, from how fast it has been judging. Pure; time is an argument."""

from __future__ import annotations

import math

_SMOOTHING_S = 10.0


class CatchUp:
    """Follows how many records were judged, and says how long what is behind will take."""

    def __init__(self) -> None:
        self._seen: tuple[float, int] | None = None
        self._rate: float | None = None

    def observe(self, now_s: float, judged: int) -> None:
        """`judged` records have been judged since the beginning, as of now (monotonic seconds)."""
        if self._seen is None:
            self._seen = now_s, judged
            return
        elapsed_s, count = now_s - self._seen[0], judged - self._seen[1]
        if elapsed_s <= 0:
            return
        self._seen = now_s, judged
        # What weighs is how much time a measurement covers, so that it does not matter how often somebody asks.
        weight = 1.0 if self._rate is None else 1 - math.exp(-elapsed_s / _SMOOTHING_S)
        self._rate = (1 - weight) * (self._rate or 0.0) + weight * count / elapsed_s

    def seconds(self, behind: int) -> int | None:
        """About how long `behind` records take; None where nothing is known to be judged at all."""
        if self._rate is None or self._rate * 3600 < 1:
            return None
        return math.ceil(behind / self._rate)
