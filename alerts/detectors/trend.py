"""How fast a value changes, and when it will reach a limit, from its last n readings.

The slope is Theil and Sen's: the median of the slopes of all pairs, which a quarter of the readings may be wrong without
moving. It counts only where Mann and Kendall's test finds a trend at all: where pairs that rise outnumber pairs that fall
by more than three standard deviations of what chance gives; else there is no slope. Both look at order more than at size,
so that one debris echo neither makes a forecast nor hides one. Axes: W windows, n readings in each, P = n (n - 1) / 2 pairs.

Source: P. K. Sen, JASA 63 (1968) 1379-1389, doi 10.1080/01621459.1968.10480934; H. B. Mann, Econometrica 13 (1945)
245-259, doi 10.2307/1907187, variance n (n - 1) (2 n + 5) / 18. Three deviations: reference/alarms.md §4.2, D2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from alerts.detectors.detector import NO_SIGNALS, UNSET_MS, Rows, Signals, Watch
from alerts.detectors.windows import Windows
from alerts.rule import Level, LevelledRule
from alerts.world import World
from telemetry.batch import Floats, Indexes, Masks, Times
from telemetry.segments import group

_CHUNK = 4096  # windows whose pairs are computed at once, so that memory stays small
_SIGNIFICANT = 3.0  # standard deviations


class RateRule(LevelledRule):
    """A value that changes faster than a limit, in units a minute, over the last readings."""

    type: Literal["rate"]
    window_readings: int = Field(default=15, ge=8, le=30)  # fewer cannot show a trend beyond chance
    span_min_s: float = Field(default=20.0, gt=0)
    span_max_s: float = Field(default=3600.0, gt=0)


class ForecastRule(LevelledRule):
    """Minutes until a value reaches `target` if it goes on as over the last readings. Limits are `at_most` minutes."""

    type: Literal["forecast"]
    target: float
    relative_to: Literal["depth"] | None = None  # the target is a fraction of the drain's depth
    window_readings: int = Field(default=15, ge=8, le=30)  # fewer cannot show a trend beyond chance
    span_min_s: float = Field(default=20.0, gt=0)
    span_max_s: float = Field(default=3600.0, gt=0)

    @model_validator(mode="after")
    def _in_minutes(self) -> Self:
        if any(level.at_most is None for level in self.levels):
            raise ValueError("a forecast alarms at so many minutes before: give 'at_most'")
        return self

    def clear_of(self, level: Level) -> float:
        """A forecast is over when there is twice the time again."""
        return 2 * level.limit


def rate_detector(rule: RateRule, concerned: Indexes, world: World) -> TrendDetector:
    """The slope of each series, in its unit a minute."""
    return TrendDetector(rule, concerned, world.series_count, None)


def forecast_detector(rule: ForecastRule, concerned: Indexes, world: World) -> TrendDetector:
    """Minutes until each series reaches its target."""
    return TrendDetector(rule, concerned, world.series_count, rule.target * world.scales(rule, concerned)[concerned])


class TrendDetector:
    """The trend of the last n readings of each series; with targets, the minutes until they are reached.

    Args:
        target: (V,) or None for the slope itself.
    """

    def __init__(self, rule: RateRule | ForecastRule, watched: Indexes, series_count: int, target: Floats | None):
        self._watch = Watch(watched, series_count)
        self._windows = Windows(len(watched), rule.window_readings)
        self._span_min_ms, self._span_max_ms = round(rule.span_min_s * 1000), round(rule.span_max_s * 1000)
        self._target = target

    @property
    def watched(self) -> Indexes:
        return self._watch.watched

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {"time_ms": self._windows.time_ms, "value": self._windows.value}

    def push(self, rows: Rows) -> Signals:
        chosen, position = self._watch.of(rows)
        if not len(chosen):
            return NO_SIGNALS
        groups = group(position)
        chosen, position = chosen[groups.order], position[groups.order]
        times, values = self._windows.push(groups, rows.time_ms[chosen], rows.value[chosen])
        span_ms = np.where(times[:, 0] == UNSET_MS, -1, times[:, -1] - times[:, 0])
        whole = np.flatnonzero((span_ms >= self._span_min_ms) & (span_ms <= self._span_max_ms))
        if not len(whole):
            return NO_SIGNALS
        trends = trend(times[whole], values[whole])
        if self._target is None:
            return Signals(chosen[whole], trends.slope)
        return Signals(chosen[whole], *minutes_until(trends, self._target[position[whole]]))


@dataclass(frozen=True, slots=True)
class Trend:
    """Trends of windows, (W,). Slopes in units a minute; 0 where the change does not stand out of the noise."""

    slope: Floats
    slope_low: Floats  # quartiles of the pairwise slopes: half of all pairs lie between
    slope_high: Floats
    level: Floats  # the fitted value at the last reading


def trend(time_ms: Times, value: Floats) -> Trend:
    """Theil-Sen trends.

    Args:
        time_ms: (W, n), ascending within a window.
        value: (W, n), finite.
    """
    minutes = (time_ms - time_ms[:, -1:]) / 60_000.0  # (W, n), up to 0
    slope, low, high = (np.zeros(len(value)) for _ in range(3))
    level = np.median(value, axis=1)
    for start in range(0, len(value), _CHUNK):
        rows = start + np.flatnonzero(_has_trend(value[start : start + _CHUNK]))
        slope[rows], low[rows], high[rows] = _pairwise(minutes[rows], value[rows])
        level[rows] = np.median(value[rows] - slope[rows, None] * minutes[rows], axis=1)
    return Trend(slope, low, high, level)


def minutes_until(trends: Trend, target: Floats) -> tuple[Floats, Floats, Floats]:
    """Minutes until each window's value reaches its target, with the band of its slope's quartiles.

    Args:
        target: (W,), in the value's unit.

    Returns:
        (minutes, earliest, latest), (W,): 0 where it is reached already, infinity where it never is.
    """
    missing = target - trends.level

    def until(slope: Floats) -> Floats:
        rising = slope > 0
        minutes = np.divide(missing, slope, out=np.full(len(missing), np.inf), where=rising)
        return np.where(missing <= 0, 0.0, minutes)

    return until(trends.slope), until(trends.slope_high), until(trends.slope_low)


def _has_trend(value: Floats) -> Masks:
    """Windows that Mann and Kendall's test finds rising or falling. (W,)"""
    n = value.shape[1]
    first, second = np.triu_indices(n, k=1)
    excess = np.abs(np.sign(value[:, second] - value[:, first]).sum(axis=1))
    found: Masks = excess > _SIGNIFICANT * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return found


def _pairwise(minutes: Floats, value: Floats) -> tuple[Floats, Floats, Floats]:
    """Median and quartiles of the slopes of all pairs. (W,)"""
    first, second = np.triu_indices(value.shape[1], k=1)
    span = minutes[:, second] - minutes[:, first]  # (W, P), above 0: times ascend
    slopes = np.sort((value[:, second] - value[:, first]) / span, axis=1)
    pairs = slopes.shape[1]
    median = (slopes[:, (pairs - 1) // 2] + slopes[:, pairs // 2]) / 2
    return median, slopes[:, (pairs - 1) // 4], slopes[:, pairs - 1 - (pairs - 1) // 4]
