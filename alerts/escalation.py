"""Calls that go on until somebody answers: the steps of a route's ladder, driven by ticks.

    RAISED, SEVERITY_UP, REOPENED, REALARMED ──▶ calling ──steps──▶ ESCALATED … ──loops──▶ EXHAUSTED, a system alarm
                                                   │ ACKNOWLEDGED
                                                   ▼
                                                answered ──ack_timeout_s──▶ REALARMED: calling anew
    both: REMINDED every repeat_s once nobody else is called · masked: parked, UNMASKED calls anew · end: forgotten

Ticks are records of the journal, so every step is taken at the same instant however often the core crashed. What fell due
while there were no ticks is taken at the first one: of each alarm the newest step only, because who is called ten minutes
late is not helped by hearing it three times.

The alarms that this raises by itself, of class `system`, are kept here and not in the book: no rule and no series stands
behind them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from alerts.alarm import Alarm, Effects, Transition, What
from alerts.people import Ladder, People, Route
from alerts.rule import Severity
from telemetry.identity import alarm_id

SYSTEM = "system"
"""Class of the alarms that are about ourselves, and the site they belong to: all of the district."""
UNANSWERED = "unanswered"
UNDELIVERED = "undelivered"
DAMAGED = "journal-damaged"
"""Also the action of the command by which the core says that records of the journal cannot be trusted."""
CHANNEL_FAILS, CHANNEL_WORKS = "channel-fails", "channel-works"
"""Actions of the commands by which senders tell the engine, through the journal, how it goes."""
UNSTORED, STORED = "history-refuses", "history-works"
"""Actions of the commands by which the core says whether history lets it in; the first is the alarm's name, too."""
FAULT, MENDED = "fault", "mended"
"""Actions of the commands by which the core says what is wrong with its machine; they speak of ALARM/SUBJECT."""
FAULTS: Mapping[str, Severity] = {
    "disk-low": Severity.HIGH,
    "certificate-ends": Severity.HIGH,
    "clock-wrong": Severity.HIGH,
    "backup-old": Severity.MEDIUM,
    "incomplete": Severity.MEDIUM,
    "spool-full": Severity.HIGH,
    "spool-damaged": Severity.HIGH,
}
DUTY_MISSED, DUTY_OVER = "duty-missed", "duty-over"
"""Actions of the commands by which the core says that a daily duty was not signed in time, and that this is no matter any
more (the note says why); they speak of SITE/DUTY/DAY. The first is the alarm's name, too."""
DUTY = "duty"
"""Class of that alarm. It belongs to the duty's site."""
TOLD_ONCE = frozenset({DUTY_MISSED})
"""A reminder, and no emergency: people are told with the raise and at once, and nobody is called until somebody answers."""
OURS = frozenset({UNANSWERED, UNDELIVERED, DAMAGED, UNSTORED, DUTY_MISSED, *FAULTS})
"""Every alarm that no rule stands behind."""
_STARTS = (What.RAISED, What.SEVERITY_UP, What.REOPENED, What.REALARMED)
_UNSEEN = "unacknowledged"
_DUTIES_KEPT_MS = 30 * 86_400_000  # nobody says of an older one that it was missed


@dataclass(slots=True)
class Call:
    """Where an alarm is on its ladder."""

    alarm: str
    severity: Severity  # whose ladder it is
    since_ms: int  # when its first step was due
    taken: int  # steps so far, over all loops
    acknowledged_ms: int | None = None
    told_ms: int = 0  # when somebody was last called or reminded
    is_exhausted: bool = False
    is_parked: bool = False  # masked: nobody is called


class Kept(msgspec.Struct):
    """What is saved."""

    calls: list[Call]
    system: list[Alarm]
    damages: list[str] = []  # of the journal, that were told
    duties: dict[str, int] = {}  # missed ones that were told, and when


