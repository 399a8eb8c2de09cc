"""A story played on virtual time: what its devices measure step by step, and the truth behind each reading.

Time is the story's own; whoever sends or judges the readings brings the pace. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from firmware_sim.district import MINUTE_MS, SECOND_MS, District
from firmware_sim.gates import Passage
from firmware_sim.scenario import Action, Person, SensorDies
from firmware_sim.story import Story
from firmware_sim.world import World

_STEP_MAX_MS, _COARSE_STEP_MS = 30 * SECOND_MS, 60 * SECOND_MS  # a pipe settles in minutes: longer steps would swing
_PASSAGE = {"skin_temperature", "ambient_temperature"}
_FULL_M = 1e-6


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading, and what there really was. Values in the metric's unit."""

    device: str
    metric: str
    time_ms: int
    value: float
    true: float
    key: str | None = None  # of a passage


@dataclass(frozen=True, slots=True)
class Harm:
    """Something that an alarm should have come before."""

    what: str
    device: str
    time_ms: int


@dataclass(slots=True)
class Step:
    """What has happened up to an instant since the step before."""

    time_ms: int
    samples: list[Sample] = field(default_factory=list)
    actions: list[tuple[int, Action]] = field(default_factory=list)
    harms: list[Harm] = field(default_factory=list)


def play(district: District, story: Story) -> Iterator[Step]:
    """Every step of a story, in order of time."""
    return _Play(district, story).steps()


class _Play:
    def __init__(self, district: District, story: Story) -> None:
        self._story = story
        self._district = district
        catalogue = district.catalogue
        self._world = World(district, story.seed, story.start_ms)
        self._every_ms = round(SECOND_MS * story.every_s)
        is_coarse = self._every_ms >= 10 * MINUTE_MS
        self._world.drains.step_ms = _COARSE_STEP_MS if is_coarse else min(_STEP_MAX_MS, self._every_ms)
        self._world.gates.passages_per_lane_per_min = story.passages_per_lane_per_min
        self._world.gates.false_positive_probability = story.false_positive_probability
        self._series = [
            (device, metric, catalogue.metric[device, metric].decimals)
            for device, metric in catalogue.metric
            if metric in story.metrics and catalogue.site_of(device) in story.sites
        ]
        self._is_watched = {(device, metric) for device, metric, _ in self._series}
        self._polled = [series for series in self._series if series[1] not in _PASSAGE]
        self._dead: set[str] = set()
        self._over: set[str] = set()

    def steps(self) -> Iterator[Step]:
        story = self._story
        script = sorted(story.timeline, key=lambda action: action.at_s)
        for now_ms in range(story.start_ms + self._every_ms, story.end_ms + 1, self._every_ms):
            step = Step(now_ms)
            while script and story.start_ms + round(SECOND_MS * script[0].at_s) <= now_ms:
                action = script.pop(0)
                at_ms = story.start_ms + round(SECOND_MS * action.at_s)
                self._measure(step, self._world.advance(at_ms, story.metrics))
                self._act(action, at_ms, step)
            self._measure(step, self._world.advance(now_ms, story.metrics))
            self._poll(step)
            yield step

    def _act(self, action: Action, at_ms: int, step: Step) -> None:
        step.actions.append((at_ms, action))
        self._world.act(action)
        if isinstance(action, SensorDies):
            self._dead.add(action.device)
        elif isinstance(action, Person):
            self._measure(step, [self._world.gates.person(action.scanner, at_ms, action.temperature)])

    def _measure(self, step: Step, passages: list[Passage]) -> None:
        """What scanners make of people."""
        for passage in passages:
            for metric, true in (("skin_temperature", passage.skin_c), ("ambient_temperature", passage.ambient_c)):
                if (passage.scanner, metric) not in self._is_watched or passage.scanner in self._dead:
                    continue
                shown = self._world.instruments.shown(passage.scanner, metric, true, passage.time_ms)
                if shown is not None:
                    value = round(shown, 1)
                    step.samples.append(Sample(passage.scanner, metric, passage.time_ms, value, true, passage.key))

    def _poll(self, step: Step) -> None:
        """What everything that is asked answers."""
        world = self._world
        for device, metric, decimals in self._polled:
            measured = world.measured(device, metric)
            if metric == "level":
                level, depth = world.true_level_m(device), self._depth_m(device)
                if level >= depth - _FULL_M and device not in self._over:
                    self._over.add(device)
                    step.harms.append(Harm("overflow", device, step.time_ms))
                elif level < 0.95 * depth:
                    self._over.discard(device)
            shown = None if device in self._dead else world.instruments.shown(device, metric, measured, step.time_ms)
            if shown is not None:
                true = world.true(device, metric, measured)
                step.samples.append(Sample(device, metric, step.time_ms, round(shown, decimals), true))

    def _depth_m(self, device: str) -> float:
        return self._district.drains[self._district.catalogue.device[device].place].depth_m
