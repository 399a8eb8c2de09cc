"""Consumption in a room where nobody lives: what its register has added since the room was declared vacant.

Rooms and dates are data of the rule; a vacancy begins and ends at midnight of the site. Outside one the signal is 0. Axes: m
readings of one round, V watched series, K vacancies of a room. Source: reference/alarms.md §4.3, M10.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from alerts.detectors.registers import RegisterRule, Registers
from alerts.detectors.rounds import Round, RoundsDetector
from alerts.rule import Declared, Shown
from alerts.world import World
from telemetry.batch import Floats, Indexes, Times
from telemetry.catalogue import Name
from telemetry.errors import BadConfiguration

_NEVER_MS = np.iinfo(np.int64).max


class Vacancy(Declared):
    """Nobody lives in a place from the first day up to the day that somebody moves in."""

    place: Name
    start: date
    end: date | None = None  # the day somebody moves in; still vacant when not given

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError("'end' must lie after 'start'")
        return self


class VacancyRule(RegisterRule):
    """Consumption in an empty room: limits are what was added since it is vacant, in the metric's unit."""

    type: Literal["vacancy"]
    shown: ClassVar[Shown | None] = Shown("Used since the room is vacant", "空置期间用量", "{unit}", 3)
    vacant: tuple[Vacancy, ...] = Field(min_length=1)


def vacancy_detector(rule: VacancyRule, concerned: Indexes, world: World) -> VacancyDetector:
    """What was used in each vacant room."""
    return VacancyDetector(rule, concerned, world)


class VacancyDetector(RoundsDetector):
    """What each register has added in the vacancy that runs."""

    good_only = True

    def __init__(self, rule: VacancyRule, concerned: Indexes, world: World) -> None:
        super().__init__(concerned, world.series_count)
        self._registers = Registers(rule, concerned, world)
        self._start_ms, self._end_ms = _vacancies(rule, concerned, world)
        self._used = np.zeros(len(concerned))

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        return {**self._registers.columns, "used": self._used}

    def _step(self, now: Round) -> Floats:
        at = now.at
        steps = self._registers.take(now)
        is_vacant = np.zeros(len(at), np.bool_)
        was_vacant = np.zeros(len(at), np.bool_)  # all the time since the reading before
        for start_ms, end_ms in zip(self._start_ms.T, self._end_ms.T, strict=True):
            is_here = (now.time_ms >= start_ms[at]) & (now.time_ms < end_ms[at])
            is_vacant |= is_here
            was_vacant |= is_here & (steps.before_ms >= start_ms[at])
        added = np.where(was_vacant & ~np.isnan(steps.amount), steps.amount, 0.0)
        # Between two vacancies somebody has lived there, even where no reading tells of it.
        kept = np.where(was_vacant | np.isnan(steps.before), self._used[at], 0.0)
        self._used[at] = np.where(is_vacant, kept + added, 0.0)
        return np.asarray(self._used[at])


def _vacancies(rule: VacancyRule, concerned: Indexes, world: World) -> tuple[Times, Times]:
    """(start, end) of the vacancies of each series' place or of one around it, (V, K); never where there are fewer."""
    for one in rule.vacant:
        if one.place not in world.catalogue.place:
            raise BadConfiguration(
                f"rule '{rule.id}' declares place '{one.place}' vacant, and there is none: correct 'vacant'"
            )
    start_ms = np.full((len(concerned), len(rule.vacant)), _NEVER_MS, np.int64)
    end_ms = np.full((len(concerned), len(rule.vacant)), _NEVER_MS, np.int64)
    for position, series in enumerate(concerned.tolist()):
        place = world.place(series)
        around = set() if place is None else {one.id for one in world.catalogue.path_of(place.id)}
        zone = ZoneInfo(world.zone(series))
        for number, one in enumerate(rule.vacant):
            if one.place in around:
                start_ms[position, number] = _midnight_ms(one.start, zone)
                end_ms[position, number] = _NEVER_MS if one.end is None else _midnight_ms(one.end, zone)
    return start_ms, end_ms


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return round(datetime.combine(day, time(), zone).timestamp() * 1000)