class Escalation:
    """The calls of all open alarms that have a route.

    Args:
        route_of: The route that each rule names.
        find: An open alarm by its id.
        is_quiet: Whether nobody may be called for an alarm now, not even because it has become worse.
    """

    def __init__(
        self,
        people: People,
        route_of: Mapping[str, str],
        find: Callable[[str], Alarm | None],
        is_quiet: Callable[[Alarm], bool] = lambda alarm: False,
    ) -> None:
        self._people = people
        self._route_of = route_of
        self._find = find
        self._is_quiet = is_quiet
        self._damages: list[str] = []
        self._duties: dict[str, int] = {}
        self._calls: dict[str, Call] = {}
        self._due: list[tuple[int, str]] = []  # a heap; entries that no longer hold are passed over
        self.system: dict[str, Alarm] = {}  # open alarms about ourselves

    def follow(self, effects: Effects) -> None:
        """Take note of what became of alarms."""
        # What follows from a step may be a step of its own, a system alarm's raise: it is followed as well.
        for taken in effects.transitions:
            self._follow(taken, effects.alarms[taken.alarm], effects)

    def advance(self, now_ms: int, effects: Effects) -> None:
        """Take the steps whose time has come."""
        while self._due and self._due[0][0] <= now_ms:
            due_ms, name = heapq.heappop(self._due)
            call = self._calls.get(name)
            alarm = self._alarm(name)
            if call is None or alarm is None or call.is_parked:
                continue
            ladder = self._ladder(alarm, call.severity)
            if ladder is None or self._next_ms(call, ladder) != due_ms:
                continue
            if self._is_quiet(alarm):
                call.is_parked = True
                continue
            self._step(call, alarm, ladder, now_ms, effects)
            self._wait(call, alarm)

    def hear(
        self,
        action: str,
        subject: str,
        seq: int,
        actor: str,
        note: str | None,
        known_ms: int,
        effects: Effects,
        said: Mapping[str, str] | None = None,
    ) -> str | None:
        """Do what a command asks where it is about ourselves: "" when done, else why not; None when it is not.

        Senders say how it goes with CHANNEL or CHANNEL/RECIPIENT; people speak of an alarm by its id. `said` is what a
        missed duty's alarm tells people, by language.
        """
        if action in (CHANNEL_FAILS, CHANNEL_WORKS):
            found = [
                alarm for alarm in self.system.values() if alarm.rule == UNDELIVERED and _subject(alarm) == subject
            ]
            if action == CHANNEL_FAILS and not found:
                channel, _, recipient = subject.partition("/")
                self._raise(UNDELIVERED, channel, recipient or None, Severity.HIGH, known_ms, note, effects)
            for alarm in found if action == CHANNEL_WORKS else ():
                self._close(alarm, What.RETURNED, known_ms, "delivered-again", effects)
            return ""
        if action in (UNSTORED, STORED):
            told = [alarm for alarm in self.system.values() if alarm.rule == UNSTORED]
            if action == UNSTORED and not told:
                self._raise(UNSTORED, subject, None, Severity.HIGH, known_ms, note, effects)
            for alarm in told if action == STORED else ():
                self._close(alarm, What.RETURNED, known_ms, "stored-again", effects)
            return ""
        if action in (FAULT, MENDED):
            rule, _, what = subject.partition("/")
            if rule not in FAULTS:
                return f"there is no alarm '{rule}' about ourselves"
            standing = [alarm for alarm in self.system.values() if (alarm.rule, alarm.device) == (rule, what)]
            if action == FAULT and not standing:
                self._raise(rule, what, None, FAULTS[rule], known_ms, note, effects)
            for alarm in standing if action == MENDED else ():
                self._close(alarm, What.RETURNED, known_ms, "mended", effects)
            return ""
        if action == DAMAGED:
            if subject not in self._damages:  # each is told once: whoever closed it has seen it
                self._damages.append(subject)
                self._raise(DAMAGED, subject, None, Severity.HIGH, known_ms, note, effects)
            return ""
        if action in (DUTY_MISSED, DUTY_OVER):
            return self._hear_of_duty(action, subject, note, said, known_ms, effects)
        about = self.system.get(subject)
        if about is None:
            return None
        if seq != about.seq and action != "comment":
            return f"the alarm has changed: step {about.seq} is the latest, you saw {seq}"
        if action == "acknowledge" and about.acknowledged_by is None:
            about.acknowledged_by = actor
            _note(about, What.ACKNOWLEDGED, known_ms, known_ms, "person", effects, actor=actor, note=note)
        elif action == "comment":
            _note(about, What.COMMENTED, known_ms, known_ms, "person", effects, actor=actor, note=note)
        elif action == "close":
            self._close(about, What.CLOSED, known_ms, "person", effects, actor=actor, note=note)
        elif action != "acknowledge":
            return "an alarm about ourselves can be acknowledged, commented and closed"
        return ""

    def _hear_of_duty(
        self,
        action: str,
        subject: str,
        note: str | None,
        said: Mapping[str, str] | None,
        known_ms: int,
        effects: Effects,
    ) -> str:
        if subject.count("/") != 2:
            return "a duty is named as SITE/DUTY/DAY"
        site, duty, day = subject.split("/")
        standing = [
            a for a in self.system.values() if (a.rule, a.site, a.device, a.key) == (DUTY_MISSED, site, duty, day)
        ]
        if action == DUTY_OVER:
            for alarm in standing:
                self._close(alarm, What.RETURNED, known_ms, note or "signed-late", effects)
        elif subject not in self._duties:  # once, also when somebody has closed it by hand since
            kept_ms = known_ms - _DUTIES_KEPT_MS
            self._duties = {name: told_ms for name, told_ms in self._duties.items() if told_ms > kept_ms}
            self._duties[subject] = known_ms
            self._raise(
                DUTY_MISSED, duty, day, Severity.MEDIUM, known_ms, None, effects, alarm_class=DUTY, site=site, said=said
            )
        return ""

    # --- memory -----------------------------------------------------------------------------------------------------

    def save(self) -> Kept:
        """Everything it knows."""
        return Kept(list(self._calls.values()), list(self.system.values()), self._damages, self._duties)

    def load(self, kept: Kept | None, open_alarms: Iterable[Alarm], now_ms: int) -> None:
        """Go on from what `save` gave, perhaps by other routes: an alarm that has one only now is called for now."""
        if kept is not None:
            self.system = {alarm.id: alarm for alarm in kept.system}
            self._damages = list(kept.damages)
            self._duties = dict(kept.duties)
            self._calls = {call.alarm: call for call in kept.calls if self._alarm(call.alarm) is not None}
        for alarm in (*open_alarms, *self.system.values()):
            call = self._calls.get(alarm.id)
            if call is None and self._ladder(alarm, alarm.severity) is not None:
                call = self._calls[alarm.id] = Call(alarm.id, alarm.severity, now_ms, 0)
                call.acknowledged_ms = None if alarm.acknowledged_by is None else now_ms
                call.is_parked = bool(alarm.masks)
            if call is not None:
                self._wait(call, alarm)

    # --- the ladder -------------------------------------------------------------------------------------------------

    def _follow(self, taken: Transition, alarm: Alarm, effects: Effects) -> None:
        if taken.what is What.ACKNOWLEDGED or taken.what.is_end:
            for answered in [a for a in self.system.values() if a.rule == UNANSWERED and a.key == taken.alarm]:
                self._close(answered, What.RETURNED, taken.known_ms, "answered", effects)
        if taken.what.is_end:
            self._calls.pop(taken.alarm, None)
            return
        call = self._calls.get(taken.alarm)
        if taken.what in _STARTS or (taken.what is What.UNMASKED and alarm.acknowledged_by is None):
            ladder = self._ladder(alarm, taken.severity)
            if ladder is None:
                self._calls.pop(taken.alarm, None)
                return
            call = Call(taken.alarm, taken.severity, taken.known_ms, ladder.first, told_ms=taken.known_ms)
            call.is_parked = taken.quiet is not None
            self._calls[taken.alarm] = call
        elif call is None:
            return
        elif taken.what is What.ACKNOWLEDGED:
            call.acknowledged_ms = call.told_ms = taken.known_ms
        elif taken.what is What.UNMASKED:
            call.is_parked = False
        elif taken.what is What.MASKED:
            call.is_parked = True
        else:
            return
        self._wait(call, alarm)

    def _wait(self, call: Call, alarm: Alarm) -> None:
        ladder = self._ladder(alarm, call.severity)
        due_ms = None if ladder is None or call.is_parked else self._next_ms(call, ladder)
        if due_ms is not None:
            heapq.heappush(self._due, (due_ms, call.alarm))

    @staticmethod
    def _next_ms(call: Call, ladder: Ladder) -> int | None:
        """When the next thing happens by itself; None when nothing does."""
        repeat_ms = None if ladder.repeat_s is None else call.told_ms + round(1000 * ladder.repeat_s)
        if call.acknowledged_ms is not None:
            if ladder.ack_timeout_s is None:
                return repeat_ms
            timeout_ms = call.acknowledged_ms + round(1000 * ladder.ack_timeout_s)
            return timeout_ms if repeat_ms is None else min(timeout_ms, repeat_ms)
        if call.is_exhausted:
            return repeat_ms
        if call.taken < _step_count(ladder):
            return call.since_ms + _offset_ms(ladder, call.taken)
        return repeat_ms if ladder.digest else call.since_ms + ladder.loops * ladder.loop_ms

    def _step(self, call: Call, alarm: Alarm, ladder: Ladder, now_ms: int, effects: Effects) -> None:
        due_ms = self._next_ms(call, ladder)
        assert due_ms is not None
        if call.acknowledged_ms is not None:
            timeout_s = ladder.ack_timeout_s
            if timeout_s is not None and call.acknowledged_ms + round(1000 * timeout_s) <= now_ms:
                alarm.acknowledged_by = call.acknowledged_ms = None
                self._tell(call, alarm, What.REALARMED, due_ms, now_ms, "acknowledged-long-ago", None, effects)
                call.since_ms, call.taken, call.is_exhausted = now_ms, ladder.first, False
            else:
                self._tell(call, alarm, What.REMINDED, due_ms, now_ms, "still-open", 0, effects)
        elif call.taken < _step_count(ladder):
            while call.taken < _step_count(ladder) and call.since_ms + _offset_ms(ladder, call.taken) <= now_ms:
                due_ms = call.since_ms + _offset_ms(ladder, call.taken)
                call.taken += 1
            if not ladder.digest and call.since_ms + ladder.loops * ladder.loop_ms <= now_ms:
                self._exhaust(call, alarm, ladder, now_ms, effects)
                return
            step = (call.taken - 1) % len(ladder.steps)
            self._tell(call, alarm, What.ESCALATED, due_ms, now_ms, _UNSEEN, step, effects)
        elif call.is_exhausted or ladder.digest:
            self._tell(call, alarm, What.REMINDED, due_ms, now_ms, "still-open", len(ladder.steps) - 1, effects)
        else:
            self._exhaust(call, alarm, ladder, now_ms, effects)

    def _tell(
        self,
        call: Call,
        alarm: Alarm,
        what: What,
        due_ms: int,
        now_ms: int,
        reason: str,
        step: int | None,
        effects: Effects,
    ) -> None:
        call.told_ms = now_ms
        _note(alarm, what, due_ms, now_ms, reason, effects, step=step)

    def _exhaust(self, call: Call, alarm: Alarm, ladder: Ladder, now_ms: int, effects: Effects) -> None:
        call.is_exhausted = True
        due_ms = call.since_ms + ladder.loops * ladder.loop_ms
        self._tell(call, alarm, What.EXHAUSTED, due_ms, now_ms, _UNSEEN, len(ladder.steps) - 1, effects)
        # That nobody answers for an alarm about ourselves is said by that alarm already.
        if alarm.alarm_class != SYSTEM and not any(a.key == alarm.id for a in self.system.values()):
            self._raise(UNANSWERED, alarm.rule, alarm.id, Severity.CRITICAL, now_ms, alarm.id, effects)

    def _ladder(self, alarm: Alarm, severity: Severity) -> Ladder | None:
        route = None if alarm.rule in TOLD_ONCE else self.route(alarm)
        return None if route is None else route.ladder(severity)

    def route(self, alarm: Alarm) -> Route | None:
        """How an alarm finds people."""
        return route_of(alarm.rule, alarm.alarm_class, self._people, self._route_of)

    # --- alarms about ourselves -------------------------------------------------------------------------------------

    def _alarm(self, name: str) -> Alarm | None:
        return self.system.get(name) or self._find(name)

    def _raise(
        self,
        rule: str,
        subject: str,
        key: str | None,
        severity: Severity,
        known_ms: int,
        note: str | None,
        effects: Effects,
        *,
        alarm_class: str = SYSTEM,
        site: str = SYSTEM,
        said: Mapping[str, str] | None = None,
    ) -> None:
        alarm = Alarm(
            id=alarm_id(rule, subject, site, key, known_ms),
            rule=rule,
            alarm_class=alarm_class,
            site=site,
            place="",
            device=subject,
            metric=SYSTEM,
            key=key,
            severity=severity,
            severity_max=severity,
            seq=0,
            onset_ms=known_ms,
            raised_ms=known_ms,
            value=None,
            limit=None,
            said=None if said is None else dict(said),
        )
        self.system[alarm.id] = alarm
        _note(alarm, What.RAISED, known_ms, known_ms, rule, effects, note=note)

    def _close(
        self,
        alarm: Alarm,
        what: What,
        known_ms: int,
        reason: str,
        effects: Effects,
        *,
        actor: str | None = None,
        note: str | None = None,
    ) -> None:
        del self.system[alarm.id]
        alarm.closed_ms, alarm.closed_reason = known_ms, reason
        _note(alarm, what, known_ms, known_ms, reason, effects, actor=actor, note=note)


