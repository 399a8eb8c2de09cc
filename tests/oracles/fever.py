"""One lane's people in plain ifs, written from reference/alarms.md §4.1 (F1-F4) and docs/detectors/fever.md."""

import itertools
import math


def linear_quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def is_off(centre: float, crowd_centre: float | None) -> bool:
    return crowd_centre is not None and round(abs(centre - crowd_centre), 6) > 0.3


class Lane:
    def __init__(
        self,
        people: int,
        people_min: int,
        normal_c: float,
        surface_offset_c: float,
        up_c: float,
        ambient_per_c: float = 0.0,
    ):
        self.people, self.people_min = people, people_min
        self.normal_c, self.surface_offset_c, self.up_c = normal_c, surface_offset_c, up_c
        self.ambient_per_c = ambient_per_c
        self.recent: list[tuple[int, float]] = []
        self.met: list[int] = []
        self.crowd: list[tuple[int, float]] = []
        self.hours: dict[int, list[float]] = {}
        self.reset_ms = 0
        self.centre: float | None = None
        self.centre_ms = 0

    def person(
        self, time_ms: int, value: float, ambient: float | None, is_late: bool = False, key: int = 0
    ) -> float | None:
        """The signal, or None where there is no result. Nothing is learned of who is late, and of a passage only once."""
        if value < 34 or value > 42:
            return None
        if ambient is not None:
            value -= self.ambient_per_c * (min(max(ambient, 16), 32) - 24)
        if not is_late and (not self.crowd or time_ms - self.crowd[-1][0] > 3_600_000):
            self.reset_ms, self.centre = time_ms, None
        crowd = [v for _, v in self.crowd[-240:]]
        since_reset = sum(1 for t, _ in self.crowd[-240:] if t >= self.reset_ms)
        crowd_centre = crowd_spread = None
        if len(crowd) >= 5:
            apart = [abs(b - a) for a, b in itertools.pairwise(crowd)]
            crowd_spread = 1.4826 / math.sqrt(2) * linear_quantile(apart, 0.5)
            crowd_centre = linear_quantile(crowd[-60:], 0.35) + 0.385 * crowd_spread
        hour = time_ms // 3_600_000
        same = [v for day in range(1, 8) for v in self.hours.get(hour - 24 * day, [])]
        before = sum(same) / len(same) if len(same) >= self.people_min else None
        recent = sorted(
            v for t, v in self.recent[-self.people :] if t >= self.reset_ms and t >= time_ms - 2 * 3_600_000
        )
        centre, spread = (before if before is not None else crowd_centre), crowd_spread
        crowd_counts = since_reset >= 30
        if crowd_counts and centre is not None and is_off(centre, crowd_centre):
            centre = crowd_centre
        if len(recent) >= self.people_min:
            cut = math.floor(0.2 * len(recent))
            kept = recent[cut : len(recent) - cut]
            centre = sum(kept) / len(kept)
            start, start_ms = (before, self.reset_ms) if self.centre is None else (self.centre, self.centre_ms)
            if start is not None:
                slew = 0.1 * max(time_ms - start_ms, 0) / 600_000
                centre = min(max(centre, start - slew), start + slew)
            if crowd_counts and is_off(centre, crowd_centre):
                centre = crowd_centre
            if not is_late:
                self.centre, self.centre_ms = centre, time_ms
            middle = linear_quantile(recent, 0.5)
            spread = 1.4826 * linear_quantile([abs(v - middle) for v in recent], 0.5)
        absolute = value + self.surface_offset_c
        if crowd_centre is not None:
            off = crowd_centre - (self.normal_c - self.surface_offset_c)
            off *= min(max(abs(off) / 0.3 - 1, 0.0), 1.0)
            absolute -= min(max(off, -2.0), self.up_c)
        if centre is None:
            signal = absolute
        else:
            signal = 37.3 + value - centre - max(1.0, 2.7 * (spread or 0.0))
            if ambient is None or 16 <= ambient <= 32:
                signal = max(signal, absolute)
        signal = round(signal, 6)
        if is_late or (key and key in self.met[-64:]):
            return signal
        self.met.append(key)
        self.crowd.append((time_ms, value))
        if signal < 37.3:
            self.recent.append((time_ms, value))
            self.hours.setdefault(hour, []).append(value)
        return signal
