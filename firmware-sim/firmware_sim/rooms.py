"""Dormitory rooms: what they draw, how their meters count, how much water runs.

Power is a function of the time of day and of the room's plan for the day, so the past (all minutes at once) and the
present (one instant) come from the same lines. No kettles; an allowed room stays below 1000 W. A forbidden heater is
added on top. Axes: R rooms, N instants. Power in W, energy in kWh, water in litres.
Source of the numbers: reference/devices.md §1.6 (loads, power factors), §2 (litres per person, peaks of the day).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_sim.district import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, District, Floats, Times, generator

_PF_ELECTRONICS = 0.93
_WATER_HOUR = np.array(  # share of the day's water by local hour: morning, noon, late evening
    [1, 0.4, 0.3, 0.3, 0.4, 1.2, 5, 9, 6, 3, 2.5, 4, 8, 5, 2.5, 2, 2.5, 4, 6, 7, 8, 10, 8, 4], np.float64
)
# What people draw: taps, cisterns and bowls; showers; machines and buckets. Share of the water, litres of one, their spread.
_DRAWS = ((0.5, 5.0, 1.0), (0.35, 30.0, 6.0), (0.15, 45.0, 12.0))
_DAYS_SPREAD = 0.42  # of a room's water from day to day, over its mean: guests, laundry, days away
_LITRES_PER_H_MAX = 900.0  # what the taps of a room give together: a shower takes its minutes
_DAYS_MAX = 30  # that are remembered
_RIPPLE_MAX = 0.02
MAIN_SHARE = 1.03
"""What passes the main meter for each kWh in the rooms: the stairs' light, pumps and losses."""


@dataclass(frozen=True, slots=True)
class _DayPlan:
    """What each room does on one local day. Hours of the day and watts, all (R,)."""

    wake_h: Floats
    leave_h: Floats
    return_h: Floats
    sleep_h: Floats
    computer_w: Floats
    charger_w: Floats
    conditioner_w: Floats  # 0 on days without
    duty: Floats
    period_h: Floats
    phase: Floats


@dataclass(frozen=True, slots=True)
class _Appliance:
    """Something that is used in a room for a while."""

    room: int
    watts: float
    power_factor: float
    since_ms: int
    until_ms: int
    on_ms: int
    off_ms: int

    def is_on(self, time_ms: int) -> bool:
        """Whether it draws its power at an instant of that while."""
        return not self.on_ms or (time_ms - self.since_ms) % (self.on_ms + self.off_ms) < self.on_ms


@dataclass(frozen=True, slots=True)
class RoomHistory:
    """What the meters showed. Power, power factor and energy (N, R)."""

    time_ms: Times
    power_w: Floats
    power_factor: Floats
    energy_kwh: Floats


@dataclass(frozen=True, slots=True)
class WaterHistory:
    """What the water registers showed. Litres (N, R)."""

    time_ms: Times
    litres: Floats


