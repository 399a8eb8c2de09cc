"""The visitor temperature register (docs/register.md). What is about a person travels in bodies only, never in an address."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Header, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from api.access import Announcing, Permission, ReadingRegister, Registering, Session, User
from api.answers import Route
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from api.register.reads import Reason
from api.register.sheet import excel
from api.register.store import Found, Stale, Wanted
from api.register.visit import Measured, Person, Source, State, Visit
from api.routes.gates import devices_of_gate, fever_rules, is_thermometer, scanned_metrics
from telemetry.catalogue import Device
from telemetry.errors import BadInput
from telemetry.quality import Quality

T = TypeVar("T")
router = APIRouter(prefix="/register", route_class=Route)

FRESH_MS = 60_000
"""A passage is a visitor's when it is not older than this."""
_AHEAD_DAYS = 90
_SHEET_MAX = 5_000
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TEMPERATURE_C = (30.0, 45.0)
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2002\u2003\u2009\u3000", " "))
"""A Chinese keyboard writes one between the signs of a short name, and what is copied from a page has others."""


def _printable(text: str) -> str:
    text = text.translate(_SPACES)
    if not text.isprintable():
        raise ValueError("only letters, digits and signs on one line")
    return text.strip()


def _narrow(text: object) -> object:
    """A number as a Chinese keyboard writes it is the same number."""
    return unicodedata.normalize("NFKC", text) if isinstance(text, str) else text


def _day(text: str) -> str:
    return date.fromisoformat(text).isoformat()


Line = Annotated[str, Field(max_length=100), AfterValidator(_printable)]
Needed = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S"), AfterValidator(_printable)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-11-26"]), AfterValidator(_day)]
Request = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9-]{16,64}$",
        description="chosen by the caller for this entry; sent again with a repeated attempt",
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Temperature(_Body):
    """Typed in, or the newest passage of a device, when it is not older than a minute."""

    value: float | None = Field(default=None, ge=_TEMPERATURE_C[0], le=_TEMPERATURE_C[1])
    device: str | None = Field(default=None, max_length=64)
    passage_ms: int | None = Field(
        default=None,
        description="time of the passage that was seen; where somebody else has come through since, 409 `other-passage`",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Temperature:
        if (self.value is None) == (self.device is None):
            raise ValueError("give 'value' or 'device', one of them")
        if self.passage_ms is not None and self.device is None:
            raise ValueError("'passage_ms' is of a device")
        return self


class Told(_Body):
    """What a visitor says at the gate, or who announces them."""

    visitor: Needed
    organisation: Line = ""
    purpose: Needed
    department: Needed
    phone: Annotated[str, Field(max_length=20, pattern=r"^[0-9+() -]*$"), BeforeValidator(_narrow)] = ""
    remark: Line = ""


class Entry(Told):
    gate: str = Field(max_length=64)
    temperature: Temperature
    decision: Literal["admit", "refuse"] = "admit"

    @model_validator(mode="after")
    def _why_refused(self) -> Entry:
        if self.decision == "refuse" and not self.remark:
            raise ValueError("remark: nobody is refused without a reason")
        return self


class Announcement(Told):
    gate: str = Field(max_length=64)
    day: Day


class Admission(_Body):
    """An announced visitor is here."""

    seq: int = Field(ge=1, lt=2**31)
    temperature: Temperature
    decision: Literal["admit", "refuse"] = "admit"
    remark: Line | None = None


class Recheck(_Body):
    seq: int = Field(ge=1, lt=2**31)
    temperature: Temperature


class Leaving(_Body):
    seq: int = Field(ge=1, lt=2**31)


class Asking(_Body):
    """Why somebody wants to know; in words where the list has no word for it."""

    reason: Reason
    words: Line = ""

    @model_validator(mode="after")
    def _in_words(self) -> Asking:
        if self.reason is Reason.OTHER and not self.words:
            raise ValueError("words: say why")
        return self


class Search(Asking):
    text: Line = ""
    gate: str | None = Field(default=None, max_length=64)
    first_day: Day
    last_day: Day
    cursor: str | None = Field(default=None, max_length=40)
    limit: int = Field(default=50, ge=1, le=500)
    use: Literal["read", "print"] = "read"


class Export(Asking):
    text: Line = ""
    gate: str | None = Field(default=None, max_length=64)
    first_day: Day
    last_day: Day
    language: Literal["zh", "en"] = "zh"


class OnePerson(Asking):
    visitor: Needed
    phone: Annotated[str, Field(max_length=20), BeforeValidator(_narrow)] | None = None
    cursor: str | None = Field(default=None, max_length=40)


class Erasing(Asking):
    visits: list[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]] = Field(min_length=1, max_length=500)


