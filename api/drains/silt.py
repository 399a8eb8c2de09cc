"""What lies on the bottom of a pipe, from the nights: the lowest level of dry nights and how fast it rises.

The number is that of the `siltation` rule (`alerts.detectors.nights`): 30 times the median of all slopes between two dry
nights. Here it is computed from history for every pipe, and anew from the last cleaning on, so that a pipe that was cleaned
does not keep its old rise. Axis: n nights, ascending.

Source: docs/detectors/siltation.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.detectors.baseline import local_ms
from telemetry.batch import Floats, Times

FROM_H, UNTIL_H = 2, 5
NIGHTS_MAX, NIGHTS_MIN, AGE_DAYS_MAX = 42, 14, 60
BASE_NIGHTS = 5
"""The base level is the median of so many dry nights."""
_DRY_MS = 12 * 3_600_000
_LONG_AGO_MS = -(2**60)
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Nights:
    """Dry nights: their day of the site's calendar, counted from 1970, and the lowest level [m]. (n,)"""

    day: NDArray[np.int64]
    low_m: Floats

    def __len__(self) -> int:
        return len(self.day)

    def between(self, first: int, end: int) -> Nights:
        """Those of [first, end)."""
        kept = (self.day >= first) & (self.day < end)
        return Nights(self.day[kept], self.low_m[kept])


@dataclass(frozen=True, slots=True)
class Rain:
    """What the site's gauge says: starts of hours, ascending."""

    wet_ms: Times  # in which it rained
    heard_ms: Times | None  # in which it said anything; None: there is no gauge, and every night is dry


def local_day(time_ms: int, zone: str) -> int:
    """The day of the site's calendar, counted from 1970."""
    return int(_wall_ms(np.array([time_ms], np.int64), zone)[0]) // _DAY_MS


def dry_nights(time_ms: Times, low_m: Floats, rain: Rain, zone: str) -> Nights:
    """The lowest level of each dry night.

    An hour is not known to be dry where the gauge said nothing in it or in the twelve before.

    Args:
        time_ms, low_m: Start and lowest level of each hour, (N,), ascending.
        zone: Of the site.
    """
    local = _wall_ms(time_ms, zone)
    hour = local // _HOUR_MS % 24
    # The hour before all others is a dry one: it never rained less than twelve hours before.
    last_wet = np.concatenate(([_LONG_AGO_MS], rain.wet_ms))[np.searchsorted(rain.wet_ms, time_ms, side="right")]
    taken = (hour >= FROM_H) & (hour < UNTIL_H) & (time_ms - (last_wet + _HOUR_MS) >= _DRY_MS)
    if rain.heard_ms is not None:
        heard = np.searchsorted(rain.heard_ms, time_ms, side="right")
        heard -= np.searchsorted(rain.heard_ms, time_ms - _DRY_MS, side="left")
        taken &= heard == _DRY_MS // _HOUR_MS + 1
    day, at = np.unique(local[taken] // _DAY_MS, return_inverse=True)
    lowest = np.full(len(day), np.inf)
    np.minimum.at(lowest, at, low_m[taken])
    return Nights(day, lowest)


def base_m(nights: Nights, last: bool = True) -> float | None:
    """The level at which the water stands without rain: the median of the last (or the first) nights."""
    chosen = nights.low_m[-BASE_NIGHTS:] if last else nights.low_m[:BASE_NIGHTS]
    return float(np.median(chosen)) if len(chosen) else None


def rise_m_per_30_days(nights: Nights) -> float | None:
    """How fast the base level rises; None where too few nights say so."""
    if not len(nights):
        return None
    recent = nights.between(int(nights.day[-1]) - AGE_DAYS_MAX, int(nights.day[-1]) + 1)
    day, low = recent.day[-NIGHTS_MAX:], recent.low_m[-NIGHTS_MAX:]
    if len(day) < NIGHTS_MIN:
        return None
    earlier, later = np.triu_indices(len(day), 1)
    return float(30 * np.median((low[later] - low[earlier]) / (day[later] - day[earlier])))


def days_until(base: float | None, rise: float | None, limit_m: float) -> float | None:
    """Days until the base level reaches a limit; 0 where it has, None where it does not rise or is unknown."""
    if base is None:
        return None
    if base >= limit_m:
        return 0.0
    if rise is None or rise <= 0:
        return None
    return 30 * (limit_m - base) / rise


def _wall_ms(time_ms: Times, zone: str) -> Times:
    return local_ms([zone], np.zeros(len(time_ms), np.intp), time_ms)
