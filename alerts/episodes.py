"""Outages that are being made up for: what a gateway kept meanwhile is judged as if it had never been late.

A gateway that comes back sends what is new first, and what it had kept behind it. What is new is judged at once, on what
was known before the outage; that can be wrong, and is provisional. Meanwhile the past of its series (`past`) goes on from
the moment before the outage and sees the backlog in order. When the backlog is over, the past is shown what came live since
then, read from the journal again, and so arrives at the present as if nothing had been late; then what was said is put right.
After a long outage that is much to read, so it is read in pieces, and what is new is judged in between.
Rules about silence and about single passages are not in here; they do not depend on order. Neither is a rule that looks at
other series, where those hang on another gateway: the past of one gateway alone does not know what others said meanwhile.

Memory: one more set of arrays a series, and the alarms that came and went in the episode; never readings.
Pure: no clock, no disk, no network; the journal is a function that is given. Axes: N readings, S series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec.structs import replace

from alerts.alarm import Alarm, Effects, Where
from alerts.book import AlarmBook
from alerts.conditions import Conditions
from alerts.past import NEVER_MS, Past, Reread, rows_of, usable
from alerts.program import Program
from alerts.rules import InferredRule, SilenceRule
from alerts.seen import Seen
from telemetry.batch import Masks, ReadingBatch, Times, concatenate, decode_batch, empty_batch
from telemetry.journal import Kind

_LONG_AGO_MS = np.iinfo(np.int64).min
_ROWS_AT_ONCE = 20_000  # of what is read again


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
        self._silences = frozenset(number for number, rule in enumerate(program.rules) if isinstance(rule, of_time))
        self._passages: list[Seen] = []  # of a past that is over
        self._clear()

    def _clear(self) -> None:
        self.after: dict[int, int] = {}  # gateway -> through which record the past has seen what came live
        self.arriving: set[int] = set()  # gateways whose backlog is over, and whose past is shown what came live
        self.gapped: set[int] = set()  # gateways of which records that were to be read again are gone
        self.past: Past | None = None
        self.next_live_ms: Times = np.empty(0, np.int64)  # (S,) the earliest that came live and the past has not seen

    def __bool__(self) -> bool:
        return bool(self.after)

    @property
    def needed_after(self) -> int | None:
        """Records after this one are still to be read again; None when there are none."""
        return min(self.after.values(), default=None)

    @property
    def arriving_after(self) -> int | None:
        """Records after this one are being read again, for outages that are over; None when there are none."""
        return min((self.after[gateway] for gateway in self.arriving), default=None)

    def known(self, gateways: Iterable[str]) -> set[int]:
        """Those of which there are series, by number."""
        return {self._number[gateway] for gateway in gateways if gateway in self._number}

    def passages(self) -> list[Seen]:
        """Passages that the past has seen since it was last asked."""
        found = self._passages + ([] if self.past is None else self.past.passages())
        self._passages = []
        return found

    def begin(self, gateways: set[int], offset: int) -> None:
        """Gateways are back, and record `offset` is the first that shows it: keep what is known up to there."""
        if self.past is None:
            self.past = Past(self._program, self._present, self._book, self._silences)
            self.next_live_ms = np.full(len(self._program.names), NEVER_MS, np.int64)
        past, new = self.past, self._series_of(gateways)
        past.conditions.adopt(self._present, new)
        self.next_live_ms[new] = NEVER_MS
        past.of |= new
        self.after |= dict.fromkeys(gateways, offset - 1)
        for where, alarm in self._book.open.items():
            if past.is_level(where) and new[where[1]]:
                past.remember_open(where, alarm)
        for where, alarm in self._book.recent.items():
            if past.is_level(where) and new[where[1]]:
                past.remember_recent(where, replace(alarm, heights=list(alarm.heights)), alarm)
        for where, changes in self._book.changes.items():
            if new[where[1]]:
                past.book.changes[where] = list(changes)

    def came_live(self, batch: ReadingBatch) -> None:
        """Readings of these gateways were judged in the present; the past will see them when it gets there."""
        if self.past is not None:
            rows = usable(batch, self.past.of)
            np.minimum.at(self.next_live_ms, rows.series, rows.time_ms)

    def ended(self, ended: Sequence[tuple[Where, Alarm]]) -> None:
        """Alarms were closed by what a record said."""
        if self.past is not None:
            self.past.ended(ended)

    def acknowledged(self, where: Where, actor: str) -> None:
        """A person has seen an alarm; so they have in the past."""
        alarm = None if self.past is None else self.past.book.open.get(where)
        if alarm is not None:
            alarm.acknowledged_by = actor

    def take_backlog(self, batch: ReadingBatch, through: int) -> int:
        """Show the past what a gateway had kept; records up to `through` came before it. How many came late even so."""
        assert self.past is not None
        rows = _in_time(usable(batch, self.past.of))
        overtakes = rows.time_ms > self.next_live_ms[rows.series]
        if not overtakes.any():
            return self.past.judge(rows)
        # The gateway was away twice, and part of what lies in between came live: that is first.
        gateways = set(np.unique(self._program.gateway_online[rows.series[overtakes]]).tolist())
        until_ms = np.full(len(self.next_live_ms), _LONG_AGO_MS, np.int64)
        np.maximum.at(until_ms, rows.series, rows.time_ms)
        return self._judge_with_live(gateways, until_ms, rows, through)

    def over(self, gateways: set[int]) -> None:
        """The backlog of gateways is over: their past arrives next."""
        self.arriving |= gateways

    def not_over(self, gateways: set[int]) -> None:
        """There is more backlog after all."""
        self.arriving -= gateways

    def arrive(
        self,
        through: int,
        records_max: int,
        tick_ms: int,
        known_ms: int,
        listened_ms: Times,
        effects: Effects,
    ) -> None:
        """Show the past what came live up to record `through`, `records_max` of them at most: those whose past has seen all
        are at the present, and what was said of them is put right.

        Who lags most goes first, so that whatever several have to see is read once.
        """
        assert self.past is not None
        while records_max > 0 and (behind := {g: self.after[g] for g in self.arriving if self.after[g] < through}):
            after = min(behind.values())
            last = {gateway for gateway in behind if behind[gateway] == after}
            until = min([through, after + records_max, *(behind[gateway] for gateway in behind.keys() - last)])
            effects.late += self._show_live(last, until, through)
            records_max -= until - after
        arrived = {gateway for gateway in self.arriving if self.after[gateway] >= through}
        if arrived:
            self._become_present(arrived, tick_ms, known_ms, listened_ms, effects)

    def _show_live(self, gateways: set[int], until: int, through: int) -> int:
        next_live_ms = self.next_live_ms.copy()
        always_ms = np.full(len(next_live_ms), NEVER_MS, np.int64)
        late = self._judge_with_live(gateways, always_ms, empty_batch(), until)
        if until < through:
            self.next_live_ms = next_live_ms  # of what is still unseen nobody knows more than that it is not earlier
        return late

    def _become_present(
        self, gateways: set[int], tick_ms: int, known_ms: int, listened_ms: Times, effects: Effects
    ) -> None:
        assert self.past is not None
        of = self._series_of(gateways)
        self.past.arrive(of, tick_ms, listened_ms)
        whole = self._series_of(gateways - self.gapped)
        self.past.become_present(whole, known_ms, effects)
        self.past.add_what_is_known(of & ~whole, known_ms, effects)
        effects.incomplete += [self._program.names[g][0] for g in sorted(gateways & self.gapped)]
        self._forget(gateways, of)

    def _forget(self, gateways: set[int], of: Masks) -> None:
        for gateway in gateways:
            del self.after[gateway]
        assert self.past is not None
        self._passages += self.past.passages()
        if not self.after:
            self._clear()
            return
        self.arriving -= gateways
        self.gapped -= gateways
        self.past.forget(of)

    # --- the past ---------------------------------------------------------------------------------------------------

    def _judge_with_live(self, gateways: set[int], until_ms: Times, backlog: ReadingBatch, through: int) -> int:
        """Show the past some backlog, and in between, in the order of their times, what came live before `until_ms`.

        What it has seen before is read again and is late then, so that nobody has to keep count.

        Args:
            until_ms: (S,).
        """
        assert self.past is not None
        of = self._series_of(gateways)
        self.next_live_ms[of] = NEVER_MS
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
            rows = usable(decode_batch(record.payload), of)
            rows = rows_of(rows, rows.time_ms > self.past.conditions.last_ms[rows.series])
            is_due = rows.time_ms < until_ms[rows.series]
            if not is_due.all():
                later = rows_of(rows, ~is_due)
                np.minimum.at(self.next_live_ms, later.series, later.time_ms)
                for gateway in np.unique(self._program.gateway_online[later.series]).tolist():
                    unseen.setdefault(gateway, record.offset)
            gathered.append(rows_of(rows, is_due))
            if sum(map(len, gathered)) >= _ROWS_AT_ONCE:
                late_now, backlog = self._judge_in_between(backlog, concatenate(gathered))
                late += late_now
                gathered = []
        if is_gapped or expected != through + 1:
            self.gapped |= gateways
        for gateway in gateways:
            self.after[gateway] = unseen.get(gateway, through + 1) - 1
        late_now, backlog = self._judge_in_between(backlog, concatenate(gathered))
        return late + late_now + self.past.judge(backlog)

    def _judge_in_between(self, backlog: ReadingBatch, live: ReadingBatch) -> tuple[int, ReadingBatch]:
        """Show the past live readings and the backlog from before the last of them; (late, the backlog that is left)."""
        assert self.past is not None
        if not len(backlog):
            return self.past.judge(_in_time(live)), backlog
        last_ms = np.full(len(self.next_live_ms), _LONG_AGO_MS, np.int64)
        np.maximum.at(last_ms, live.series, live.time_ms)
        is_before = backlog.time_ms <= last_ms[backlog.series]
        both = concatenate([rows_of(backlog, is_before), live])
        return self.past.judge(_in_time(both)), rows_of(backlog, ~is_before)

    # --- which ------------------------------------------------------------------------------------------------------

    def _series_of(self, gateways: set[int]) -> Masks:
        return np.isin(self._program.gateway_online, sorted(gateways))


def _in_time(batch: ReadingBatch) -> ReadingBatch:
    """The same readings in the order of their times; of one time as they came."""
    return rows_of(batch, np.argsort(batch.time_ms, kind="stable"))
