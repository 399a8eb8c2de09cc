"""What would be known of some series if their readings had come in order, and how what was said is put right by it.

A past is a second set of conditions with alarms of its own. It starts from a moment before something was missed, is shown
readings in the order of their times, and lets happen in between what people decided. When it has arrived at the present, what
was said is compared with what is true, alarm by alarm, and put right by transitions; then the past becomes the present.

An alarm that fired by time after the last reading before that moment fired on nothing but silence: the past takes that back,
for the readings that are to come know better. What a person decided meanwhile holds in both: where they closed an alarm, the
true one ends too.

Pure: no clock, no disk, no network. Axes: N readings, S series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from alerts.alarm import LATE_DATA, PERSON, Alarm, Effects, What, Where
from alerts.book import AlarmBook
from alerts.conditions import RETRACTED, Conditions, Step
from alerts.program import Program
from alerts.rule import Severity
from alerts.seen import Seen
from telemetry.batch import Masks, ReadingBatch, Times
from telemetry.identity import alarm_id
from telemetry.journal import Stored
from telemetry.quality import Quality

NEVER_MS = np.iinfo(np.int64).max

Reread = Callable[[int, int], Iterator[Stored]]
"""(after, through) -> the journal's records in between, all that are still held, oldest first."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person closed an alarm of a level while its past was not known yet."""

    known_ms: int
    rule: int
    series: int


