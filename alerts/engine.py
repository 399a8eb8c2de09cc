"""The alert core: a pure reader of the journal. Records in, transitions out; no clock, no disk, no network.

Readings go to the `conditions` of every limit, and what those say to the `book` of alarms. Readings that a gateway had
kept through an outage go to the past instead (`episodes`), which is compared with what was said when it has caught up.

Time is the readings' own; a tick says what time it has become for those of which nothing was heard. Silence is counted
only while the core could hear (`ingest.committer` says so in each tick) and while the device's gateway is online: our
own downtime and a cut cable are not the sensor's silence, and readings that are none are. Silence clears nothing.

Axes: N readings, S series.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import msgspec
import numpy as np

from alerts.alarm import PERSON, Alarm, Effects, What, Where
from alerts.book import AlarmBook, Telling
from alerts.conditions import Conditions
from alerts.detectors.detector import UNSET_MS
from alerts.episodes import Episodes
from alerts.escalation import Escalation
from alerts.lateness import Lateness
from alerts.local_decisions import LocalDecisions, Taken
from alerts.masks import Mask, MaskKind, Masks, hides_what_is_worse
from alerts.passages import Passages
from alerts.past import Reread, still_over
from alerts.people import NOBODY, People
from alerts.program import Program
from alerts.recheck import Rechecks
from alerts.rule import LevelledRule, Severity
from alerts.snapshot import (
    Names,
    Snapshot,
    decode,
    encode,
    keep_conditions,
    keep_episodes,
    matched,
    restore_conditions,
    restore_episodes,
)
from telemetry.batch import Masks as SeriesMasks
from telemetry.batch import ReadingBatch, Times, decode_arrival, select
from telemetry.journal import AWAY, Kind, Stored
from telemetry.quality import Quality

TICK_MAX_MS = 2000  # more than this between two ticks is time in which the core was not there
_FORGET_EVERY_MS = 60_000
# How much is read again at once for the end of an outage, some 0.2 ms a record: at its end and with each tick, and, because
# what comes in must not outrun it, three times as much as comes in.
_AGAIN_AT_ONCE = 400
_AGAIN_EVERY, _AGAIN_EACH = 64, 192
_COMMANDS_REMEMBERED_MAX = 1000  # a command that a crash put into the journal twice is done once


@dataclass(frozen=True, slots=True)
class Command:
    """What a person asks for, as it stands in the journal."""

    id: str
    # acknowledge, comment, assign, recheck, measure, dispose, close, shelve, unshelve; mask, unmask: about no alarm
    action: str
    actor: str
    alarm: str = ""
    seq: int = 0
    note: str | None = None
    disposition: str | None = None
    assignee: str | None = None  # None: nobody any more
    until_ms: int | None = None
    one_shot: bool = False
    mask: Mapping[str, str] | None = None  # what a mask covers and its kind; or {"id": …} of one to take back
    value: float | None = None  # of a second measurement
    method: str | None = None  # how it was taken
    said: Mapping[str, str] | None = None  # what a missed duty's alarm tells people, by language


def _no_journal(after: int, through: int) -> Iterator[Stored]:
    return iter(())


class Engine:
    """The state of every rule on every series, and the alarms that are open.

    Args:
        reread: Records of the journal once more, for the end of an outage.
        people: Whom alarms call.
    """

    def __init__(self, program: Program, reread: Reread = _no_journal, people: People = NOBODY) -> None:
        self.program = program
        self._conditions = Conditions(program)
        self._book = AlarmBook(program)
        self._rechecks = Rechecks(program, self._book)
        self._passages = Passages(program, self._book, self._rechecks)
        self._local_decisions = LocalDecisions(self._book, self._passages)
        self._masks = Masks(program, self._book)
        self._episodes = Episodes(program, self._conditions, self._book, reread)
        self._lateness = Lateness(program, self._conditions, self._book, reread)
        routes = {rule.id: rule.route for rule in program.rules if rule.route is not None}
        self._escalation = Escalation(people, routes, self._book.find, hides_what_is_worse)
        # When each series was last heard with a usable reading, on the listening clock.
        self._observed_ms: Times = np.zeros(len(program.names), np.int64)
        self._heard_ms = self._observed_ms.copy()  # and not said by a person to be silent since
        self._listening_ms = 0  # time in which we could have heard
        self._tick_ms = 0
        # What a tick looks at, found once: a day has 86,400 of them, and after a crash all are judged again.
        self._gateways_online = np.unique(program.gateway_online[program.gateway_online >= 0])
        self._commands: OrderedDict[str, None] = OrderedDict()  # commands that were done

    @property
    def open_alarms(self) -> Iterable[Alarm]:
        return (*self._book.open.values(), *self._escalation.system.values())

    @property
    def needed_after(self) -> int | None:
        """Records after this one may be read again; None when none will be."""
        needed = (self._episodes.needed_after, self._lateness.needed_after)
        return min((after for after in needed if after is not None), default=None)

    @property
    def again_after(self) -> int | None:
        """Records after this one are being judged again, with what came late among them; None when there are none."""
        return self._episodes.arriving_after

    def apply(self, record: Stored) -> Effects:
        """Take one journal record and say what follows from it."""
        effects = Effects()
        if not self._lateness.checkpoints:
            self._lateness.keep(record.offset - 1, record.time_ms, self._elsewhere)
        if self._episodes.arriving:
            self._arrive(record, _again(record), effects)
        put_right = len(effects.ended)  # by outages that are over, before this record
        if record.kind is Kind.READINGS:
            self._readings(record, effects)
        elif record.kind is Kind.BACKLOG:
            self._backlog(record, effects)
        elif record.kind is Kind.TICK:
            self._tick(record.time_ms, record.payload != AWAY, effects)
            self._look_back(record, effects)
        elif record.kind is Kind.COMMAND:
            told = decode_command(record.payload)
            if isinstance(told, Telling):
                over = chain(self._passages.over(told.alarm), self._lateness.over())
                self._book.hear_locally(told, over, record.time_ms, effects)
            elif isinstance(told, Taken):
                if self._is_new(told.id):
                    self._local_decisions.hear(told, record.time_ms, effects)
            else:
                self._command(told, record.time_ms, effects)
        self._local_decisions.settle(record.time_ms, effects)
        self._masks.settle(record.time_ms, effects)
        if effects.ended:
            if self._episodes:
                self._episodes.ended(effects.ended[put_right:])
            self._lateness.ended(record.offset, effects.ended)
        self._escalation.follow(effects)
        return effects

    def judged_ms(self, device: str, metric: str) -> int | None:
        """The time of the newest reading of a series that was judged; None when there is none."""
        series = self.program.names.index((device, metric)) if (device, metric) in self.program.names else -1
        last_ms = UNSET_MS if series < 0 else int(self._conditions.last_ms[series])
        return None if last_ms == UNSET_MS else last_ms

    # --- readings ---------------------------------------------------------------------------------------------------

    def _readings(self, record: Stored, effects: Effects) -> None:
        batch, behind = decode_arrival(record.payload)
        if self._episodes or any(behind.values()):
            episodes = self._episodes
            episodes_over = episodes.known(g for g, left in behind.items() if not left) & episodes.after.keys()
            self._end_episodes(episodes_over, record, effects)
            self._begin_episodes(episodes.known(g for g, left in behind.items() if left), record)
            if episodes:
                episodes.came_live(batch)
        self._heard(batch, record.time_ms, effects)
        judged = self._conditions.readings(batch)
        if len(judged.overtaken):
            effects.late = len(judged.overtaken)
            effects.too_late += self._lateness.note(batch, judged.overtaken, record.time_ms)
        for step in judged.steps:
            self._book.follow(step, record.time_ms, effects)
        self._book.release(self._conditions.last_ms, record.time_ms, effects)
        self._passages.judge(judged.passages, record.time_ms, effects)

    def _backlog(self, record: Stored, effects: Effects) -> None:
        batch, behind = decode_arrival(record.payload)
        self._begin_episodes(self._episodes.known(behind), record)
        self._heard(batch, record.time_ms, effects)
        if self._episodes:
            effects.late = self._episodes.take_backlog(batch, record.offset - 1)
            self._passages.judge(self._episodes.passages(), record.time_ms, effects)
            self._end_episodes(self._episodes.known(g for g, left in behind.items() if not left), record, effects)

    def _begin_episodes(self, gateways: set[int], record: Stored) -> None:
        self._episodes.not_over(gateways)
        new = gateways - self._episodes.after.keys()
        if new:
            self._episodes.begin(new, record.offset)

    def _end_episodes(self, gateways: set[int], record: Stored, effects: Effects) -> None:
        if gateways:
            self._episodes.over(gateways)
            self._arrive(record, _AGAIN_AT_ONCE, effects)

    def _arrive(self, record: Stored, records_max: int, effects: Effects) -> None:
        listened_ms = self._listening_ms - self._observed_ms
        asked = record.offset - 1, records_max, self._tick_ms, record.time_ms, listened_ms, effects
        self._episodes.arrive(*asked)
        self._passages.judge(self._episodes.passages(), record.time_ms, effects)

    def _look_back(self, record: Stored, effects: Effects) -> None:
        """Judge in their own place what came late, and keep what that will need the next time."""
        if self._lateness.is_due(record.time_ms):
            listened_ms = self._listening_ms - self._observed_ms
            asked = record.offset - 1, record.time_ms, listened_ms, effects, self._elsewhere
            effects.too_late += self._lateness.settle(*asked)
        self._lateness.keep(record.offset, record.time_ms, self._elsewhere)

    def before_other_rules(self, record: Stored) -> Effects:
        """Judge in their own place what came late and waits, by the rules that held when it came; other rules hold from this
        record on, and have no checkpoints to judge it from.
        """
        effects = Effects()
        if self._lateness.waiting:
            listened_ms = self._listening_ms - self._observed_ms
            asked = record.offset - 1, record.time_ms, listened_ms, effects, self._elsewhere
            effects.too_late += self._lateness.settle(*asked)
            self._masks.settle(record.time_ms, effects)
            if effects.ended and self._episodes:
                self._episodes.ended(effects.ended)
            self._escalation.follow(effects)
        return effects

    @property
    def _elsewhere(self) -> SeriesMasks | None:
        """(S,) the series whose past an outage has in hand; None without one."""
        return None if self._episodes.past is None else self._episodes.past.of

    def _heard(self, batch: ReadingBatch, known_ms: int, effects: Effects) -> None:
        """What holds of every reading whenever it was taken: its sensor lives, and a passage is a passage."""
        # One that sends nothing usable watches nothing, as if it sent nothing.
        usable = batch.series[batch.quality < Quality.BAD].astype(np.intp)
        self._heard_ms[usable] = self._observed_ms[usable] = self._listening_ms
        self._heard_again(batch, known_ms, effects)
        if self.program.passages:
            begin = 0
            for row in self._rechecks.rows(batch):  # each in its turn among the scanners' own
                self._judge_passages(batch, begin, row, known_ms, effects)
                self._rechecks.take(batch, row, known_ms, effects)
                begin = row + 1
            self._judge_passages(batch, begin, len(batch), known_ms, effects)

    def _judge_passages(self, batch: ReadingBatch, begin: int, end: int, known_ms: int, effects: Effects) -> None:
        whole = (begin, end) == (0, len(batch))
        some = batch if whole else select(batch, np.arange(begin, end))
        self._passages.judge(self._passages.plain(some), known_ms, effects)

    # --- silence ----------------------------------------------------------------------------------------------------

    def _tick(self, now_ms: int, could_hear: bool, effects: Effects) -> None:
        passed_ms = now_ms - self._tick_ms if self._tick_ms else 0
        self._tick_ms = now_ms
        if could_hear and 0 < passed_ms <= TICK_MAX_MS:
            self._listening_ms += passed_ms
        program = self.program
        if (self._conditions.last_value[self._gateways_online] == 0.0).any():
            online = program.gateway_online
            behind = np.flatnonzero(online >= 0)
            cut = behind[self._conditions.last_value[online[behind]] == 0.0]
            # A device behind a gateway that is offline gets its full time again once the gateway is back.
            self._heard_ms[cut] = self._observed_ms[cut] = self._listening_ms
        for step in self._conditions.by_time(now_ms, listened_ms=self._listening_ms - self._observed_ms):
            self._book.follow(step, now_ms, effects)
        if now_ms // _FORGET_EVERY_MS != (now_ms - passed_ms) // _FORGET_EVERY_MS:
            self._book.forget(now_ms)
        for plan in program.silences:
            silent = plan.series[self._listening_ms - self._heard_ms[plan.series] >= plan.after_ms]
            for series in silent.tolist():
                if (plan.rule, series, None) not in self._book.open:
                    self._raise_silence(plan.rule, series, now_ms, effects)
        self._rechecks.advance(now_ms, effects)
        self._escalation.advance(now_ms, effects)

    def _raise_silence(self, rule: int, series: int, now_ms: int, effects: Effects) -> None:
        declared = self.program.rules[rule]
        assert declared.type == "silence"
        severity = declared.severity
        reason = "silent"
        if not self._conditions.is_calm(series):
            # A sensor that dies while its level rises is the best witness of what it can no longer say.
            severity = max(severity, Severity.CRITICAL)
            reason = "silent-in-alarm"
        last_ms = int(self._conditions.last_ms[series])
        onset_ms = now_ms if last_ms == UNSET_MS else last_ms
        value = None if last_ms == UNSET_MS else float(self._conditions.last_value[series])
        where = (rule, series, None)
        self._book.raise_(where, severity, onset_ms, now_ms, now_ms, value, effects, reason=reason)

    def _heard_again(self, batch: ReadingBatch, known_ms: int, effects: Effects) -> None:
        rules = {plan.rule for plan in self.program.silences}
        silent = [where for where in self._book.open if where[0] in rules] if rules else []
        if not silent:
            return
        usable = batch.quality < Quality.BAD
        heard = set(np.intersect1d(batch.series[usable], [series for _, series, _ in silent]).tolist())
        for where in [where for where in silent if where[1] in heard]:
            rows = np.flatnonzero(usable & (batch.series == where[1]))
            alarm = self._book.open[where]
            # What a gateway had kept from before the silence began does not end it.
            newer = rows[batch.time_ms[rows] > alarm.onset_ms]
            if len(newer):
                time_ms, value = int(batch.time_ms[newer[0]]), float(batch.value[newer[0]])
                self._book.close(alarm, What.RETURNED, time_ms, known_ms, "heard-again", effects, value=value)

    # --- people -----------------------------------------------------------------------------------------------------

    def _command(self, command: Command, known_ms: int, effects: Effects) -> None:
        if not self._is_new(command.id):
            return
        if command.action in ("mask", "unmask"):
            effects.answers[command.id] = self._mask(command, known_ms, effects)
            return
        asked = command.action, command.alarm, command.seq, command.actor, command.note
        answer = self._escalation.hear(*asked, known_ms, effects, command.said)
        if answer is not None:
            effects.answers[command.id] = answer
            return
        where = self._book.by_id.get(command.alarm)
        if where is None:
            effects.answers[command.id] = "the alarm is closed"
            return
        alarm = self._book.open[where]
        if command.seq != alarm.seq and command.action != "comment":
            effects.answers[command.id] = (
                f"the alarm has changed: step {alarm.seq} is the latest, you saw {command.seq}"
            )
            return
        actor, note = command.actor, command.note
        if command.action == "acknowledge":
            if alarm.acknowledged_by is None:
                self._acknowledge(where, alarm, actor, note, known_ms, effects)
                is_over = alarm.over_ms is not None and not alarm.flapping
                if is_over and self.program.rules[where[0]].latch == "until-acknowledged":
                    self._book.close(alarm, What.RETURNED, known_ms, known_ms, PERSON, effects, actor=actor)
        elif command.action == "comment":
            self._book.note(alarm, What.COMMENTED, known_ms, known_ms, PERSON, effects, actor=actor, note=note)
        elif command.action == "assign":
            if alarm.assigned_to != command.assignee:
                alarm.assigned_to = command.assignee
                to = command.assignee
                self._book.note(alarm, What.ASSIGNED, known_ms, known_ms, PERSON, effects, actor=actor, note=to)
        elif command.action in ("recheck", "measure"):
            effects.answers[command.id] = self._recheck(command, where, alarm, known_ms, effects)
            return
        elif command.action == "dispose" and command.disposition == "refuse" and not (note or "").strip():
            effects.answers[command.id] = "nobody is refused without a reason on record"
            return
        elif command.action == "dispose":
            alarm.disposition = command.disposition
            self._book.close(alarm, What.DISPOSED, known_ms, known_ms, PERSON, effects, actor=actor, note=note)
            self._rest(where)
        elif command.action == "shelve":
            effects.answers[command.id] = self._masks.declare(_shelf(command, alarm, known_ms), known_ms, effects)
            return
        elif command.action == "unshelve":
            shelves = self._masks.shelves_of(alarm)
            for shelf in shelves:
                self._masks.end(shelf, known_ms, effects)
            effects.answers[command.id] = "" if shelves else "the alarm is not shelved"
            return
        elif command.action == "close":
            alarm.disposition = command.disposition or alarm.disposition
            self._book.close(alarm, What.CLOSED, known_ms, known_ms, PERSON, effects, actor=actor, note=note)
            self._rest(where)
        if not alarm.is_open:
            self._passages.remember(alarm, actor, note)
        effects.answers[command.id] = ""

    def _is_new(self, command: str) -> bool:
        if command in self._commands:
            return False
        self._commands[command] = None
        while len(self._commands) > _COMMANDS_REMEMBERED_MAX:
            self._commands.popitem(last=False)
        return True

    def _acknowledge(
        self, where: Where, alarm: Alarm, actor: str, note: str | None, known_ms: int, effects: Effects
    ) -> None:
        alarm.acknowledged_by = actor
        self._book.note(alarm, What.ACKNOWLEDGED, known_ms, known_ms, PERSON, effects, actor=actor, note=note)
        self._episodes.acknowledged(where, actor)

    def _recheck(self, command: Command, where: Where, alarm: Alarm, known_ms: int, effects: Effects) -> str:
        actor = command.actor
        if command.action == "recheck":
            answer = self._rechecks.ask(alarm, actor, known_ms, effects)
        else:
            answer = self._rechecks.type_in(alarm, command.value, command.method, actor, known_ms, effects)
        if answer == "" and alarm.acknowledged_by is None:
            # Whoever measures the person again has seen the alarm.
            self._acknowledge(where, alarm, actor, None, known_ms, effects)
        return answer

    def _mask(self, command: Command, known_ms: int, effects: Effects) -> str:
        given = dict(command.mask or {})
        if command.action == "unmask":
            return self._masks.end(given.get("id", ""), known_ms, effects)
        kind = given.pop("kind", "")
        if kind not in (MaskKind.MAINTENANCE, MaskKind.OUT_OF_SERVICE):
            return "a mask is 'maintenance' or 'out-of-service'"
        parts = ("rule", "device", "metric", "place", "site")
        if not given or given.keys() - set(parts):
            return f"say what it covers by {', '.join(parts)}"
        mask = Mask(
            command.id,
            MaskKind(kind),
            command.actor,
            command.note or "",
            known_ms,
            command.until_ms or 0,
            rule=given.get("rule"),
            device=given.get("device"),
            metric=given.get("metric"),
            place=given.get("place"),
            site=given.get("site"),
        )
        return self._masks.declare(mask, known_ms, effects)

    def _rest(self, where: Where) -> None:
        """After a person closed an alarm it comes again only when its limit is reached anew."""
        # A firing instance without an alarm is just that: it must return to normal before it can raise again.
        if self.program.rules[where[0]].type == "silence":
            self._heard_ms[where[1]] = self._listening_ms

    # --- memory -----------------------------------------------------------------------------------------------------

    def save(self) -> bytes:
        """Everything the engine knows, to go on from."""
        names = Names(self.program)
        return encode(
            Snapshot(
                self._listening_ms,
                self._tick_ms,
                "\n".join(self.program.keys),
                "\n".join(names.series),
                keep_conditions(self._conditions, names),
                self._heard_ms.tobytes(),
                self._observed_ms.tobytes(),
                list(self._book.open.values()),
                list(self._book.recent.values()),
                [(names.rule(r), names.series[s], changes) for (r, s, _), changes in self._book.changes.items()],
                list(self._passages.closed),
                list(self._commands),
                list(self._book.tellings.values()),
                keep_episodes(self._episodes, names),
                self._masks.state,
                self._escalation.save(),
                self._lateness.save(),
                list(self._passages.ended.values()),
                [each for waiting in self._local_decisions.waiting.values() for each in waiting],
            )
        )

    def load(self, saved: bytes, now_ms: int, before: Program | None = None) -> Effects:
        """Go on from what `save` wrote, by this or another set of rules.

        What is the same in both keeps its state; alarms of rules or series that are gone are closed as retired.

        Args:
            before: The rules that held until now, when others hold from now on: limits that have changed meet the last
                reading again.
        """
        snapshot, names = decode(saved), Names(self.program)
        self._listening_ms, self._tick_ms = snapshot.listening_ms, snapshot.tick_ms
        their_instances, their_series = snapshot.instances.split("\n"), snapshot.series.split("\n")
        restore_conditions(snapshot.conditions, their_instances, their_series, self._conditions, names)
        mine, theirs = matched(names.series, their_series)
        self._heard_ms[:] = self._listening_ms
        self._heard_ms[mine] = np.frombuffer(snapshot.heard_ms, np.int64)[theirs]
        self._observed_ms[:] = self._listening_ms
        self._observed_ms[mine] = np.frombuffer(snapshot.observed_ms, np.int64)[theirs]
        self._passages.restore(snapshot.passages, snapshot.ended)
        for taken in snapshot.local_decisions:
            self._local_decisions.waiting.setdefault(taken.decision.alarm, []).append(taken)
        self._commands = OrderedDict.fromkeys(snapshot.commands)
        self._book.tellings = OrderedDict((telling.alarm, telling) for telling in snapshot.tellings)
        if snapshot.episodes is not None:
            restore_episodes(snapshot.episodes, snapshot, self._episodes, names)
        closed = [] if self._episodes.past is None else self._episodes.past.closed
        known = {
            alarm.id: alarm for alarm in (*snapshot.alarms, *(alarm for _, alarm in closed))
        }  # one object an alarm
        for where, alarm in names.placed(snapshot.recent):
            self._book.recent[where] = known.setdefault(alarm.id, alarm)
        # Checkpoints are of the rules that they were made under: by others nobody knows what would have been.
        is_same = before is None and (their_instances, their_series) == (self.program.keys, names.series)
        if snapshot.lateness is not None and is_same:
            self._lateness.restore(snapshot.lateness, known)
        for rule, series, changes in snapshot.changes:
            at = names.at(rule, series)
            if at is not None:
                self._book.changes[*at, None] = changes
        effects = Effects()
        for alarm in snapshot.alarms:
            about = names.where(alarm)
            if about is not None:
                self._book.enter(about, alarm)
            else:
                alarm.closed_ms, alarm.closed_reason = now_ms, "retired"
                self._book.note(alarm, What.CLOSED, now_ms, now_ms, "retired", effects)
        self._rechecks.restore(self._book.open.values())
        if before is not None:
            self._revise(before, now_ms, effects)
            kept, now = snapshot.masks.schedules, self.program.schedules
            snapshot.masks.schedules = {n: s for n, s in kept.items() if before.schedules.get(n) == now.get(n)}
        self._masks.restore(snapshot.masks)
        if before is not None:
            self._masks.review(now_ms, effects)
        self._escalation.load(snapshot.escalation, self._book.open.values(), now_ms)
        self._escalation.follow(effects)
        return effects

    def _revise(self, before: Program, now_ms: int, effects: Effects) -> None:
        """Rules have changed: what is true by the new limits, and not by the old ones, is said now."""
        was = {rule.id: rule for rule in before.rules}
        edited = {number for number, rule in enumerate(self.program.rules) if was.get(rule.id, rule) != rule}
        _revise(self.program, self._conditions, self._book, before, edited, now_ms, effects)
        past = self._episodes.past
        if past is not None:
            truly = Effects()
            _revise(self.program, past.conditions, past.book, before, edited, now_ms, truly)
            past.over = still_over([*past.over, *truly.ended])
            self._episodes.ended(effects.ended)


def _revise(
    program: Program,
    conditions: Conditions,
    book: AlarmBook,
    before: Program,
    edited: set[int],
    now_ms: int,
    effects: Effects,
) -> None:
    """Hold edited rules against what the last readings said, and alarms against what is left of their rules."""
    for step in conditions.revise(before, edited):
        book.follow(step, now_ms, effects)
    concerned = {rule: set(program.concerned[rule].tolist()) for rule in edited}
    for where, alarm in list(book.open.items()):
        rule, series, key = where
        if rule not in edited or key is not None:
            continue
        if series not in concerned[rule]:
            book.close(alarm, What.CLOSED, now_ms, now_ms, "retired", effects)
        elif isinstance(program.rules[rule], LevelledRule) and alarm.over_ms is None:
            step = conditions.stand(rule, series)
            if step.worst is None or program.severity[step.worst] != alarm.severity:
                book.follow(step, now_ms, effects)


def _again(record: Stored) -> int:
    """How many records are read again before this one, for outages that end. It follows from the record alone, so that
    after a crash the same records say the same.
    """
    if record.kind is Kind.TICK:
        return _AGAIN_AT_ONCE
    return 0 if record.offset % _AGAIN_EVERY else _AGAIN_EACH


def _shelf(command: Command, alarm: Alarm, now_ms: int) -> Mask:
    return Mask(
        command.id,
        MaskKind.SHELVED,
        command.actor,
        command.note or "",
        now_ms,
        command.until_ms or 0,
        rule=alarm.rule,
        device=alarm.device,
        metric=alarm.metric,
        key=alarm.key,
        severity=alarm.severity,
        one_shot=command.one_shot,
    )


class _Action(msgspec.Struct):
    action: str


_COMMAND = msgspec.json.Decoder(Command)
_ACTION = msgspec.json.Decoder(_Action)
_TELLING = msgspec.json.Decoder(Telling)
_TAKEN = msgspec.json.Decoder(Taken)


def decode_command(payload: bytes) -> Command | Telling | Taken:
    """Read a command, or what a gateway says was done there, from its journal record."""
    action = _ACTION.decode(payload).action
    if action == "told-locally":
        return _TELLING.decode(payload)
    if action == "decided-locally":
        return _TAKEN.decode(payload)
    return _COMMAND.decode(payload)