class MeasuredNow(BaseModel):
    value: float
    time_ms: int
    source: Source
    device: str | None
    by: str | None


class PersonShown(BaseModel):
    visitor: str
    organisation: str
    purpose: str
    department: str
    phone: str
    remark: str
    temperature: MeasuredNow | None
    recheck: MeasuredNow | None


class VisitShown(BaseModel):
    """A visit. `person` is null when the key that sealed it is lost."""

    id: str
    seq: int
    site: str
    gate: str
    day: str
    state: State
    announced_by: str | None
    created_ms: int
    in_ms: int | None
    in_by: str | None
    out_ms: int | None
    out_by: str | None
    person: PersonShown | None


class Passage(BaseModel):
    value: float
    time_ms: int
    is_taken: bool  # written down for somebody


class Scanner(BaseModel):
    device: str
    place: str
    passage: Passage | None  # the newest, when it is fresh


class Board(BaseModel):
    """A guard's page: who is expected today, who came in this shift, what the lanes have just measured."""

    gate: str
    site: str
    day: str
    since_ms: int
    as_of_ms: int
    expected: list[VisitShown]
    here: list[VisitShown]
    gone: list[VisitShown]
    lanes: list[Scanner]
    thermometers: list[Scanner]
    limit_c: float | None  # from which on the lanes' rules stop people


class VisitPage(BaseModel):
    items: list[VisitShown]
    next: str | None


class DayCount(BaseModel):
    day: str
    gate: str
    site: str
    visitors: int
    rechecked: int
    refused: int
    not_come: int


class DayCounts(BaseModel):
    items: list[DayCount]
    keep_days: int


class Erased(BaseModel):
    count: int


@router.get("/gates/{gate}")
def board(session: Registering, parts: PartsOf, gate: str, reason: Reason) -> Board:
    """Asked for again and again while the page is open; on record once an hour for each guard, gate and reason."""
    site = _site(parts, session, gate, Permission.REGISTER_WRITE)
    now_ms = parts.clock.now_ms()
    since_ms, day = parts.handovers.since_ms(gate, now_ms), _today(parts, site)
    found = parts.register.board(gate, day, since_ms)
    parts.reads.look(session.user.name, gate, reason, parts.catalogue.site_of_place(gate))
    taken = {
        (measured.device, measured.time_ms)
        for visit in found
        if visit.person is not None
        for measured in (visit.person.temperature, visit.person.recheck)
        if measured is not None
    }
    devices = devices_of_gate(parts, session.user, gate)
    metrics = scanned_metrics(parts)
    levels = [
        level["at_least"]
        for rule in fever_rules(parts)
        if rule["type"] == "level"
        for level in rule["levels"]
        if level["at_least"] is not None
    ]
    return Board(
        gate=gate,
        site=site,
        day=day,
        since_ms=since_ms,
        as_of_ms=now_ms,
        expected=[_shown(visit) for visit in reversed(found) if visit.state is State.ANNOUNCED],
        here=[_shown(visit) for visit in found if visit.state is State.IN],
        gone=[_shown(visit) for visit in found if visit.state in (State.OUT, State.REFUSED)],
        lanes=[_scanner(parts, d, metrics[d.kind], taken) for d in devices if d.kind in metrics],
        thermometers=[
            _scanner(parts, d, _recheck_metric(parts, d), taken) for d in devices if is_thermometer(parts, d)
        ],
        limit_c=min(levels, default=None),
    )


@router.post("/entries", responses=told(404, 409), status_code=201)
def enter(session: Registering, parts: PartsOf, body: Entry, request: Request) -> VisitShown:
    """Somebody is at the gate. Sent again with the same key it is the same entry."""
    site = _site(parts, session, body.gate, Permission.REGISTER_WRITE)
    now_ms, guard = parts.clock.now_ms(), session.user.name
    # A repeated attempt may come when the passage is no longer fresh: it is the same entry all the same.
    is_repeated = parts.register.knows(request)
    measured = None if is_repeated else _measured(parts, session, body.gate, body.temperature, now_ms)
    visit = Visit(
        id=secrets.token_hex(16),
        seq=1,
        site=site,
        gate=body.gate,
        day=_today(parts, site),
        state=State.IN if body.decision == "admit" else State.REFUSED,
        announced_by=None,
        created_ms=now_ms,
        in_ms=now_ms,
        in_by=guard,
        out_ms=None,
        out_by=None,
        person=_person(body, measured),
    )
    return _shown(_taken(lambda: parts.register.add(visit, request)))


