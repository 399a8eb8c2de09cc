"""Calendar days of a time zone as stretches of epoch milliseconds; not all of them have 24 hours."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from telemetry.batch import Times

MINUTES_MAX = 25 * 60  # of the day on which the clocks are set back
_UTC_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_IDLE_MAX_DAYS = 31
IDLE_MAX_MS = _IDLE_MAX_DAYS * _UTC_DAY_MS


class Days:
    """The days of one zone, numbered as `date.toordinal` does. Axis: N times."""

    def __init__(self, zone: str) -> None:
        info = ZoneInfo(zone)

        @cache
        def start_ms(day: int) -> int:
            return round(datetime.combine(date.fromordinal(day), datetime.min.time(), info).timestamp() * 1000)

        self.start_ms = start_ms

    def of(self, time_ms: Times) -> NDArray[np.int64]:
        """The day of each time, (N,)."""
        if not len(time_ms):
            return np.empty(0, np.int64)
        # A local day begins within a day of the UTC day of the same number.
        first, last = (int(t) // _UTC_DAY_MS + _EPOCH for t in (time_ms.min(), time_ms.max()))
        starts = np.array([self.start_ms(day) for day in range(first - 1, last + 2)])
        found: NDArray[np.int64] = first - 2 + np.searchsorted(starts, time_ms, side="right")
        return found

    def day(self, time_ms: int) -> int:
        """The day of one time."""
        return int(self.of(np.array([time_ms]))[0])


def aged_from(now: int, newest: int, idle_max: int = _IDLE_MAX_DAYS) -> int:
    """The day, or moment, from which age is counted; of all that was measured `newest` is the newest.

    A clock that stands more than a month ahead of that is wrong, or nothing was measured for so long: in neither case is what
    there is to be let go of for it.
    """
    return now if now - newest <= idle_max else newest
