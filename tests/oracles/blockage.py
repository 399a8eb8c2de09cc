"""One drain and its rain gauge in plain ifs, written from reference/alarms.md §4.2 (D4) and docs/detectors/blockage.md."""

import math

HOUR_MS = 3_600_000


class Gauge:
    def __init__(self) -> None:
        self.fallen: list[tuple[int, float]] = []  # (ten minutes in which it was said, mm)
        self.last: tuple[int, float] | None = None

    def reading(self, time_ms: int, rate: float) -> float:
        """Millimetres in the last six hours."""
        part = time_ms // 600_000
        if self.last is None or time_ms - self.last[0] > HOUR_MS:
            self.fallen.append((part, math.inf))
        else:
            self.fallen.append((part, self.last[1] * min(time_ms - self.last[0], 600_000) / HOUR_MS))
        self.last = (time_ms, rate)
        return sum(mm for at, mm in self.fallen if at > part - 36)


class Drain:
    def __init__(self) -> None:
        self.hours: dict[int, float] = {}

    def reading(self, time_ms: int, level: float, rain_mm: float) -> tuple[float, bool] | None:
        """(times the usual level, whether that may begin an alarm); None where the usual is not known yet."""
        hour = time_ms // HOUR_MS
        same = sorted(h for h in self.hours if h % 168 == hour % 168)
        held = same[-8:]
        past = sorted(self.hours[h] for h in held if h != hour)
        usual = max(past[-2], 0.05) if len(past) >= 3 else None
        if rain_mm <= 1.0:
            learned = level if usual is None else min(level, 1.25 * usual)
            self.hours[hour] = max(self.hours.get(hour, learned), learned)
        if usual is None:
            return None
        return level / usual, rain_mm <= 1.0
