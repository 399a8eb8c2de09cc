"""Rain and the pipes under it: each manhole is a storage that rain and upstream pipes fill and its own pipe empties.

    d(level)/dt = (inflow - outflow) / area
    outflow     = capacity · (level/crown)^1.5   while the pipe is partly full (a free surface, roughly Manning's shape)
                = capacity · (level/crown)^0.5   once it is under pressure; the water stops at the rim
    runoff      follows the rain through a linear reservoir: seconds on paved yards, minutes on green ones

Every pipe is sized for the same design rain: capacity = rain · everything that drains to it. Axes: P drain places
(upstream first), N steps. Levels in metres above the invert, flows in m³/s, rain in mm/h.
Source of the numbers: reference/devices.md §3.6 (levels, rise and recession, noise), ASCE manual no. 37 for the idea.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_sim.district import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, District, Floats, Times, generator

NOISE_M = 0.002  # standard deviation of a level sensor
_PAST_STEP_MS = 20 * SECOND_MS
_LIVE_STEP_MS = SECOND_MS
_RUNOFF_SHARE = 0.8
_DRY_SHARE = 0.05  # of a pipe's capacity, on average


@dataclass(frozen=True, slots=True)
class Storm:
    """Rain over one site: intensity [mm/h] at instants, straight lines between them."""

    site: str
    time_ms: Times
    mm_per_h: Floats


class Sky:
    """How hard it rains where: the sum of the storms, breathing a little."""

    def __init__(self, seed: int, sites: list[str]) -> None:
        rng = generator(seed, "sky")
        self._phase = {site: rng.uniform(0, 2 * np.pi, 2) for site in sites}
        self._storms: list[Storm] = []

    def add(self, site: str, begins_ms: int, points_s: list[tuple[float, float]]) -> None:
        """Let it rain: points are (seconds after `begins_ms`, mm/h)."""
        seconds, rain = np.array(points_s, np.float64).T
        self._storms.append(Storm(site, begins_ms + np.rint(seconds * 1000).astype(np.int64), rain))

    def rain_mm_h(self, site: str, time_ms: Times) -> Floats:
        """Intensity at instants, any shape."""
        total = np.zeros(np.shape(time_ms), np.float64)
        for storm in self._storms:
            if storm.site == site:
                total += np.interp(time_ms, storm.time_ms, storm.mm_per_h, left=0.0, right=0.0)
        breath = np.zeros(np.shape(time_ms), np.float64)
        for phase, period_ms in zip(self._phase[site], (11 * MINUTE_MS, 4 * MINUTE_MS), strict=True):
            breath += np.sin(2 * np.pi * (np.asarray(time_ms) % period_ms) / period_ms + phase)
        return total * (1 + 0.015 * breath)


@dataclass(frozen=True, slots=True)
class _Share:
    """How much of a pipe is left: a straight line between two instants."""

    before: float
    after: float
    begins_ms: int
    ends_ms: int

    def at(self, time_ms: int) -> float:
        """At an instant."""
        if time_ms >= self.ends_ms:
            return self.after
        return self.before + (self.after - self.before) * (time_ms - self.begins_ms) / (self.ends_ms - self.begins_ms)


@dataclass(frozen=True, slots=True)
class LevelHistory:
    """The true levels of all places at each minute. Levels (N, P), rain in mm/h by site (N,)."""

    time_ms: Times
    level_m: Floats
    rain_mm_h: dict[str, Floats]


class Drains:
    """All manholes and outfalls of the district, stepped together."""

    def __init__(self, district: District, sky: Sky, seed: int, time_ms: int) -> None:
        facts = district.world.drains
        self.places = list(district.drains)
        self.site = [district.catalogue.site_of_place(place) for place in self.places]
        self.sites = sorted(set(self.site))
        self.time_ms = time_ms
        self._sky = sky
        self._offset_ms = district.utc_offset_ms(self.sites[0], time_ms) if self.sites else 0
        count = len(self.places)
        number = {place: i for i, place in enumerate(self.places)}
        drains = list(district.drains.values())
        self.depth_m = np.array([drain.depth_m for drain in drains], np.float64)
        self._crown_m = np.array([drain.crown_m for drain in drains], np.float64)
        self._upstream = np.zeros((count, count), np.float64)  # (P, P): row receives from column
        for i, drain in enumerate(drains):
            if drain.downstream is not None:
                self._upstream[number[drain.downstream], i] = 1.0
        rng = generator(seed, "drains")
        self._catchment_m2 = rng.uniform(6500.0, 9500.0, count)
        total_m2 = self._catchment_m2.copy()
        for i, drain in enumerate(drains):
            if drain.downstream is not None:
                total_m2[number[drain.downstream]] += total_m2[i]
        self._capacity = _flow(facts.design_rain_mm_h, total_m2)
        is_paved = np.array([place in facts.paved for place in self.places])
        self._lag_s = np.where(is_paved, facts.paved_lag_s, facts.green_lag_s)
        storage = np.where(is_paved, facts.paved_storage_s_per_m, facts.green_storage_s_per_m)
        self._area_m2 = self._capacity * storage
        self._site_number = np.array([self.sites.index(site) for site in self.site], np.intp)
        self._runoff = np.zeros(count, np.float64)
        self.step_ms = _LIVE_STEP_MS
        self._carries = [_Share(1.0, 1.0, 0, 0)] * count
        self._extra = np.zeros(count, np.float64)  # inflow that is neither rain nor sewage
        dry = self._dry(np.array([time_ms], np.int64))[0]
        for i, drain in enumerate(drains):
            if drain.downstream is not None:
                dry[number[drain.downstream]] += dry[i]
        self.level_m = self._crown_m * (dry / self._capacity) ** (2 / 3)

    def past(self, end_ms: int) -> LevelHistory:
        """Run up to `end_ms`, a whole number of minutes away, and remember every minute."""
        steps = (end_ms - self.time_ms) // _PAST_STEP_MS
        per_minute = MINUTE_MS // _PAST_STEP_MS
        time_ms = self.time_ms + _PAST_STEP_MS * np.arange(1, steps + 1, dtype=np.int64)
        rain = np.stack([self._sky.rain_mm_h(site, time_ms) for site in self.sites], axis=1)  # (N, sites)
        wet = _flow(rain[:, self._site_number], self._catchment_m2)
        dry = self._dry(time_ms)
        level = np.empty((steps // per_minute, len(self.places)), np.float64)
        for number in range(steps):
            self._step(wet[number], dry[number], _PAST_STEP_MS / 1000)
            if (number + 1) % per_minute == 0:
                level[number // per_minute] = self.level_m
        self.time_ms = end_ms
        whole = slice(per_minute - 1, None, per_minute)
        by_site = {site: rain[whole, i] for i, site in enumerate(self.sites)}
        return LevelHistory(time_ms[whole], level, by_site)

    def advance(self, now_ms: int) -> None:
        """Let the water run until now: in steps of a second at most, or those of the past while that is far away."""
        while self.time_ms < now_ms:
            is_far = now_ms - self.time_ms > 10 * MINUTE_MS
            step_ms = min(max(_PAST_STEP_MS, self.step_ms) if is_far else self.step_ms, now_ms - self.time_ms)
            self.time_ms += step_ms
            at = np.array([self.time_ms], np.int64)
            rain = np.array([self._sky.rain_mm_h(site, at)[0] for site in self.sites])
            self._step(_flow(rain[self._site_number], self._catchment_m2), self._dry(at)[0], step_ms / 1000)

    def obstruct(self, place: str, carries: float, over_ms: int) -> None:
        """From now on the pipe behind a place carries a share of its capacity, reached in a straight line."""
        number = self.places.index(place)
        before = self._carries[number].at(self.time_ms)
        self._carries[number] = _Share(before, carries, self.time_ms, self.time_ms + over_ms)

    def let_in(self, place: str, litres_per_s: float) -> None:
        """Let water run into a place until told otherwise."""
        self._extra[self.places.index(place)] = litres_per_s / 1000

    def rain_mm_h(self, site: str) -> float:
        """Rain at this moment."""
        return float(self._sky.rain_mm_h(site, np.array([self.time_ms], np.int64))[0])

    def _step(self, wet: Floats, dry: Floats, step_s: float) -> None:
        """One explicit step. `wet` is what the rain brings at equilibrium, `dry` the local sewage; both (P,)."""
        self._runoff += (wet - self._runoff) * -np.expm1(-step_s / self._lag_s)
        fill = self.level_m / self._crown_m
        root = np.sqrt(fill)
        carries = np.array([share.at(self.time_ms) for share in self._carries])
        outflow = carries * self._capacity * np.where(fill < 1.0, fill * root, root)
        inflow = dry + self._extra + self._runoff + self._upstream @ outflow
        level = self.level_m + step_s * (inflow - outflow) / self._area_m2
        self.level_m = np.minimum(np.maximum(level, 0.0), self.depth_m)

    def _dry(self, time_ms: Times) -> Floats:
        """Local sewage (N, P): a wave over the day, low at four in the morning, high before noon and at night."""
        hour = ((time_ms + self._offset_ms) % DAY_MS / HOUR_MS)[:, None]  # (N, 1)
        wave = 1 - 0.45 * np.cos(2 * np.pi * (hour - 4) / 24) - 0.2 * np.cos(4 * np.pi * (hour - 3) / 24)
        local: Floats = _DRY_SHARE * _flow(36.0, self._catchment_m2) * wave
        return local


def _flow(rain_mm_h: Floats | float, area_m2: Floats) -> Floats:
    """Runoff [m³/s] of rain on areas at equilibrium."""
    flow: Floats = _RUNOFF_SHARE * np.asarray(rain_mm_h) / 3.6e6 * area_m2
    return flow