class Rooms:
    """All rooms with an electricity meter."""

    def __init__(self, district: District, seed: int, time_ms: int) -> None:
        self.meters = district.devices_with("power")
        self.mains = [device for device in district.devices_with("energy") if device not in self.meters]
        self.time_ms = time_ms
        self._seed = seed
        self._offset_ms = district.utc_offset_ms(district.catalogue.site_of(self.meters[0]), time_ms)
        count = len(self.meters)
        rng = generator(seed, "rooms")
        self._standby_w = rng.uniform(15, 45, count)  # a small fridge, a router
        self._lights_w = rng.uniform(18, 36, count)
        self._conditioner_w = rng.uniform(450, 620, count)
        self._conditioner_pf = rng.uniform(0.88, 0.95, count)
        self.energy_kwh = rng.uniform(200, 2500, count)
        self.heater_w = np.zeros(count, np.float64)
        self._rng = generator(seed, "rooms", "live")
        self._appliances: list[_Appliance] = []
        self._vacant = np.zeros(count, bool)
        self._plans: dict[int, _DayPlan] = {}
        self.power_w, self.power_factor = self._at(time_ms)

    def past(self, end_ms: int, every_ms: int, heater: tuple[str, int, int, float]) -> RoomHistory:
        """Run up to `end_ms` by the minute and remember every `every_ms`.

        Args:
            end_ms: A whole number of minutes away.
            every_ms: A whole number of minutes.
            heater: (meter, on since [ms], off at [ms], W).
        """
        rng = generator(self._seed, "rooms", "past")
        count = (end_ms - self.time_ms) // MINUTE_MS
        time_ms = self.time_ms + MINUTE_MS * np.arange(1, count + 1, dtype=np.int64)
        meter, on_ms, off_ms, watts = heater
        day = (time_ms + self._offset_ms) // DAY_MS
        power, factor = np.empty((count, len(self.meters))), np.empty((count, len(self.meters)))
        for today in np.unique(day):
            rows = day == today
            at = time_ms[rows]
            heater_w = np.zeros((len(at), len(self.meters)), np.float64)
            heater_w[(at >= on_ms) & (at < off_ms), self.meters.index(meter)] = watts
            power[rows], factor[rows] = self._load(self._plan(int(today)), at, heater_w)
        power *= _ripple(rng, power.shape)
        energy = self.energy_kwh + np.cumsum(power, axis=0) / 60_000
        self.energy_kwh, self.time_ms = energy[-1], end_ms
        self.power_w, self.power_factor = power[-1], factor[-1]
        every = every_ms // MINUTE_MS
        whole = slice(every - 1, None, every)
        return RoomHistory(time_ms[whole], power[whole], factor[whole], energy[whole])

    def main_kwh(self, energy_kwh: Floats) -> Floats:
        """What a building's main meter has counted when its rooms' meters have counted this, (…, R) to (…,)."""
        passed: Floats = MAIN_SHARE * energy_kwh.sum(axis=-1)
        return passed

    def advance(self, now_ms: int) -> None:
        """Let the meters count until now."""
        while self.time_ms < now_ms:
            step_ms = min(10 * SECOND_MS, now_ms - self.time_ms)
            self.time_ms += step_ms
            power, factor = self._at(self.time_ms)
            self.power_w, self.power_factor = power * _ripple(self._rng, power.shape), factor
            self.energy_kwh = self.energy_kwh + self.power_w * step_ms / 3.6e9

    def switch_heater(self, meter: str, watts: float) -> None:
        """Plug a heater in (or, with 0, out). It shows in the next reading."""
        self.heater_w[self.meters.index(meter)] = watts
        self.power_w, self.power_factor = self._at(self.time_ms)

    def switch_on(
        self, meter: str, watts: float, power_factor: float, for_ms: int, on_ms: int = 0, off_ms: int = 0
    ) -> None:
        """Use an appliance for a while from now on; with `on_ms` it rests `off_ms` after each stretch."""
        room = self.meters.index(meter)
        self._appliances.append(
            _Appliance(room, watts, power_factor, self.time_ms, self.time_ms + for_ms, on_ms, off_ms)
        )

    def move_out(self, meter: str) -> None:
        """Nobody lives there any more."""
        self._vacant[self.meters.index(meter)] = True

    def unplug_heaters(self) -> None:
        """No forbidden heater anywhere."""
        self.heater_w = np.zeros(len(self.meters), np.float64)

    def _at(self, time_ms: int) -> tuple[Floats, Floats]:
        at = np.array([time_ms], np.int64)
        power, factor = self._load(self._plan((time_ms + self._offset_ms) // DAY_MS), at, self.heater_w, self._vacant)
        self._appliances = [used for used in self._appliances if used.until_ms > time_ms]
        if not self._appliances:
            return power[0], factor[0]
        apparent = power[0] / factor[0]
        for used in self._appliances:
            if used.is_on(time_ms):
                power[0][used.room] += used.watts
                apparent[used.room] += used.watts / used.power_factor
        return power[0], power[0] / apparent

    def _plan(self, day: int) -> _DayPlan:
        """The plan of a local day (days since 1970); the same whoever asks."""
        if day not in self._plans:
            rng = generator(self._seed, "rooms", "day", day)
            count = len(self.meters)
            is_weekend = (day + 3) % 7 >= 5  # 1 January 1970 was a Thursday
            leaves = rng.random(count) < (0.5 if is_weekend else 0.95)
            leave_h = np.where(leaves, rng.normal(7.6 if not is_weekend else 10, 0.3, count), 24.0)
            return_h = np.where(leaves, rng.normal(17.8, 0.7, count), 24.0)
            if len(self._plans) > 30:
                self._plans.clear()
            self._plans[day] = _DayPlan(
                wake_h=rng.normal(6.6, 0.3, count),
                leave_h=leave_h,
                return_h=return_h,
                sleep_h=np.minimum(rng.normal(22.8, 0.5, count), 23.9),
                computer_w=np.where(rng.random(count) < 0.8, rng.uniform(60, 170, count), 0.0),
                charger_w=rng.uniform(10, 60, count),
                conditioner_w=np.where(rng.random(count) < 0.6, self._conditioner_w, 0.0),
                duty=rng.uniform(0.3, 0.65, count),
                period_h=rng.uniform(9, 17, count) / 60,
                phase=rng.random(count),
            )
        return self._plans[day]

    def _load(
        self, plan: _DayPlan, time_ms: Times, heater_w: Floats, vacant: NDArray[np.bool_] | None = None
    ) -> tuple[Floats, Floats]:
        """Power [W] and power factor (N, R) of all rooms at instants of one day."""
        hour = ((time_ms + self._offset_ms) % DAY_MS / HOUR_MS)[:, None]  # (N, 1)
        at_home = (hour < plan.leave_h) | (hour >= plan.return_h)
        if vacant is not None:
            at_home = at_home & ~vacant
        awake = at_home & (hour >= plan.wake_h) & (hour < plan.sleep_h)
        is_dark = (hour < 7.2) | (hour >= 17.2)
        evening = awake & (hour >= np.minimum(plan.return_h, 18.0))
        compressor = (hour / plan.period_h + plan.phase) % 1.0 < plan.duty
        electronics = (
            self._standby_w
            + self._lights_w * (awake & is_dark)
            + plan.computer_w * evening
            + plan.charger_w * (at_home & (hour >= 20.5))
        )
        conditioner = plan.conditioner_w * (evening & compressor)
        power = electronics + conditioner + heater_w
        apparent = electronics / _PF_ELECTRONICS + conditioner / self._conditioner_pf + heater_w
        return power, power / apparent


class Water:
    """All rooms with a water meter."""

    def __init__(self, district: District, seed: int, time_ms: int) -> None:
        self.meters = district.devices_with("volume")
        self.time_ms = time_ms
        self._seed = seed
        self._offset_ms = district.utc_offset_ms(district.catalogue.site_of(self.meters[0]), time_ms)
        rng = generator(seed, "water")
        people = rng.integers(2, 5, len(self.meters))
        self._litres_per_day = people * rng.uniform(60, 110, len(self.meters))
        self.litres = rng.uniform(5_000, 120_000, len(self.meters))
        self._rng = generator(seed, "water", "live")
        self._leak_l_per_h = np.zeros(len(self.meters), np.float64)
        self._wanted = np.zeros(len(self.meters), np.float64)  # litres of draws that still run
        self._days: dict[int, Floats] = {}

    def past(self, end_ms: int, every_ms: int, leak: tuple[str, int, int, float]) -> WaterHistory:
        """Run up to `end_ms` and remember every `every_ms`.

        Args:
            end_ms: A whole number of `every_ms` away.
            every_ms: How often the register is read.
            leak: (meter, since [ms], until [ms], litres an hour).
        """
        rng = generator(self._seed, "water", "past")
        count = (end_ms - self.time_ms) // every_ms
        time_ms = self.time_ms + every_ms * np.arange(1, count + 1, dtype=np.int64)
        drawn = self._drawn(rng, time_ms, every_ms)
        meter, since_ms, until_ms, litres_per_h = leak
        leaking = (time_ms > since_ms) & (time_ms <= until_ms)
        drawn[leaking, self.meters.index(meter)] += litres_per_h * every_ms / HOUR_MS
        litres = self.litres + np.cumsum(drawn, axis=0)
        self.litres, self.time_ms = litres[-1], end_ms
        return WaterHistory(time_ms, np.floor(litres))

    def advance(self, now_ms: int) -> None:
        """Let the water run until now."""
        if now_ms > self.time_ms:
            span_ms = now_ms - self.time_ms
            wanted = self._wanted + self._drawn(self._rng, np.array([now_ms], np.int64), span_ms)[0]
            drawn = np.minimum(wanted, _LITRES_PER_H_MAX * span_ms / HOUR_MS)
            leaked = self._leak_l_per_h * span_ms / HOUR_MS
            self._wanted = wanted - drawn
            self.litres, self.time_ms = self.litres + drawn + leaked, now_ms

    def leak(self, meter: str, litres_per_h: float) -> None:
        """Let water run behind a meter until told otherwise."""
        self._leak_l_per_h[self.meters.index(meter)] = litres_per_h

    def move_out(self, meter: str) -> None:
        """Nobody draws water there any more."""
        self._litres_per_day[self.meters.index(meter)] = 0.0

    def _drawn(self, rng: np.random.Generator, time_ms: Times, span_ms: int) -> Floats:
        """Litres (N, R) drawn in the spans that end at the instants: of each sort a Poisson number of draws.

        How much a day asks for is drawn by chance for each room and day, the same whoever asks.
        """
        hour = ((time_ms + self._offset_ms) % DAY_MS // HOUR_MS).astype(np.intp)
        share = _WATER_HOUR[hour] / _WATER_HOUR.sum() * span_ms / HOUR_MS
        days, row = np.unique((time_ms + self._offset_ms) // DAY_MS, return_inverse=True)
        asked = share[:, None] * self._litres_per_day * np.array([self._day(int(day)) for day in days])[row]
        litres = np.zeros(asked.shape, np.float64)
        for part, mean, shape in _DRAWS:
            draws = rng.poisson(asked * part / mean)
            some = draws > 0
            litres[some] += rng.gamma(shape * draws[some], mean / shape)
        return litres

    def _day(self, day: int) -> Floats:
        """What each room draws on a local day (days since 1970), over what it does on the average (R,)."""
        if day not in self._days:
            if len(self._days) > _DAYS_MAX:
                self._days.clear()
            shape = _DAYS_SPREAD**-2
            self._days[day] = generator(self._seed, "water", "day", day).gamma(shape, 1 / shape, len(self.meters))
        return self._days[day]


def _ripple(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """A factor close to 1: mains voltage and what nobody models."""
    return 1 + np.clip(rng.normal(0.0, 0.006, shape), -_RIPPLE_MAX, _RIPPLE_MAX)
