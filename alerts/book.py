"""The alarms that are open, and every way in which one may change: no change without a transition that says so."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from alerts.alarm import Alarm, Effects, Forecast, Transition, What, Where
from alerts.conditions import RETRACTED, Step
from alerts.program import Program
from alerts.rule import Severity
from alerts.rules import LevelRule
from telemetry.identity import alarm_id

_TELLINGS_REMEMBERED_MAX = 1000  # local alarms whose readings are still on their way


@dataclass(frozen=True, slots=True)
class Telling:
    """A gateway raised an alarm by itself, while the core could not be asked."""

    alarm: str
    raised_ms: int
    output: str | None = None  # what it switched on


class AlarmBook:
    """Open alarms by what they are about."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.open: dict[Where, Alarm] = {}
        self.by_id: dict[str, Where] = {}
        self.tellings: OrderedDict[str, Telling] = OrderedDict()  # of alarms that are not known yet

    def follow(self, step: Step, known_ms: int, effects: Effects) -> None:
        """Let a step of a level, rate or forecast raise, change or end its alarm."""
        program = self._program
        where = (step.rule, step.series, None)
        alarm = self.open.get(where)
        value = finite(step.value)  # a forecast without an end is no number that anybody could show
        if step.worst is None:
            if alarm is not None:
                reason = step.reason if step.reason == RETRACTED else "good-readings"
                self.close(alarm, What.RETURNED, step.time_ms, known_ms, reason, effects, value=value)
            return
        severity = Severity(int(program.severity[step.worst]))
        if alarm is None:
            if step.onset_ms is None:
                return  # a person closed it; what is left of it is not a new alarm
            alarm = self.raise_(
                where, severity, step.onset_ms, step.time_ms, known_ms, value, effects, reason=step.reason
            )
        elif severity > alarm.severity:
            self.worsen(alarm, severity, step.time_ms, known_ms, step.reason, effects, value=value)
        elif severity < alarm.severity:
            alarm.severity, alarm.value = severity, value
            self.note(alarm, What.SEVERITY_DOWN, step.time_ms, known_ms, "good-readings", effects, value=value)
        alarm.limit = program.limit(step.worst)
        if not np.isnan(step.low):
            band = finite(step.low), finite(step.high)
            alarm.forecast = None if value is None else Forecast(value, *band, step.time_ms)
        effects.alarms[alarm.id] = alarm

    def raise_(
        self,
        where: Where,
        severity: Severity,
        onset_ms: int,
        event_ms: int,
        known_ms: int,
        value: float | None,
        effects: Effects,
        *,
        reason: str = "limit-reached",
    ) -> Alarm:
        """A new alarm."""
        program = self._program
        rule, series, key = where
        declared = program.rules[rule]
        device, metric = program.names[series]
        alarm = Alarm(
            id=alarm_id(declared.id, device, metric, key, onset_ms),
            rule=declared.id,
            alarm_class=declared.alarm_class,
            site=program.site[series],
            place=program.place[series],
            device=device,
            metric=metric,
            key=key,
            severity=severity,
            severity_max=severity,
            seq=0,
            onset_ms=onset_ms,
            raised_ms=known_ms,
            value=value,
            limit=None,
            limits=self._limits_of(rule, series),
            heights=[(event_ms, severity)],
        )
        self.enter(where, alarm)
        self.note(alarm, What.RAISED, event_ms, known_ms, reason, effects, value=value)
        self.told_locally(alarm, alarm.id, known_ms, effects)
        return alarm

    def enter(self, where: Where, alarm: Alarm) -> None:
        """Hold an alarm as open."""
        self.open[where] = alarm
        self.by_id[alarm.id] = where

    def find(self, name: str) -> Alarm | None:
        """An open alarm by its id."""
        where = self.by_id.get(name)
        return None if where is None else self.open[where]

    def worsen(
        self,
        alarm: Alarm,
        severity: Severity,
        event_ms: int,
        known_ms: int,
        reason: str,
        effects: Effects,
        *,
        value: float | None,
    ) -> None:
        """A higher severity. Who acknowledged the lesser alarm has not seen this one."""
        alarm.severity, alarm.value, alarm.acknowledged_by = severity, value, None
        if severity > alarm.severity_max:
            alarm.severity_max = severity
            alarm.heights.append((event_ms, severity))
        self.note(alarm, What.SEVERITY_UP, event_ms, known_ms, reason, effects, value=value)

    def close(
        self,
        alarm: Alarm,
        what: What,
        event_ms: int,
        known_ms: int,
        reason: str,
        effects: Effects,
        *,
        actor: str | None = None,
        note: str | None = None,
        value: float | None = None,
    ) -> None:
        """The end of an open alarm."""
        where = self.by_id.pop(alarm.id)
        del self.open[where]
        alarm.closed_ms, alarm.closed_reason = event_ms, reason
        effects.ended.append((where, alarm))
        self.note(alarm, what, event_ms, known_ms, reason, effects, actor=actor, note=note, value=value)

    def note(
        self,
        alarm: Alarm,
        what: What,
        event_ms: int,
        known_ms: int,
        reason: str,
        effects: Effects,
        *,
        actor: str | None = None,
        note: str | None = None,
        value: float | None = None,
    ) -> None:
        """Put a step of an alarm on record."""
        alarm.seq += 1
        effects.transitions.append(
            Transition(alarm.id, alarm.seq, what, alarm.severity, event_ms, known_ms, reason, actor, note, value)
        )
        effects.alarms[alarm.id] = alarm

    def hear_locally(self, telling: Telling, known_ms: int, effects: Effects) -> None:
        """A gateway says that it told of an alarm; where the alarm is still to come, it is told then."""
        self.tellings[telling.alarm] = telling
        while len(self.tellings) > _TELLINGS_REMEMBERED_MAX:
            self.tellings.popitem(last=False)
        where = self.by_id.get(telling.alarm)
        if where is not None:
            self.told_locally(self.open[where], telling.alarm, known_ms, effects)

    def told_locally(self, alarm: Alarm, name: str, known_ms: int, effects: Effects) -> None:
        """Note on an alarm what its gateway told under this name, once."""
        telling = self.tellings.pop(name, None)
        if telling is not None and alarm.told_locally_ms is None:
            alarm.told_locally_ms = telling.raised_ms
            self.note(alarm, What.TOLD_LOCALLY, telling.raised_ms, known_ms, "local", effects, note=telling.output)

    def _limits_of(self, rule: int, series: int) -> list[tuple[int, float]]:
        """The limits to draw across the chart of the metric itself; a rate's or forecast's are in another unit."""
        if not isinstance(self._program.rules[rule], LevelRule):
            return []
        feed = self._program.plain
        fed = feed.instances[feed.start[series] : feed.start[series] + feed.count[series]]
        found = [(int(self._program.severity[i]), self._program.limit(i)) for i in fed if self._program.rule[i] == rule]
        found += [(int(p.severity), p.limit) for p in self._program.passages if p.rule == rule]
        return found


def finite(number: float) -> float | None:
    """A number that can be shown, or None."""
    return number if np.isfinite(number) else None
