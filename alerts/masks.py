"""Masks: why nobody is called for an alarm that is open. A mask hides notices, never state.

An alarm is masked while somebody has shelved it, while its device or place is in maintenance or out of service, while an
alarm that explains it is open (`masked_by` of its rule), and, where its rule names such causes and it is not urgent, for
the first seconds in which the cause may still come. Every mask has an owner, a reason and an end: a moment, or the end of
the cause and a time to settle after it. When the last mask of an open alarm ends, people are called for it after all, with
the true onset; what began and ended behind a mask stays in the record.

A rise in severity above the one that was shelved breaks the shelf, and it stays broken: what is left of a worse alarm is
not what somebody had put aside. Whoever shelves may do so for eight hours at most, for one hour what is critical. Source:
reference/alarms.md §3.5, §3.6 (cause_hold), after OPC UA part 9 and ISA-18.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from alerts.alarm import Alarm, Effects, Masked, What, Where
from alerts.book import AlarmBook
from alerts.calendar import is_open, next_change_ms
from alerts.causes import Causes
from alerts.inferred import Inferred
from alerts.program import Program
from alerts.rule import Severity

_HOUR_MS = 3_600_000
SHELF_MAX_MS = {
    Severity.LOW: 8 * _HOUR_MS,
    Severity.MEDIUM: 8 * _HOUR_MS,
    Severity.HIGH: 8 * _HOUR_MS,
    Severity.CRITICAL: _HOUR_MS,
}
MAINTENANCE_MAX_MS = 31 * 24 * _HOUR_MS
OUT_OF_SERVICE_MAX_MS = 366 * 24 * _HOUR_MS
HOLD_MS = 15_000
_MASKS_MAX = 10_000  # declared ones at a time
_MAY_CHANGE_MASKS = (What.RAISED, What.REOPENED, What.SEVERITY_UP, What.SEVERITY_DOWN, What.AMENDED)
_CALLED_FOR = (What.RAISED, What.SEVERITY_UP, What.REOPENED, What.FLAPPING, What.AMENDED)


class MaskKind(StrEnum):
    """Why nobody is called."""

    SHELVED = "shelved"  # a person put it aside for a while
    MAINTENANCE = "maintenance"  # people are at work there
    OUT_OF_SERVICE = "out-of-service"  # it does not count for now
    CAUSE = "cause"  # an alarm that explains it is open, or was a moment ago
    HELD = "held"  # its cause may be about to come
    SCHEDULE = "schedule"  # its rule calls nobody at this time


_EXPLAIN = (MaskKind.CAUSE, MaskKind.HELD)
"""What explains an alarm does not explain that it gets worse."""


def hides_what_is_worse(alarm: Alarm) -> bool:
    """Whether nobody is called for an alarm, not even when it has become worse."""
    return any(mask.kind not in _EXPLAIN for mask in alarm.masks)


@dataclass(slots=True)
class Mask:
    """A mask that a person declared. It covers alarms that agree with every part of it that is given."""

    id: str
    kind: MaskKind
    owner: str
    reason: str
    from_ms: int
    until_ms: int
    rule: str | None = None
    device: str | None = None
    metric: str | None = None
    key: str | None = None
    place: str | None = None  # and all below it
    site: str | None = None
    severity: Severity = Severity.CRITICAL  # nothing worse than this
    one_shot: bool = False  # ends with the alarm that it was made for
    ended_ms: int | None = None


@dataclass(slots=True)
class MaskState:
    """All that is remembered."""

    declared: dict[str, Mask] = field(default_factory=dict)
    by_cause: dict[str, dict[str, int | None]] = field(default_factory=dict)  # alarm -> {cause: until, None while open}
    held: dict[str, int] = field(default_factory=dict)  # alarm -> until
    schedules: dict[str, tuple[bool, int | None]] = field(default_factory=dict)  # name -> (is open, until)
    put_aside: dict[str, list[str]] = field(default_factory=dict)  # rule -> nodes whose inferred alarm a person closed


class Masks:
    """Who is not called for what, and until when."""

    def __init__(self, program: Program, book: AlarmBook) -> None:
        self._program = program
        self._book = book
        self._rule_number = {rule.id: number for number, rule in enumerate(program.rules)}
        self._causes = Causes(program.rules, program.catalogue)
        self._inferred = Inferred(program, book)
        self._schedule_of = {rule.id: rule.schedule for rule in program.rules if rule.schedule is not None}
        self._schedules = {name: program.schedules[name] for name in sorted(set(self._schedule_of.values()))}
        self.state = MaskState()
        self._next_ms: int | None = 0 if self._schedules else None  # nothing ends before

    # --- what people declare ----------------------------------------------------------------------------------------

    def declare(self, mask: Mask, now_ms: int, effects: Effects) -> str:
        """Take a person's mask into force; why not, or ""."""
        longest_ms = {
            MaskKind.SHELVED: SHELF_MAX_MS[mask.severity],
            MaskKind.MAINTENANCE: MAINTENANCE_MAX_MS,
            MaskKind.OUT_OF_SERVICE: OUT_OF_SERVICE_MAX_MS,
        }[mask.kind]
        if not mask.reason:
            return "say why: a mask needs a reason"
        if mask.until_ms <= now_ms:
            return "the end of a mask must lie in the future"
        if mask.until_ms - now_ms > longest_ms:
            return f"{mask.kind.value} for {longest_ms // _HOUR_MS} h at most"
        if len(self.state.declared) >= _MASKS_MAX:
            return f"there are {_MASKS_MAX} masks in force; end some first"
        self.state.declared[mask.id] = mask
        self._soon(mask.until_ms)
        effects.masks[mask.id] = mask
        self._renew(self._covered(mask), now_ms, effects)
        return ""

    def end(self, mask_id: str, now_ms: int, effects: Effects) -> str:
        """A person takes a mask back; why not, or ""."""
        mask = self.state.declared.pop(mask_id, None)
        if mask is None:
            return "the mask is not in force"
        mask.ended_ms = now_ms
        effects.masks[mask.id] = mask
        self._renew(self._covered(mask), now_ms, effects)
        return ""

    def shelves_of(self, alarm: Alarm) -> list[str]:
        """The shelves that cover an alarm."""
        return [m.id for m in self.state.declared.values() if m.kind is MaskKind.SHELVED and self._covers(m, alarm)]

    # --- what a record brings ---------------------------------------------------------------------------------------

    def settle(self, now_ms: int, effects: Effects) -> None:
        """After a record was judged: causes that came and went, what has ended by now, and masks of what is new."""
        if self._next_ms is not None and now_ms >= self._next_ms:
            self._expire(now_ms, effects)
        if effects.transitions and self._concern():
            self._inferred.judge(now_ms, effects, self.state.put_aside)
            touched, covered = self._link(now_ms, effects)
            self._renew(touched, now_ms, effects)
            for taken in effects.transitions:
                if taken.what in _CALLED_FOR and taken.quiet is None:
                    alarm = effects.alarms[taken.alarm]
                    masks = [m.kind for m in (alarm.masks if alarm.is_open else covered.get(alarm.id, ()))]
                    if taken.what is What.SEVERITY_UP:
                        masks = [kind for kind in masks if kind not in _EXPLAIN]
                    taken.quiet = masks[0] if masks else None

    def _concern(self) -> bool:
        """Whether any rule names causes, or any mask is in force: else there is nothing to find out."""
        state = self.state
        known = state.declared or state.by_cause or state.held
        return bool(self._causes or self._program.inferred or self._schedules or known)

    def _link(self, now_ms: int, effects: Effects) -> tuple[list[Alarm], dict[str, list[Masked]]]:
        """Find which causes began or ended for whom.

        Returns:
            The alarms whose masks may have changed, and the masks that alarms had until they ended.
        """
        touched: dict[str, Alarm] = {}
        covered: dict[str, list[Masked]] = {}
        state, causes = self.state, self._causes
        for taken in list(effects.transitions):
            alarm = effects.alarms[taken.alarm]
            if taken.what in _MAY_CHANGE_MASKS:
                self._break_shelves(alarm, taken.severity, now_ms, effects)
            if taken.what.is_end:
                covered[alarm.id] = self._masks_of(alarm)
                state.by_cause.pop(alarm.id, None)
                state.held.pop(alarm.id, None)
                alarm.masks = []
                for mask in [m for m in state.declared.values() if m.one_shot and self._is_about(m, alarm)]:
                    self.end(mask.id, now_ms, effects)
                for child in self._children(alarm):
                    linked = state.by_cause.get(child.id, {})
                    if alarm.id in linked:
                        linked[alarm.id] = self._soon(now_ms + causes.settle_ms(child.rule, alarm.rule))
            elif not alarm.is_open:
                if taken.what in (What.RAISED, What.REOPENED):  # and over with the same record
                    self._begin(alarm, now_ms)
            elif taken.what in _MAY_CHANGE_MASKS:
                touched[alarm.id] = alarm
                if taken.what is What.SEVERITY_UP:
                    state.held.pop(alarm.id, None)
                elif taken.what in (What.RAISED, What.REOPENED):
                    self._begin(alarm, now_ms)
                    for child in self._children(alarm):
                        state.by_cause.setdefault(child.id, {})[alarm.id] = None
                        state.held.pop(child.id, None)
                        touched[child.id] = child
        return list(touched.values()), covered

    def _break_shelves(self, alarm: Alarm, severity: Severity, now_ms: int, effects: Effects) -> None:
        for mask in list(self.state.declared.values()):
            if mask.kind is MaskKind.SHELVED and mask.severity < severity and self._is_about(mask, alarm):
                self.end(mask.id, now_ms, effects)

    def _begin(self, alarm: Alarm, now_ms: int) -> None:
        """An alarm is new: is its cause known, or may it still come?"""
        parents = self._causes.parents(alarm.rule)
        if not parents:
            return
        for rule in parents:
            for where in self._open_of(rule):
                cause = self._book.open[where]
                if cause is not alarm and self._causes.explains(cause, alarm):
                    self.state.by_cause.setdefault(alarm.id, {})[cause.id] = None
        if alarm.id not in self.state.by_cause and alarm.severity <= Severity.MEDIUM:
            self.state.held[alarm.id] = self._soon(now_ms + HOLD_MS)

    def _children(self, cause: Alarm) -> list[Alarm]:
        return [
            child
            for rule in self._causes.children(cause.rule)
            for child in (self._book.open[where] for where in self._open_of(rule))
            if child is not cause and self._causes.explains(cause, child)
        ]

    def _open_of(self, rule: str) -> Sequence[Where]:
        number = self._rule_number.get(rule)
        return [where for where in self._book.open if where[0] == number]

    def _expire(self, now_ms: int, effects: Effects) -> None:
        state = self.state
        touched: dict[str, Alarm] = {}
        for mask in [m for m in state.declared.values() if m.until_ms <= now_ms]:
            del state.declared[mask.id]
            mask.ended_ms = mask.until_ms
            effects.masks[mask.id] = mask
            touched |= {alarm.id: alarm for alarm in self._covered(mask)}
        for name in [name for name, until_ms in state.held.items() if until_ms <= now_ms]:
            del state.held[name]
            touched |= self._known(name)
        for name, linked in list(state.by_cause.items()):
            for cause in [cause for cause, until_ms in linked.items() if until_ms is not None and until_ms <= now_ms]:
                del linked[cause]
                touched |= self._known(name)
            if not linked:
                del state.by_cause[name]
        touched |= {alarm.id: alarm for alarm in self._turn(now_ms)}
        self._next_ms = self._earliest()
        self._renew(touched.values(), now_ms, effects)

    def _turn(self, now_ms: int) -> list[Alarm]:
        """Schedules that open or close by now; the alarms that it may concern."""
        turned = set()
        for name, schedule in self._schedules.items():
            known = self.state.schedules.get(name)
            if known is None or (known[1] is not None and known[1] <= now_ms):
                self.state.schedules[name] = is_open(schedule, now_ms), next_change_ms(schedule, now_ms)
                turned.add(name)
        return [alarm for alarm in self._book.open.values() if self._schedule_of.get(alarm.rule) in turned]

    def _renew(self, alarms: Iterable[Alarm], now_ms: int, effects: Effects) -> None:
        """Say of alarms which masks they have now."""
        new = {taken.alarm for taken in effects.transitions if taken.what in (What.RAISED, What.REOPENED)}
        for alarm in alarms:
            if not alarm.is_open:
                continue
            was, alarm.masks = alarm.masks, self._masks_of(alarm)
            if alarm.masks and not was and alarm.id not in new:
                mask = alarm.masks[0]
                self._book.note(
                    alarm, What.MASKED, now_ms, now_ms, mask.kind, effects, actor=mask.owner, note=mask.reason
                )
            elif was and not alarm.masks:
                self._book.note(alarm, What.UNMASKED, now_ms, now_ms, was[0].kind, effects)
            elif was != alarm.masks:
                effects.alarms[alarm.id] = alarm

    # --- which ------------------------------------------------------------------------------------------------------

    def _masks_of(self, alarm: Alarm) -> list[Masked]:
        found = [
            Masked(mask.id, mask.kind.value, mask.owner, mask.reason, self._soon(mask.until_ms))
            for mask in self.state.declared.values()
            if self._covers(mask, alarm)
        ]
        found += [
            Masked(cause, MaskKind.CAUSE.value, None, cause, until_ms)
            for cause, until_ms in self.state.by_cause.get(alarm.id, {}).items()
        ]
        if alarm.id in self.state.held:
            found.append(Masked(alarm.id, MaskKind.HELD.value, None, "its cause may follow", self.state.held[alarm.id]))
        schedule = self._schedule_of.get(alarm.rule)
        if schedule is not None:
            is_open_now, until_ms = self.state.schedules.get(schedule, (True, None))
            if not is_open_now:
                found.append(Masked(schedule, MaskKind.SCHEDULE.value, None, f"outside of '{schedule}'", until_ms))
        return found

    def _covered(self, mask: Mask) -> list[Alarm]:
        return [alarm for alarm in self._book.open.values() if alarm.masks or self._covers(mask, alarm)]

    def _covers(self, mask: Mask, alarm: Alarm) -> bool:
        return alarm.severity <= mask.severity and self._is_about(mask, alarm)

    def _is_about(self, mask: Mask, alarm: Alarm) -> bool:
        """Whether they agree, however bad the alarm is."""
        asked = ((mask.rule, alarm.rule), (mask.device, alarm.device), (mask.metric, alarm.metric))
        if any(want is not None and want != have for want, have in (*asked, (mask.site, alarm.site))):
            return False
        if mask.key is not None and mask.key != alarm.key:
            return False
        return mask.place is None or mask.place in self._causes.path(alarm.place)

    def _known(self, name: str) -> dict[str, Alarm]:
        where = self._book.by_id.get(name)
        return {} if where is None else {name: self._book.open[where]}

    # --- time -------------------------------------------------------------------------------------------------------

    def _soon(self, at_ms: int) -> int:
        self._next_ms = at_ms if self._next_ms is None else min(self._next_ms, at_ms)
        return at_ms

    def _earliest(self) -> int | None:
        ends = [mask.until_ms for mask in self.state.declared.values()]
        ends += self.state.held.values()
        ends += [until for linked in self.state.by_cause.values() for until in linked.values() if until is not None]
        ends += [until for _, until in self.state.schedules.values() if until is not None]
        if self._schedules.keys() - self.state.schedules.keys():
            return 0
        return min(ends, default=None)

    def restore(self, state: MaskState) -> None:
        """Go on from what was kept; causes whose alarms or rules are gone explain nothing any more."""
        self.state = state
        state.schedules = {name: known for name, known in state.schedules.items() if name in self._schedules}
        open_ids = self._book.by_id
        state.held = {name: until for name, until in state.held.items() if name in open_ids}
        kept = {
            name: {cause: until for cause, until in linked.items() if until is not None or cause in open_ids}
            for name, linked in state.by_cause.items()
            if name in open_ids
        }
        state.by_cause = {name: linked for name, linked in kept.items() if linked}
        self._next_ms = self._earliest()

    def review(self, now_ms: int, effects: Effects) -> None:
        """Other rules hold: say of every alarm which masks it has now."""
        for name, linked in list(self.state.by_cause.items()):
            alarm = self._book.find(name)
            for cause in [self._book.find(each) for each, until_ms in linked.items() if until_ms is None]:
                if alarm is not None and cause is not None and not self._causes.explains(cause, alarm):
                    del linked[cause.id]
            if not linked:
                del self.state.by_cause[name]
        self._renew(list(self._book.open.values()), now_ms, effects)
        self.settle(now_ms, effects)
