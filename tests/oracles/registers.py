"""Meter registers step by step, and the flows made of them, for one meter and with plain ifs."""

import math

HOUR_MS = 3_600_000


class Register:
    """One register with a last digit of 1."""

    def __init__(self, modulus: float, max_rate_per_h: float, replaced_ms: list[int]) -> None:
        self.modulus, self.max_rate_per_h, self.replaced_ms = modulus, max_rate_per_h, replaced_ms
        self.value: float | None = None
        self.time_ms = 0
        self.fell_from: float | None = None

    def take(self, time_ms: int, value: float) -> tuple[float | None, str]:
        """(what it adds or None, what the step is)."""
        before, before_ms, fell_from = self.value, self.time_ms, self.fell_from
        self.time_ms = time_ms
        if before is None:
            self.value = value
            return None, "first"
        hours = (time_ms - before_ms) / HOUR_MS
        self.value = value
        if any(before_ms < replaced <= time_ms for replaced in self.replaced_ms):
            self.fell_from = None
            return None, "replaced"
        if value >= before:
            if value - before > 2:
                self.fell_from = None
                if fell_from is not None and value >= fell_from - 2:
                    return None, "returned"
            if value - before > self.max_rate_per_h * hours + 0.5:
                self.fell_from = None
                return None, "leap"
            return value - before, "normal"
        if before - value <= 2:
            self.value = before
            return 0, "jitter"
        through_zero = value + self.modulus - before
        if before > 0.9 * self.modulus and 0 <= through_zero <= self.max_rate_per_h * hours + 0.5:
            self.fell_from = None
            return through_zero, "rollover"
        self.fell_from = before if fell_from is None else max(before, fell_from)
        return None, "unexplained"


Readings = list[tuple[int, float]]
Said = list[tuple[int, float]]


def counter(register: Register, readings: Readings, counted: set[str], window_ms: int) -> Said:
    """How many of the last four corrections are of a counted sort and within the window."""
    said: Said = []
    ledger: list[tuple[int, str]] = []
    for time_ms, value in readings:
        _, kind = register.take(time_ms, value)
        if kind not in ("first", "normal"):
            ledger = [*ledger, (time_ms, kind)][-4:]
        said.append((time_ms, len([1 for at, kind in ledger if at > time_ms - window_ms and kind in counted])))
    return said


def burst(register: Register, readings: Readings, over_ms: int, gap_ms: int) -> Said:
    """Flow an hour over stretches without a gap or anything unknown."""
    said: Said = []
    start_ms, grown, before_ms = 0, 0.0, 0
    for time_ms, value in readings:
        amount, _ = register.take(time_ms, value)
        if amount is None or time_ms - before_ms > gap_ms:
            start_ms, grown = time_ms, 0.0
        else:
            grown += amount
            if time_ms - start_ms >= over_ms:
                said.append((time_ms, grown / ((time_ms - start_ms) / HOUR_MS)))
                start_ms, grown = time_ms, 0.0
        before_ms = time_ms
    return said


def continuous_flow(
    register: Register, readings: Readings, window_ms: int, standstill_ms: int, digits: int, gap_ms: int
) -> Said:
    """0 where a standstill is found, the least flow of the last 24 stretches where there has been none for a window."""
    said: Said = []
    moving_ms = before_ms = hour_ms = 0
    hour_grown = 0.0
    still: Readings = []  # (time, growth up to it) since the standstill that may be going on began
    flows: list[float] = []
    for time_ms, value in readings:
        amount, _ = register.take(time_ms, value)
        gapped = time_ms - before_ms > gap_ms
        before_ms = time_ms
        if amount is None or (gapped and amount > digits):
            moving_ms = hour_ms = time_ms
            hour_grown, flows, still = 0.0, [], [(time_ms, 0.0)]
            continue
        hour_grown += amount
        still.append((time_ms, still[-1][1] + amount))
        if still[-1][1] > digits:
            still = [(time_ms, 0.0)]
        elif time_ms - still[0][0] >= standstill_ms:
            said.append((time_ms, 0.0))
            moving_ms = hour_ms = time_ms
            hour_grown, flows = 0.0, []
            continue
        if time_ms - hour_ms >= standstill_ms:
            flows.append(hour_grown / ((time_ms - hour_ms) / HOUR_MS))
            hour_ms, hour_grown = time_ms, 0.0
        if time_ms - moving_ms >= window_ms:
            said.append((time_ms, min(flows[-24:], default=math.inf)))
    return said
