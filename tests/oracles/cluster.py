"""One lane's positives in plain ifs, written from reference/alarms.md §4.1 (F7) and docs/detectors/fever-cluster.md."""

import math

from tests.oracles.fever import linear_quantile

HOUR_MS, MINUTE_MS = 3_600_000, 60_000


def tail(people: int, positives: int, share: float) -> float:
    """The chance of so many positives or more."""
    return math.fsum(
        math.comb(people, k) * share**k * (1 - share) ** (people - k) for k in range(positives, people + 1)
    )


class Lane:
    def __init__(self, positive_at: float) -> None:
        self.positive_at = positive_at
        self.line: list[tuple[int, float]] = []
        self.positives: list[int] = []  # keys of their passages
        self.low_of_hour: dict[int, float] = {}

    def person(self, time_ms: int, value: float, key: int = 0) -> float | None:
        if value < 34 or value > 42:
            return None
        is_positive = value >= self.positive_at
        if not (is_positive and key and key in self.positives[-16:]):
            self.line.append((time_ms, value))
            if is_positive:
                self.positives.append(key)
        minute, hour = time_ms // MINUTE_MS, time_ms // HOUR_MS
        window = [v for t, v in self.line if t // MINUTE_MS > minute - 30]
        begins_hour = (minute - 29) // 60
        week = [v for t, v in self.line if hour - 168 <= t // HOUR_MS < begins_hour]
        share = (sum(v >= self.positive_at for v in week) + 1) / (len(week) + 200)
        positives = sum(v >= self.positive_at for v in window)

        values = [v for _, v in self.line[-120:]]
        same = [self.low_of_hour[hour - 24 * d] for d in range(1, 8) if hour - 24 * d in self.low_of_hour]
        before = values[:-15]
        if len(values) >= 15:
            low = linear_quantile(values[-15:], 0.35)
            known = [v for h, v in self.low_of_hour.items() if hour - 168 <= h < hour]
            usual = None
            if len(same) >= 3:
                usual = linear_quantile(same, 0.5)
            elif known:
                usual = linear_quantile(known, 0.5)
            elif len(before) >= 20:
                usual = linear_quantile(before, 0.35)
            if usual is not None and round(low - usual, 6) > 0.3:
                return None
            self.low_of_hour[hour] = low
        return -math.log10(tail(len(window), positives, share)) if positives >= 3 else 0.0
