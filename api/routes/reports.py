"""Reports: what was made, one made now, files, and the schedules by which they are made."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.access import Looking, Permission, SchedulingReports, User
from api.answers import Route
from api.asking import at_cursor
from api.contract import Named, named
from api.documents.document import Language
from api.drains.network import networks
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from api.reports.made import FORMS, NotAsSeen, Scheduled, Wanted
from api.reports.making import files_of, make
from api.reports.period import BY_CALENDAR, Kind, Period, calendar_period

router = APIRouter(route_class=Route)

_MEDIA = {"pdf": "application/pdf", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
_FIRST_YEAR = 2000
_RECIPIENTS_MAX = 50


def _of_the_site(at: time) -> time:
    if at.tzinfo is not None:
        raise ValueError("a time of the site's own clock, without an offset: write 07:00")
    return at


Name = Annotated[str, Field(min_length=1, max_length=64)]
At = Annotated[time, AfterValidator(_of_the_site)]


class Told(BaseModel):
    """Whom a report was told to, and how that went."""

    channel: str
    recipient: str
    state: Literal["waiting", "sending", "delivered", "failed"]
    error: str | None


class Made(BaseModel):
    """A report that lies ready; `schedule` is null where somebody asked for it."""

    id: str
    kind: Kind
    site: str
    subject: str
    period: str
    start_ms: int
    end_ms: int
    language: Language
    made_ms: int
    made_by: str
    schedule: str | None
    told: list[Told]


class MadePage(BaseModel):
    """The newest first."""

    items: list[Made]
    next: str | None


class MakeNow(BaseModel):
    """Make a report. `subject`: a site, a gate, a network of drains or a building; `period`: see `Kind`."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    subject: Name
    period: str = Field(
        max_length=20,
        description="2026-11-23, 2026-11, a storm's begin in epoch ms; of a shift 'now', or when signed",
    )
    language: Language = "zh"


class Recipient(BaseModel):
    """Somebody to tell, by a channel where they have an address."""

    model_config = ConfigDict(extra="forbid")

    person: Name
    channel: Name


class ScheduleWanted(BaseModel):
    """Make every report of a kind. `at`: at what time of the site's day after a day or month has ended."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    subject: Name
    language: Language = "zh"
    at: At = time(7)
    recipients: list[Recipient] = Field(default=[], max_length=_RECIPIENTS_MAX)


class ScheduleChange(BaseModel):
    """What of a schedule can be changed; `version` is the one that was seen."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, lt=2**31)
    language: Language
    at: At
    recipients: list[Recipient] = Field(max_length=_RECIPIENTS_MAX)


class ScheduleShown(BaseModel):
    """A schedule as it stands, and who made this version of it when."""

    id: str
    version: int
    kind: Kind
    site: str
    subject: str
    language: Language
    at: str
    recipients: list[Recipient]
    actor: str
    time_ms: int
    may_change: bool


class Subject(BaseModel):
    """Something that a report can be about."""

    kind: Kind
    id: str
    site: str
    name: Named


class Person(BaseModel):
    """Somebody who can be told, and by which channels."""

    id: str
    name: Named
    channels: list[str]


class Schedules(BaseModel):
    """Schedules, and what there is to choose from; people are shown to who may choose them."""

    items: list[ScheduleShown]
    subjects: list[Subject]
    people: list[Person]
    next: None = None


