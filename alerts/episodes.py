"""Outages that are being made up for: what a gateway kept meanwhile is judged as if it had never been late.

A gateway that comes back sends what is new first, and what it had kept behind it. What is new is judged at once, on what
was known before the outage; that can be wrong, and is provisional. Meanwhile a second set of conditions, the past, goes
on from the moment before the outage and sees the backlog in order. When the backlog is over, the past is shown what came
live since then, read from the journal again, and so arrives at the present as if nothing had been late. Then what was
said is compared with what is true, alarm by alarm, and put right by transitions; the past becomes the present.

An alarm that fired by time after the last reading before the outage fired on nothing but silence: the past takes that
back, for the backlog knows better. What a person decided meanwhile holds in both: where they closed an alarm, the true
one ends too. Rules about silence and about single passages are not in here; they do not depend on order.

Memory: one more set of arrays a series, and the alarms that came and went in the episode; never readings.
Pure: no clock, no disk, no network; the journal is a function that is given. Axes: N readings, S series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alerts.alarm import LATE_DATA, PERSON, Alarm, Effects, What, Where
from alerts.book import AlarmBook
from alerts.conditions import RETRACTED, Conditions, Step
from alerts.program import Program
from alerts.rule import Severity
from alerts.rules import InferredRule, SilenceRule
from alerts.seen import Seen
from telemetry.batch import Masks, ReadingBatch, Times, concatenate, decode_batch, empty_batch
from telemetry.identity import alarm_id
from telemetry.journal import Kind, Stored
from telemetry.quality import Quality

_NEVER_MS = np.iinfo(np.int64).max
_LONG_AGO_MS = np.iinfo(np.int64).min
_ROWS_AT_ONCE = 20_000  # of what is read again

Reread = Callable[[int, int], Iterator[Stored]]
"""(after, through) -> the journal's records in between, all that are still held, oldest first."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person closed an alarm of a level while its past was not known yet."""

    known_ms: int
    rule: int
    series: int


