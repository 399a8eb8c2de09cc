"""Daily duties: what must be done at a site on which days, by when and by whom; and who has signed it.

Definitions are data, files in a folder. What was signed is kept; a duty that was not signed in time is missed, by the
definition alone, so that nothing has to run for it to be noticed. That people are told of it is the core's work
(`gatehouse/missed.py`); whom it told is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import Field

from alerts.duty import ClockTime, Day, Weekday, instant_ms
from alerts.escalation import DUTY_MISSED
from alerts.rule import Declared
from alerts.store import alarms, notices
from api.access import Role
from telemetry.catalogue import Catalogue, LocalText, Name
from telemetry.database import metadata
from telemetry.declaration import Mistake, Mistakes, read_document, validate

LATE_DAYS_MAX = 7
"""So many days afterwards a missed duty can still be signed, as late."""

signed = sa.Table(
    "duty_signed",
    metadata,
    sa.Column("site", sa.String(64), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("duty", sa.String(64), primary_key=True),
    sa.Column("person", sa.String(64), nullable=False),
    sa.Column("signed_ms", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)


class Duty(Declared):
    """Something that must be done, and signed by somebody of a role between two times of a day."""

    id: Name
    name: LocalText
    role: Role
    since: date  # before this day it was nobody's duty
    sites: tuple[Name, ...] | None = None  # all, when not given
    days: tuple[Day, ...] = tuple(Weekday)
    start: ClockTime = Field(default=time(0), alias="from")
    due: ClockTime = Field(alias="by")


class DutyFile(Declared):
    """One YAML file."""

    duties: tuple[Duty, ...] = ()


class State(StrEnum):
    """How a duty of a day stands."""

    LATER = "later"
    OPEN = "open"
    DONE = "done"
    LATE = "late"  # signed after its time
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Due:
    """A duty on a day at a site."""

    duty: Duty
    site: str
    day: date
    opens_ms: int
    due_ms: int
    person: str | None
    signed_ms: int | None
    note: str | None

    def state(self, now_ms: int) -> State:
        if self.signed_ms is not None:
            return State.DONE if self.signed_ms <= self.due_ms else State.LATE
        return State.MISSED if now_ms > self.due_ms else State.OPEN if now_ms >= self.opens_ms else State.LATER


@dataclass(frozen=True, slots=True)
class Told:
    """That somebody was told that a duty was missed, or is being told: one message by one channel."""

    recipient: str
    channel: str
    state: str  # of the notice
    delivered_ms: int | None


@dataclass(frozen=True, slots=True)
class Reminder:
    """The alarm of a missed duty, and whom it told."""

    alarm: str
    told: tuple[Told, ...]


def load_duties(folder: Path, catalogue: Catalogue) -> tuple[Duty, ...]:
    """The duties of a folder's *.yaml; none when there is no folder. Raises Mistakes with all that is wrong."""
    mistakes: list[Mistake] = []
    found: dict[str, Duty] = {}
    for file in sorted(folder.glob("*.yaml")):
        try:
            document = read_document(file)
            given = validate(document, DutyFile).duties
        except Mistakes as error:
            mistakes += error.mistakes
            continue
        for number, duty in enumerate(given):
            if duty.id in found:
                mistakes.append(document.mistake(("duties", number, "id"), f"'{duty.id}' is taken"))
            found[duty.id] = duty
            if duty.due <= duty.start:
                mistakes.append(document.mistake(("duties", number, "by"), "lies after 'from', on the same day"))
            for at, site in enumerate(duty.sites or ()):
                if site not in catalogue.site:
                    mistakes.append(document.mistake(("duties", number, "sites", at), f"there is no site '{site}'"))
    if mistakes:
        raise Mistakes(mistakes)
    return tuple(found.values())


class Duties:
    """Reads what is due, and writes who has signed."""

    def __init__(self, database: sa.Engine, catalogue: Catalogue, duties: Sequence[Duty]) -> None:
        self._database = database
        self._catalogue = catalogue
        self._duties = {duty.id: duty for duty in duties}

    def of_days(self, site: str, first: date, last: date) -> list[Due]:
        """What is due at a site from one day to another, both included, in the order of time."""
        zone = ZoneInfo(self._catalogue.site[site].timezone)
        query = sa.select(signed).where(signed.c.site == site, signed.c.day >= first, signed.c.day <= last)
        with self._database.connect() as db:
            by = {(row.day, row.duty): row for row in db.execute(query)}
        found = []
        for day in _days(first, last):
            for duty in self._duties.values():
                if _is_due(duty, site, day):
                    found.append(_due(duty, site, day, zone, by.get((day, duty.id))))
        return sorted(found, key=lambda due: (due.day, due.due_ms, due.duty.id))

    def one(self, site: str, day: date, duty: str) -> Due | None:
        """A duty of a day; None when there is none."""
        return next((due for due in self.of_days(site, day, day) if due.duty.id == duty), None)

    def is_signed(self, site: str, day: date, duty: str) -> bool:
        """Whether somebody has signed, also where no file has the duty any more."""
        query = sa.select(signed.c.person).where(signed.c.site == site, signed.c.day == day, signed.c.duty == duty)
        with self._database.connect() as db:
            return db.execute(query).first() is not None

    def reminders(self, site: str, first: date) -> dict[tuple[date, str], Reminder]:
        """What was told of a site's duties from a day on that were missed, by (day, duty)."""
        since_ms = instant_ms(first, time(0), ZoneInfo(self._catalogue.site[site].timezone))
        raised = sa.select(alarms.c.id, alarms.c.device, alarms.c.document).where(
            alarms.c.rule == DUTY_MISSED, alarms.c.site == site, alarms.c.raised_ms >= since_ms
        )
        sent = (
            sa.select(notices.c.alarm, notices.c.recipient, notices.c.channel, notices.c.state, notices.c.delivered_ms)
            .where(notices.c.sort == "call", notices.c.alarm.in_(raised.with_only_columns(alarms.c.id)))
            .order_by(notices.c.id)
        )
        told: dict[str, list[Told]] = {}
        with self._database.connect() as db:
            for alarm, *how in db.execute(sent):
                told.setdefault(alarm, []).append(Told(*how))
            return {
                (date.fromisoformat(row.document["key"]), row.device): Reminder(row.id, tuple(told.get(row.id, ())))
                for row in db.execute(raised)
            }

    def sign(self, due: Due, person: str, now_ms: int, note: str) -> bool:
        """Put on record that it is done; False when somebody else has."""
        row = {"site": due.site, "day": due.day, "duty": due.duty.id}
        try:
            with self._database.begin() as db:
                db.execute(signed.insert().values(person=person, signed_ms=now_ms, note=note, **row))
        except sa.exc.IntegrityError:
            return False
        return True


def _days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _is_due(duty: Duty, site: str, day: date) -> bool:
    return day >= duty.since and Weekday(day.weekday()) in duty.days and (duty.sites is None or site in duty.sites)


def _due(duty: Duty, site: str, day: date, zone: ZoneInfo, row: Any) -> Due:
    told = (None, None, None) if row is None else (row.person, row.signed_ms, row.note)
    return Due(duty, site, day, instant_ms(day, duty.start, zone), instant_ms(day, duty.due, zone), *told)
