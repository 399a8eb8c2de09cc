"""Who read the register, and why: a row of the audit for each read, with the reason that was given.

The audit stands in the alarms' database, so no name may get into it: it holds the reason's code and how many visits were
shown. The words beside the code, the text that was searched for and which visits were shown are kept in the register,
sealed, as a note that the audit's row names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from api.audit import Audit
from api.register.store import Register
from api.register.visit import Visit
from telemetry.clock import Clock

_HOUR_MS = 3_600_000
_REMEMBERED_MAX = 1_000


class Reason(StrEnum):
    """Why somebody wants to see who came."""

    ON_DUTY = "on-duty"
    CONTACT_TRACING = "contact-tracing"
    PERSON_ASKED = "person-asked"
    INCIDENT = "incident"
    INSPECTION = "inspection"
    OTHER = "other"  # in words, then


class Reads:
    """Puts reads of the register on record."""

    def __init__(self, register: Register, audit: Audit, clock: Clock) -> None:
        self._register = register
        self._audit = audit
        self._clock = clock
        self._looked: OrderedDict[tuple[str, str, Reason], int] = OrderedDict()

    def put(
        self,
        actor: str,
        what: str,
        where: str,
        reason: Reason,
        words: str,
        text: str,
        shown: Sequence[Visit],
        site: str | None = None,
    ) -> None:
        """One read. Whoever asks is shown nothing before it is on record."""
        note = {"words": words, "text": text, "shown": [visit.id for visit in shown]}
        kept = self._register.keep_note(msgspec.json.encode(note).decode())
        self._audit.record(
            actor, f"register-{what}", f"{where} note {kept}", f"{reason.value}: {len(shown)} shown", site
        )

    def put_erasure(self, actor: str, reason: Reason, words: str, asked: Sequence[str]) -> str:
        """That visits are to be taken out; the note that it is on record with. Nothing goes before."""
        note = {"words": words, "text": "", "erased": list(asked)}
        kept = self._register.keep_note(msgspec.json.encode(note).decode())
        self._audit.record(actor, "register-erase", f"{len(asked)} visits note {kept}", f"{reason.value}: asked")
        return kept

    def put_erased(self, actor: str, note: str, count: int) -> None:
        """How many have gone."""
        self._audit.record(actor, "register-erase", f"{count} visits note {note}", "done")

    def look(self, actor: str, gate: str, reason: Reason, site: str | None = None) -> None:
        """A guard has the gate's page open; it asks again and again, and is put on record once an hour."""
        hour = self._clock.now_ms() // _HOUR_MS
        asked = (actor, gate, reason)
        if self._looked.get(asked) == hour:
            return
        self._audit.record(actor, "register-look", gate, reason.value, site)
        self._looked[asked] = hour
        while len(self._looked) > _REMEMBERED_MAX:
            self._looked.popitem(last=False)
