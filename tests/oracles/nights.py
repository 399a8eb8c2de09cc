"""Nights of one drain and of one register in plain ifs, written from docs/detectors/siltation.md and night-minimum.md.

Local time is given as a constant number of hours ahead of UTC.
"""

import itertools

from tests.oracles.registers import Register
from tests.oracles.scanner import middle

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def night_of(time_ms: int, ahead_h: int) -> int | None:
    """Which night a time lies in, from two to five o'clock, both included."""
    local = time_ms + ahead_h * HOUR_MS
    return local // DAY_MS if 2 * HOUR_MS <= local % DAY_MS <= 5 * HOUR_MS else None


class Gauge:
    """Until when it was not dry, as far as anybody knows."""

    def __init__(self) -> None:
        self.heard_ms: int | None = None
        self.wet_ms = 0

    def reading(self, time_ms: int, rate: float) -> None:
        if self.heard_ms is None or time_ms - self.heard_ms > HOUR_MS or rate > 0.1:
            self.wet_ms = time_ms
        self.heard_ms = time_ms

    def is_dry(self, time_ms: int) -> bool:
        """Whether it was dry for twelve hours."""
        if self.heard_ms is None or time_ms - self.heard_ms > HOUR_MS:
            return False
        return time_ms - self.wet_ms > 12 * HOUR_MS


class Drain:
    def __init__(self, nights: int, nights_min: int, days: float, ahead_h: int, depth_m: float = 1.0) -> None:
        self.nights, self.nights_min, self.days, self.ahead_h = nights, nights_min, days, ahead_h
        self.depth_m = depth_m
        self.running: tuple[int, float] | None = None
        self.lows: list[tuple[int, float]] = []

    def reading(self, time_ms: int, level: float, gauge: Gauge | None) -> float | None:
        """`gauge`: None where there is none."""
        night = night_of(time_ms, self.ahead_h)
        signal = None
        if self.running is not None and self.running[0] != night:
            self.lows.append(self.running)
            self.running = None
            last = self.lows[-1][0]
            counted = [one for one in self.lows[-self.nights :] if one[0] >= last - self.days]
            if len(counted) >= self.nights_min:
                slopes = [(b - a) / (j - i) for (i, a), (j, b) in itertools.combinations(counted, 2)]
                signal = 30 * middle(slopes) / self.depth_m
        if night is not None and (gauge is None or gauge.is_dry(time_ms)):
            self.running = (night, min(level, self.running[1]) if self.running else level)
        return signal


class Meter:
    def __init__(self, register: Register, limit: float, least: float, price: float, ahead_h: int) -> None:
        self.register, self.limit, self.least, self.price, self.ahead_h = register, limit, least, price, ahead_h
        self.running: tuple[int, float] | None = None
        self.usual: list[float] = []
        self.start_ms = self.before_ms = 0
        self.grown: float | None = None

    def reading(self, time_ms: int, value: float, nights_min: int, gap_ms: int) -> float | None:
        night = night_of(time_ms, self.ahead_h)
        signal = None
        if self.running is not None and self.running[0] != night:
            signal = self.judge(self.running[1], nights_min)
            self.running = None
        amount, _ = self.register.take(time_ms, value)
        gapped = time_ms - self.before_ms > gap_ms
        self.before_ms = time_ms
        begun = night_of(self.start_ms, self.ahead_h) if self.grown is not None else None
        same_day = (self.start_ms + self.ahead_h * HOUR_MS) // DAY_MS == (time_ms + self.ahead_h * HOUR_MS) // DAY_MS
        if self.grown is None or amount is None or gapped or begun is None or not same_day:
            self.start_ms, self.grown = time_ms, 0.0
            return signal
        self.grown += amount
        if night is not None and time_ms - self.start_ms >= 900_000:
            flow = self.grown * DAY_MS / (time_ms - self.start_ms)
            self.running = (night, min(flow, self.running[1]) if self.running else flow)
            self.start_ms, self.grown = time_ms, 0.0
        return signal

    def judge(self, flow: float, nights_min: int) -> float | None:
        last = self.usual[-14:]
        if len(last) < nights_min:
            self.usual.append(flow)
            return None
        usual = middle(last)
        mad = middle([abs(one - usual) for one in last])
        above = 0.0
        if flow > usual + 4 * mad and flow >= 2 * max(usual, self.least):
            above = (flow - usual) * self.price
        if above < self.limit:
            self.usual.append(flow)
        return above
