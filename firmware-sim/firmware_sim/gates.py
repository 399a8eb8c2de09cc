"""People at the gates: when they come, what the scanner shows, who is called back.

A healthy person is shown at 36.4 ± 0.25 °C (a forehead reading compensated to a core estimate) and never at 37.3 °C or
above; a false positive is an explicit, labelled draw, measured again under the same passage key within three minutes
and found normal. Temperatures in °C, one decimal as displayed. Axis: N passages.
Source of the numbers: reference/devices.md §4.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from firmware_sim.district import DAY_MS, HOUR_MS, MINUTE_MS, District, Floats, Times, generator

FEVER_ABOVE_C = 37.3
_HEALTHY_MEAN_C, _HEALTHY_SD_C, _HEALTHY_MAX_C = 36.4, 0.25, 37.1
_COLD_BELOW_C, _COLD_PER_C = 10.0, 0.03  # a forehead just come in from the cold reads lower by so much a degree
_WEEKDAY_PER_LANE, _WEEKEND_PER_LANE = 620.0, 260.0
_WEEKDAY_HOUR = np.array([0.3, 0.1, 0.1, 0.1, 0.3, 1, 5, 17, 9, 4, 3, 5, 9, 5, 3, 3, 4, 8, 11, 5, 3, 2, 1.5, 0.8])
_WEEKEND_HOUR = np.array([0.4, 0.2, 0.1, 0.1, 0.2, 0.5, 2, 4, 6, 8, 9, 8, 8, 6, 6, 6, 7, 7, 6, 5, 4, 3, 2, 1])


class Label(Enum):
    """What a passage really is."""

    HEALTHY = "healthy"
    FALSE_POSITIVE = "false-positive"
    RECHECK_NORMAL = "recheck-normal"
    FEVER = "fever"
    RECHECK_FEVER = "recheck-fever"


@dataclass(frozen=True, slots=True)
class Passage:
    """One measurement of one person, as a scanner displays it."""

    scanner: str
    serial: str
    key: str
    time_ms: int
    skin_c: float
    ambient_c: float
    label: Label


@dataclass(frozen=True, slots=True)
class LaneHistory:
    """What one scanner measured, in order of time. Columns (N,); `label` holds those that are not simply healthy."""

    scanner: str
    time_ms: Times
    skin_c: Floats
    ambient_c: Floats
    key: list[str]
    label: dict[int, Label]


@dataclass(frozen=True, slots=True)
class _Recheck:
    due_ms: int
    lane: int
    key: str
    label: Label


class Gates:
    """All scanners of the district."""

    def __init__(self, district: District, seed: int, time_ms: int) -> None:
        self.scanners = [scanner for gateway in district.gateways.values() for scanner in gateway.scanners]
        self.time_ms = time_ms
        self.passages_per_lane_per_min = 0.0  # a lower bound; a scenario may raise it
        self.false_positive_probability = 0.0  # of a live passage
        self._seed = seed
        self._offset_ms = district.utc_offset_ms(district.catalogue.site_of(self.scanners[0].device), time_ms)
        rng = generator(seed, "gates")
        self._bias_c = rng.normal(0.0, 0.03, len(self.scanners))  # no two scanners agree
        self._climate_c = rng.normal(0.0, 0.5, len(self.scanners))
        self._rng = generator(seed, "gates", "live")
        self._rechecks: list[_Recheck] = []
        self._last_ms = [0] * len(self.scanners)
        self._weather = (0.0, 0.0, 0, 0)  # warmer than the season before, after [°C]; from, until [ms]

    def past(self, end_ms: int, false_positives: int, fevers: int) -> list[LaneHistory]:
        """Everyone who came until `end_ms`, with this many labelled false positives and fevers among them."""
        rng = generator(self._seed, "gates", "past")
        minutes = self.time_ms + MINUTE_MS * np.arange((end_ms - self.time_ms) // MINUTE_MS, dtype=np.int64)
        rate = self._rate_per_min(minutes)
        arrivals = []
        for _ in self.scanners:
            time_ms = np.repeat(minutes, rng.poisson(rate))
            arrivals.append(np.unique(time_ms + rng.integers(0, MINUTE_MS, len(time_ms))))
        odd = rng.permutation(sum(len(time_ms) for time_ms in arrivals))
        first = np.cumsum([0, *(len(time_ms) for time_ms in arrivals)])
        everyone = np.concatenate(arrivals)
        # A recheck takes minutes: nobody is called back from the last quarter of an hour.
        odd = odd[everyone[odd] < end_ms - 15 * MINUTE_MS][: false_positives + fevers]
        is_fever = np.arange(len(odd)) >= false_positives
        lanes = []
        for lane, time_ms in enumerate(arrivals):
            mine = (odd >= first[lane]) & (odd < first[lane + 1])
            called = zip((odd[mine] - first[lane]).tolist(), is_fever[mine].tolist(), strict=True)
            lanes.append(self._lane_history(rng, lane, time_ms, sorted(called)))
        self.time_ms = end_ms
        return lanes

    def advance(self, now_ms: int) -> list[Passage]:
        """Who passed since the last call, rechecks included, in order of time."""
        passages: list[Passage] = []
        while self.time_ms < now_ms:
            until_ms = min(now_ms, self.time_ms + MINUTE_MS)
            passages += self._passed(until_ms)
            self.time_ms = until_ms
        return sorted(passages, key=lambda passage: (passage.time_ms, passage.scanner))

    def change_weather(self, warmer_c: float, over_ms: int) -> None:
        """Let the air become so much warmer than the season has it, in a straight line from now on."""
        self._weather = (self._warmer_c(self.time_ms), warmer_c, self.time_ms, self.time_ms + over_ms)

    def person(self, scanner: str, time_ms: int, skin_c: float) -> Passage:
        """Somebody with this temperature steps in front of a scanner."""
        lane = next(i for i, s in enumerate(self.scanners) if s.device == scanner)
        return self._passage(lane, time_ms, skin_c, Label.FEVER if skin_c > FEVER_ABOVE_C else Label.HEALTHY)

    def _passed(self, until_ms: int) -> list[Passage]:
        """Everyone of the next minute or less: new people, and those called back earlier, lane by lane in their turn."""
        passages = []
        span_ms = until_ms - self.time_ms
        rate = max(float(self._rate_per_min(np.array([until_ms], np.int64))[0]), self.passages_per_lane_per_min)
        due = [recheck for recheck in self._rechecks if recheck.due_ms <= until_ms]
        self._rechecks = [recheck for recheck in self._rechecks if recheck.due_ms > until_ms]
        for lane in range(len(self.scanners)):
            count = int(self._rng.poisson(rate * span_ms / MINUTE_MS))
            new_ms = (self.time_ms + self._rng.integers(1, span_ms + 1, count)).tolist()
            turns: list[tuple[int, _Recheck | None]] = [(at_ms, None) for at_ms in new_ms]
            turns += [(recheck.due_ms, recheck) for recheck in due if recheck.lane == lane]
            for at_ms, recheck in sorted(turns, key=lambda turn: turn[0]):
                passages.append(self._new(lane, at_ms) if recheck is None else self._again(recheck))
        return passages

    def _new(self, lane: int, at_ms: int) -> Passage:
        """A person nobody has measured yet."""
        if self._rng.random() >= self.false_positive_probability:
            return self._passage(lane, at_ms, float(self._healthy_c(self._rng, lane, 1)[0]), Label.HEALTHY)
        shown = float(self._false_positive_c(self._rng, 1)[0])
        passage = self._passage(lane, at_ms, shown, Label.FALSE_POSITIVE)
        due_ms = at_ms + int(self._rng.integers(MINUTE_MS, 3 * MINUTE_MS))
        self._rechecks.append(_Recheck(due_ms, lane, passage.key, Label.RECHECK_NORMAL))
        return passage

    def _again(self, recheck: _Recheck) -> Passage:
        """A person who was called back."""
        shown = float(self._normal_again_c(self._rng, 1)[0])
        return self._passage(recheck.lane, recheck.due_ms, shown, recheck.label, recheck.key)

    def _lane_history(
        self, rng: np.random.Generator, lane: int, time_ms: Times, called: list[tuple[int, bool]]
    ) -> LaneHistory:
        """One lane's columns; `called` are (passage, is a fever) of those who are measured twice."""
        skin = self._healthy_c(rng, lane, len(time_ms))
        serial = self.scanners[lane].serial
        key = [f"{serial}-{at}" for at in time_ms.tolist()]
        again_ms, again_c, again_of = [], [], []
        label: dict[int, Label] = {}  # by time, which is unique within a lane
        for passage, is_fever in called:
            at_ms = int(time_ms[passage])
            if at_ms in label:
                continue
            label[at_ms] = Label.FEVER if is_fever else Label.FALSE_POSITIVE
            skin[passage] = np.round(rng.uniform(38.1, 38.9), 1) if is_fever else self._false_positive_c(rng, 1)[0]
            recheck_ms = at_ms + int(rng.integers(MINUTE_MS, 3 * MINUTE_MS))
            while np.any(time_ms == recheck_ms) or recheck_ms in label:
                recheck_ms += 1
            label[recheck_ms] = Label.RECHECK_FEVER if is_fever else Label.RECHECK_NORMAL
            again_ms.append(recheck_ms)
            again_c.append(float(skin[passage]) if is_fever else float(self._normal_again_c(rng, 1)[0]))
            again_of.append(passage)
        every_ms = np.concatenate([time_ms, np.array(again_ms, np.int64)])
        order = np.argsort(every_ms, kind="stable")
        every_c = np.concatenate([skin, np.array(again_c, np.float64)])[order]
        keys = key + [key[passage] for passage in again_of]
        sorted_ms = every_ms[order]
        positions = {int(np.searchsorted(sorted_ms, at)): what for at, what in label.items()}
        ambient = self._ambient_c(rng, lane, sorted_ms)
        return LaneHistory(self.scanners[lane].device, sorted_ms, every_c, ambient, [keys[i] for i in order], positions)

    def _passage(self, lane: int, time_ms: int, skin_c: float, label: Label, key: str | None = None) -> Passage:
        scanner = self.scanners[lane]
        # A scanner measures one person at a time, so its instants differ.
        time_ms = max(time_ms, self._last_ms[lane] + 1)
        self._last_ms[lane] = time_ms
        warmer = self._warmer_c(time_ms)
        ambient = round(float(self._ambient_c(self._rng, lane, np.array([time_ms], np.int64))[0]) + warmer, 1)
        if warmer:
            # Only what the weather takes away from the season: the season's own air is in the people already.
            cold_c = max(0.0, _COLD_BELOW_C - ambient) - max(0.0, _COLD_BELOW_C - (ambient - warmer))
            skin_c = round(skin_c - _COLD_PER_C * cold_c, 1)
        return Passage(
            scanner.device, scanner.serial, key or f"{scanner.serial}-{time_ms}", time_ms, skin_c, ambient, label
        )

    def _warmer_c(self, time_ms: int) -> float:
        before, after, begins_ms, ends_ms = self._weather
        if time_ms >= ends_ms:
            return after
        return before + (after - before) * max(0, time_ms - begins_ms) / (ends_ms - begins_ms)

    def _rate_per_min(self, time_ms: Times) -> Floats:
        """Expected passages of one lane a minute, by local hour and day of the week."""
        local_ms = time_ms + self._offset_ms
        hour = local_ms % DAY_MS / HOUR_MS
        is_weekend = (local_ms // DAY_MS + 3) % 7 >= 5
        rates = []
        for shape, per_day in ((_WEEKDAY_HOUR, _WEEKDAY_PER_LANE), (_WEEKEND_HOUR, _WEEKEND_PER_LANE)):
            rates.append(np.interp(hour, np.arange(25), np.append(shape, shape[0])) * per_day / shape.sum() / 60)
        rate: Floats = np.where(is_weekend, rates[1], rates[0])
        return rate

    def _healthy_c(self, rng: np.random.Generator, lane: int, count: int) -> Floats:
        shown = rng.normal(_HEALTHY_MEAN_C + self._bias_c[lane], _HEALTHY_SD_C, count)
        return _displayed(np.clip(shown, 35.2, _HEALTHY_MAX_C))

    @staticmethod
    def _false_positive_c(rng: np.random.Generator, count: int) -> Floats:
        return _displayed(rng.uniform(37.4, 37.9, count))

    @staticmethod
    def _normal_again_c(rng: np.random.Generator, count: int) -> Floats:
        return _displayed(np.clip(rng.normal(36.5, 0.15, count), 36.0, 36.8))

    def _ambient_c(self, rng: np.random.Generator, lane: int, time_ms: Times) -> Floats:
        """Air at the gate: a wave over the day, warmest at three in the afternoon."""
        hour = (time_ms + self._offset_ms) % DAY_MS / HOUR_MS
        wave = 13.0 + self._climate_c[lane] + 4.5 * np.cos(2 * np.pi * (hour - 15) / 24)
        return _displayed(wave + rng.normal(0.0, 0.15, len(time_ms)))


def _displayed(temperature_c: Floats) -> Floats:
    """As a scanner shows it: one decimal."""
    displayed: Floats = np.round(temperature_c, 1)
    return displayed
