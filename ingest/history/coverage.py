"""What a day's count by the minute says: how often readings are due, how many are missing, where nothing came.

Pure functions of counts that do not depend on the order in which readings arrived, so that a late one mends the day.
Axis: M minutes of a day, from its local midnight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MINUTE_MS = 60_000
SETTLED_MS = 60_000  # younger than this, a reading is on its way, not missing
GAP_INTERVALS = 3  # so many readings in a row must be missing to be called a gap
_MINUTES_MIN = 30  # before anything is learned from them
_SPACINGS_MIN = 12
_DISPERSION_MAX = 0.2  # variance by mean: near 0 for a clock, near 1 for people who pass a gate

Minutes = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many readings have arrived of one series and day."""

    good: int
    suspect: int
    bad: int
    late: int

    @property
    def received(self) -> int:
        return self.good + self.suspect + self.bad


@dataclass(frozen=True, slots=True)
class Tally:
    """The same, and when."""

    counts: Counts
    minutes: Minutes  # (M,) readings by the minute


@dataclass(frozen=True, slots=True)
class Coverage:
    """The figures of one series and day; None where nobody knows how many readings were due."""

    expected: int | None
    missing: int | None
    silent: tuple[tuple[int, int], ...]  # (start, end) [ms] of each stretch without a reading, to the minute


def learned_interval_ms(minutes: Minutes) -> int | None:
    """How often a reading comes, from a day's counts; None for too few, and for what comes when it comes."""
    occupied = np.flatnonzero(minutes)
    counts = minutes[occupied].astype(np.float64)
    spacings = np.diff(occupied).astype(np.float64)
    if len(occupied) >= _MINUTES_MIN and (spacings == 1).mean() >= 0.9:
        per_minute = _regular(counts)
        return None if per_minute is None else round(MINUTE_MS / per_minute)
    if len(spacings) >= _SPACINGS_MIN and (counts == 1).mean() >= 0.95:
        spacing = _regular(spacings)
        return None if spacing is None else round(MINUTE_MS * spacing)
    return None


def cover(
    tally: Tally | None, start_ms: int, end_ms: int, since_ms: int, now_ms: int, interval_ms: int | None
) -> Coverage:
    """What a day lacks, as far as it has passed.

    Args:
        tally: None where nothing arrived.
        start_ms, end_ms: The day.
        since_ms: When the series was first known of; before it nothing was due.
    """
    if interval_ms is None:
        return Coverage(None, None, ())
    # Counts are by the minute, so those that are broken at either end do not count.
    first = -(-max(0, since_ms - start_ms) // MINUTE_MS)
    last = max(0, min(end_ms, now_ms - SETTLED_MS) - start_ms) // MINUTE_MS
    if first >= last:
        return Coverage(0, 0, ())
    expected = (last - first) * MINUTE_MS // interval_ms
    minutes = np.zeros(last - first, np.uint16) if tally is None else tally.minutes[first:last]
    length_min = max(1, math.ceil(GAP_INTERVALS * interval_ms / MINUTE_MS))
    silent = [
        (start_ms + (first + a) * MINUTE_MS, start_ms + (first + b) * MINUTE_MS)
        for a, b in _empty_runs(minutes)
        if b - a >= length_min
    ]
    return Coverage(expected, max(0, expected - int(minutes.sum(dtype=np.int64))), tuple(silent))


def _regular(values: NDArray[np.float64]) -> float | None:
    """The mean, where the values hardly differ; the outermost tenths, unless they are like the rest, do not count."""
    cut = len(values) // 10
    kept = np.sort(values)[cut : len(values) - cut]
    if float(kept.var()) > _DISPERSION_MAX * float(kept.mean()):
        return None
    return float(values[(values >= kept[0]) & (values <= kept[-1])].mean())


def _empty_runs(minutes: Minutes) -> list[tuple[int, int]]:
    """[start, end) of every run of minutes without a reading."""
    empty = np.concatenate(([False], minutes == 0, [False]))
    edges = np.flatnonzero(empty[1:] != empty[:-1])
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