class Episodes:
    """The gateways that are catching up, and the past of their series.

    Args:
        present: What the engine takes for true now; replaced, series by series, when an episode ends.
        book: The alarms that people know of.
    """

    def __init__(self, program: Program, present: Conditions, book: AlarmBook, reread: Reread) -> None:
        self._program = program
        self._present, self._book, self._reread = present, book, reread
        online = program.gateway_online
        self._number = {program.names[o][0]: int(o) for o in np.unique(online).tolist() if o >= 0}
        of_time = (SilenceRule, InferredRule)
        self._silences = {number for number, rule in enumerate(program.rules) if isinstance(rule, of_time)}
        self._passages: list[Seen] = []  # of the backlog, that nobody has asked for yet
        self._clear()

    def _clear(self) -> None:
        self.after: dict[int, int] = {}  # gateway -> through which record the past has seen what came live
        self.gapped: set[int] = set()  # gateways of which records that were to be read again are gone
        self.past: Conditions | None = None
        self.past_book = AlarmBook(self._program)
        self.over: list[tuple[Where, Alarm]] = []  # what truly was, and is over
        self.closed: list[tuple[Where, Alarm]] = []  # what people knew of, and was closed since
        self.decisions: list[Decision] = []
        self.of: Masks = np.zeros(len(self._program.names), np.bool_)  # (S,) series of these gateways
        self.next_live_ms: Times = np.empty(0, np.int64)  # (S,) the earliest that came live and the past has not seen

    def __bool__(self) -> bool:
        return bool(self.after)

    @property
    def needed_after(self) -> int | None:
        """Records after this one are still to be read again; None when there are none."""
        return min(self.after.values(), default=None)

    def known(self, gateways: Iterable[str]) -> set[int]:
        """Those of which there are series, by number."""
        return {self._number[gateway] for gateway in gateways if gateway in self._number}

    def passages(self) -> list[Seen]:
        """Passages that the past has seen since it was last asked."""
        found, self._passages = self._passages, []
        return found

    def begin(self, gateways: set[int], offset: int) -> None:
        """Gateways are back, and record `offset` is the first that shows it: keep what is known up to there."""
        if self.past is None:
            self.past = Conditions(self._program)
            self.next_live_ms = np.full(len(self._program.names), _NEVER_MS, np.int64)
        new = self._series_of(gateways)
        self.past.adopt(self._present, new)
        self.next_live_ms[new] = _NEVER_MS
        self.of |= new
        self.after |= dict.fromkeys(gateways, offset - 1)
        for where, alarm in self._book.open.items():
            if self._is_level(where) and new[where[1]]:
                self._remember_open(self.past, where, alarm)
        for where, alarm in self._book.recent.items():
            if self._is_level(where) and new[where[1]]:
                before = replace(alarm, heights=list(alarm.heights))
                self.past_book.recent[where] = before
                self.over.append((where, before))
                self.closed.append((where, alarm))
        for where, changes in self._book.changes.items():
            if new[where[1]]:
                self.past_book.changes[where] = list(changes)

    def _remember_open(self, past: Conditions, where: Where, alarm: Alarm) -> None:
        rule, series, _ = where
        firing = past.firing(rule, series)
        undone = past.undo_time(np.array(sorted(firing), np.intp))
        before = replace(alarm, heights=list(alarm.heights))
        if len(undone):
            left = firing.difference(undone.tolist())
            if not left:
                return
            last_ms = int(past.last_ms[series])
            before.heights = [(at_ms, severity) for at_ms, severity in alarm.heights if at_ms <= last_ms]
            before.severity = Severity(max(int(self._program.severity[instance]) for instance in left))
            before.severity_max = max((severity for _, severity in before.heights), default=before.severity)
        self.past_book.enter(where, before)

    def came_live(self, batch: ReadingBatch) -> None:
        """Readings of these gateways were judged in the present; the past will see them when it gets there."""
        rows = self._usable(batch, self.of)
        np.minimum.at(self.next_live_ms, rows.series, rows.time_ms)

    def ended(self, ended: Sequence[tuple[Where, Alarm]]) -> None:
        """Alarms were closed by what a record said."""
        for where, alarm in ended:
            if self._is_level(where) and self.of[where[1]]:
                self.closed.append((where, alarm))
                if alarm.closed_reason == PERSON:
                    assert alarm.closed_ms is not None
                    self.decisions.append(Decision(alarm.closed_ms, where[0], where[1]))

    def acknowledged(self, where: Where, actor: str) -> None:
        """A person has seen an alarm; so they have in the past."""
        alarm = self.past_book.open.get(where)
        if alarm is not None:
            alarm.acknowledged_by = actor

    def take_backlog(self, batch: ReadingBatch, through: int) -> int:
        """Show the past what a gateway had kept; records up to `through` came before it. How many came late even so."""
        rows = self._usable(batch, self.of)
        overtakes = rows.time_ms > self.next_live_ms[rows.series]
        if not overtakes.any():
            return self._judge(rows)
        # The gateway was away twice, and part of what lies in between came live: that is first.
        gateways = set(np.unique(self._program.gateway_online[rows.series[overtakes]]).tolist())
        until_ms = np.full(len(self.of), _LONG_AGO_MS, np.int64)
        np.maximum.at(until_ms, rows.series, rows.time_ms)
        return self._judge_with_live(gateways, until_ms, rows, through)

    def end(
        self, gateways: set[int], through: int, tick_ms: int, known_ms: int, listened_ms: Times, effects: Effects
    ) -> None:
        """The backlog of gateways is over: bring their past to the present, and put right what was said."""
        assert self.past is not None
        until_ms = np.full(len(self.of), _NEVER_MS, np.int64)
        effects.late += self._judge_with_live(gateways, until_ms, empty_batch(), through)
        of = self._series_of(gateways)
        for decision in self.decisions:
            if of[decision.series]:
                self._decide(self.past, decision)
        self._follow(self.past.by_time(tick_ms, of, listened_ms))
        self._end_seen()
        # What time had raised was listened for then; a backlog that only bears it out must not take it back.
        borne_out = np.zeros(len(of), np.bool_)
        for where in self._book.open.keys() - self.past_book.open.keys():
            borne_out[where[1]] = of[where[1]] and self._is_level(where)
        self._follow(self.past.by_time(tick_ms, borne_out))
        whole = self._series_of(gateways - self.gapped)
        self.closed = _still_over(self.closed)
        self._put_right(whole, known_ms, effects)
        self._hand_over(whole, effects)
        self._add_what_is_known(of & ~whole, known_ms, effects)
        self._present.adopt(self.past, whole)
        effects.incomplete += [self._program.names[g][0] for g in sorted(gateways & self.gapped)]
        self._forget(gateways, of)

    def _end_seen(self) -> None:
        """What is latched until a person has seen it, and was seen in the meantime, is over."""
        effects = Effects()
        for where, alarm in list(self.past_book.open.items()):
            if (
                alarm.over_ms is not None
                and alarm.acknowledged_by is not None
                and self._program.rules[where[0]].latch == "until-acknowledged"
            ):
                self.past_book.close(alarm, What.RETURNED, alarm.over_ms, alarm.over_ms, PERSON, effects)
        self.over += effects.ended

    def _forget(self, gateways: set[int], of: Masks) -> None:
        for gateway in gateways:
            del self.after[gateway]
        if not self.after:
            self._clear()
            return
        self.gapped -= gateways
        self.of &= ~of
        self.over = [(where, alarm) for where, alarm in self.over if self.of[where[1]]]
        self.closed = [(where, alarm) for where, alarm in self.closed if self.of[where[1]]]
        self.decisions = [decision for decision in self.decisions if self.of[decision.series]]
        for where in [where for where in self.past_book.open if not self.of[where[1]]]:
            del self.past_book.by_id[self.past_book.open.pop(where).id]

    # --- the past ---------------------------------------------------------------------------------------------------

    def _judge_with_live(self, gateways: set[int], until_ms: Times, backlog: ReadingBatch, through: int) -> int:
        """Show the past some backlog, and in between, in the order of their times, what came live before `until_ms`.

        What it has seen before is read again and is late then, so that nobody has to keep count.

        Args:
            until_ms: (S,).
        """
        assert self.past is not None
        of = self._series_of(gateways)
        self.next_live_ms[of] = _NEVER_MS
        unseen: dict[int, int] = {}  # gateway -> the first record with something that is left for later
        after = min(self.after[gateway] for gateway in gateways)
        late, expected = 0, after + 1
        gathered: list[ReadingBatch] = []
        is_gapped = False
        for record in self._reread(after, through):
            is_gapped |= record.offset != expected
            expected = record.offset + 1
            if record.kind is not Kind.READINGS:
                continue
            rows = self._usable(decode_batch(record.payload), of)
            rows = _rows(rows, rows.time_ms > self.past.last_ms[rows.series])
            is_due = rows.time_ms < until_ms[rows.series]
            if not is_due.all():
                later = _rows(rows, ~is_due)
                np.minimum.at(self.next_live_ms, later.series, later.time_ms)
                for gateway in np.unique(self._program.gateway_online[later.series]).tolist():
                    unseen.setdefault(gateway, record.offset)
            gathered.append(_rows(rows, is_due))
            if sum(map(len, gathered)) >= _ROWS_AT_ONCE:
                late_now, backlog = self._judge_in_between(backlog, concatenate(gathered))
                late += late_now
                gathered = []
        if is_gapped or expected != through + 1:
            self.gapped |= gateways
        for gateway in gateways:
            self.after[gateway] = unseen.get(gateway, through + 1) - 1
        late_now, backlog = self._judge_in_between(backlog, concatenate(gathered))
        return late + late_now + self._judge(backlog)

    def _judge_in_between(self, backlog: ReadingBatch, live: ReadingBatch) -> tuple[int, ReadingBatch]:
        """Show the past live readings and the backlog from before the last of them; (late, the backlog that is left)."""
        if not len(backlog):
            return self._judge(live), backlog
        last_ms = np.full(len(self.of), _LONG_AGO_MS, np.int64)
        np.maximum.at(last_ms, live.series, live.time_ms)
        is_before = backlog.time_ms <= last_ms[backlog.series]
        both = concatenate([_rows(backlog, is_before), live])
        in_time = _rows(both, np.argsort(both.time_ms, kind="stable"))
        return self._judge(in_time), _rows(backlog, ~is_before)

    def _judge(self, batch: ReadingBatch) -> int:
        """Show readings to the past, and let what people decided happen in between them; how many were late."""
        assert self.past is not None
        late = 0
        for decision in list(self.decisions):
            of_series = batch.series == decision.series
            if (of_series & (batch.time_ms > decision.known_ms)).any():
                before = of_series & (batch.time_ms <= decision.known_ms)
                late += self._show(_rows(batch, before))
                self._decide(self.past, decision)
                self.decisions.remove(decision)
                batch = _rows(batch, ~before)
        return late + self._show(batch)

    def _show(self, batch: ReadingBatch) -> int:
        assert self.past is not None
        judged = self.past.readings(batch)
        self._follow(judged.steps)
        effects = Effects()
        self.past_book.release(self.past.last_ms, 0, effects)
        self.over += effects.ended
        self._passages += judged.passages
        return judged.late

    def _decide(self, past: Conditions, decision: Decision) -> None:
        only = np.zeros(len(self.of), np.bool_)
        only[decision.series] = True
        self._follow(past.by_time(decision.known_ms, only))
        alarm = self.past_book.open.get((decision.rule, decision.series, None))
        if alarm is not None:
            effects = Effects()
            at_ms = decision.known_ms
            self.past_book.close(alarm, What.CLOSED, at_ms, at_ms, PERSON, effects)
            self.over += effects.ended

    def _follow(self, steps: Iterable[Step]) -> None:
        effects = Effects()
        for step in steps:
            self.past_book.follow(step, step.time_ms, effects)
        self.over = _still_over([*self.over, *effects.ended])

    # --- the comparison ---------------------------------------------------------------------------------------------

    def _put_right(self, of: Masks, known_ms: int, effects: Effects) -> None:
        true = _by_where(of, self.over, self.past_book.open.items())
        levels = [(where, alarm) for where, alarm in self._book.open.items() if self._is_level(where)]
        actual = _by_where(of, self.closed, levels)
        for where in sorted(true.keys() | actual.keys(), key=lambda where: where[:2]):
            was, said = true.get(where, []), actual.get(where, [])
            partner = partners(was, said)
            for alarm in said:
                if all(alarm is not other for other in partner.values()):
                    self._retract(alarm, known_ms, effects)
            for number, occurrence in enumerate(was):
                if number in partner:
                    self._amend(where, partner[number], occurrence, known_ms, effects)
                else:
                    self._add(where, occurrence, known_ms, effects)

    def _hand_over(self, of: Masks, effects: Effects) -> None:
        """What the present must know of what is over: what may come back as the same alarm, and how often things changed."""
        book = self._book
        book.recent = {
            where: alarm for where, alarm in book.recent.items() if not of[where[1]] or not self._is_level(where)
        }
        for where, alarms in _by_where(of, _still_over([*self.closed, *effects.ended])).items():
            newest = max(alarms, key=_end_ms)
            if where not in book.open and newest.closed_reason not in (PERSON, RETRACTED):
                book.recent[where] = newest
        for where, changes in self.past_book.changes.items():
            if of[where[1]]:
                book.changes[where] = changes

    def _add_what_is_known(self, of: Masks, known_ms: int, effects: Effects) -> None:
        """Records are gone: what the present says stands, and nothing is taken back; only what was missed is added."""
        assert self.past is not None
        levels = [(where, alarm) for where, alarm in self._book.open.items() if self._is_level(where)]
        actual = _by_where(of, self.closed, levels)
        for where, was in _by_where(of, self.over, self.past_book.open.items()).items():
            partner = partners(was, actual.get(where, []))
            for number, occurrence in enumerate(was):
                if number not in partner:
                    if occurrence.is_open:
                        occurrence.closed_ms = int(self.past.last_ms[where[1]])
                    self._add(where, occurrence, known_ms, effects)

    def _retract(self, alarm: Alarm, known_ms: int, effects: Effects) -> None:
        if alarm.is_open:
            self._book.close(alarm, What.CLOSED, known_ms, known_ms, RETRACTED, effects)
        elif alarm.closed_reason != PERSON:
            alarm.closed_reason = RETRACTED
            self._book.note(alarm, What.AMENDED, known_ms, known_ms, RETRACTED, effects)

    def _add(self, where: Where, occurrence: Alarm, known_ms: int, effects: Effects) -> None:
        alarm = replace(occurrence, seq=0, raised_ms=known_ms)
        raised_ms = occurrence.raised_ms  # of the past: when it would have been told
        if alarm.is_open:
            self._book.enter(where, alarm)
            self._book.note(alarm, What.RAISED, raised_ms, known_ms, LATE_DATA, effects, value=alarm.value)
        else:
            assert alarm.closed_ms is not None
            alarm.severity, alarm.closed_reason = alarm.severity_max, LATE_DATA
            self._book.note(alarm, What.RAISED, raised_ms, known_ms, LATE_DATA, effects, value=alarm.value)
            self._book.note(alarm, What.RETURNED, alarm.closed_ms, known_ms, LATE_DATA, effects, value=alarm.value)
            self.closed.append((where, alarm))
        self._book.told_locally(alarm, alarm.id, known_ms, effects)

    def _amend(self, where: Where, alarm: Alarm, true: Alarm, known_ms: int, effects: Effects) -> None:
        """Bring an alarm that people know of to what is true. Its id stays."""
        book = self._book
        by_readings = not alarm.is_open and alarm.closed_reason != PERSON
        closed_ms = true.closed_ms if by_readings and not true.is_open else alarm.closed_ms
        changed = (true.onset_ms, true.severity_max, closed_ms)
        if (alarm.onset_ms, alarm.severity_max, alarm.closed_ms) != changed:
            alarm.onset_ms, alarm.severity_max, alarm.closed_ms = changed
            book.note(alarm, What.AMENDED, known_ms, known_ms, LATE_DATA, effects, value=true.value)
            book.told_locally(
                alarm, alarm_id(alarm.rule, alarm.device, alarm.metric, None, true.onset_ms), known_ms, effects
            )
        alarm.heights = true.heights
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
            alarm.over_ms, alarm.flapping = true.over_ms, true.flapping
            (book.held.add if alarm.flapping else book.held.discard)(where)

    # --- which ------------------------------------------------------------------------------------------------------

    def _series_of(self, gateways: set[int]) -> Masks:
        return np.isin(self._program.gateway_online, sorted(gateways))

    def _is_level(self, where: Where) -> bool:
        return where[2] is None and where[0] not in self._silences

    @staticmethod
    def _usable(batch: ReadingBatch, of: Masks) -> ReadingBatch:
        return _rows(batch, of[batch.series] & (batch.quality < Quality.BAD))


