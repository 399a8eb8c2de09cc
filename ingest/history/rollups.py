"""Readings summed up by windows of a minute, a quarter of an hour and an hour, so that a year is drawn without reading it.

A window holds enough to be put together with its neighbours exactly: its first and last value beside count, lowest,
highest, total, and how much a counter grew inside of it. What it grew from one window to the next is the step from the last
value of the one to the first of the other, so that a window depends on its own readings alone: late readings, duplicates
and resets change the windows that they fall into, which are computed anew, never patched.

    readings ──roll──▶ windows of a minute ──merge──▶ of 15 minutes ──merge──▶ of an hour ──steps──▶ one value a step

Bad readings are in no window. A counter that falls was reset: it starts anew from zero. Axes: N readings, W windows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.history.history import Aggregate, Curve
from telemetry.batch import Floats, Indexes, Masks, Qualities, Times

WIDTHS_MS = {"1m": 60_000, "15m": 900_000, "1h": 3_600_000}
"""Every rollup there is, by name, finest first; each divides the next."""
FIELDS = ("count", "low", "high", "total", "first", "last", "grown", "quality")
FIELDS_OF = {
    Aggregate.MEAN: ("count", "total", "quality"),
    Aggregate.MIN: ("low", "quality"),
    Aggregate.MAX: ("high", "quality"),
    Aggregate.LAST: ("last", "quality"),
    Aggregate.COUNT: ("count", "quality"),
    Aggregate.INCREASE: ("first", "last", "grown", "quality"),
}
"""What of a window an aggregate is made of: a store need not read the rest."""
_BAD = 2


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows ascending by series and time, one column per field, each (W,)."""

    series: NDArray[np.int64]
    time_ms: Times  # the window's start
    count: NDArray[np.int64]
    low: Floats
    high: Floats
    total: Floats
    first: Floats
    last: Floats
    grown: Floats  # inside of the window
    quality: Qualities  # the worst of it

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, rows: Indexes | Masks | slice) -> Windows:
        """Some of them."""
        return Windows(*(getattr(self, field.name)[rows] for field in fields(self)))


def windows_from(series: NDArray[np.int64], time_ms: Times, columns: Mapping[str, NDArray[Any]]) -> Windows:
    """Windows from their columns; a field that was not read is 0."""
    nothing = np.zeros(len(time_ms))
    count, low, high, total, first, last, grown, quality = (columns.get(field, nothing) for field in FIELDS)
    return Windows(
        series, time_ms, count.astype(np.int64), low, high, total, first, last, grown, quality.astype(np.uint8)
    )


def width_for(every_ms: int) -> str | None:
    """The widest rollup that steps of so many milliseconds can be made of; None when only readings will do."""
    fitting = [name for name, width_ms in WIDTHS_MS.items() if every_ms % width_ms == 0]
    return fitting[-1] if fitting else None


def roll(series: NDArray[np.int64], time_ms: Times, value: Floats, quality: Qualities, width_ms: int) -> Windows:
    """Sum readings up.

    Args:
        series, time_ms, value, quality: (N,) ascending by series and time, each reading once.
        width_ms: Of a window; windows start at multiples of it.
    """
    good = quality < _BAD
    series, time_ms, value, quality = series[good], time_ms[good], value[good], quality[good]
    each = Windows(
        series, time_ms, np.ones(len(value), np.int64), value, value, value, value, value, np.zeros(len(value)), quality
    )
    return merge(each, width_ms)


def merge(finer: Windows, width_ms: int) -> Windows:
    """Wider windows out of finer ones, which must not straddle them."""
    if not len(finer):
        return finer
    number = finer.time_ms // width_ms
    begins = np.concatenate(([True], (number[1:] != number[:-1]) | (finer.series[1:] != finer.series[:-1])))
    start = np.flatnonzero(begins)
    end = np.append(start[1:], len(finer))
    inside = finer.grown + np.where(begins, 0.0, _steps_into(finer))
    return Windows(
        finer.series[start],
        number[start] * width_ms,
        np.add.reduceat(finer.count, start),
        np.minimum.reduceat(finer.low, start),
        np.maximum.reduceat(finer.high, start),
        np.add.reduceat(finer.total, start),
        finer.first[start],
        finer.last[end - 1],
        np.add.reduceat(inside, start),
        np.maximum.reduceat(finer.quality, start),
    )


def join(parts: Sequence[Windows]) -> Windows:
    """Windows from several sources, in the order of series and time; none may stand in two of them."""
    columns = [np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Windows)]
    return Windows(*columns).take(np.lexsort((columns[1], columns[0])))


def split(rows: Windows, count: int) -> list[Windows]:
    """What belongs to each of the series 0 … `count` - 1, of windows in the order of series."""
    ends = np.searchsorted(rows.series, np.arange(count + 1))
    return [rows.take(slice(start, end)) for start, end in itertools.pairwise(ends.tolist())]


def steps(finer: Windows, every_ms: int, how: Aggregate) -> Curve:
    """One value a step of one series, each step stamped with its start."""
    merged = merge(finer, every_ms)
    made: dict[Aggregate, Callable[[], Floats]] = {
        Aggregate.MEAN: lambda: merged.total / merged.count,
        Aggregate.MIN: lambda: merged.low,
        Aggregate.MAX: lambda: merged.high,
        Aggregate.LAST: lambda: merged.last,
        Aggregate.COUNT: lambda: merged.count.astype(np.float64),
        # What came before the first step is not known here, so that it begins with its own first reading.
        Aggregate.INCREASE: lambda: merged.grown + _steps_into(merged),
    }
    return Curve(merged.time_ms, made[how](), merged.quality)


def curve_steps(curve: Curve, every_ms: int, how: Aggregate) -> Curve:
    """The same straight from readings."""
    return steps(windows_of(curve, every_ms), every_ms, how)


def windows_of(curve: Curve, width_ms: int, series: int = 0) -> Windows:
    """A single series' readings as windows."""
    return roll(np.full(len(curve.time_ms), series, np.int64), curve.time_ms, curve.value, curve.quality, width_ms)


def _steps_into(windows: Windows) -> Floats:
    """How much a counter grew from the window before to this one's first value, (W,); 0 for the first."""
    rise = np.zeros(len(windows))
    rise[1:] = windows.first[1:] - windows.last[:-1]
    return np.where(rise < 0, windows.first, rise)