class Past:
    """What is true of some series, beside what was said of them.

    Args:
        present: What the engine takes for true now.
        said: The alarms that people know of.
        without: Rules that are not judged here.
    """

    def __init__(self, program: Program, present: Conditions, said: AlarmBook, without: frozenset[int]) -> None:
        self._program = program
        self._present, self._said, self._without = present, said, without
        self.conditions = Conditions(program)
        self.book = AlarmBook(program)
        self.of: Masks = np.zeros(len(program.names), np.bool_)  # (S,) the series that it is about
        self.over: list[tuple[Where, Alarm]] = []  # what truly was, and is over
        self.closed: list[tuple[Where, Alarm]] = []  # what people knew of, and was closed since
        self.decisions: list[Decision] = []
        self._passages: list[Seen] = []  # that nobody has asked for yet

    def passages(self) -> list[Seen]:
        """Passages that were seen since it was last asked."""
        found, self._passages = self._passages, []
        return found

    def is_level(self, where: Where) -> bool:
        """Whether alarms about this are judged here."""
        return where[2] is None and self._is_judged(where[0], where[1])

    def _is_judged(self, rule: int, series: int) -> bool:
        apart = self._program.apart.get(rule)
        return rule not in self._without and (apart is None or not apart[series])

    def remember_open(self, where: Where, alarm: Alarm) -> None:
        """An alarm was open at the moment from which this past goes on; `alarm` itself is left as it is."""
        rule, series, _ = where
        firing = self.conditions.firing(rule, series)
        undone = self.conditions.undo_time(np.array(sorted(firing), np.intp))
        before = replace(alarm, heights=list(alarm.heights))
        if len(undone):
            left = firing.difference(undone.tolist())
            last_ms = int(self.conditions.last_ms[series])
            before.heights = [(at_ms, severity) for at_ms, severity in alarm.heights if at_ms <= last_ms]
            if not left:
                if alarm.ended_before_ms is not None and before.heights:  # only its coming back is undone
                    before.severity = before.severity_max = max(severity for _, severity in before.heights)
                    before.closed_ms, before.closed_reason = alarm.ended_before_ms, "good-readings"
                    self.remember_recent(where, before, alarm)
                return
            before.severity = Severity(max(int(self._program.severity[instance]) for instance in left))
            before.severity_max = max((severity for _, severity in before.heights), default=before.severity)
        self.book.enter(where, before)

    def remember_recent(self, where: Where, alarm: Alarm, said: Alarm) -> None:
        """An alarm had ended shortly before: `alarm` as it stood then, `said` as people know it now."""
        self.book.recent[where] = alarm
        self.over.append((where, alarm))
        self.closed.append((where, said))

    def ended(self, ended: Sequence[tuple[Where, Alarm]]) -> None:
        """Alarms that people know of were closed since."""
        for where, alarm in ended:
            if self.is_level(where) and self.of[where[1]]:
                self.closed.append((where, alarm))
                if alarm.closed_reason == PERSON:
                    assert alarm.closed_ms is not None
                    self.decisions.append(Decision(alarm.closed_ms, where[0], where[1]))

    def judge(self, batch: ReadingBatch) -> int:
        """Show it readings, and let what people decided happen in between them; how many were late."""
        late = 0
        for decision in list(self.decisions):
            of_series = batch.series == decision.series
            if (of_series & (batch.time_ms > decision.known_ms)).any():
                before = of_series & (batch.time_ms <= decision.known_ms)
                late += self._show(rows_of(batch, before))
                self.decide(decision)
                self.decisions.remove(decision)
                batch = rows_of(batch, ~before)
        return late + self._show(batch)

    def _show(self, batch: ReadingBatch) -> int:
        judged = self.conditions.readings(batch)
        self._follow(judged.steps)
        effects = Effects()
        self.book.release(self.conditions.last_ms, 0, effects)
        self.over += effects.ended
        self._passages += judged.passages
        return len(judged.overtaken)

    def decide(self, decision: Decision) -> None:
        """What a person closed is over here too."""
        only = np.zeros(len(self.of), np.bool_)
        only[decision.series] = True
        self._follow(self.conditions.by_time(decision.known_ms, only))
        alarm = self.book.open.get((decision.rule, decision.series, None))
        if alarm is not None:
            effects = Effects()
            at_ms = decision.known_ms
            self.book.close(alarm, What.CLOSED, at_ms, at_ms, PERSON, effects)
            self.over += effects.ended

    def _follow(self, steps: Iterable[Step]) -> None:
        effects = Effects()
        for step in steps:
            if self._is_judged(step.rule, step.series):
                self.book.follow(step, step.time_ms, effects)
        self.over = still_over([*self.over, *effects.ended])

    def arrive(self, of: Masks, tick_ms: int, listened_ms: Times) -> None:
        """All readings of these series, (S,), were shown: let time pass, and bring what people did up to date.

        Args:
            listened_ms: For how long each series could have been heard since it last was, (S,).
        """
        for decision in self.decisions:
            if of[decision.series]:
                self.decide(decision)
        self._follow(self.conditions.by_time(tick_ms, of, listened_ms))
        self._end_seen()
        # What time had raised was listened for then; readings that only bear it out must not take it back.
        borne_out = np.zeros(len(of), np.bool_)
        for where in self._said.open.keys() - self.book.open.keys():
            borne_out[where[1]] |= of[where[1]] and self.is_level(where)
        self._follow(self.conditions.by_time(tick_ms, borne_out))
        self.closed = still_over(self.closed)

    def become_present(self, of: Masks, known_ms: int, effects: Effects) -> None:
        """What is true of these series, (S,), is true from now on; what was said of them is put right."""
        self._put_right(of, known_ms, effects)
        self._hand_over(of, effects)
        self._present.adopt(self.conditions, of, self._without)

    def forget(self, of: Masks) -> None:
        """Let go of these series, (S,)."""
        self.of &= ~of
        self.over = [(where, alarm) for where, alarm in self.over if self.of[where[1]]]
        self.closed = [(where, alarm) for where, alarm in self.closed if self.of[where[1]]]
        self.decisions = [decision for decision in self.decisions if self.of[decision.series]]
        book = self.book
        for where in [where for where in book.open if not self.of[where[1]]]:
            del book.by_id[book.open.pop(where).id]
        book.held = {where for where in book.held if self.of[where[1]]}
        book.recent = {where: alarm for where, alarm in book.recent.items() if self.of[where[1]]}
        book.changes = {where: changes for where, changes in book.changes.items() if self.of[where[1]]}

    def _end_seen(self) -> None:
        """What is latched until a person has seen it, and was seen in the meantime, is over."""
        for where, alarm in list(self.book.open.items()):
            if self._end_if_seen(where, alarm, alarm.acknowledged_by):
                self.over.append((where, alarm))

    def _end_if_seen(self, where: Where, alarm: Alarm, by: str | None) -> bool:
        """End an alarm that waits for nothing but a person who has seen it, if somebody has."""
        latch = self._program.rules[where[0]].latch
        # One that flaps rests first, whoever has seen it.
        is_over = alarm.is_open and alarm.over_ms is not None and not alarm.flapping
        if by is None or not is_over or latch != "until-acknowledged":
            return False
        assert alarm.over_ms is not None
        self.book.close(alarm, What.RETURNED, alarm.over_ms, alarm.over_ms, PERSON, Effects())
        return True

    def _put_right(self, of: Masks, known_ms: int, effects: Effects) -> None:
        true = _by_where(of, self.over, self.book.open.items())
        levels = [(where, alarm) for where, alarm in self._said.open.items() if self.is_level(where)]
        actual = _by_where(of, self.closed, levels)
        for where in sorted(true.keys() | actual.keys(), key=lambda where: where[:2]):
            was, said = true.get(where, []), actual.get(where, [])
            partner = partners(was, said)
            for alarm in said:
                if all(alarm is not other for other in partner.values()):
                    self._retract(alarm, known_ms, effects)
            for number, occurrence in enumerate(was):
                if number in partner:
                    self._end_if_seen(where, occurrence, partner[number].acknowledged_by)
                    self._amend(where, partner[number], occurrence, known_ms, effects)
                else:
                    self._add(where, occurrence, known_ms, effects)

    def _hand_over(self, of: Masks, effects: Effects) -> None:
        """What the present must know of what is over: what may come back as the same alarm, and how often things changed."""
        book = self._said
        book.recent = {
            where: alarm for where, alarm in book.recent.items() if not of[where[1]] or not self.is_level(where)
        }
        for where, alarms in _by_where(of, still_over([*self.closed, *effects.ended])).items():
            newest = max(alarms, key=_end_ms)
            if where not in book.open and newest.closed_reason not in (PERSON, RETRACTED):
                book.recent[where] = newest
        for where, changes in self.book.changes.items():
            if of[where[1]]:
                book.changes[where] = changes

    def add_what_is_known(self, of: Masks, known_ms: int, effects: Effects) -> None:
        """Records are gone: what the present says stands, and nothing is taken back; only what was missed is added."""
        levels = [(where, alarm) for where, alarm in self._said.open.items() if self.is_level(where)]
        actual = _by_where(of, self.closed, levels)
        for where, was in _by_where(of, self.over, self.book.open.items()).items():
            partner = partners(was, actual.get(where, []))
            for number, occurrence in enumerate(was):
                if number not in partner:
                    if occurrence.is_open:
                        occurrence.closed_ms = int(self.conditions.last_ms[where[1]])
                    self._add(where, occurrence, known_ms, effects)

    def _retract(self, alarm: Alarm, known_ms: int, effects: Effects) -> None:
        if alarm.is_open:
            self._said.close(alarm, What.CLOSED, known_ms, known_ms, RETRACTED, effects)
        elif alarm.closed_reason not in (PERSON, RETRACTED):
            alarm.closed_reason = RETRACTED
            self._said.note(alarm, What.AMENDED, known_ms, known_ms, RETRACTED, effects)

    def _add(self, where: Where, occurrence: Alarm, known_ms: int, effects: Effects) -> None:
        alarm = replace(occurrence, seq=0, raised_ms=known_ms, assigned_to=None)
        raised_ms = occurrence.raised_ms  # of the past: when it would have been told
        if alarm.is_open:
            self._said.enter(where, alarm)
            self._said.note(alarm, What.RAISED, raised_ms, known_ms, LATE_DATA, effects, value=alarm.value)
            if alarm.flapping:
                self._say_how_it_is(alarm, known_ms, effects)
        else:
            assert alarm.closed_ms is not None
            alarm.severity, alarm.closed_reason = alarm.severity_max, LATE_DATA
            self._said.note(alarm, What.RAISED, raised_ms, known_ms, LATE_DATA, effects, value=alarm.value)
            self._said.note(alarm, What.RETURNED, alarm.closed_ms, known_ms, LATE_DATA, effects, value=alarm.value)
            effects.ended.append((where, alarm))
        self._said.told_locally(alarm, alarm.id, known_ms, effects)

    def _say_how_it_is(self, alarm: Alarm, known_ms: int, effects: Effects) -> None:
        what = What.FLAPPING if alarm.flapping else What.STEADY
        self._said.note(alarm, what, known_ms, known_ms, LATE_DATA, effects, value=alarm.value)

    def _amend(self, where: Where, alarm: Alarm, true: Alarm, known_ms: int, effects: Effects) -> None:
        """Bring an alarm that people know of to what is true. Its id stays."""
        book = self._said
        by_readings = not alarm.is_open and alarm.closed_reason != PERSON
        closed_ms = true.closed_ms if by_readings and not true.is_open else alarm.closed_ms
        changed = (true.onset_ms, true.severity_max, closed_ms)
        never_was = alarm.closed_reason == RETRACTED
        if never_was and not true.is_open:
            alarm.closed_reason = LATE_DATA  # it was after all
        if never_was or (alarm.onset_ms, alarm.severity_max, alarm.closed_ms) != changed:
            alarm.onset_ms, alarm.severity_max, alarm.closed_ms = changed
            book.note(alarm, What.AMENDED, known_ms, known_ms, LATE_DATA, effects, value=true.value)
            book.told_locally(
                alarm, alarm_id(alarm.rule, alarm.device, alarm.metric, None, true.onset_ms), known_ms, effects
            )
        alarm.heights, alarm.ended_before_ms = true.heights, true.ended_before_ms
        if by_readings and true.is_open:
            alarm.closed_ms = alarm.closed_reason = None
            alarm.severity, alarm.value = true.severity, true.value
            book.enter(where, alarm)
            book.note(alarm, What.REOPENED, known_ms, known_ms, LATE_DATA, effects, value=true.value)
        elif alarm.is_open and true.closed_ms is not None:
            book.close(alarm, What.RETURNED, true.closed_ms, known_ms, LATE_DATA, effects, value=true.value)
        elif alarm.is_open and true.severity > alarm.severity:
            book.worsen(alarm, true.severity, known_ms, known_ms, LATE_DATA, effects, value=true.value)
        elif alarm.is_open and true.severity < alarm.severity:
            alarm.severity = true.severity
            book.note(alarm, What.SEVERITY_DOWN, known_ms, known_ms, LATE_DATA, effects, value=true.value)
        if alarm.is_open:
            alarm.value, alarm.limit, alarm.forecast = true.value, true.limit, true.forecast
            alarm.over_ms = true.over_ms
            if alarm.flapping != true.flapping:
                alarm.flapping = true.flapping
                (book.held.add if alarm.flapping else book.held.discard)(where)
                self._say_how_it_is(alarm, known_ms, effects)


