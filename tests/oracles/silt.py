"""Dry nights and their rise, hour by hour: plain ifs. Times are local here, hours counted from 1970."""

from statistics import median


def nights(hours: list[tuple[int, float]], wet_hours: set[int], heard: set[int] | None) -> list[tuple[int, float]]:
    """(day, lowest) of every night with an hour from 2 to 5, before which it was dry for 12, with the gauge heard in all."""
    found: dict[int, float] = {}
    for hour, low in hours:
        is_dry = not any(0 <= hour - wet <= 12 for wet in wet_hours)
        is_known = heard is None or all(before in heard for before in range(hour - 12, hour + 1))
        if 2 <= hour % 24 < 5 and is_dry and is_known:
            found[hour // 24] = min(low, found.get(hour // 24, low))
    return sorted(found.items())


def rise(found: list[tuple[int, float]]) -> float | None:
    """Metres in 30 days; None before there are 14 nights in 60 days."""
    recent = [(day, low) for day, low in found if day >= found[-1][0] - 60][-42:]
    if len(recent) < 14:
        return None
    slopes = [(b - a) / (e - d) for i, (d, a) in enumerate(recent) for e, b in recent[i + 1 :]]
    return 30 * median(slopes)
