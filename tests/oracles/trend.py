"""Theil-Sen and Mann-Kendall by the book: all pairs, sorted, one window at a time."""

import math
from statistics import median


def has_trend(values: list[float]) -> bool:
    """Whether rising pairs outnumber falling ones, or the other way, by more than three standard deviations."""
    n = len(values)
    excess = 0
    for i in range(n):
        for j in range(i + 1, n):
            if values[j] > values[i]:
                excess += 1
            elif values[j] < values[i]:
                excess -= 1
    return abs(excess) > 3 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)


def theil_sen(minutes: list[float], values: list[float]) -> tuple[float, float]:
    """(slope, fitted value at the last point)."""
    slopes = [
        (values[j] - values[i]) / (minutes[j] - minutes[i])
        for i in range(len(values))
        for j in range(i + 1, len(values))
    ]
    slope = median(slopes)
    return slope, median(v - slope * (m - minutes[-1]) for m, v in zip(minutes, values, strict=True))


def quartiles(minutes: list[float], values: list[float]) -> tuple[float, float]:
    """The slopes below and above which a quarter of all pairs lie, as they stand in their order."""
    slopes = sorted(
        (values[j] - values[i]) / (minutes[j] - minutes[i])
        for i in range(len(values))
        for j in range(i + 1, len(values))
    )
    return slopes[(len(slopes) - 1) // 4], slopes[-1 - (len(slopes) - 1) // 4]


def said(
    readings: list[tuple[int, float]], window: int, span_ms: tuple[int, int], target: float | None
) -> list[tuple[int, float]]:
    """The slope a minute of the last readings, or the minutes until a target; nothing where they are too close or too far."""
    found: list[tuple[int, float]] = []
    for end in range(window, len(readings) + 1):
        last = readings[end - window : end]
        time_ms = last[-1][0]
        if not span_ms[0] <= time_ms - last[0][0] <= span_ms[1]:
            continue
        values = [value for _, value in last]
        slope, level = 0.0, median(values)
        if has_trend(values):
            slope, level = theil_sen([(when - time_ms) / 60_000 for when, _ in last], values)
        if target is None:
            found.append((time_ms, slope))
        elif level >= target:
            found.append((time_ms, 0.0))
        else:
            found.append((time_ms, (target - level) / slope if slope > 0 else math.inf))
    return found
