"""The canteen's refrigerated room: a thermostat, a compressor, a door, and people who open it.

    dT/dt = (outside - T)/leak_s - cooling while the compressor runs + (outside - T)/door_s while the door is open

Temperatures in °C, times in seconds. Axis: N instants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_sim.district import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, District, Floats, Times, generator

_OUTSIDE_C = 24.0
_LEAK_S, _DOOR_S = 20_000.0, 1_500.0
_COOLING_C_PER_S = 0.004
_ON_ABOVE_C, _OFF_BELOW_C = 4.4, 1.6
_STEP_MS = 10 * SECOND_MS
_OPENINGS_PER_H = np.array([0, 0, 0, 0, 1, 4, 4, 2, 2, 3, 5, 5, 2, 2, 1, 2, 4, 5, 3, 2, 1, 0, 0, 0], np.float64)


@dataclass(frozen=True, slots=True)
class ColdHistory:
    """Every minute: the true air temperature, what the sensor showed, and whether the door stood open. All (N,)."""

    time_ms: Times
    air_c: Floats
    shown_c: Floats
    door: Floats


class ColdRoom:
    """One refrigerated room."""

    def __init__(self, district: District, seed: int, time_ms: int) -> None:
        self.time_ms = time_ms
        self.air_c = 3.0
        self.is_door_open = False
        self._is_cooling = False
        self._door_until_ms = 0
        self._broken_until_ms = 0
        self._offset_ms = district.utc_offset_ms(district.world.canteen.site, time_ms)
        self._seed = seed
        self._rng = generator(seed, "canteen", "live")

    def past(self, end_ms: int, left_open: tuple[int, int]) -> ColdHistory:
        """Run up to `end_ms` and remember every minute; the door was left open from, until [ms]."""
        rng = generator(self._seed, "canteen", "past")
        steps = (end_ms - self.time_ms) // _STEP_MS
        per_minute = MINUTE_MS // _STEP_MS
        time_ms = self.time_ms + _STEP_MS * np.arange(1, steps + 1, dtype=np.int64)
        opens = rng.random(steps) < self._openings(time_ms, _STEP_MS)
        stays_ms = rng.integers(20, 90, steps) * SECOND_MS
        air, door = np.empty(steps // per_minute), np.empty(steps // per_minute)
        for number, (now_ms, opened, stay_ms) in enumerate(
            zip(time_ms.tolist(), opens.tolist(), stays_ms, strict=True)
        ):
            if opened:
                self._door_until_ms = max(self._door_until_ms, now_ms + int(stay_ms))
            self._step(now_ms < self._door_until_ms or left_open[0] <= now_ms < left_open[1], _STEP_MS / 1000)
            if (number + 1) % per_minute == 0:
                air[number // per_minute], door[number // per_minute] = self.air_c, self.is_door_open
        self.time_ms = end_ms
        return ColdHistory(time_ms[per_minute - 1 :: per_minute], air, _shown(rng, air), door)

    def advance(self, now_ms: int) -> None:
        """Let the room warm and cool until now."""
        while self.time_ms < now_ms:
            step_ms = min(_STEP_MS, now_ms - self.time_ms)
            self.time_ms += step_ms
            if self._rng.random() < self._openings(np.array([self.time_ms], np.int64), step_ms)[0]:
                shut_ms = self.time_ms + int(self._rng.integers(20, 90)) * SECOND_MS
                self._door_until_ms = max(self._door_until_ms, shut_ms)
            self._step(self.time_ms < self._door_until_ms, step_ms / 1000)

    def leave_open(self, for_ms: int) -> None:
        """Somebody forgets the door."""
        self._door_until_ms = self.time_ms + for_ms

    def break_down(self, for_ms: int) -> None:
        """The compressor stands still for so long."""
        self._broken_until_ms = self.time_ms + for_ms

    def shown_c(self) -> float:
        """What the sensor shows now."""
        return float(_shown(self._rng, np.array([self.air_c]))[0])

    def _step(self, is_door_open: bool, step_s: float) -> None:
        self.is_door_open = is_door_open
        if self.air_c > _ON_ABOVE_C:
            self._is_cooling = True
        elif self.air_c < _OFF_BELOW_C:
            self._is_cooling = False
        is_cooled = self._is_cooling and self.time_ms >= self._broken_until_ms
        flow = (_OUTSIDE_C - self.air_c) * (1 / _LEAK_S + is_door_open / _DOOR_S)
        self.air_c += step_s * (flow - _COOLING_C_PER_S * is_cooled)

    def _openings(self, time_ms: Times, span_ms: int) -> Floats:
        """Probability (N,) that somebody opens the door within a span."""
        hour = ((time_ms + self._offset_ms) % DAY_MS // HOUR_MS).astype(np.intp)
        probability: Floats = _OPENINGS_PER_H[hour] * span_ms / HOUR_MS
        return probability


def _shown(rng: np.random.Generator, air_c: Floats) -> Floats:
    return np.round(air_c + rng.normal(0.0, 0.04, len(air_c)), 1)
