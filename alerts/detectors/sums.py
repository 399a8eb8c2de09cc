"""A main meter against the sum of the meters behind it: what is lost, or taken, in between.

Once in `window_s` what the main register has added is compared with what its parts have, each as it stood when the main
meter was read. The signal is the difference in per cent of the main. A window in which the main's step is unknown, or a part
fell or was not heard, is not judged. Axes: m readings of one round, V watched series, P parts. Source: reference/alarms.md
§4.3, M10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alerts.detectors.beside import BesideDetector
from alerts.detectors.detector import UNSET_MS, Rows
from alerts.detectors.registers import RegisterRule, Registers
from alerts.detectors.rounds import Round
from alerts.rule import Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Times
from telemetry.catalogue import MetricName, Name
from telemetry.errors import BadConfiguration


class SumCheckRule(RegisterRule):
    """A main register that its parts do not add up to: limits are per cent of what the main has added."""

    type: Literal["sum-check"]
    looks_beside: ClassVar[bool] = True
    shown: ClassVar[Shown | None] = Shown("Main meter against the sum of its parts", "总表与分表之和的偏差", "%", 1)
    parts: tuple[Name, ...] | None = None  # devices; all in the places below the main's when not given
    part_metric: MetricName | None = None  # the rule's metric when not given
    window_s: float = Field(default=86_400.0, gt=0)
    least: float = Field(gt=0)  # that the main must have added to be compared
    age_max_s: float = Field(default=3_600.0, gt=0)  # an older reading of a part is not known


def sum_check_detector(rule: SumCheckRule, concerned: Indexes, world: World) -> SumCheckDetector:
    """How far each main meter is from the sum of its parts."""
    metric = rule.part_metric or rule.metric
    parts = []
    for series in concerned.tolist():
        found = [s for s in _parts(rule, series, metric, world) if s not in concerned]
        if not found:
            raise BadConfiguration(
                f"rule '{rule.id}' compares device '{world.registry.names[series][0]}' with its parts, and no device with "
                f"'{metric}' is in 'parts' or in a place below: name them in 'parts'"
            )
        parts.append(found)
    return SumCheckDetector(rule, concerned, parts, world)


def _parts(rule: SumCheckRule, main: int, metric: str, world: World) -> list[int]:
    if rule.parts is not None:
        for device in rule.parts:
            if (device, metric) not in world.registry.index:
                raise BadConfiguration(
                    f"rule '{rule.id}' names device '{device}' a part, and it has no '{metric}': correct 'parts'"
                )
        return [world.registry.index[device, metric] for device in rule.parts]
    place = world.place(main)
    return [
        world.registry.index[device.id, metric]
        for device in world.catalogue.devices
        if place is not None
        and device.place != place.id
        and place in world.catalogue.path_of(device.place)
        and (device.id, metric) in world.registry.index
    ]


class SumCheckDetector(BesideDetector):
    """Where each main meter and its parts stood when the window began."""

    good_only = True

    def __init__(self, rule: SumCheckRule, concerned: Indexes, parts: list[list[int]], world: World) -> None:
        most = max((len(of) for of in parts), default=0)
        self._parts: Indexes = np.full((len(concerned), most), -1)  # (V, P)
        for position, of in enumerate(parts):
            self._parts[position, : len(of)] = of
        super().__init__(concerned, self._parts[self._parts >= 0], world, rule.age_max_s)
        self._registers = Registers(rule, concerned, world, len(self.watched))
        self._window_ms, self._least = round(rule.window_s * 1000), rule.least
        self._start_ms: Times = np.full(len(self.watched), UNSET_MS, np.int64)
        self._grown = np.zeros(len(self.watched))
        self._stood = np.full((len(self.watched), most), np.nan)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {"start_ms": self._start_ms, "grown": self._grown, "stood": self._stood}
        return {**super().columns, **self._registers.columns, **own}

    def _beside(self, rows: Rows, chosen: Indexes, position: Indexes) -> Floats:
        laid = self._lookup.push(rows)
        return np.array([self._said(laid, of, rows, chosen) for of in self._parts[position].T]).T  # (N, P)

    def _step(self, now: Round) -> Floats:
        at = now.at
        assert now.beside is not None
        is_part = self._parts[at] >= 0
        known = ~(np.isnan(now.beside) & is_part).any(axis=1)
        steps = self._registers.take(now)
        broken = np.isnan(steps.amount) | (self._start_ms[at] == UNSET_MS)
        self._grown[at] += np.where(broken, 0.0, steps.amount)
        ends = ~broken & known & (now.time_ms - np.where(broken, now.time_ms, self._start_ms[at]) >= self._window_ms)
        added = np.where(is_part, now.beside - self._stood[at], 0.0)  # (m, P)
        total = self._grown[at]
        is_judged = ends & (total >= self._least) & (added >= 0).all(axis=1)
        away = np.abs(total - added.sum(axis=1))
        signal = np.where(is_judged, 100 * away / np.where(is_judged, total, 1.0), np.nan)
        begins = (broken | ends) & known
        self._start_ms[at] = np.select([begins, broken], [now.time_ms, UNSET_MS], self._start_ms[at])
        self._grown[at] = np.where(broken | ends, 0.0, self._grown[at])
        self._stood[at[begins]] = now.beside[begins]
        return signal
