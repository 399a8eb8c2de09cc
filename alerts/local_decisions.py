"""What guards decided at a gateway's own page while the network was cut, brought in at the moment when they decided.

Between persons the first decision stands, by the time when it was taken and not by when it came; the other is kept on the
alarm as a comment, with who and what. A person outranks readings: what those had ended meanwhile is decided all the same.
A decision that comes before its alarm waits for it. Who is no guard of the site decides nothing, and that is on the alarm.

      the alarm                  a local decision
      is not known yet           waits, and is brought in once everything of the record that raises it was judged
      is open                    closes it, as of then
      was ended by readings      AMENDED: a person had decided
      was decided earlier        COMMENTED, reason `decided-later`
      was decided later          AMENDED, reason `decided-earlier`, and COMMENTED with what had stood
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from alerts.alarm import PERSON, Alarm, Effects, Recheck, What
from alerts.book import AlarmBook
from alerts.passages import Ended, Passages
from telemetry.decision import LocalDecision

DECIDED_EARLIER, DECIDED_LATER, NOT_A_GUARD = "decided-earlier", "decided-later", "not-a-guard"
"""Reasons: this decision now stands; this one does not; this one counts for nothing."""
_WAITING_MAX = 1000  # alarms
_OF_ONE_MAX = 16  # decisions on one of them: no gate has more guards


class Taken(msgspec.Struct, frozen=True):
    """A decision as it stands in the journal."""

    id: str
    gateway: str
    decision: LocalDecision
    is_guard: bool  # of the alarm's site, when it came


class LocalDecisions:
    """Decisions that wait for their alarm, and how each is brought in."""

    def __init__(self, book: AlarmBook, passages: Passages) -> None:
        self._book = book
        self._passages = passages
        self.waiting: OrderedDict[str, list[Taken]] = OrderedDict()  # by alarm

    def hear(self, taken: Taken, known_ms: int, effects: Effects) -> None:
        """A decision came; it is brought in at once, or when its alarm is known."""
        if taken.decision.decided_ms > known_ms:  # a gateway whose clock is ahead
            taken = msgspec.structs.replace(
                taken, decision=msgspec.structs.replace(taken.decision, decided_ms=known_ms)
            )
        of_alarm = self.waiting.setdefault(taken.decision.alarm, [])
        if len(of_alarm) < _OF_ONE_MAX:
            of_alarm.append(taken)
        while len(self.waiting) > _WAITING_MAX:
            self.waiting.popitem(last=False)
        self._settle(taken.decision.alarm, known_ms, effects)

    def settle(self, known_ms: int, effects: Effects) -> None:
        """Bring in what waited for alarms that a record has raised; after all of the record was judged."""
        if self.waiting:
            for name in [name for name in effects.alarms if name in self.waiting]:
                self._settle(name, known_ms, effects)

    def _settle(self, name: str, known_ms: int, effects: Effects) -> None:
        alarm = self._book.find(name)
        ended = self._passages.ended.get(name)
        if alarm is None and ended is None:
            return
        for taken in sorted(self.waiting.pop(name), key=lambda taken: taken.decision.decided_ms):
            decision = taken.decision
            alarm, ended = self._book.find(name), self._passages.ended.get(name)
            about = alarm if alarm is not None else ended.alarm if ended is not None else None
            assert about is not None
            refused = not taken.is_guard or (decision.disposition == "refuse" and not decision.note.strip())
            if refused:
                said = f"{decision.guard}: {_said(decision)}"
                self._comment(about, decision.decided_ms, known_ms, NOT_A_GUARD, taken.gateway, said, effects)
            elif alarm is not None:
                self._decide(alarm, decision, known_ms, effects)
            elif ended is not None:
                self._merge(ended, decision, known_ms, effects)

    def _decide(self, alarm: Alarm, decision: LocalDecision, known_ms: int, effects: Effects) -> None:
        guard, book = decision.guard, self._book
        if decision.asked_ms is not None and alarm.recheck is None:
            alarm.recheck = Recheck(decision.asked_ms, guard, decision.decided_ms)
            book.note(alarm, What.RECHECK, decision.asked_ms, known_ms, PERSON, effects, actor=guard)
        recheck = alarm.recheck
        if decision.measured_ms is not None and recheck is not None and recheck.measured_ms != decision.measured_ms:
            recheck.value, recheck.method, recheck.measured_ms = decision.value, decision.method, decision.measured_ms
            recheck.measured_by = guard
            step = What.MEASURED, decision.measured_ms, known_ms, PERSON
            book.note(alarm, *step, effects, actor=guard, note=decision.method, value=decision.value)
        alarm.disposition = decision.disposition
        step = What.DISPOSED, decision.decided_ms, known_ms, PERSON
        book.close(alarm, *step, effects, actor=guard, note=decision.note)
        self._passages.remember(alarm, guard, decision.note)

    def _merge(self, ended: Ended, decision: LocalDecision, known_ms: int, effects: Effects) -> None:
        alarm = ended.alarm
        assert alarm.closed_ms is not None
        at_ms = decision.decided_ms
        if alarm.closed_reason == PERSON and at_ms >= alarm.closed_ms:
            is_same = (at_ms, decision.guard, decision.disposition) == (alarm.closed_ms, ended.actor, alarm.disposition)
            if not is_same:  # the very same decision, out of a spool that was restored from a copy
                self._comment(alarm, at_ms, known_ms, DECIDED_LATER, decision.guard, _said(decision), effects)
            return
        stood = alarm.closed_ms, ended.actor, f"{alarm.disposition or What.CLOSED}: {ended.note or ''}"
        was_decided = alarm.closed_reason == PERSON
        alarm.disposition, alarm.closed_ms, alarm.closed_reason = decision.disposition, at_ms, PERSON
        reason = DECIDED_EARLIER if was_decided else PERSON
        step = What.AMENDED, at_ms, known_ms, reason
        self._book.note(alarm, *step, effects, actor=decision.guard, note=_said(decision))
        self._passages.remember(alarm, decision.guard, decision.note)
        if was_decided:
            at_ms, actor, said = stood
            self._comment(alarm, at_ms, known_ms, DECIDED_LATER, actor, said, effects)

    def _comment(
        self, alarm: Alarm, at_ms: int, known_ms: int, reason: str, actor: str | None, said: str, effects: Effects
    ) -> None:
        self._book.note(alarm, What.COMMENTED, at_ms, known_ms, reason, effects, actor=actor, note=said)


def _said(decision: LocalDecision) -> str:
    return f"{decision.disposition}: {decision.note}"