@router.post("/entries/{visit}/admit", responses=told(409))
def admit(session: Registering, parts: PartsOf, visit: str, body: Admission, request: Request) -> VisitShown:
    """An announced visitor comes in."""
    _known(parts, session, visit)
    now_ms, guard = parts.clock.now_ms(), session.user.name
    if body.decision == "refuse" and not body.remark:
        raise Problem(422, "The request does not fit", "remark: nobody is refused without a reason")

    def changed(now: Visit) -> Visit:
        if now.state is not State.ANNOUNCED:
            raise Stale(now)
        person = _person_of(now)
        measured = _measured(parts, session, now.gate, body.temperature, now_ms)
        remark = person.remark if body.remark is None else body.remark
        return msgspec.structs.replace(
            now,
            state=State.IN if body.decision == "admit" else State.REFUSED,
            day=_today(parts, now.site),
            in_ms=now_ms,
            in_by=guard,
            person=msgspec.structs.replace(person, temperature=measured, remark=remark),
        )

    return _shown(_taken(lambda: parts.register.change(visit, body.seq, request, changed)))


@router.post("/entries/{visit}/recheck", responses=told(409))
def recheck(session: Registering, parts: PartsOf, visit: str, body: Recheck, request: Request) -> VisitShown:
    """Measured again."""
    _known(parts, session, visit)

    def changed(now: Visit) -> Visit:
        if now.state is State.ANNOUNCED:
            raise Stale(now)
        person = _person_of(now)
        measured = _measured(parts, session, now.gate, body.temperature, parts.clock.now_ms())
        return msgspec.structs.replace(now, person=msgspec.structs.replace(person, recheck=measured))

    return _shown(_taken(lambda: parts.register.change(visit, body.seq, request, changed)))


@router.post("/entries/{visit}/leave", responses=told(409))
def leave(session: Registering, parts: PartsOf, visit: str, body: Leaving, request: Request) -> VisitShown:
    """Gone out again."""
    _known(parts, session, visit)
    now_ms, guard = parts.clock.now_ms(), session.user.name

    def changed(now: Visit) -> Visit:
        if now.state is not State.IN:
            raise Stale(now)
        return msgspec.structs.replace(now, state=State.OUT, out_ms=now_ms, out_by=guard)

    return _shown(_taken(lambda: parts.register.change(visit, body.seq, request, changed)))


@router.post("/search", responses=told(404))
def search(session: ReadingRegister, parts: PartsOf, body: Search) -> VisitPage:
    """Read or print, newest first. It changes nothing, but a reason and a name belong into a body."""
    found = _find(parts, session.user, body, body.cursor, body.limit)
    _put(parts, session, body.use, body, found)
    return VisitPage(items=[_shown(visit) for visit in found.visits], next=found.next)


@router.post(
    "/export",
    response_class=Response,
    responses={200: {"content": {_XLSX: {}}, "description": "An Excel workbook"}, **told(404)},
)
def export(session: ReadingRegister, parts: PartsOf, body: Export) -> Response:
    """An Excel workbook, the newest first, of at most 5000 visits."""
    found = _find(parts, session.user, body, None, _SHEET_MAX)
    _put(parts, session, "export", body, found)
    zones = {site.id: site.timezone for site in parts.catalogue.sites}
    made = datetime.fromtimestamp(parts.clock.now_ms() / 1000, UTC)
    told = f"{body.first_day} – {body.last_day}   {session.user.name}   {made:%Y-%m-%d %H:%M} UTC"
    headers = {"Content-Disposition": f'attachment; filename="register-{body.first_day}-{body.last_day}.xlsx"'}
    sheet = excel(found.visits, zones, body.language, told, is_cut=found.next is not None)
    return Response(sheet, media_type=_XLSX, headers=headers)


@router.post("/person")
def person(session: ReadingRegister, parts: PartsOf, body: OnePerson) -> VisitPage:
    """All that is kept of one person, by their exact name and perhaps number, to hand it to them."""
    wanted = Wanted(_readable(session.user), None, "0000-00-00", "9999-99-99", "", body.visitor, body.phone or None)
    found = _taken(lambda: parts.register.find(wanted, body.cursor, 500))
    text = f"{body.visitor} {body.phone or ''}"
    parts.reads.put(session.user.name, "person", "all gates", body.reason, body.words, text, found.visits)
    return VisitPage(items=[_shown(visit) for visit in found.visits], next=found.next)


