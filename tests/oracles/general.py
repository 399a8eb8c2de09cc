"""Flat lines, spikes, unusual values and drifts of one series, reading by reading with plain ifs."""

import itertools
import math
from statistics import median

Said = list[tuple[int, float]]
Readings = list[tuple[int, float]]


def flatline(readings: Readings, tolerance: float, least_readings: int, still_at: float | None) -> Said:
    said: Said = []
    rest: float | None = None
    since_ms, count = 0, 0
    for time_ms, value in readings:
        if (
            rest is None
            or abs(value - rest) > tolerance
            or (still_at is not None and abs(value - still_at) <= tolerance)
        ):
            rest, since_ms, count = value, time_ms, 0
        count += 1
        said.append((time_ms, (time_ms - since_ms) / 60_000 if count >= least_readings else 0.0))
    return said


def spike(readings: Readings, least: float, back: int, window: int) -> Said:
    said: Said = []
    for end in range(window, len(readings) + 1):
        values = [value for _, value in readings[end - window : end]]
        steps = [b - a for a, b in itertools.pairwise(values)]
        largest = 0.0
        for k in range(1, back + 1):
            out, home = steps[-1 - k], steps[-1]
            if (out > 0 and home < 0) or (out < 0 and home > 0):
                jump = min(abs(out), abs(home))
                if abs(values[-1] - values[-2 - k]) <= 0.5 * jump:
                    largest = max(largest, jump)
        noise = 1.4826 / math.sqrt(2) * median(abs(step) for step in steps[: len(steps) - 1 - back])
        said.append((readings[end - 1][0], largest / max(noise, least)))
    return said


def robust_z(readings: Readings, least: float, memory: int, learn: int, side: str) -> Said:
    said: Said = []
    mean = deviation = 0.0
    for number, (time_ms, value) in enumerate(readings):
        if number == 0:
            mean = value
        away = value - mean
        scale = max(1.2533 * deviation, least)
        if number >= learn:
            sided = abs(away)
            if side == "high":
                sided = max(away, 0.0)
            elif side == "low":
                sided = max(-away, 0.0)
            said.append((time_ms, sided / scale))
            away = max(min(away, 3 * scale), -3 * scale)
        weight = 1 / min(number + 1, memory)
        mean += weight * away
        deviation += weight * (abs(away) - deviation)
    return said


def drift(readings: Readings, least: float, allowance: float, learn: int) -> Said:
    said: Said = []
    learned = [value for _, value in readings[:learn]]
    if len(learned) < learn:
        return said
    mean = sum(learned) / learn
    deviation = max(math.sqrt(sum((value - mean) ** 2 for value in learned) / (learn - 1)), least)
    up = down = 0.0
    for time_ms, value in readings[learn:]:
        z = max(min((value - mean) / deviation, 3.0), -3.0)
        up = min(max(up + z - allowance, 0.0), 10.0)
        down = min(max(down - z - allowance, 0.0), 10.0)
        said.append((time_ms, max(up, down)))
    return said
