"""The whole simulated world at one instant: the past leaves one behind, the live district takes it and goes on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_sim.canteen import ColdRoom
from firmware_sim.district import District, Floats, Times, generator
from firmware_sim.drains import NOISE_M, Drains, Sky
from firmware_sim.gates import Gates, Passage
from firmware_sim.rooms import Rooms, Water


class World:
    """Rain, drains, rooms, gates and the canteen, all at `time_ms`."""

    def __init__(self, district: District, seed: int, time_ms: int) -> None:
        self.district = district
        self.time_ms = time_ms
        self.sky = Sky(seed, [site.id for site in district.catalogue.sites])
        self.drains = Drains(district, self.sky, seed, time_ms)
        self.rooms = Rooms(district, seed, time_ms)
        self.water = Water(district, seed, time_ms)
        self.gates = Gates(district, seed, time_ms)
        self.cold_room = ColdRoom(district, seed, time_ms)
        self._rng = generator(seed, "sensors", "live")
        self._noise_m: Floats = np.zeros(len(self.drains.places), np.float64)
        devices = district.catalogue.devices
        self._drain_number = {
            device.id: self.drains.places.index(device.place)
            for device in devices
            if device.place in self.drains.places
        }

    def advance(self, now_ms: int) -> list[Passage]:
        """Move on to `now_ms` (never back) and say who passed a gate meanwhile."""
        if now_ms <= self.time_ms:
            return []
        self.drains.advance(now_ms)
        self.rooms.advance(now_ms)
        self.water.advance(now_ms)
        self.cold_room.advance(now_ms)
        self._noise_m = self._rng.normal(0.0, NOISE_M, len(self._noise_m))
        self.time_ms = now_ms
        return self.gates.advance(now_ms)

    def true_level_m(self, device: str) -> float:
        """The water at a level sensor, without the sensor's noise."""
        return float(self.drains.level_m[self._drain_number[device]])

    def value(self, device: str, metric: str) -> float:
        """What a polled device measures now, in the metric's unit, before its registers round it."""
        match metric:
            case "level":
                number = self._drain_number[device]
                return float(max(self.drains.level_m[number] + self._noise_m[number], 0.0))
            case "rain_rate":
                return self.drains.rain_mm_h(self.district.catalogue.site_of(device))
            case "power":
                return round(float(self.rooms.power_w[self.rooms.meters.index(device)]), 1)
            case "power_factor":
                return round(float(self.rooms.power_factor[self.rooms.meters.index(device)]), 3)
            case "energy":
                return round(float(self.rooms.energy_kwh[self.rooms.meters.index(device)]), 3)
            case "volume":
                # A register counts what has passed in full.
                return float(np.floor(self.water.litres[self.water.meters.index(device)])) / 1000
        raise KeyError(f"{device}/{metric} is nothing the simulated world can measure")


@dataclass(frozen=True, slots=True)
class WorldState:
    """What the live district takes over from the past: the world, and the true levels of its last hour by sensor."""

    world: World
    recent: dict[str, tuple[Times, Floats]]
