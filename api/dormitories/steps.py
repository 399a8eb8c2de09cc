"""Steps of a room's power: when something was switched on or off, how large it is, and its own power factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from telemetry.batch import Floats, Times

LEAST_W = 250.0
_HOLDS = 3  # readings on either side, of which the median is what was drawn before and after
_LEAST_FACTOR = 0.05  # below it a power factor says nothing about apparent power


@dataclass(frozen=True, slots=True)
class PowerStep:
    """Something was switched: on above 0, off below."""

    time_ms: int
    watts: float
    before_w: float
    after_w: float
    factor: float | None  # real over apparent power of what was switched; None where the meter does not say


def power_steps(time_ms: Times, power_w: Floats, factor: Floats, most: int) -> list[PowerStep]:
    """The newest steps of at least `LEAST_W`, oldest first.

    Args:
        time_ms, power_w, factor: (N,) in order of time; a factor is NaN where it is not known.
        most: How many.
    """
    found: list[PowerStep] = []
    apparent = np.where(np.abs(factor) >= _LEAST_FACTOR, power_w / np.abs(factor), np.nan)
    skip = 0
    jumps = np.flatnonzero(np.abs(np.diff(power_w)) >= LEAST_W / 2) + 1
    for at in jumps.tolist():
        if at < max(skip, 1):
            continue
        # A reading that is a mean may have caught the switch on the way: what is drawn afterwards begins one later.
        before = float(np.median(power_w[max(at - _HOLDS, 0) : at]))
        after = float(np.median(power_w[at + 1 : at + 1 + _HOLDS])) if at + 1 < len(power_w) else float(power_w[at])
        if abs(after - before) < LEAST_W:
            continue
        va = np.median(apparent[at + 1 : at + 1 + _HOLDS]) - np.median(apparent[max(at - _HOLDS, 0) : at])
        own = min((after - before) / float(va), 1.0) if np.isfinite(va) and (after - before) * va > 0 else None
        found.append(PowerStep(int(time_ms[at]), after - before, before, after, own))
        skip = at + 2
    return found[-most:]
