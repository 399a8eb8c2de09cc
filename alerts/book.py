"""The alarms that are open, and every way in which one may change: no change without a transition that says so."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from alerts.alarm import PERSON, Alarm, Effects, Forecast, Transition, What, Where
from alerts.conditions import RETRACTED, RULE_CHANGED, Step
from alerts.flapping import BEGINS_AT, CHANGES_MIN, SLOTS, recent, share
from alerts.program import Program
from alerts.rule import Severity
from alerts.rules import LevelRule
from telemetry.batch import Times
from telemetry.identity import alarm_id

_REST_MS = 600_000  # so long must a flapping alarm be over before it ends
_LATE_MS = 3_600_000  # readings that come so much later than they were taken still meet the alarm that they continue
_TELLINGS_REMEMBERED_MAX = 1000  # local alarms whose readings are still on their way


@dataclass(frozen=True, slots=True)
class Telling:
    """A gateway raised an alarm by itself, while the core could not be asked."""

    alarm: str
    raised_ms: int
    output: str | None = None  # what it switched on
    rule: str = ""  # records of older versions do not say what it is about
    device: str = ""
    metric: str = ""
    onset_ms: int = 0

    def is_of(self, alarm: Alarm) -> bool:
        """Whether it is this alarm that the gateway told of. A level's that was amended has kept the id of its first onset;
        a passage's never moves, and two people may pass in one moment.
        """
        about = alarm.rule, alarm.device, alarm.metric, alarm.onset_ms
        is_same = alarm.key is None and about == (self.rule, self.device, self.metric, self.onset_ms)
        return is_same or self.alarm == alarm.id


class AlarmBook:
    """Open alarms by what they are about."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._limits: dict[tuple[int, int], list[tuple[int, float]]] = {}
        self.open: dict[Where, Alarm] = {}
        self.by_id: dict[str, Where] = {}
        self.recent: dict[Where, Alarm] = {}  # the last that readings ended: soon back, it is the same
        self.changes: dict[Where, list[int]] = {}  # when it began or ended, as far as that may still count as flapping
        self.held: set[Where] = set()  # open and flapping
        self.tellings: OrderedDict[str, Telling] = OrderedDict()  # of alarms that are not known yet

    def follow(self, step: Step, known_ms: int, effects: Effects) -> None:
        """Let a step of a level, rate or forecast raise, change or end its alarm."""
        program = self._program
        where = (step.rule, step.series, None)
        alarm = self.open.get(where)
        value = finite(step.value)  # a forecast without an end is no number that anybody could show
        if step.worst is None:
            if alarm is not None:
                self._over(where, alarm, step, known_ms, effects)
            return
        severity = Severity(int(program.severity[step.worst]))
        if alarm is not None and alarm.flapping and alarm.over_ms is not None and step.onset_ms is not None:
            self._release(where, alarm, step.onset_ms, known_ms, effects)
            alarm = self.open.get(where)
        if alarm is None:
            if step.onset_ms is None:
                return  # a person closed it; what is left of it is not a new alarm
            alarm = self._begin(where, severity, step, known_ms, effects)
        elif alarm.over_ms is not None:
            self._again(where, alarm, severity, step, known_ms, effects)
        elif severity > alarm.severity:
            self.worsen(alarm, severity, step.time_ms, known_ms, step.reason, effects, value=value)
        elif severity < alarm.severity:
            alarm.severity, alarm.value = severity, value
            reason = "good-readings"
            if step.reason == RETRACTED:
                reason = RETRACTED
                alarm.heights = [(at, worst) for at, worst in alarm.heights if at < step.time_ms or worst <= severity]
                alarm.severity_max = max((worst for _, worst in alarm.heights), default=severity)
            self.note(alarm, What.SEVERITY_DOWN, step.time_ms, known_ms, reason, effects, value=value)
        alarm.limit = program.limit(step.worst)
        if not math.isnan(step.low):
            band = finite(step.low), finite(step.high)
            alarm.forecast = None if value is None else Forecast(value, *band, step.time_ms)
        effects.alarms[alarm.id] = alarm

    def release(self, last_ms: Times, known_ms: int, effects: Effects) -> None:
        """End what has rested long enough, as far as readings bear it out.

        Args:
            last_ms: The newest reading of each series, (S,).
        """
        for where in [where for where in self.held if self.open[where].over_ms is not None]:
            self._release(where, self.open[where], int(last_ms[where[1]]), known_ms, effects)

    # --- coming and going -------------------------------------------------------------------------------------------

    def _begin(self, where: Where, severity: Severity, step: Step, known_ms: int, effects: Effects) -> Alarm:
        assert step.onset_ms is not None
        value = finite(step.value)
        before = self.recent.get(where)
        window_ms = round(self._program.rules[where[0]].reopen_within_s * 1000)
        if before is None or before.closed_ms is None or step.onset_ms - before.closed_ms >= window_ms:
            alarm = self.raise_(
                where, severity, step.onset_ms, step.time_ms, known_ms, value, effects, reason=step.reason
            )
        else:
            alarm = before
            alarm.ended_before_ms = before.closed_ms
            alarm.closed_ms = alarm.closed_reason = None
            self.enter(where, alarm)
            self._return(alarm, severity, step, known_ms, effects)
        self._changed(where, alarm, step.onset_ms, known_ms, effects)
        return alarm

    def _again(
        self, where: Where, alarm: Alarm, severity: Severity, step: Step, known_ms: int, effects: Effects
    ) -> None:
        """It had been over, and was held open."""
        alarm.over_ms = None
        if not alarm.flapping:
            self._return(alarm, severity, step, known_ms, effects)
        elif severity > alarm.severity:
            self.worsen(alarm, severity, step.time_ms, known_ms, step.reason, effects, value=finite(step.value))
        if step.onset_ms is not None:
            self._changed(where, alarm, step.onset_ms, known_ms, effects)

    def _return(self, alarm: Alarm, severity: Severity, step: Step, known_ms: int, effects: Effects) -> None:
        alarm.severity, alarm.value, alarm.acknowledged_by = severity, finite(step.value), None
        alarm.severity_max = max(severity, alarm.severity_max)
        # Of earlier times those at which it was worse than ever before are enough: it may come back for years.
        risen: list[tuple[int, Severity]] = []
        for height in alarm.heights:
            if not risen or height[1] > risen[-1][1]:
                risen.append(height)
        alarm.heights = [*risen, (step.time_ms, severity)]
        self.note(alarm, What.REOPENED, step.time_ms, known_ms, "again", effects, value=alarm.value)
        if step.onset_ms is not None:
            # To a gateway, which knows of no reopening, it is an alarm of its own.
            name = alarm_id(alarm.rule, alarm.device, alarm.metric, None, step.onset_ms)
            self.told_locally(alarm, name, known_ms, effects)

    def _over(self, where: Where, alarm: Alarm, step: Step, known_ms: int, effects: Effects) -> None:
        value = finite(step.value)
        if step.reason == RETRACTED:
            true = [(at, worst) for at, worst in alarm.heights if at < step.time_ms]
            before_ms = alarm.ended_before_ms
            if not true:
                self.close(alarm, What.RETURNED, step.time_ms, known_ms, RETRACTED, effects, value=value)
                return
            # What was raised before is true; only the step that time alone had taken never was.
            alarm.heights = true
            alarm.severity = alarm.severity_max = max(worst for _, worst in true)
            if before_ms is not None and all(at <= before_ms for at, _ in true):  # only its coming back is undone
                self.note(alarm, What.AMENDED, step.time_ms, known_ms, RETRACTED, effects, value=value)
                alarm.ended_before_ms = None
                self.close(alarm, What.RETURNED, before_ms, known_ms, "good-readings", effects, value=value)
                return
            self.note(alarm, What.SEVERITY_DOWN, step.time_ms, known_ms, RETRACTED, effects, value=value)
        self._changed(where, alarm, step.time_ms, known_ms, effects)
        if alarm.flapping:
            alarm.over_ms = step.time_ms
        elif self._is_latched(where, alarm):
            alarm.over_ms = step.time_ms
            self.note(alarm, What.LATCHED, step.time_ms, known_ms, "good-readings", effects, value=value)
        else:
            reason = RULE_CHANGED if step.reason == RULE_CHANGED else "good-readings"
            self.close(alarm, What.RETURNED, step.time_ms, known_ms, reason, effects, value=value)

    def _changed(self, where: Where, alarm: Alarm, at_ms: int, known_ms: int, effects: Effects) -> None:
        """Something began or ended; see whether it does so too often."""
        before = self.changes.get(where)
        if before is None:
            self.changes[where] = [at_ms]
            return
        slot_ms = round(self._program.rules[where[0]].flap_slot_s * 1000)
        changes = recent([*before, at_ms], at_ms, slot_ms)
        self.changes[where] = changes
        if len(changes) >= CHANGES_MIN and not alarm.flapping and share(changes, at_ms, slot_ms) >= BEGINS_AT:
            alarm.flapping = True
            self.held.add(where)
            self.note(alarm, What.FLAPPING, at_ms, known_ms, "comes-and-goes", effects, value=alarm.value)

    def _release(self, where: Where, alarm: Alarm, seen_ms: int, known_ms: int, effects: Effects) -> None:
        """End a flapping alarm whose rest readings bear out, as of the moment when it was long enough."""
        assert alarm.over_ms is not None
        rested_ms = alarm.over_ms + _REST_MS
        if seen_ms >= rested_ms:
            alarm.flapping = False
            self.held.discard(where)
            self.note(alarm, What.STEADY, rested_ms, known_ms, "good-readings", effects)
            if self._is_latched(where, alarm):
                self.note(alarm, What.LATCHED, rested_ms, known_ms, "good-readings", effects, value=alarm.value)
            else:
                self.close(alarm, What.RETURNED, rested_ms, known_ms, "good-readings", effects, value=alarm.value)

    def _is_latched(self, where: Where, alarm: Alarm) -> bool:
        """Whether an alarm that is over stays open, because somebody has yet to see it or to decide."""
        latch = self._program.rules[where[0]].latch
        return latch == "until-disposed" or (latch is not None and alarm.acknowledged_by is None)

    def forget(self, now_ms: int) -> None:
        """Let go of what can no longer come back as the same alarm, and of changes that no longer count."""
        rules = self._program.rules
        self.recent = {
            where: alarm
            for where, alarm in self.recent.items()
            if alarm.closed_ms is not None
            and now_ms - alarm.closed_ms < 1000 * rules[where[0]].reopen_within_s + _LATE_MS
        }
        self.changes = {
            where: changes
            for where, changes in self.changes.items()
            if where in self.open or now_ms - changes[-1] < SLOTS * 1000 * rules[where[0]].flap_slot_s
        }

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
            limits=self._limits.get((rule, series)) or self._limits_of(rule, series),
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
        self.recent.pop(where, None)
        if alarm.flapping:
            self.held.add(where)

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
        alarm.closed_ms, alarm.closed_reason, alarm.over_ms, alarm.flapping = event_ms, reason, None, False
        self.held.discard(where)
        if what is What.RETURNED and where[2] is None and reason not in (RETRACTED, PERSON):
            self.recent[where] = alarm
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

    def hear_locally(self, telling: Telling, over: Iterable[Alarm], known_ms: int, effects: Effects) -> None:
        """A gateway says that it told of an alarm; where the alarm is still to come, it is told then.

        Args:
            over: Alarms that ended lately: it may have been over when the gateway could be heard.
        """
        self.tellings[telling.alarm] = telling
        while len(self.tellings) > _TELLINGS_REMEMBERED_MAX:
            self.tellings.popitem(last=False)
        alarm = self.find(telling.alarm) or next(filter(telling.is_of, chain(self.open.values(), over)), None)
        if alarm is not None:
            self.told_locally(alarm, telling.alarm, known_ms, effects)

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
        # Kept: what is drawn of a rule on a series is the same for each of its alarms.
        program, feed = self._program, self._program.plain
        # A handful: item by item is several times as fast as an array of them.
        fed = feed.instances[feed.start[series] : feed.start[series] + feed.count[series]].tolist()
        mine = [instance for instance in fed if program.rule.item(instance) == rule]
        found = [(program.severity.item(instance), program.limit(instance)) for instance in mine]
        found += [(int(p.severity), p.limit) for p in self._program.passages if p.rule == rule]
        self._limits[rule, series] = found
        return found


def finite(number: float) -> float | None:
    """A number that can be shown, or None."""
    return number if math.isfinite(number) else None
