"""Late readings: those that come after a newer one of their series, and have to be judged in their own place all the same.

Gateways of ours ship in order; a device that speaks MQTT by itself, a radio network or a broker need not. A late reading is
noted, and with the next tick that is due its series are judged again: from a checkpoint before it, with everything that the
journal holds of them since, in the order of the readings' times (`past`). What was said is compared with what is true and put
right: an alarm is raised late, amended, reopened or taken back. Nobody is called for what was over before it was known, and
whoever was told of an alarm is told of its end.

So any order of arrival within `LATE_MAX_MS` gives the same alarms. What is later than that, or further back than the
checkpoints and `_RECORDS_MAX` records of the journal reach, is history only, and counted. Rules whose detectors look at
other series too (rain beside a level) are not judged again: what they may see of another series is bound to the order of
arrival. Neither are rules about silence and single passages, which do not depend on order.

A checkpoint is what the engine knew at a tick, encoded; there is one every `_EVERY_MS`, and the older they are the fewer
are kept. They are compressed when a snapshot is made: whoever judges a day again after a crash makes thousands, and keeps a
dozen. When late readings have changed what was true at newer checkpoints, those are put right as well. They are part of the
snapshot: a crash in between changes nothing.

Pure: no clock, no disk, no network; the journal is a function that is given. Axes: N readings, S series, I instances.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from msgspec.structs import replace

from alerts.alarm import Alarm, Effects, Where
from alerts.book import AlarmBook
from alerts.conditions import Conditions
from alerts.past import Past, Reread, rows_of, usable
from alerts.program import Program
from alerts.rules import InferredRule, SilenceRule
from alerts.snapshot import (
    Checkpoint,
    KeptLateness,
    KeptMoment,
    Names,
    keep_conditions,
    restore_conditions,
)
from telemetry.batch import Indexes, Masks, ReadingBatch, Times, concatenate, decode_batch
from telemetry.journal import Kind

LATE_MAX_MS = 600_000
_EVERY_MS = 30_000
_SETTLE_AFTER_MS = 2_000  # late readings come in company
_RECORDS_MAX = 50_000  # read again for one settling: a second or two of work at the most
_ENDED_MAX = 5_000

_OUT = msgspec.msgpack.Encoder()
_IN = msgspec.msgpack.Decoder(KeptMoment)


class _Ended(msgspec.Struct, gc=False):
    """An alarm that people know of, which the record of this offset closed.

    `recent_at` is the newest checkpoint at which it might still have come back as the same.
    """

    offset: int
    where: Where
    alarm: Alarm
    recent_at: int = 0


@dataclass(slots=True)
class _Moment:
    """A checkpoint, decoded."""

    conditions: Conditions
    open: list[tuple[Where, Alarm]] = field(default_factory=list)
    recent: list[tuple[Where, Alarm]] = field(default_factory=list)
    over: list[tuple[Where, Alarm]] = field(default_factory=list)
    changes: dict[Where, list[int]] = field(default_factory=dict)

    def take_over(self, past: Past, of: Masks, without: frozenset[int]) -> None:
        """What the past has found of some series, (S,), is what was known then."""
        self.conditions.adopt(past.conditions, of, without)

        def kept(where: Where) -> bool:
            return not (of[where[1]] and past.is_level(where))

        self.open = [(w, a) for w, a in self.open if kept(w)] + list(past.book.open.items())
        self.recent = [(w, a) for w, a in self.recent if kept(w)] + list(past.book.recent.items())
        self.over = [(w, a) for w, a in self.over if kept(w)] + past.over
        self.changes = {w: c for w, c in self.changes.items() if kept(w)} | past.book.changes


class Lateness:
    """The checkpoints, and the series of which something late is known.

    Args:
        present: What the engine takes for true now; put right, series by series.
        book: The alarms that people know of.
    """

    def __init__(self, program: Program, present: Conditions, book: AlarmBook, reread: Reread) -> None:
        self._program = program
        self._present, self._book, self._reread = present, book, reread
        self._names = Names(program)
        self._without = frozenset(
            number
            for number, rule in enumerate(program.rules)
            if isinstance(rule, (SilenceRule, InferredRule)) or rule.looks_beside or rule.is_per_passage
        )
        judged = ~np.isin(program.rule, sorted(self._without))
        self._concerned: Masks = np.zeros(len(program.names), np.bool_)  # (S,) something here is judged again
        self._concerned[program.series[judged]] = True
        self.checkpoints: list[Checkpoint] = []  # oldest first
        self.waiting: dict[int, int] = {}  # series -> time of the earliest late reading
        self._noted_ms = 0  # when the first of them came
        self._ended: list[_Ended] = []

    @property
    def needed_after(self) -> int | None:
        """Records after this one may be read again; None when none will be."""
        return self.checkpoints[0].offset if self.checkpoints else None

    def note(self, batch: ReadingBatch, overtaken: Indexes, known_ms: int) -> int:
        """Readings were overtaken by newer ones of their series; how many of them are too late to be judged.

        Args:
            overtaken: Their numbers in the batch.
        """
        series, time_ms = batch.series[overtaken], batch.time_ms[overtaken]
        by_ms = self._present.last_ms[series] - time_ms
        chosen = self._concerned[series] & (by_ms > 0)  # one of the same time is the same reading once more
        in_time = chosen & (by_ms <= LATE_MAX_MS)
        if in_time.any() and not self.waiting:
            self._noted_ms = known_ms
        for which, at_ms in zip(series[in_time].tolist(), time_ms[in_time].tolist(), strict=True):
            self.waiting[which] = min(at_ms, self.waiting.get(which, at_ms))
        return int((chosen & ~in_time).sum())

    def over(self) -> Iterator[Alarm]:
        """Alarms that ended lately, as far as that is remembered, the newest first."""
        return (one.alarm for one in reversed(self._ended))

    def ended(self, offset: int, ended: Sequence[tuple[Where, Alarm]]) -> None:
        """Alarms were closed by what a record said."""
        if not self.checkpoints:
            return
        self._ended += [_Ended(offset, where, alarm) for where, alarm in ended]
        if len(self._ended) > _ENDED_MAX:
            # So many alarms ended that their pasts cannot be kept: those who need them are gone, too.
            gone = self._ended[-_ENDED_MAX].offset
            self.checkpoints = [checkpoint for checkpoint in self.checkpoints if checkpoint.offset >= gone]
            self._ended = [one for one in self._ended if one.offset > gone]

    def is_due(self, now_ms: int) -> bool:
        """Whether late readings have waited long enough for company."""
        return bool(self.waiting) and now_ms - self._noted_ms >= _SETTLE_AFTER_MS

    def keep(self, offset: int, now_ms: int, elsewhere: Masks | None = None) -> None:
        """Make a checkpoint at the tick that is record `offset`, if one is due.

        Args:
            elsewhere: Series whose past is judged by somebody else just now, (S,): of them nothing here is final.
        """
        if self.checkpoints and self.checkpoints[-1].at_ms // _EVERY_MS == now_ms // _EVERY_MS:
            return
        self.checkpoints.append(
            Checkpoint(
                offset,
                now_ms,
                self._encode(
                    _Moment(
                        self._present,
                        [(where, alarm) for where, alarm in self._book.open.items() if self._is_level(where)],
                        [(where, alarm) for where, alarm in self._book.recent.items() if self._is_level(where)],
                        changes=self._book.changes,
                    )
                ),
                provisional=b"" if elsewhere is None else np.packbits(elsewhere).tobytes(),
            )
        )
        self._thin(now_ms)
        known = {id(one.alarm): one for one in self._ended}
        for where, alarm in self._book.recent.items():
            if self._is_level(where):
                if id(alarm) not in known:
                    self._ended.append(_Ended(offset, where, alarm))
                else:
                    known[id(alarm)].recent_at = offset
        oldest = self.checkpoints[0].offset
        self._ended = [one for one in self._ended if max(one.offset, one.recent_at) >= oldest]

    def settle(
        self, through: int, tick_ms: int, listened_ms: Times, effects: Effects, elsewhere: Masks | None = None
    ) -> int:
        """Judge again what is waiting, on records up to `through`; how many series had something too late for that.

        Args:
            listened_ms: For how long each series could have been heard since it last was, (S,).
            elsewhere: Series whose past is judged by somebody else just now, (S,): they wait until that is over.
        """
        later = {} if elsewhere is None else {w: at_ms for w, at_ms in self.waiting.items() if elsewhere[w]}
        waiting = {which: at_ms for which, at_ms in self.waiting.items() if which not in later}
        self.waiting, self._noted_ms = later, tick_ms
        for number in range(len(self.checkpoints) - 1, -1, -1):
            checkpoint = self.checkpoints[number]
            if not waiting or through - checkpoint.offset > _RECORDS_MAX:
                break
            moment = self._decode(checkpoint)
            is_final = self._final_in(checkpoint)
            suited = {w for w, at_ms in waiting.items() if is_final[w] and moment.conditions.last_ms[w] < at_ms}
            if suited and self._judge_again(number, moment, suited, through, tick_ms, listened_ms, effects):
                waiting = {which: at_ms for which, at_ms in waiting.items() if which not in suited}
        return len(waiting)

    # --- judging again ----------------------------------------------------------------------------------------------

    def _judge_again(
        self,
        number: int,
        moment: _Moment,
        series: set[int],
        through: int,
        tick_ms: int,
        listened_ms: Times,
        effects: Effects,
    ) -> bool:
        """Judge some series again from a checkpoint on; False when records that this needs are gone."""
        start = self.checkpoints[number].offset
        past = self._past_from(moment, series, start)
        rows = self._readings_of(past.of, start, through)
        if rows is None:
            return False
        for later in range(number + 1, len(self.checkpoints)):
            then = self._decode(self.checkpoints[later])
            is_before = rows.time_ms <= then.conditions.last_ms[rows.series]
            past.judge(rows_of(rows, is_before))
            rows = rows_of(rows, ~is_before)
            then.take_over(past, past.of, self._without)
            self.checkpoints[later] = replace(self.checkpoints[later], moment=self._encode(then), is_compressed=False)
        past.judge(rows)
        for where, alarm in past.book.open.items():
            said = self._book.open.get(where)
            alarm.acknowledged_by = None if said is None else said.acknowledged_by
        past.arrive(past.of, tick_ms, listened_ms)
        past.become_present(past.of, tick_ms, effects)
        return True

    def _past_from(self, moment: _Moment, series: set[int], start: int) -> Past:
        past = Past(self._program, self._present, self._book, self._without)
        past.of[sorted(series)] = True
        past.conditions = moment.conditions
        since = [(one.where, one.alarm) for one in self._ended if one.offset > start]
        # What was said of an occurrence that is true has its onset, whatever its name.
        said = {(one.where, one.alarm.onset_ms): one.alarm for one in self._ended}
        for book in (self._book.recent, self._book.open):
            said |= {(where, alarm.onset_ms): alarm for where, alarm in book.items()}
        for where, alarm in moment.open:
            if past.of[where[1]]:
                past.remember_open(where, alarm)
                # It may have been called over before the checkpoint, and late readings said that it was not.
                past.closed.append((where, said.get((where, alarm.onset_ms), alarm)))
        for where, alarm in moment.recent:
            if past.of[where[1]]:
                past.remember_recent(where, alarm, said.get((where, alarm.onset_ms), alarm))
        told = {(where, alarm.onset_ms) for where, alarm in since}
        told -= {(where, alarm.onset_ms) for where, alarm in moment.recent}
        past.over += [(w, a) for w, a in moment.over if past.of[w[1]] and (w, a.onset_ms) in told]
        for where, changes in moment.changes.items():
            if past.of[where[1]]:
                past.book.changes[where] = list(changes)
        past.ended(since)
        return past

    def _readings_of(self, of: Masks, after: int, through: int) -> ReadingBatch | None:
        """What the journal holds of some series, (S,), in the order of time; None when records are gone."""
        expected, found = after + 1, list[ReadingBatch]()
        for record in self._reread(after, through):
            if record.offset != expected:
                return None
            expected += 1
            if record.kind in (Kind.READINGS, Kind.BACKLOG):
                rows = usable(decode_batch(record.payload), of)
                if len(rows):
                    found.append(rows)
        if expected != through + 1:
            return None
        rows = concatenate(found)
        return rows_of(rows, np.argsort(rows.time_ms, kind="stable"))

    # --- checkpoints ------------------------------------------------------------------------------------------------

    def _is_level(self, where: Where) -> bool:
        return where[2] is None and where[0] not in self._without

    def _final_in(self, checkpoint: Checkpoint) -> Masks:
        """(S,) the series of which a checkpoint knows what was true."""
        count = len(self._program.names)
        if not checkpoint.provisional:
            return np.ones(count, np.bool_)
        is_final: Masks = np.unpackbits(np.frombuffer(checkpoint.provisional, np.uint8), count=count) == 0
        return is_final

    def _thin(self, now_ms: int) -> None:
        """Of checkpoints of about the same age two stay; of those that are old enough for anything, one."""
        ages = [max(now_ms - checkpoint.at_ms, 0) for checkpoint in self.checkpoints]
        old = sum(age >= LATE_MAX_MS for age in ages)
        about = [(age // _EVERY_MS + 1).bit_length() for age in ages]
        self.checkpoints = [
            checkpoint
            for n, checkpoint in enumerate(self.checkpoints)
            if n >= old - 1
            and not (0 < n < len(about) - 1 and about[n - 1] == about[n] == about[n + 1] and n > old - 1)
        ]

    def _encode(self, moment: _Moment) -> bytes:
        kept = KeptMoment(
            keep_conditions(moment.conditions, self._names),
            [alarm for _, alarm in moment.open],
            [alarm for _, alarm in moment.recent],
            [alarm for _, alarm in moment.over],
            [
                (self._names.rule(rule), self._names.series[series], changes)
                for (rule, series, _), changes in moment.changes.items()
            ],
        )
        return _OUT.encode(kept)

    def _decode(self, checkpoint: Checkpoint) -> _Moment:
        kept = _IN.decode(zlib.decompress(checkpoint.moment) if checkpoint.is_compressed else checkpoint.moment)
        moment = _Moment(Conditions(self._program))
        restore_conditions(kept.conditions, self._program.keys, self._names.series, moment.conditions, self._names)
        moment.open, moment.recent = self._names.placed(kept.open), self._names.placed(kept.recent)
        moment.over = self._names.placed(kept.over)
        for rule, series, changes in kept.changes:
            at = self._names.at(rule, series)
            if at is not None:
                moment.changes[*at, None] = changes
        return moment

    # --- memory -----------------------------------------------------------------------------------------------------

    def save(self) -> KeptLateness:
        """Everything, to go on from by the same rules."""
        self.checkpoints = [
            one if one.is_compressed else replace(one, moment=zlib.compress(one.moment, 1), is_compressed=True)
            for one in self.checkpoints
        ]
        return KeptLateness(
            self.checkpoints,
            {self._names.series[which]: at_ms for which, at_ms in self.waiting.items()},
            self._noted_ms,
            [(one.offset, one.recent_at, one.alarm) for one in self._ended],
        )

    def restore(self, kept: KeptLateness, known: dict[str, Alarm]) -> None:
        """Go on from what `save` wrote.

        Args:
            known: Alarms that the engine holds, by id; what is found of others is added.
        """
        self.checkpoints = kept.checkpoints
        self.waiting = {self._names.series_number[name]: at_ms for name, at_ms in kept.waiting.items()}
        self._noted_ms = kept.noted_ms
        self._ended = []
        for offset, recent_at, alarm in kept.ended:
            where = self._names.where(alarm)
            if where is not None:
                self._ended.append(_Ended(offset, where, known.setdefault(alarm.id, alarm), recent_at))
