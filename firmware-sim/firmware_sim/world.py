"""The whole simulated world at one instant: the past leaves one behind, the live district takes it and goes on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

import numpy as np

from firmware_sim.canteen import ColdRoom
from firmware_sim.district import SECOND_MS, District, Floats, Times, generator
from firmware_sim.drains import NOISE_M, Drains, Sky
from firmware_sim.gates import Gates, Passage
from firmware_sim.instruments import Case, Instruments
from firmware_sim.rooms import Rooms, Water
from firmware_sim.scenario import (
    Action,
    Appliance,
    Blockage,
    CompressorFails,
    Door,
    HeaterOff,
    HeaterOn,
    Inflow,
    Leak,
    MoveOut,
    Rain,
    SensorFails,
    Weather,
)

EVERYTHING = frozenset({"level", "power", "volume", "air_temperature", "skin_temperature"})


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
        self.instruments = Instruments(generator(seed, "instruments"))
        self._rng = generator(seed, "sensors", "live")
        self._noise_m: Floats = np.zeros(len(self.drains.places), np.float64)
        devices = district.catalogue.devices
        self._drain_number = {
            device.id: self.drains.places.index(device.place)
            for device in devices
            if device.place in self.drains.places
        }

    def advance(self, now_ms: int, metrics: Container[str] = EVERYTHING) -> list[Passage]:
        """Move on to `now_ms` (never back) and say who passed a gate meanwhile.

        Args:
            metrics: What anybody will ask for; parts of the world that are behind none of these stand still.
        """
        if now_ms <= self.time_ms:
            return []
        if "level" in metrics or "rain_rate" in metrics:
            self.drains.advance(now_ms)
        if "power" in metrics or "energy" in metrics:
            self.rooms.advance(now_ms)
        if "volume" in metrics:
            self.water.advance(now_ms)
        if "air_temperature" in metrics:
            self.cold_room.advance(now_ms)
        self._noise_m = self._rng.normal(0.0, NOISE_M, len(self._noise_m))
        self.time_ms = now_ms
        return self.gates.advance(now_ms) if "skin_temperature" in metrics else []

    def act(self, action: Action) -> None:
        """Let what a scenario says happen now; what is about gateways and messages is no matter of the world."""
        match action:
            case Rain():
                self.sky.add(action.site, self.time_ms, list(action.points))
            case HeaterOn():
                self.rooms.switch_heater(action.device, action.watts)
            case HeaterOff():
                self.rooms.switch_heater(action.device, 0.0)
            case Blockage():
                self.drains.obstruct(action.place, action.carries, _ms(action.over_s))
            case Inflow():
                self.drains.let_in(action.place, action.litres_per_s)
            case Appliance():
                times = _ms(action.for_s), _ms(action.on_s), _ms(action.off_s)
                self.rooms.switch_on(action.device, action.watts, action.power_factor, *times)
            case MoveOut():
                for device in action.devices:
                    (self.rooms if device in self.rooms.meters else self.water).move_out(device)
            case Leak():
                self.water.leak(action.device, action.litres_per_h)
            case Door():
                self.cold_room.leave_open(_ms(action.for_s))
            case CompressorFails():
                self.cold_room.break_down(_ms(action.for_s))
            case Weather():
                self.gates.change_weather(action.warmer_c, _ms(action.over_s))
            case SensorFails():
                until_ms = None if action.for_s is None else self.time_ms + _ms(action.for_s)
                case_ = Case(action.how, action.amount, self.time_ms, until_ms, action.share, _ms(action.over_s))
                case_.modulus = action.modulus
                self.instruments.add(action.device, action.metric, case_)
            case _:
                pass

    def true_level_m(self, device: str) -> float:
        """The water at a level sensor, without the sensor's noise."""
        return float(self.drains.level_m[self._drain_number[device]])

    def value(self, device: str, metric: str) -> float | None:
        """What a polled device shows now, in the metric's unit, before its registers round it; None when nothing."""
        return self.instruments.shown(device, metric, self.measured(device, metric), self.time_ms)

    def seen(self, passage: Passage) -> Passage | None:
        """A passage as its scanner shows it; None when it shows nothing."""
        skin_c = self.instruments.shown(passage.scanner, "skin_temperature", passage.skin_c, passage.time_ms)
        return None if skin_c is None else replace(passage, skin_c=round(skin_c, 1))

    def true(self, device: str, metric: str, measured: float) -> float:
        """What there really is where a sensor that is well shows `measured`: without its noise."""
        match metric:
            case "level":
                return self.true_level_m(device)
            case "air_temperature":
                return self.cold_room.air_c
        return measured

    def measured(self, device: str, metric: str) -> float:
        """What it would show if all were well with it."""
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
            case "energy" if device in self.rooms.mains:
                return round(float(self.rooms.main_kwh(self.rooms.energy_kwh)), 3)
            case "energy":
                return round(float(self.rooms.energy_kwh[self.rooms.meters.index(device)]), 3)
            case "air_temperature":
                return self.cold_room.shown_c()
            case "door":
                return float(self.cold_room.is_door_open)
            case "volume":
                # A register counts what has passed in full.
                return float(np.floor(self.water.litres[self.water.meters.index(device)])) / 1000
        raise KeyError(f"{device}/{metric} is nothing the simulated world can measure")


def _ms(seconds: float) -> int:
    return round(seconds * SECOND_MS)


@dataclass(frozen=True, slots=True)
class WorldState:
    """What the live district takes over from the past: the world, and the true levels of its last hour by sensor."""

    world: World
    recent: dict[str, tuple[Times, Floats]]
