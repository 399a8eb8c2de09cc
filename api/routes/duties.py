"""Daily duties: what is due today at a site, signed, and the month behind."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import Looking, Permission, Role, SigningDuties, User
from api.answers import Route
from api.duties import LATE_DAYS_MAX, Due, Reminder, State
from api.parts import Parts, PartsOf
from api.problems import Problem, told

router = APIRouter(route_class=Route)


class DutySigned(BaseModel):
    """That it is done."""

    model_config = ConfigDict(extra="forbid")

    site: str = Field(max_length=64)
    day: date
    note: str = Field(default="", max_length=500)


class Words(BaseModel):
    """A name in both languages."""

    en: str
    zh: str


class DutyTold(BaseModel):
    """One message about a missed duty, to a person by a channel; `state` as of every notice."""

    recipient: str
    channel: str
    state: str
    delivered_ms: int | None


class DutyShown(BaseModel):
    """A duty on a day: `late` is signed after its time, `missed` not signed at all.

    `alarm` is what reminded of it once it was missed, and `told` whom.
    """

    duty: str
    name: Words
    site: str
    day: date
    role: Role
    opens_ms: int
    due_ms: int
    state: State
    person: str | None
    signed_ms: int | None
    note: str | None
    may_sign: bool
    alarm: str | None
    told: list[DutyTold]


class DutyList(BaseModel):
    """In the order of time; `missed` are those of the last days that can still be signed."""

    day: date
    items: list[DutyShown]
    missed: list[DutyShown]
    next: str | None = None


class DutyMonth(BaseModel):
    """A month up to today, with how many were how."""

    month: str
    counts: dict[State, int]
    items: list[DutyShown]
    next: str | None = None


@router.get("/duties", responses=told(404), response_model=DutyList)
def duties(session: Looking, parts: PartsOf, site: str) -> DutyList:
    """What is due today at a site, and what was missed in the last days."""
    _must_see(parts, session.user, site)
    today = _today(parts, site)
    past = parts.duties.of_days(site, today - timedelta(days=LATE_DAYS_MAX), today - timedelta(days=1))
    reminders = parts.duties.reminders(site, today - timedelta(days=LATE_DAYS_MAX))
    now_ms = parts.clock.now_ms()
    missed = [due for due in past if due.state(now_ms) is State.MISSED]
    return DutyList(
        day=today,
        items=[_shown(parts, session.user, due, reminders) for due in parts.duties.of_days(site, today, today)],
        missed=[_shown(parts, session.user, due, reminders) for due in missed],
    )


@router.get("/duties/history", responses=told(404), response_model=DutyMonth)
def duty_history(
    session: Looking, parts: PartsOf, site: str, month: Annotated[str, Query(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]
) -> DutyMonth:
    """Every duty of a month up to today, the newest first."""
    _must_see(parts, session.user, site)
    year, number = (int(part) for part in month.split("-"))
    last = min(date(year, number, monthrange(year, number)[1]), _today(parts, site))
    found = parts.duties.of_days(site, date(year, number, 1), last)
    reminders = parts.duties.reminders(site, date(year, number, 1))
    items = [_shown(parts, session.user, due, reminders) for due in reversed(found)]
    counts = {state: sum(item.state is state for item in items) for state in State}
    return DutyMonth(month=month, counts=counts, items=items)


@router.post("/duties/{duty}/sign", responses=told(409), response_model=DutyShown)
def sign_duty(session: SigningDuties, parts: PartsOf, duty: str, body: DutySigned) -> DutyShown:
    """That it is done, by somebody with the role that it is for. What is refused says why in `code`."""
    user = session.user
    _must_see(parts, user, body.site)
    today = _today(parts, body.site)
    due = parts.duties.one(body.site, body.day, duty) if abs((body.day - today).days) <= LATE_DAYS_MAX else None
    if due is None:
        told = f"'{duty}' is not due at '{body.site}' on {body.day}, or it is more than {LATE_DAYS_MAX} days ago"
        raise Problem(404, "No such duty", told, code="not-due")
    if not _may_sign(user, due):
        parts.accounts.record(user.name, "duty-sign", f"{duty} {body.site} {body.day}", "refused: role", body.site)
        told = f"it is signed by somebody with the role '{due.duty.role}' at the site"
        raise Problem(403, "Not for this user", told, code="other-role", given={"role": due.duty.role})
    now_ms = parts.clock.now_ms()
    if now_ms < due.opens_ms:
        told = "day: it is not time for this duty yet"
        raise Problem(422, "The request does not fit", told, code="too-early", given={"opens_ms": due.opens_ms})
    if not parts.duties.sign(due, user.name, now_ms, body.note.strip()):
        by = parts.duties.one(body.site, body.day, duty)
        who = by.person if by else None
        told = f"{who or 'somebody'} has signed it; look at it again"
        raise Problem(409, "Signed already", told, code="signed", given={"person": who})
    parts.accounts.record(user.name, "duty-sign", f"{duty} {body.site} {body.day}", "done", body.site)
    made = parts.duties.one(body.site, body.day, duty)
    assert made is not None
    return _shown(parts, user, made, parts.duties.reminders(body.site, body.day))


def _must_see(parts: Parts, user: User, site: str) -> None:
    if site not in parts.catalogue.site or not user.sees(site):
        raise Problem(404, "No such site", f"there is no site '{site}' that you may see: GET /api/v1/sites")


def _may_sign(user: User, due: Due) -> bool:
    """The role that it is for is enough: no other permission there is asked for."""
    has_role = bool(user.roles_at(due.site) & {due.duty.role, Role.ADMINISTRATOR})
    return has_role and user.may(Permission.SIGN_DUTIES, due.site)


def _today(parts: Parts, site: str) -> date:
    zone = ZoneInfo(parts.catalogue.site[site].timezone)
    return datetime.fromtimestamp(parts.clock.now_ms() / 1000, zone).date()


def _shown(parts: Parts, user: User, due: Due, reminders: Mapping[tuple[date, str], Reminder]) -> DutyShown:
    now_ms = parts.clock.now_ms()
    reminder = reminders.get((due.day, due.duty.id))
    return DutyShown(
        duty=due.duty.id,
        name=Words(en=due.duty.name.en, zh=due.duty.name.zh),
        site=due.site,
        day=due.day,
        role=due.duty.role,
        opens_ms=due.opens_ms,
        due_ms=due.due_ms,
        state=due.state(now_ms),
        person=due.person,
        signed_ms=due.signed_ms,
        note=due.note,
        may_sign=due.signed_ms is None and now_ms >= due.opens_ms and _may_sign(user, due),
        alarm=None if reminder is None else reminder.alarm,
        told=[] if reminder is None else [DutyTold(**asdict(told)) for told in reminder.told],
    )
