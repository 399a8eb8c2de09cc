"""A person whom a scanner has stopped is measured again: the clock of it, the second measurement, and who decides.

    RECHECK, 180 s ──a measurement──▶ MEASURED, 120 s ──DISPOSED by a named person──▶ over
         │ nothing came                   │ nobody decided
         └──────────────────▶ REALARMED ◀─┘ it counts as unseen: the ladder calls anew

"Measure again" is an answer to the alarm, so it acknowledges it. The measurement comes by itself: the next reading with
the passage's key, whenever it was asked for; or a reading of a metric that the catalogue declares `recheck`, at the same
gate, taken while the clock ran. Where such a device stands at a lane it is about the people of that lane. Whose reading it
is must be beyond doubt: while two people wait for it, it is nobody's, and the guard types it in.

From here on no reading closes the alarm: a normal one is what a guard admits by, and puts a name to.

Deadlines are on event time: they count from the record of the command, ticks say when they have passed, and both are in
the journal. A measurement that comes late and was taken in time is a measurement. Axis: N readings.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from alerts.alarm import PERSON, Alarm, Effects, Recheck, What
from alerts.book import AlarmBook
from alerts.program import Program
from alerts.seen import Seen
from telemetry.batch import ReadingBatch
from telemetry.quality import Quality

MEASURE_WITHIN_MS = 180_000
DECIDE_WITHIN_MS = 120_000
RECHECK_OVERDUE, DECISION_OVERDUE = "recheck-overdue", "decision-overdue"
"""Reasons of the call for what did not come in time."""
_DEVICE = "device"
_SAME_KEY = "same-passage"


class Rechecks:
    """The open alarms of passages that are measured again."""

    def __init__(self, program: Program, book: AlarmBook) -> None:
        self._program = program
        self._book = book
        self._waiting: dict[str, None] = {}  # ids of open alarms with a recheck, in the order in which they were asked
        catalogue = program.catalogue
        self._gate = {place.id: catalogue.gate_of(place.id) for place in catalogue.places}
        self._thermometers = np.array(
            [s for s, name in enumerate(program.names) if (m := catalogue.metric.get(name)) is not None and m.recheck],
            np.intp,
        )

    def ask(self, alarm: Alarm, actor: str, known_ms: int, effects: Effects) -> str:
        """Start the clock, also once more: "" when done, else why not."""
        if alarm.key is None:
            return "only a person at a gate can be measured again"
        alarm.recheck = Recheck(known_ms, actor, known_ms + MEASURE_WITHIN_MS)
        self._waiting[alarm.id] = None
        self._book.note(alarm, What.RECHECK, known_ms, known_ms, PERSON, effects, actor=actor)
        return ""

    def type_in(
        self, alarm: Alarm, value: float | None, method: str | None, actor: str, known_ms: int, effects: Effects
    ) -> str:
        """Take what a guard read off a thermometer: "" when done, else why not."""
        if alarm.recheck is None:
            return "ask for the second measurement first"
        if value is None:
            return "a measurement has a value"
        self._measured(alarm.recheck, value, method, known_ms, actor)
        self._book.note(
            alarm, What.MEASURED, known_ms, known_ms, PERSON, effects, actor=actor, note=method, value=value
        )
        return ""

    def take_again(self, alarm: Alarm, one: Seen, known_ms: int, effects: Effects) -> bool:
        """A reading with the key of an alarm's passage; whether it was asked for."""
        if alarm.recheck is None:
            return False
        # Suspect, too: whose it is the key says, and what it is worth a guard.
        if one.time_ms > alarm.onset_ms:
            self._from_device(alarm, alarm.recheck, one.value, one.time_ms, _SAME_KEY, known_ms, effects)
        return True

    def rows(self, batch: ReadingBatch) -> list[int]:
        """Readings of thermometers that somebody may wait for, ascending."""
        if not self._waiting or not len(self._thermometers):
            return []
        usable = batch.quality == Quality.GOOD
        return np.flatnonzero(np.isin(batch.series, self._thermometers) & usable).tolist()

    def take(self, batch: ReadingBatch, row: int, known_ms: int, effects: Effects) -> None:
        """A thermometer's reading: of the one person who waits for it there, or of nobody."""
        place, time_ms = self._program.place[int(batch.series[row])], int(batch.time_ms[row])
        at_gate = self._gate.get(place) == place
        people: dict[tuple[str, str | None], list[tuple[Alarm, Recheck]]] = {}
        for alarm, recheck in self._open():
            is_there = self._gate.get(alarm.place) == self._gate.get(place) if at_gate else alarm.place == place
            if is_there and recheck.asked_ms <= time_ms <= recheck.asked_ms + MEASURE_WITHIN_MS:
                people.setdefault((alarm.device, alarm.key), []).append((alarm, recheck))
        if len(people) != 1:
            return
        device, value = self._program.names[int(batch.series[row])][0], float(batch.value[row])
        for alarm, recheck in next(iter(people.values())):
            self._from_device(alarm, recheck, value, time_ms, device, known_ms, effects)

    def advance(self, now_ms: int, effects: Effects) -> None:
        """Call anew where nothing came by the time when it was due."""
        for alarm, recheck in self._open():
            if now_ms >= recheck.due_ms and not recheck.is_overdue:
                recheck.is_overdue, alarm.acknowledged_by = True, None
                reason = RECHECK_OVERDUE if recheck.measured_ms is None else DECISION_OVERDUE
                self._book.note(alarm, What.REALARMED, recheck.due_ms, now_ms, reason, effects)

    def restore(self, alarms: Iterable[Alarm]) -> None:
        """Go on with what open alarms say."""
        found = [(alarm.recheck.asked_ms, alarm.id) for alarm in alarms if alarm.recheck is not None]
        self._waiting = {name: None for _, name in sorted(found)}

    def _open(self) -> list[tuple[Alarm, Recheck]]:
        found = []
        for name in list(self._waiting):
            alarm = self._book.find(name)
            if alarm is None or alarm.recheck is None:
                del self._waiting[name]
            else:
                found.append((alarm, alarm.recheck))
        return found

    def _from_device(
        self, alarm: Alarm, recheck: Recheck, value: float, time_ms: int, method: str, known_ms: int, effects: Effects
    ) -> None:
        # The newest by its own time is the one that stands, whatever came when; each is on record.
        if recheck.measured_ms is None or time_ms >= recheck.measured_ms:
            self._measured(recheck, value, method, time_ms, None)
        self._book.note(alarm, What.MEASURED, time_ms, known_ms, _DEVICE, effects, note=method, value=value)

    @staticmethod
    def _measured(recheck: Recheck, value: float, method: str | None, time_ms: int, actor: str | None) -> None:
        if recheck.measured_ms is None:
            recheck.due_ms = time_ms + DECIDE_WITHIN_MS
            recheck.is_overdue = False
        recheck.value, recheck.method, recheck.measured_ms, recheck.measured_by = value, method, time_ms, actor