def partners(true: Sequence[Alarm], said: Sequence[Alarm]) -> dict[int, Alarm]:
    """Which alarm that people know of is which true occurrence: number of the occurrence -> alarm.

    One of the same id is the same: ids follow from onsets, and no two alarms may have one. Others must overlap in time: of
    these one of the same onset is the same, then one that a person closed at the same moment; of the
    rest, both being open weighs most, because whoever holds an open alarm should keep it.
    """
    candidates = sorted(
        (
            was.id != is_said.id,
            was.onset_ms != is_said.onset_ms,
            not _same_decision(was, is_said),
            not (was.is_open and is_said.is_open),
            i,
            j,
        )
        for i, was in enumerate(true)
        for j, is_said in enumerate(said)
        if was.id == is_said.id
        or was.onset_ms == is_said.onset_ms
        or (
            is_said.closed_reason != RETRACTED and was.onset_ms <= _end_ms(is_said) and is_said.onset_ms <= _end_ms(was)
        )
    )
    found: dict[int, Alarm] = {}
    taken: set[int] = set()
    for *_, i, j in candidates:
        if i not in found and j not in taken:
            found[i] = said[j]
            taken.add(j)
    return found


def _same_decision(was: Alarm, is_said: Alarm) -> bool:
    return was.closed_reason == is_said.closed_reason == PERSON and was.closed_ms == is_said.closed_ms


