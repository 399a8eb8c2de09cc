"""Daily duties that nobody has signed in time become alarms, so that people are told: once for each duty and day.

What is missed follows from the definitions and what was signed (`api.duties`). What is found goes to the engine as a command
in the journal, and is told from there like any alarm. It ends when somebody signs late, or when nobody can sign any more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.escalation import DUTY_MISSED, DUTY_OVER
from alerts.store import Store
from api.duties import LATE_DAYS_MAX, Due, Duties, State
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock

_DAY_MS = 86_400_000
TOLD_WITHIN_DAYS = 3
"""What was missed longer ago is no news, after a core that stood still over a weekend, or one that never told of duties."""


class MissedDuties:
    """Looks and tells. Only for the thread that keeps house."""

    def __init__(self, duties: Duties, store: Store, catalogue: Catalogue, clock: Clock) -> None:
        self._duties = duties
        self._store = store
        self._catalogue = catalogue
        self._clock = clock

    def tell(self) -> int:
        """Say what was missed since the last look, and what is made good; how many were said.

        Raises DATABASE_AWAY; it is then told the next time.
        """
        now_ms, count = self._clock.now_ms(), 0
        told = self._store.duties(now_ms - 2 * LATE_DAYS_MAX * _DAY_MS)
        standing = {name for name, is_open in told.items() if is_open}
        for site in self._catalogue.sites:
            today = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(site.timezone)).date()
            for due in self._duties.of_days(site.id, today - timedelta(days=LATE_DAYS_MAX), today):
                name = f"{due.site}/{due.duty.id}/{due.day}"
                if due.state(now_ms) is not State.MISSED:
                    continue
                standing.discard(name)
                if name not in told and now_ms - due.due_ms <= TOLD_WITHIN_DAYS * _DAY_MS:
                    count += self._store.report(DUTY_MISSED, name, "", now_ms, _said(due))
        # Left are those that were signed, that cannot be signed any more, or that are in no file now.
        for name in sorted(standing):
            site_id, duty, day = name.split("/")
            signed = self._duties.is_signed(site_id, datetime.fromisoformat(day).date(), duty)
            reason = "signed-late" if signed else "cannot-be-signed"
            count += self._store.report(DUTY_OVER, name, reason, now_ms)
        return count


def _said(due: Due) -> dict[str, str]:
    """What people are told."""
    by = f"{due.duty.due:%H:%M}"
    return {
        "en": f"{due.duty.name.en} of {due.day}: nobody has signed it off by {by}",
        "zh": f"{due.duty.name.zh}（{due.day}）：截至 {by} 无人签字",
    }
