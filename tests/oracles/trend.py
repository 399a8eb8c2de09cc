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
