"""Two weeks of readings up to a given instant, with what is known to have happened in them.

Everything is computed in columns; the world that is left at the end goes on live. Axis: N readings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from firmware_sim.canteen import ColdHistory
from firmware_sim.district import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, District, Floats, PastEvent, Times, generator
from firmware_sim.drains import NOISE_M, LevelHistory
from firmware_sim.gates import Label, LaneHistory, Passage
from firmware_sim.truth import (
    HEATER_HOLD_MS,
    RESTLESS_MS,
    ExpectedAlarm,
    LevelTrack,
    drain_alarms,
    fever_alarms,
    spans,
)
from firmware_sim.world import World, WorldState
from telemetry.quality import Quality

POWER_EVERY_MS = 5 * MINUTE_MS
WATER_EVERY_MS = 15 * MINUTE_MS
_CHUNK_MS = 6 * HOUR_MS
_SLACK_MS = 3 * MINUTE_MS
_RECENT_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Columns:
    """Readings of one gateway in order of time, one column per field, as a frame takes them."""

    names: list[str]  # "device/metric"
    index: NDArray[np.uint16]  # (N,), number in `names`
    time_ms: Times  # (N,), epoch milliseconds, UTC
    value: Floats  # (N,), in the metric's unit
    quality: NDArray[np.uint8]  # (N,), `Quality` codes
    keys: dict[int, str]  # reading number -> passage key, for those that have one

    def __len__(self) -> int:
        return len(self.index)


class Past:
    """What the district measured until now. Iterate for (gateway, columns), six hours of one gateway at a time.

    Chunks come in order of time, gateways taking turns. `world` stands at the end; `alarms` is what ought to have been
    raised, `passages` are those of note (labelled), `world_state` is what a live district goes on from.
    """

    def __init__(self, district: District, end_ms: int, seed: int) -> None:
        facts = district.world.past
        self.start_ms, self.end_ms = end_ms - facts.days * DAY_MS, end_ms
        self.world = World(district, seed, self.start_ms)
        self.alarms: list[ExpectedAlarm] = []
        self.passages: list[Passage] = []
        self._district = district
        self._rng = generator(seed, "sensors", "past")
        self._names = {gateway.id: district.series_of(gateway.id) for gateway in district.catalogue.gateways}
        self._number = {
            series: (gateway, number) for gateway, names in self._names.items() for number, series in enumerate(names)
        }
        self._parts: dict[str, list[_Part]] = {gateway: [] for gateway in self._names}
        self._recent: dict[str, tuple[Times, Floats]] = {}
        self._run(seed)
        self.world_state = WorldState(self.world, self._recent)
        self.reading_count = sum(len(part.time_ms) for parts in self._parts.values() for part in parts)

    def __iter__(self) -> Iterator[tuple[str, Columns]]:
        joined = {gateway: _joined(parts) for gateway, parts in self._parts.items() if parts}
        for begin_ms in range(self.start_ms, self.end_ms, _CHUNK_MS):
            for gateway, whole in joined.items():
                # The instant of the end belongs to the past: readings are taken at the end of each interval.
                low, high = np.searchsorted(whole.time_ms, (begin_ms + 1, min(begin_ms + _CHUNK_MS, self.end_ms) + 1))
                if high > low:
                    yield gateway, _cut(whole, self._names[gateway], int(low), int(high))

    def _run(self, seed: int) -> None:
        facts = self._district.world.past
        for storm in facts.storms:
            begins_ms = self.end_ms - round(storm.begins_before_end_min * MINUTE_MS)
            self.world.sky.add(storm.site, begins_ms, [(60 * minute, rain) for minute, rain in storm.points])
        self._light_showers(seed)
        self._add_levels(self.world.drains.past(self.end_ms))

        on_ms, off_ms = self._interval(facts.heater, self._district.catalogue.site_of(facts.heater.device))
        heater = (facts.heater.device, on_ms, off_ms, facts.heater.watts)
        rooms = self.world.rooms.past(self.end_ms, POWER_EVERY_MS, heater)
        # As the meter's float32 registers say it.
        self._add_matrix(self.world.rooms.meters, "power", rooms.time_ms, _float32(np.round(rooms.power_w, 1)))
        self._add_matrix(
            self.world.rooms.meters, "power_factor", rooms.time_ms, _float32(np.round(rooms.power_factor, 3))
        )
        self._add_matrix(self.world.rooms.meters, "energy", rooms.time_ms, _float32(np.round(rooms.energy_kwh, 3)))
        main = _float32(np.round(self.world.rooms.main_kwh(rooms.energy_kwh), 3))
        for device in self.world.rooms.mains:
            self._add(device, "energy", rooms.time_ms, main)
        note = f"heater of {facts.heater.watts:.0f} W for {facts.heater.minutes:.0f} min"
        by_ms = on_ms + POWER_EVERY_MS + HEATER_HOLD_MS + POWER_EVERY_MS + _SLACK_MS
        last_ms = off_ms - POWER_EVERY_MS
        self.alarms.append(ExpectedAlarm("forbidden-heater", heater[0], None, on_ms, by_ms, True, last_ms, note))

        leak = facts.leak
        since_ms, until_ms = self._interval(leak, self._district.catalogue.site_of(leak.device))
        leaking = (leak.device, since_ms, until_ms, leak.litres_per_h)
        water = self.world.water.past(self.end_ms, WATER_EVERY_MS, leaking)
        self._add_matrix(self.world.water.meters, "volume", water.time_ms, water.litres * 0.001)
        note = f"{leak.litres_per_h:.0f} litres an hour, and never a rest"
        by_ms = since_ms + RESTLESS_MS + 2 * HOUR_MS
        self.alarms.append(
            ExpectedAlarm("room-leak", leak.device, None, since_ms, by_ms, True, min(until_ms, self.end_ms), note)
        )

        for lane in self.world.gates.past(self.end_ms, facts.false_positives, facts.fevers):
            self._add_lane(lane)

        canteen = self._district.world.canteen
        self._add_cold_room(self.world.cold_room.past(self.end_ms, self._interval(facts.door, canteen.site)))
        self.world.time_ms = self.end_ms
        self.alarms.sort(key=lambda alarm: (alarm.from_ms, alarm.rule, alarm.device))

    def _light_showers(self, seed: int) -> None:
        """A few showers that matter to nobody, so that the rain gauges have something to show."""
        rng = generator(seed, "showers")
        for site in self.world.drains.sites:
            for _ in range(4):
                begins_ms = int(rng.integers(self.start_ms, self.end_ms - 12 * HOUR_MS))
                peak, minutes = rng.uniform(1, 7), rng.uniform(30, 180)
                self.world.sky.add(
                    site, begins_ms, [(0, 0), (20 * minutes, peak), (40 * minutes, peak / 2), (60 * minutes, 0)]
                )

    def _interval(self, event: PastEvent, site: str) -> tuple[int, int]:
        """When a labelled event began and ended; it is placed by the local clock of its site."""
        zone = ZoneInfo(self._district.catalogue.site[site].timezone)
        last_day = datetime.fromtimestamp(self.end_ms / 1000, UTC).astimezone(zone)
        hour, minute = map(int, event.at.split(":"))
        day = last_day - timedelta(days=event.days_ago)
        begin_ms = round(day.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp() * 1000)
        return begin_ms, begin_ms + round(event.minutes * MINUTE_MS)

    def _add(self, device: str, metric: str, time_ms: Times, value: Floats, keys: list[str] | None = None) -> None:
        gateway, number = self._number[f"{device}/{metric}"]
        self._parts[gateway].append(_Part(number, time_ms, value, keys))

    def _add_matrix(self, devices: list[str], metric: str, time_ms: Times, value: Floats) -> None:
        for column, device in enumerate(devices):
            self._add(device, metric, time_ms, value[:, column])

    def _add_levels(self, history: LevelHistory) -> None:
        noise_m = self._rng.normal(0.0, NOISE_M, history.level_m.shape)
        shown = np.rint(np.maximum(history.level_m + noise_m, 0.0) * 1000) * 0.001
        catalogue = self._district.catalogue
        for device in self._district.devices_with("level"):
            place = self.world.drains.places.index(catalogue.device[device].place)
            self._add(device, "level", history.time_ms, shown[:, place])
            drain = self._district.drains[catalogue.device[device].place]
            track = LevelTrack(device, drain, history.time_ms, history.level_m[:, place])
            self.alarms += drain_alarms(track, _SLACK_MS)
            self._recent[device] = (track.time_ms[-_RECENT_MINUTES:], track.level_m[-_RECENT_MINUTES:])
        for device in self._district.devices_with("rain_rate"):
            rain = history.rain_mm_h[catalogue.site_of(device)]
            self._add(device, "rain_rate", history.time_ms, np.rint(rain * 10) * 0.1)

    def _add_lane(self, lane: LaneHistory) -> None:
        self._add(lane.scanner, "skin_temperature", lane.time_ms, lane.skin_c, lane.key)
        self._add(lane.scanner, "ambient_temperature", lane.time_ms, lane.ambient_c, lane.key)
        for number, label in sorted(lane.label.items()):
            serial = lane.key[number].rpartition("-")[0]
            at_ms, skin_c = int(lane.time_ms[number]), float(lane.skin_c[number])
            ambient_c = float(lane.ambient_c[number])
            self.passages.append(Passage(lane.scanner, serial, lane.key[number], at_ms, skin_c, ambient_c, label))
        mine = [passage for passage in self.passages if passage.scanner == lane.scanner]
        self.alarms += fever_alarms(mine, _SLACK_MS, open_until_ms=self.end_ms)
        for passage in mine:
            if passage.label is Label.RECHECK_FEVER:
                begin_ms, by_ms = passage.time_ms - SECOND_MS, passage.time_ms + _SLACK_MS
                note = "recheck confirms the fever: normally the same alarm"
                self.alarms.append(
                    ExpectedAlarm("fever", passage.scanner, passage.key, begin_ms, by_ms, False, None, note)
                )

    def _add_cold_room(self, history: ColdHistory) -> None:
        names = self._district.world.canteen
        self._add(names.device, names.temperature, history.time_ms, history.shown_c)
        self._add(names.device, names.door, history.time_ms, history.door)
        warm = history.air_c > names.warm_above_c
        for rows in spans(warm, history.time_ms, merge_ms=0):
            begin_ms, end_ms = int(history.time_ms[rows.start]), int(history.time_ms[rows.stop - 1])
            due_ms = begin_ms + round(names.warm_for_s * SECOND_MS)
            if end_ms < due_ms - 2 * MINUTE_MS:
                continue
            must = end_ms > due_ms + 2 * MINUTE_MS
            note = f"warm for {(end_ms - begin_ms) / MINUTE_MS:.0f} min, up to {history.air_c[rows].max():.1f} °C"
            # The onset may be told as the first warm reading or as the end of the waiting time.
            entry = ExpectedAlarm(
                names.warm_rule,
                names.device,
                None,
                begin_ms - _SLACK_MS,
                due_ms + _SLACK_MS,
                must,
                end_ms if must else None,
                note,
            )
            self.alarms.append(entry)


def build_past(district: District, end_ms: int, seed: int) -> Past:
    """Two weeks of readings up to `end_ms`: iterate for (gateway, columns); `reading_count` is known up front."""
    return Past(district, end_ms, seed)


@dataclass(frozen=True, slots=True)
class _Part:
    """One series. Columns (N,)."""

    number: int
    time_ms: Times
    value: Floats
    keys: list[str] | None


@dataclass(frozen=True, slots=True)
class _Whole:
    """All series of a gateway in order of time. `key` numbers `keys`, -1 for none."""

    index: NDArray[np.uint16]
    time_ms: Times
    value: Floats
    key: NDArray[np.int32]
    keys: list[str]


def _joined(parts: list[_Part]) -> _Whole:
    keys: list[str] = []
    numbers = []
    for part in parts:
        if part.keys is None:
            numbers.append(np.full(len(part.time_ms), -1, np.int32))
        else:
            numbers.append(np.arange(len(keys), len(keys) + len(part.keys), dtype=np.int32))
            keys += part.keys
    time_ms = np.concatenate([part.time_ms for part in parts])
    order = np.argsort(time_ms, kind="stable")
    index = np.concatenate([np.full(len(part.time_ms), part.number, np.uint16) for part in parts])
    value = np.concatenate([part.value for part in parts])
    return _Whole(index[order], time_ms[order], value[order], np.concatenate(numbers)[order], keys)


def _cut(whole: _Whole, names: list[str], low: int, high: int) -> Columns:
    key = whole.key[low:high]
    keys = {int(row): whole.keys[key[row]] for row in np.flatnonzero(key >= 0)}
    quality = np.full(high - low, Quality.GOOD, np.uint8)
    return Columns(names, whole.index[low:high], whole.time_ms[low:high], whole.value[low:high], quality, keys)


def _float32(value: Floats) -> Floats:
    return value.astype(np.float32).astype(np.float64)
