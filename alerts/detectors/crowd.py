"""What people at a lane showed at this hour on other days, and who of them was just there.

Axes: V watched series, K lanes in a round, 192 hours kept, n people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.detectors.detector import Passages
from alerts.detectors.rings import quantile, shift_in
from telemetry.batch import Floats, Indexes, Masks, Times

HOUR_MS = 3_600_000
_HOURS_KEPT = 192  # a week back, beside today
_DAYS = 7


class SameHour:
    """One number for every hour of the last week: the last that was said in it."""

    def __init__(self, rows: int) -> None:
        self._hour = np.full((rows, _HOURS_KEPT), -1, np.int64)  # since 1970; its place is its remainder
        self._value = np.full((rows, _HOURS_KEPT), np.nan)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"hour": self._hour, "hour_value": self._value}

    def usual(self, at: Indexes, time_ms: Times, days_min: int) -> Floats:
        """The median over the last seven days at this hour, (K,); NaN where fewer than `days_min` are known."""
        hours = (time_ms // HOUR_MS)[:, None] - 24 * np.arange(1, _DAYS + 1)  # (K, 7)
        place = hours % _HOURS_KEPT
        is_known = self._hour[at[:, None], place] == hours
        said = np.sort(np.where(is_known, self._value[at[:, None], place], np.inf), axis=1)
        count = is_known.sum(axis=1)
        return np.where(count >= days_min, quantile(said, count, 0.5), np.nan)

    def of_week(self, at: Indexes, time_ms: Times) -> Floats:
        """The median over all hours of the last seven days but this one, (K,); NaN where none is known."""
        hour = (time_ms // HOUR_MS)[:, None]
        is_known = (self._hour[at] >= hour - 24 * _DAYS) & (self._hour[at] < hour)
        said = np.sort(np.where(is_known, self._value[at], np.inf), axis=1)
        return quantile(said, is_known.sum(axis=1), 0.5)

    def say(self, at: Indexes, time_ms: Times, value: Floats) -> None:
        """Keep what is so at this hour, over what was said in it before; NaN says nothing."""
        says = ~np.isnan(value)
        hour = time_ms[says] // HOUR_MS
        place = hour % _HOURS_KEPT
        self._hour[at[says], place], self._value[at[says], place] = hour, value[says]


class Met:
    """The passages of the last people at each lane: whoever is measured again while being there is the same person."""

    def __init__(self, rows: int, people: int) -> None:
        self._passage: Passages = np.zeros((rows, people), np.uint64)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"met": self._passage}

    def again(self, at: Indexes, passage: Passages) -> Masks:
        """Who of these was there already, (K,); of whom nobody says a passage, nobody knows."""
        found: Masks = (passage != 0) & (self._passage[at] == passage[:, None]).any(axis=1)
        return found

    def meet(self, at: Indexes, passage: Passages) -> None:
        """Remember people, (K,)."""
        shift_in(self._passage, at, passage)