@router.post("/erase")
def erase(session: ReadingRegister, parts: PartsOf, body: Erasing) -> Erased:
    """Take visits out for good, as the person asked; the counts of the days stay."""
    name, where = session.user.name, _erasable(parts, session.user)
    note = parts.reads.put_erasure(name, body.reason, body.words, body.visits)
    count = parts.register.erase(body.visits, where)
    parts.reads.put_erased(name, note, count)
    return Erased(count=count)


@router.get("/counts")
def counts(session: ReadingRegister, parts: PartsOf, first_day: Day, last_day: Day) -> DayCounts:
    """How many came, per day and gate, however long ago; no names, so no reason is asked."""
    found = _taken(lambda: parts.register.counted(_readable(session.user), first_day, last_day))
    return DayCounts(items=[DayCount(**one) for one in found], keep_days=parts.register.keep_days)


@router.get("/announcements")
def announcements(session: Announcing, parts: PartsOf) -> VisitPage:
    """What one has announced oneself, for today and later."""
    elsewhere = datetime.fromtimestamp(parts.clock.now_ms() / 1000, UTC).date().isoformat()
    first = min((_today(parts, site.id) for site in parts.catalogue.sites), default=elsewhere)
    found = parts.register.announced(session.user.name, first)
    parts.reads.look(session.user.name, "own announcements", Reason.ON_DUTY)
    return VisitPage(items=[_shown(visit) for visit in found], next=None)


@router.post("/announcements", responses=told(404, 409), status_code=201)
def announce(session: Announcing, parts: PartsOf, body: Announcement, request: Request) -> VisitShown:
    """A department expects somebody."""
    site = _site(parts, session, body.gate, Permission.ANNOUNCE)
    today = date.fromisoformat(_today(parts, site))
    if not today <= date.fromisoformat(body.day) <= today + timedelta(days=_AHEAD_DAYS):
        raise Problem(422, "The request does not fit", f"day: from today on, up to {_AHEAD_DAYS} days ahead")
    visit = Visit(
        id=secrets.token_hex(16),
        seq=1,
        site=site,
        gate=body.gate,
        day=body.day,
        state=State.ANNOUNCED,
        announced_by=session.user.name,
        created_ms=parts.clock.now_ms(),
        in_ms=None,
        in_by=None,
        out_ms=None,
        out_by=None,
        person=_person(body, None),
    )
    return _shown(_taken(lambda: parts.register.add(visit, request)))


@router.delete("/announcements/{visit}", status_code=204)
def withdraw(session: Announcing, parts: PartsOf, visit: str) -> None:
    """They do not come after all."""
    if not parts.register.withdraw(visit, session.user.name):
        raise Problem(404, "No such announcement", "you have announced no such visitor who is still expected")
    parts.accounts.record(session.user.name, "register-withdraw", visit, "done")


def _site(parts: Parts, session: Session, gate: str, permission: Permission) -> str:
    """The site of a gate where somebody has the permission."""
    devices_of_gate(parts, session.user, gate)
    site = parts.catalogue.site_of_place(gate)
    if not session.user.may(permission, site):
        parts.accounts.record(session.user.name, permission, gate, "refused: role", site)
        raise Problem(403, "Not for this role", f"your roles at '{site}' do not have '{permission}'")
    return site


def _known(parts: Parts, session: Session, visit: str) -> Visit:
    """A visit at a gate where somebody may write."""
    known = parts.register.one(visit)
    if known is None or not session.user.may(Permission.REGISTER_WRITE, known.site):
        raise Problem(404, "No such visit", "there is no such visit at your gates")
    return known


def _readable(user: User) -> frozenset[str] | None:
    if user.may(Permission.REGISTER_READ):
        return None
    return frozenset(
        grant.site for grant in user.grants if grant.site and user.may(Permission.REGISTER_READ, grant.site)
    )


def _erasable(parts: Parts, user: User) -> frozenset[str] | None:
    """The sites where somebody may; None for all, also those that have left the catalogue."""
    both = (Permission.REGISTER_READ, Permission.REGISTER_WRITE)
    if all(user.may(each) for each in both):
        return None
    return frozenset(site.id for site in parts.catalogue.sites if all(user.may(each, site.id) for each in both))


