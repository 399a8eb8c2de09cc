"""Storms, found from rain: where one ends and the next begins, and what a level did meanwhile.

A storm is rain with less than `GAP_MS` of dryness inside of it: what falls within six hours finds the drains still
running. Time in which the gauge was not heard is neither dry nor wet: it parts no storm, until it is a day. It is counted, so
that a report can say how much of the rain was seen. Axes: N steps or readings, ascending in time; K storms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from telemetry.batch import Floats, Times

GAP_MS = 6 * 3_600_000
"""Dry for so long, and the next rain is another storm."""
UNHEARD_MAX_MS = 24 * 3_600_000
"""Not heard for so long, and nobody can say that it is still the same storm."""
WET_MM_H = 0.1
"""A gauge that says no more than that is dry, as the blockage and siltation rules see it."""
DEPTH_MIN_MM = 0.5
"""Less rain than that in all is drizzle, and no storm."""
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Storms:
    """Columns, (K,), in the order of time."""

    start_ms: Times
    end_ms: Times  # end of the last wet step
    depth_mm: Floats
    heard: Floats  # share of the steps in between that the gauge reported, 0..1

    def __len__(self) -> int:
        return len(self.start_ms)


def find_storms(time_ms: Times, rate_mm_h: Floats, step_ms: int) -> Storms:
    """Storms in the mean intensities of steps.

    Args:
        time_ms: Start of each step, (N,), ascending; steps that were not reported are left out.
        rate_mm_h: Mean intensity in it [mm/h], (N,), finite.
        step_ms: Length of a step.
    """
    wet = np.flatnonzero(rate_mm_h > WET_MM_H)
    if not len(wet):
        return Storms(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
    unheard_ms = np.diff(_unheard_ms(time_ms, step_ms)[wet])
    dry_ms = np.diff(time_ms[wet]) - step_ms - unheard_ms
    breaks = np.flatnonzero((dry_ms >= GAP_MS) | (unheard_ms >= UNHEARD_MAX_MS))
    first = wet[np.concatenate(([0], breaks + 1))]
    last = wet[np.concatenate((breaks, [len(wet) - 1]))]
    fallen = np.concatenate(([0.0], np.cumsum(rate_mm_h * (step_ms / _HOUR_MS))))
    start_ms, end_ms = time_ms[first], time_ms[last] + step_ms
    # Rounded, so that what fell before a storm does not decide by its last digit whether it is one.
    depth_mm = np.round(fallen[last + 1] - fallen[first], 6)
    heard = (last - first + 1) / ((end_ms - start_ms) / step_ms)
    kept: NDArray[np.bool_] = depth_mm >= DEPTH_MIN_MM
    return Storms(start_ms[kept], end_ms[kept], depth_mm[kept], heard[kept])


def is_over(time_ms: Times, end_ms: int, now_ms: int, step_ms: int) -> bool:
    """Whether a storm whose rain ended then is over by now, by the steps that were reported, (N,), ascending."""
    after = np.concatenate(([end_ms - step_ms], time_ms[time_ms >= end_ms], [now_ms]))
    unheard_ms = int(_unheard_ms(after, step_ms)[-1])
    return now_ms - end_ms - unheard_ms >= GAP_MS or unheard_ms >= UNHEARD_MAX_MS


def _unheard_ms(time_ms: Times, step_ms: int) -> Times:
    """How long the gauge had not been heard, before each step, since the first, (N,): pauses of more than an hour."""
    pause_ms = np.diff(time_ms)
    return np.concatenate(([0], np.cumsum(np.where(pause_ms > _HOUR_MS, pause_ms - step_ms, 0)))).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Reached:
    """What a level came to; times are None where there was nothing."""

    before_m: float | None  # first reading of the stretch
    peak_m: float | None
    peak_ms: int | None  # the first time it stood so high
    overflow_ms: int | None  # the first time it reached the limit


def reached(time_ms: Times, level_m: Floats, overflow_m: float) -> Reached:
    """The peak of a stretch of levels and when it overflowed.

    Args:
        time_ms, level_m: (N,), finite.
        overflow_m: The level from which water stands in the road [m].
    """
    if not len(level_m):
        return Reached(None, None, None, None)
    peak = int(np.argmax(level_m))
    over = np.flatnonzero(level_m >= overflow_m)
    return Reached(
        float(level_m[0]),
        float(level_m[peak]),
        int(time_ms[peak]),
        int(time_ms[over[0]]) if len(over) else None,
    )
