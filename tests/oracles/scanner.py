"""Lanes of a gate in plain ifs, written from reference/alarms.md §4.1 (F6) and docs/detectors/scanner-health.md."""

import math

HOUR_MS = 3_600_000


def middle(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


class Lane:
    def __init__(self, people: int, people_min: int, days_min: int, identical: int) -> None:
        self.people, self.people_min, self.days_min, self.identical = people, people_min, days_min, identical
        self.line: list[tuple[int, float]] = []
        self.by_hour: dict[int, float] = {}
        self.said: list[tuple[int, float]] = []  # when, the shift
        self.no_result = 0

    def person(self, time_ms: int, value: float) -> tuple[float | None, bool]:
        """(shift, whether it is frozen); call for measured readings only."""
        self.no_result = 0
        self.line.append((time_ms, value))
        last = [v for t, v in self.line[-self.people :] if t >= time_ms - 2 * HOUR_MS]
        shift = None
        hour = time_ms // HOUR_MS
        if len(last) >= self.people_min:
            same = [self.by_hour[hour - 24 * day] for day in range(1, 8) if hour - 24 * day in self.by_hour]
            if len(same) >= self.days_min:
                shift = middle(last) - middle(same)
            self.by_hour[hour] = middle(last)
        if shift is not None:
            self.said.append((time_ms, shift))
        tail = [v for _, v in self.line[-self.identical :]]
        return shift, len(tail) == self.identical and len(set(tail)) == 1

    def unmeasured(self, most: int) -> float | None:
        """Somebody without a result; the signal."""
        self.no_result += 1
        return math.inf if self.no_result >= most else None

    def now(self, time_ms: int) -> float | None:
        """What it says to others."""
        if self.said and time_ms - self.said[-1][0] <= 2 * HOUR_MS:
            return self.said[-1][1]
        return None


def health(
    lane: Lane, others: list[Lane], time_ms: int, value: float, body: float | None, body_set: float
) -> float | None:
    shift, frozen = lane.person(time_ms, value)
    if frozen:
        return math.inf
    found = None
    if shift is not None:
        found = abs(shift)
        known = [s for s in (other.now(time_ms) for other in others) if s is not None]
        if known:
            found = min(found, abs(shift - middle(known)))
    if body is not None:
        found = max(found or 0.0, abs(body - body_set))
    return None if found is None else round(found, 6)
