"""Rules that judge each passage by itself: one alarm a person, whatever the order of the readings.

The passage's key makes a second measurement the same event: higher, it makes the alarm worse; normal and good, it is what
closes it, unless a guard has asked for it: then a person decides (`recheck`). A passage whose alarm was closed is not
raised again by a reading that comes twice, nor by one that was taken before the end, a person's decision or the normal
measurement, and came after. Axis: N readings.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from alerts.alarm import PERSON, Alarm, Effects, What
from alerts.book import AlarmBook
from alerts.program import PassageLimit, Program
from alerts.recheck import Rechecks
from alerts.seen import Seen
from telemetry.batch import ReadingBatch
from telemetry.identity import alarm_id
from telemetry.quality import Quality

_REMEMBERED_MAX = 20_000  # closed passage alarms that a repeated reading must not open again
_PASSAGE_MS = 300_000  # before the first reading that was known of it, another one may be of the same passage
_ENDED_MAX = 2000  # of these, the newest whole: what a gateway kept through an outage may be about them


class Ended(msgspec.Struct, gc=False):
    """A passage's alarm that is closed, and who closed it with which words; nobody when readings did."""

    alarm: Alarm
    actor: str | None = None
    note: str | None = None


class Passages:
    """What became of people at the gates."""

    def __init__(self, program: Program, book: AlarmBook, rechecks: Rechecks) -> None:
        self._program = program
        self._book = book
        self._rechecks = rechecks
        self._levels: dict[int, list[PassageLimit]] = {}
        for limit in program.passages:
            self._levels.setdefault(limit.rule, []).append(limit)
        self._concerned = {rule: np.zeros(len(program.names), np.bool_) for rule in self._levels}  # (S,)
        for rule, levels in self._levels.items():
            self._concerned[rule][levels[0].series] = True
        self.closed: OrderedDict[str, None] = OrderedDict()
        self.ended: OrderedDict[str, Ended] = OrderedDict()  # by alarm
        self._last: dict[tuple[str, str, str, str | None], str] = {}  # the newest alarm of a passage among them

    def over(self, name: str) -> list[Alarm]:
        """The alarm of this id, if it is one of a passage that is over."""
        found = self.ended.get(name)
        return [] if found is None else [found.alarm]

    def plain(self, batch: ReadingBatch) -> Iterator[Seen]:
        """Readings that concern rules about the value itself, in the order in which they came."""
        series = batch.series.astype(np.intp)
        usable = batch.quality < Quality.BAD
        for rule, levels in self._levels.items():
            if levels[0].of_detector:
                continue
            of_rule = self._concerned[rule][series]
            reached = np.zeros(len(batch), np.bool_)
            for level in levels:
                reached |= of_rule & usable & (batch.value * level.sign >= level.limit * level.sign)
            rows = set(np.flatnonzero(reached).tolist()) | {row for row in batch.keys if of_rule[row] and usable[row]}
            for row in sorted(rows):
                value = float(batch.value[row])
                yield Seen(
                    rule,
                    int(series[row]),
                    batch.keys.get(row),
                    int(batch.time_ms[row]),
                    value,
                    value,
                    bool(batch.quality[row] == Quality.GOOD),
                )

    def judge(self, seen: Iterable[Seen], known_ms: int, effects: Effects) -> None:
        """Raise, worsen or close the alarms of passages."""
        for one in seen:
            levels = self._levels[one.rule]
            worst = max(
                (level for level in levels if one.signal * level.sign >= level.limit * level.sign),
                key=lambda level: level.severity,
                default=None,
            )
            where = (one.rule, one.series, one.key or f"t{one.time_ms}")
            alarm = self._book.open.get(where)
            if alarm is not None and self._rechecks.take_again(alarm, one, known_ms, effects) and worst is None:
                continue
            if worst is None:
                if alarm is not None and one.is_good and one.time_ms > alarm.onset_ms:
                    self._book.close(
                        alarm, What.RETURNED, one.time_ms, known_ms, "measured-again", effects, value=one.value
                    )
                    self.remember(alarm)
            elif alarm is None:
                device, metric = self._program.names[one.series]
                rule = self._program.rules[one.rule].id
                name = alarm_id(rule, device, metric, where[2], one.time_ms)
                if name not in self.closed and not self._was_over((rule, device, metric, where[2]), one.time_ms):
                    alarm = self._book.raise_(
                        where, worst.severity, one.time_ms, one.time_ms, known_ms, one.value, effects
                    )
                    alarm.limit = worst.limit
            elif worst.severity > alarm.severity:
                alarm.limit = worst.limit
                self._book.worsen(
                    alarm, worst.severity, one.time_ms, known_ms, "measured-again", effects, value=one.value
                )

    def remember(self, alarm: Alarm, actor: str | None = None, note: str | None = None) -> None:
        """An alarm was closed, perhaps by a person; if it is a passage's, it stays so."""
        if alarm.key is not None:
            self.closed[alarm.id] = None
            while len(self.closed) > _REMEMBERED_MAX:
                self.closed.popitem(last=False)
            self._remember_whole(Ended(alarm, actor, note))

    def restore(self, closed: Sequence[str], ended: Sequence[Ended]) -> None:
        """Remember what was closed before a restart."""
        self.closed = OrderedDict.fromkeys(closed)
        for each in ended:
            self._remember_whole(each)

    def _remember_whole(self, ended: Ended) -> None:
        self.ended[ended.alarm.id] = ended
        self._last[_passage(ended.alarm)] = ended.alarm.id
        while len(self.ended) > _ENDED_MAX:
            name, oldest = self.ended.popitem(last=False)
            if self._last.get(_passage(oldest.alarm)) == name:
                del self._last[_passage(oldest.alarm)]

    def _was_over(self, passage: tuple[str, str, str, str | None], time_ms: int) -> bool:
        """Whether a reading of that time is of a passage whose alarm ended after it."""
        ended = self.ended.get(self._last.get(passage, ""))
        if ended is None or ended.alarm.closed_ms is None:
            return False
        # Of two measurements of one moment the one that came later is the second.
        last_ms = ended.alarm.closed_ms - (ended.alarm.closed_reason != PERSON)
        return ended.alarm.onset_ms - _PASSAGE_MS <= time_ms <= last_ms


def _passage(alarm: Alarm) -> tuple[str, str, str, str | None]:
    return alarm.rule, alarm.device, alarm.metric, alarm.key