def partners(true: Sequence[Alarm], said: Sequence[Alarm]) -> dict[int, Alarm]:
    """Which alarm that people know of is which true occurrence: number of the occurrence -> alarm.

    They must overlap in time. One of the same onset is the same, then one that a person closed at the same moment; of the
    rest, both being open weighs most, because whoever holds an open alarm should keep it.
    """
    candidates = sorted(
        (
            was.onset_ms != is_said.onset_ms,
            not _same_decision(was, is_said),
            not (was.is_open and is_said.is_open),
            i,
            j,
        )
        for i, was in enumerate(true)
        for j, is_said in enumerate(said)
        if was.onset_ms <= _end_ms(is_said) and is_said.onset_ms <= _end_ms(was)
    )
    found: dict[int, Alarm] = {}
    taken: set[int] = set()
    for _, _, _, i, j in candidates:
        if i not in found and j not in taken:
            found[i] = said[j]
            taken.add(j)
    return found


def _same_decision(was: Alarm, is_said: Alarm) -> bool:
    return was.closed_reason == is_said.closed_reason == PERSON and was.closed_ms == is_said.closed_ms


def _end_ms(alarm: Alarm) -> int:
    return _NEVER_MS if alarm.closed_ms is None else alarm.closed_ms


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


def _still_over(ended: Iterable[tuple[Where, Alarm]]) -> list[tuple[Where, Alarm]]:
    """What was not opened again, once each: an alarm that came back may have ended more than once."""
    return list({id(alarm): (where, alarm) for where, alarm in ended if not alarm.is_open}.values())


def _rows(batch: ReadingBatch, chosen: Masks | np.ndarray[tuple[int], np.dtype[np.intp]]) -> ReadingBatch:
    keys: dict[int, str] = {}
    if batch.keys:
        kept = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        keys = {new: batch.keys[old] for new, old in enumerate(kept.tolist()) if old in batch.keys}
    return ReadingBatch(batch.series[chosen], batch.time_ms[chosen], batch.value[chosen], batch.quality[chosen], keys)
