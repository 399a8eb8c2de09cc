"""One sensor at its upper end in plain ifs, written from reference/alarms.md §4.2 (D5) and docs/detectors/saturation.md."""

import math


class Sensor:
    def __init__(self, top: float, blind_zone: float, rise_ms: int, wants_rise: bool) -> None:
        self.top, self.blind_zone, self.rise_ms, self.wants_rise = top, blind_zone, rise_ms, wants_rise
        self.free: list[tuple[int, float]] = []
        self.part_ms = max(1, math.ceil(rise_ms / 8))
        self.since_ms: int | None = None
        self.rose = False

    def reading(self, time_ms: int, value: float) -> float:
        """Minutes for which it has been what the rule looks for."""
        if value < 0.6 * self.top:
            self.rose = False
        if value < self.top - self.blind_zone:
            self.free.append((time_ms, value))
            self.since_ms = None
            return 0.0
        if self.since_ms is None:
            self.since_ms = time_ms
            since_ms = time_ms - self.rise_ms
            before = [v for t, v in self.free if t >= since_ms]
            lowest = [v for t, v in self.free if t // self.part_ms >= since_ms // self.part_ms]
            if len(before) >= 3 and before[-1] >= 0.6 * self.top and before[-1] - min(lowest) >= 0.1 * self.top:
                self.rose = True
        if self.rose != self.wants_rise:
            return 0.0
        return (time_ms - self.since_ms) / 60_000
