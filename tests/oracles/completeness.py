"""Completeness of one series on one day, counted the slow way from all that ever arrived of it."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def count(
    arrivals: list[tuple[int, int, int, bool]],
    losses: list[tuple[int, int, int]],
    zone: str,
    day: str,
    interval_ms: int | None,
    since_ms: int,
    now_ms: int,
    late_after_ms: int,
) -> dict[str, object] | None:
    """The figures, or None where nothing arrived and nothing was due.

    Args:
        arrivals: (time, when we learned of it, quality, whether it came as backlog) of every reading.
        losses: (first, last, missing) as gateways said.
    """
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    start_ms = round(midnight.timestamp() * 1000)
    end_ms = round((midnight + timedelta(days=1)).timestamp() * 1000)  # wall-clock time: the next midnight
    here = [a for a in arrivals if start_ms <= a[0] < end_ms]
    if not here and since_ms >= end_ms:
        return None
    late = sum(1 for time_ms, known_ms, _, is_backlog in here if is_backlog or known_ms - time_ms > late_after_ms)
    figures: dict[str, object] = {
        "good": sum(1 for a in here if a[2] == 0),
        "suspect": sum(1 for a in here if a[2] == 1),
        "bad": sum(1 for a in here if a[2] == 2),
        "late": late,
        "expected": None,
        "missing": None,
        "silent": [],
        "known_lost": sum(_within(loss, start_ms, end_ms) for loss in losses),
    }
    if interval_ms is None:
        return figures
    begin_ms = start_ms  # the first whole minute of which it was known
    while begin_ms < since_ms:
        begin_ms += 60_000
    minutes = []  # those that have passed for a minute at least
    at_ms = start_ms
    while at_ms + 60_000 <= min(end_ms, now_ms - 60_000):
        minutes.append(at_ms)
        at_ms += 60_000
    if begin_ms >= at_ms:
        return figures | {"expected": 0, "missing": 0}
    expected = 0
    while begin_ms + (expected + 1) * interval_ms <= at_ms:
        expected += 1
    arrived = sum(1 for a in here if begin_ms <= a[0] < at_ms)
    silent: list[tuple[int, int]] = []
    open_ms = None
    for minute in [*minutes, at_ms]:
        is_empty = minute != at_ms and minute >= begin_ms and not any(minute <= a[0] < minute + 60_000 for a in here)
        if is_empty and open_ms is None:
            open_ms = minute
        if not is_empty and open_ms is not None:
            if minute - open_ms >= 3 * interval_ms:
                silent.append((open_ms, minute))
            open_ms = None
    return figures | {"expected": expected, "missing": max(0, expected - arrived), "silent": silent}


def _within(loss: tuple[int, int, int], start_ms: int, end_ms: int) -> int:
    """The share of a loss that falls into [start, end), so that the shares of all days add up."""
    first_ms, last_ms, missing = loss
    length_ms = last_ms + 1 - first_ms

    def before(time_ms: int) -> int:
        return missing * (min(max(time_ms, first_ms), last_ms + 1) - first_ms) // length_ms

    return before(end_ms) - before(start_ms)