def route_of(rule: str, alarm_class: str, people: People, route_names: Mapping[str, str]) -> Route | None:
    """How an alarm finds people: by the route that its rule names, or the one for what is about ourselves."""
    name = route_names.get(rule)
    # A rule of the district may be of this class, too, and then names its own.
    if name is None and rule in OURS and alarm_class == SYSTEM:
        name = people.system_route
    if name is None and rule == DUTY_MISSED and alarm_class == DUTY:
        name = people.duty_route or people.system_route
    if name is None and rule not in OURS:
        name = people.route_of_class.get(alarm_class)
    return None if name is None else people.route.get(name)


def _subject(alarm: Alarm) -> str:
    return alarm.device if alarm.key is None else f"{alarm.device}/{alarm.key}"


def _step_count(ladder: Ladder) -> int:
    return ladder.loops * len(ladder.steps)


def _offset_ms(ladder: Ladder, number: int) -> int:
    loop, step = divmod(number, len(ladder.steps))
    return loop * ladder.loop_ms + round(1000 * ladder.steps[step].after_s)


def _note(
    alarm: Alarm,
    what: What,
    event_ms: int,
    known_ms: int,
    reason: str,
    effects: Effects,
    *,
    actor: str | None = None,
    note: str | None = None,
    step: int | None = None,
) -> None:
    alarm.seq += 1
    effects.transitions.append(
        Transition(
            alarm.id, alarm.seq, what, alarm.severity, event_ms, known_ms, reason, actor, note, alarm.value, step=step
        )
    )
    effects.alarms[alarm.id] = alarm