def _find(parts: Parts, user: User, body: Search | Export, cursor: str | None, limit: int) -> Found:
    gate = body.gate
    if gate is not None and not (
        gate in parts.catalogue.place and user.may(Permission.REGISTER_READ, parts.catalogue.site_of_place(gate))
    ):
        # It goes on record as it was sent, where no name may stand.
        raise Problem(404, "No such gate", "there is no such gate where you may read: GET /api/v1/gates")
    wanted = Wanted(_readable(user), body.gate, body.first_day, body.last_day, body.text)
    return _taken(lambda: parts.register.find(wanted, cursor, limit))


def _put(parts: Parts, session: Session, what: str, body: Search | Export, found: Found) -> None:
    where = f"{body.gate or 'all gates'} {body.first_day}..{body.last_day}"
    site = None if body.gate is None else parts.catalogue.site_of_place(body.gate)
    parts.reads.put(session.user.name, what, where, body.reason, body.words, body.text, found.visits, site)


def _person_of(visit: Visit) -> Person:
    """Who it is. Raises Problem where the key is lost that sealed it."""
    if visit.person is None:
        told = (
            "the key that sealed who this is is lost: enter the visitor anew; that they left can still be noted. "
            "An old key is put back into register.key_file"
        )
        raise Problem(409, "It cannot be opened", told, reason="key-lost")
    return visit.person


def _taken(do: Callable[[], T]) -> T:
    """Run it, and say in HTTP what was wrong."""
    try:
        return do()
    except Stale as stale:
        shown = _shown(stale.now).model_dump(mode="json")
        raise Problem(409, "Somebody was first", "the visit has changed since you looked", visit=shown) from stale
    except BadInput as error:
        status = 404 if error.reason == "no-visit" else 409 if error.reason == "passage-taken" else 422
        raise Problem(status, "The request does not fit", error.detail, reason=error.reason) from error


def _measured(parts: Parts, session: Session, gate: str, asked: Temperature, now_ms: int) -> Measured:
    if asked.value is not None:
        return Measured(asked.value, now_ms, Source.TYPED, None, session.user.name)
    device = next((each for each in devices_of_gate(parts, session.user, gate) if each.id == asked.device), None)
    if device is None:
        raise Problem(404, "No such device", f"there is no device '{asked.device}' at this gate")
    metric = _recheck_metric(parts, device) or scanned_metrics(parts).get(device.kind)
    newest = None if metric is None else _newest(parts, device, metric)
    if newest is None:
        told = "device: it has measured nobody within the last minute; type the temperature"
        raise Problem(409, "No fresh passage", told, reason="no-passage")
    if asked.passage_ms not in (None, newest[0]):
        told = "device: it has measured somebody else since; look again, or type the temperature"
        raise Problem(409, "No fresh passage", told, reason="other-passage")
    return Measured(newest[1], newest[0], Source.PASSAGE, device.id)


def _newest(parts: Parts, device: Device, metric: str) -> tuple[int, float] | None:
    """(time, value) of the last measurement, when it is fresh and not known to be bad."""
    now_ms = parts.clock.now_ms()
    last = parts.newest.get(device.id, metric)
    if last is None or last.quality == Quality.BAD or not now_ms - FRESH_MS <= last.time_ms <= now_ms + FRESH_MS:
        return None
    return last.time_ms, round(last.value, 2)


def _scanner(parts: Parts, device: Device, metric: str, taken: set[tuple[str | None, int]]) -> Scanner:
    newest = _newest(parts, device, metric)
    passage = newest and Passage(time_ms=newest[0], value=newest[1], is_taken=(device.id, newest[0]) in taken)
    return Scanner(device=device.id, place=device.place, passage=passage)


def _recheck_metric(parts: Parts, device: Device) -> str:
    return next((metric.id for metric in parts.catalogue.kind[device.kind].metrics if metric.recheck), "")


def _today(parts: Parts, site: str) -> str:
    known = parts.catalogue.site.get(site)
    if known is None:
        raise Problem(404, "No such site", f"'{site}' has left the catalogue: nobody is admitted there any more")
    return datetime.fromtimestamp(parts.clock.now_ms() / 1000, ZoneInfo(known.timezone)).date().isoformat()


def _person(told: Told, measured: Measured | None) -> Person:
    return Person(
        told.visitor, told.organisation, told.purpose, told.department, told.phone, told.remark, temperature=measured
    )


def _shown(visit: Visit) -> VisitShown:
    return VisitShown.model_validate(msgspec.to_builtins(visit))