@router.get("/reports")
def page(
    session: Looking,
    parts: PartsOf,
    site: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> MadePage:
    seen = [each.id for each in parts.catalogue.sites if session.user.sees(each.id) and site in (None, each.id)]
    items, after = parts.reports.page(seen, limit, None if cursor is None else at_cursor(cursor))
    return MadePage(
        items=[Made.model_validate(item) for item in items], next=None if after is None else f"{after[0]}.{after[1]}"
    )


@router.post("/reports", responses=told(404), status_code=201)
def make_now(session: Looking, parts: PartsOf, body: MakeNow) -> Made:
    """Made while one waits: a month of eighty meters takes a second or two."""
    site = _site_of(parts, session.user, body.kind, body.subject)
    now_ms = parts.clock.now_ms()
    wanted = Wanted(body.kind, site, body.subject, _period(parts, site, body, now_ms), body.language)
    claim = parts.reports.claim(wanted, None)
    assert claim is not None, "what nobody scheduled nobody else can have claimed"
    kept = False
    try:
        document = make(parts, wanted, now_ms)
        if document is None:
            raise Problem(404, "Nothing to report", f"there is no {body.kind} '{body.period}' of '{body.subject}'")
        kept = parts.reports.made(claim, files_of(document), session.user.name)
    finally:
        if not kept:
            parts.reports.withdraw(claim)
    parts.accounts.record(session.user.name, "report", f"{body.kind} {body.subject} {body.period}", "made", site)
    made = parts.reports.one(claim.report)
    assert made is not None
    return Made.model_validate({**made, "told": []})


@router.get("/reports/schedules")
def schedules(session: Looking, parts: PartsOf) -> Schedules:
    user = session.user
    items = [_shown(each, user) for each in parts.reports.schedules() if user.sees(each.document["site"])]
    chosen = parts.people.people if user.may_somewhere(Permission.SCHEDULE_REPORTS) else ()
    people = [
        Person(
            id=person.id,
            name=named(person.name),
            channels=sorted(set(person.addresses) & set(parts.channels)),
        )
        for person in chosen
    ]
    return Schedules(items=items, subjects=_subjects(parts, user), people=people)


@router.post("/reports/schedules", responses=told(404), status_code=201)
def schedule(session: SchedulingReports, parts: PartsOf, body: ScheduleWanted) -> ScheduleShown:
    site = _site_of(parts, session.user, body.kind, body.subject)
    _must_schedule(parts, session.user, site, body.subject)
    document = body.model_dump(mode="json") | {"site": site, "at": f"{body.at:%H:%M}"}
    _must_be_known(parts, body.recipients)
    made = parts.reports.begin(document, session.user.name)
    parts.accounts.record(session.user.name, "report-schedule", f"{made.id} {body.kind} {body.subject}", "begun", site)
    return _shown(made, session.user)


@router.put("/reports/schedules/{name}", responses=told(409))
def change(session: SchedulingReports, parts: PartsOf, name: str, body: ScheduleChange) -> ScheduleShown:
    seen = _schedule(parts, session.user, name, body.version)
    _must_be_known(parts, body.recipients)
    given = body.model_dump(mode="json", exclude={"version"}) | {"at": f"{body.at:%H:%M}"}
    made = _changed(parts, session.user, seen, {**seen.document, **given})
    parts.accounts.record(
        session.user.name, "report-schedule", f"{name} version {made.version}", "changed", seen.document["site"]
    )
    return _shown(made, session.user)


@router.delete("/reports/schedules/{name}", responses=told(409), status_code=204)
def end(
    session: SchedulingReports, parts: PartsOf, name: str, version: Annotated[int, Query(ge=1, lt=2**31)]
) -> Response:
    seen = _schedule(parts, session.user, name, version)
    _changed(parts, session.user, seen, None)
    parts.accounts.record(session.user.name, "report-schedule", name, "ended", seen.document["site"])
    return Response(status_code=204)


@router.get(
    "/reports/{report}/document",
    response_class=Response,
    responses={
        200: {"content": {name: {} for name in _MEDIA.values()}, "description": "The report as a file"},
        **told(404, 410),
    },
)
def document(session: Looking, parts: PartsOf, report: str, form: Literal["pdf", "xlsx"] = "pdf") -> Response:
    found = parts.reports.one(report)
    if found is None or not session.user.sees(found["site"]):
        raise Problem(
            404, "No such report", "there is none that you may see, or its files have gone: GET /api/v1/reports"
        )
    assert form in FORMS
    try:
        content = parts.reports.path(found["id"], form).read_bytes()
    except FileNotFoundError as error:
        raise Problem(410, "The file is gone", "make the report again with POST /api/v1/reports") from error
    # Whatever is taken along may be about fevers and who decided on them.
    subject = f"{found['kind']} {found['subject']} {found['period']} {form}"
    parts.accounts.record(session.user.name, "report-read", subject, "done", found["site"])
    name = f"{found['kind']}-{found['subject']}-{found['period']}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=_MEDIA[form], headers=headers)


def _subjects(parts: Parts, user: User) -> list[Subject]:
    """Everything that reports can be about, as far as somebody sees it."""
    catalogue = parts.catalogue
    found: list[tuple[Kind, str, str]] = []
    for site in catalogue.sites:
        found += [(kind, site.id, site.id) for kind in (Kind.DAY, Kind.MONTH)]
    gates = dict.fromkeys(catalogue.gate_of(device.place) for device in catalogue.devices)
    found += [
        (Kind.SHIFT, gate, catalogue.site_of_place(gate)) for gate in gates if catalogue.place[gate].kind == "gate"
    ]
    found += [(Kind.STORM, n.place.id, n.site) for n in networks(catalogue).values() if n.gauge is not None]
    found += [(Kind.BILL, b.place, catalogue.site_of_place(b.place)) for b in parts.dormitories.buildings]
    subjects = []
    for kind, name, site_id in found:
        if user.sees(site_id):
            called = catalogue.site[name].name if kind in (Kind.DAY, Kind.MONTH) else catalogue.place[name].name
            subjects.append(Subject(kind=kind, id=name, site=site_id, name=named(called)))
    return subjects


def _site_of(parts: Parts, user: User, kind: Kind, subject: str) -> str:
    for each in _subjects(parts, user):
        if (each.kind, each.id) == (kind, subject):
            return each.site
    raise Problem(404, "Nothing of that name", f"there is no '{subject}' that a {kind} report could be about for you")


def _period(parts: Parts, site: str, body: MakeNow, now_ms: int) -> Period:
    zone = ZoneInfo(parts.catalogue.site[site].timezone)
    try:
        if body.kind in BY_CALENDAR:
            period = calendar_period(body.kind, body.period, zone)
            if not date(_FIRST_YEAR, 1, 1) <= datetime.fromtimestamp(period.start_ms / 1000, zone).date():
                raise ValueError
            if period.start_ms >= now_ms:
                raise ValueError
            return period
        if body.kind is Kind.SHIFT and body.period == "now":
            return Period("now", parts.handovers.since_ms(body.subject, now_ms), now_ms)
        at_ms = int(body.period)
        if not 0 <= at_ms <= now_ms:
            raise ValueError
        return Period(str(at_ms), at_ms, at_ms)
    except (ValueError, OverflowError) as error:
        detail = "'period' is a day like 2026-11-23, a month like 2026-11, 'now', or epoch ms; and it has begun"
        raise Problem(422, "The request does not fit", detail) from error


def _must_schedule(parts: Parts, user: User, site: str, subject: str) -> None:
    if not user.may(Permission.SCHEDULE_REPORTS, site):
        parts.accounts.record(user.name, "report-schedule", subject, "refused: role", site)
        raise Problem(
            403, "Not for this role", "engineers, managers and administrators schedule reports of their sites"
        )


def _must_be_known(parts: Parts, recipients: list[Recipient]) -> None:
    for each in recipients:
        person = parts.people.person.get(each.person)
        if person is None or each.channel not in person.addresses or each.channel not in parts.channels:
            detail = (
                f"'{each.person}' cannot be reached by '{each.channel}': GET /api/v1/reports/schedules names who can"
            )
            raise Problem(422, "The request does not fit", detail)


def _schedule(parts: Parts, user: User, name: str, version: int) -> Scheduled:
    found = parts.reports.schedule(name)
    if found is None or not user.sees(found.document["site"]):
        raise Problem(
            404, "No such schedule", "there is none of that name that you may see: GET /api/v1/reports/schedules"
        )
    _must_schedule(parts, user, found.document["site"], name)
    if found.version != version:
        raise _not_as_seen()
    return found


def _changed(parts: Parts, user: User, seen: Scheduled, document: dict[str, Any] | None) -> Scheduled:
    try:
        return parts.reports.change(seen, document, user.name)
    except NotAsSeen as error:
        raise _not_as_seen() from error


def _not_as_seen() -> Problem:
    return Problem(409, "The schedule has changed", "somebody has changed it since; look at it again")


def _shown(each: Scheduled, user: User) -> ScheduleShown:
    given = each.document
    return ScheduleShown(
        id=each.id,
        version=each.version,
        actor=each.actor,
        time_ms=each.time_ms,
        may_change=user.may(Permission.SCHEDULE_REPORTS, given["site"]),
        **{name: given[name] for name in ("kind", "site", "subject", "language", "at", "recipients")},
    )