def _end_ms(alarm: Alarm) -> int:
    return NEVER_MS if alarm.closed_ms is None else alarm.closed_ms


def _by_where(of: Masks, *sources: Iterable[tuple[Where, Alarm]]) -> dict[Where, list[Alarm]]:
    """Alarms of some series by what they are about, in the order of their onset."""
    found: dict[Where, list[Alarm]] = {}
    for source in sources:
        for where, alarm in source:
            if of[where[1]]:
                found.setdefault(where, []).append(alarm)
    for alarms in found.values():
        alarms.sort(key=lambda alarm: alarm.onset_ms)
    return found


def still_over(ended: Iterable[tuple[Where, Alarm]]) -> list[tuple[Where, Alarm]]:
    """What was not opened again, once each: an alarm that came back may have ended more than once."""
    return list({id(alarm): (where, alarm) for where, alarm in ended if not alarm.is_open}.values())


def usable(batch: ReadingBatch, of: Masks) -> ReadingBatch:
    """Readings of some series, (S,), that are an observation."""
    return rows_of(batch, of[batch.series] & (batch.quality < Quality.BAD))


def rows_of(batch: ReadingBatch, chosen: Masks | np.ndarray[tuple[int], np.dtype[np.intp]]) -> ReadingBatch:
    """Some readings of a batch: a mask (N,), or numbers in the order in which they are wanted."""
    keys: dict[int, str] = {}
    if batch.keys:
        kept = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        keys = {new: batch.keys[old] for new, old in enumerate(kept.tolist()) if old in batch.keys}
    return ReadingBatch(batch.series[chosen], batch.time_ms[chosen], batch.value[chosen], batch.quality[chosen], keys)
