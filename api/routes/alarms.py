"""Alarms: a page of them, one with everything, and what people do about them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from alerts.masks import SHELF_MAX_MS
from alerts.outcome import Outcome
from alerts.rule import Severity
from api.access import Acting, Looking, User
from api.alarms import Filter
from api.answers import Route
from api.asking import Key, ask, at_cursor, must_end_soon, must_say_why
from api.contract import AlarmDetail, AlarmPage, NamesPage
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from telemetry.catalogue import Catalogue, Device, Gateway, Place

router = APIRouter(route_class=Route)


class Action(BaseModel):
    """What a person does to an alarm; `seq` is the step they saw."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1, lt=2**31)
    note: str | None = Field(default=None, max_length=2000)
    disposition: Literal["admit", "refuse", "refer"] | None = None
    outcome: Outcome | None = None  # what the alarm was, when it is disposed of or closed


class Measurement(BaseModel):
    """A second measurement of a person, as a guard read it off a thermometer."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1, lt=2**31)
    value: float = Field(ge=30, le=45, allow_inf_nan=False, description="degC")
    method: Literal["ear", "forehead", "armpit", "mouth", "other"]


class Shelf(BaseModel):
    """For how long a person puts an alarm aside, and why."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1, lt=2**31)
    until: int = Field(ge=0, lt=2**53, description="epoch ms")
    reason: str = Field(min_length=1, max_length=2000)
    one_shot: bool = False


class Assignment(BaseModel):
    """Who is to see to an alarm; None: nobody any more."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1, lt=2**31)
    assignee: str | None = Field(default=None, max_length=64)


@router.get("/alarms", response_model=AlarmPage)
def alarm_page(
    session: Looking,
    parts: PartsOf,
    state: Literal["open", "closed", "all"] = "all",
    alarm_class: Annotated[str | None, Query(alias="class")] = None,
    site: str | None = None,
    severity: Literal["low", "medium", "high", "critical"] | None = None,
    rule: str | None = None,
    assignee: Annotated[str | None, Query(description="'me', or a user's name")] = None,
    device: Annotated[str | None, Query(max_length=64)] = None,
    q: Annotated[str | None, Query(max_length=64, description="in names of places and devices")] = None,
    start: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
    end: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
) -> dict[str, Any]:
    after = None if cursor is None else at_cursor(cursor)
    wanted = Filter(
        state,
        site,
        alarm_class,
        Severity[severity.upper()] if severity else None,
        rule,
        session.user.name if assignee == "me" else assignee,
        _wanted_devices(parts.catalogue, device, q),
        start,
        end,
    )
    items, following = parts.alarms.page(session.user, wanted, limit, after)
    return {"items": items, "next": None if following is None else f"{following[0]}.{following[1]}"}


def _wanted_devices(catalogue: Catalogue, device: str | None, text: str | None) -> frozenset[str] | None:
    if device is None:
        return None if text is None else _devices_named(catalogue, text)
    return frozenset({device}) if text is None else frozenset({device}) & _devices_named(catalogue, text)


def _devices_named(catalogue: Catalogue, text: str) -> frozenset[str]:
    """Devices and gateways that have the text in their name or id, or in that of a place that they stand in."""
    sought = text.casefold()

    def has(*named: Device | Gateway | Place) -> bool:
        words = [word for one in named for word in (one.id, one.name and one.name.en, one.name and one.name.zh)]
        return any(sought in word.casefold() for word in words if word)

    devices = (one.id for one in catalogue.devices if has(one, *catalogue.path_of(one.place)))
    return frozenset(devices) | {one.id for one in catalogue.gateways if has(one)}


def _alarm(parts: Parts, user: User, alarm: str) -> dict[str, Any]:
    found = parts.alarms.one(user, alarm)
    if found is None:
        raise Problem(404, "No such alarm", f"there is no alarm '{alarm}' that you may see: GET /api/v1/alarms")
    return found


@router.get("/alarms/{alarm}", response_model=AlarmDetail)
def one_alarm(session: Looking, parts: PartsOf, alarm: str) -> dict[str, Any]:
    return _alarm(parts, session.user, alarm)


def _decides(parts: Parts, user: User, action: str, alarm: str) -> dict[str, Any]:
    found = _alarm(parts, user, alarm)
    if not user.acts_on(found["class"], found["site"]):
        parts.accounts.record(user.name, action, alarm, "refused: role", found["site"])
        raise Problem(403, "Not for this role", f"your role does not decide on alarms of class '{found['class']}'")
    return found


@router.post("/alarms/{alarm}/recheck", responses=told(409), response_model=AlarmDetail)
def recheck(session: Acting, parts: PartsOf, alarm: str, body: Action, key: Key = "") -> dict[str, Any]:
    found = _decides(parts, session.user, "recheck", alarm)
    ask(parts, session.user, "recheck", alarm, body.seq, {}, site=found["site"], key=key)
    return _alarm(parts, session.user, alarm)


@router.post("/alarms/{alarm}/measure", responses=told(409), response_model=AlarmDetail)
def measure(session: Acting, parts: PartsOf, alarm: str, body: Measurement, key: Key = "") -> dict[str, Any]:
    found = _decides(parts, session.user, "measure", alarm)
    ask(
        parts,
        session.user,
        "measure",
        alarm,
        body.seq,
        {"value": body.value, "method": body.method},
        site=found["site"],
        key=key,
    )
    return _alarm(parts, session.user, alarm)


@router.post("/alarms/{alarm}/shelve", responses=told(409), response_model=AlarmDetail)
def shelve(session: Acting, parts: PartsOf, alarm: str, body: Shelf, key: Key = "") -> dict[str, Any]:
    found = _decides(parts, session.user, "shelve", alarm)
    must_say_why(body.reason)
    must_end_soon(parts, body.until, SHELF_MAX_MS[Severity[found["severity"].upper()]])
    details = {"note": body.reason, "until_ms": body.until, "one_shot": body.one_shot}
    ask(parts, session.user, "shelve", alarm, body.seq, details, site=found["site"], key=key)
    return _alarm(parts, session.user, alarm)


@router.post("/alarms/{alarm}/unshelve", responses=told(409), response_model=AlarmDetail)
def unshelve(session: Acting, parts: PartsOf, alarm: str, body: Action, key: Key = "") -> dict[str, Any]:
    found = _decides(parts, session.user, "unshelve", alarm)
    ask(parts, session.user, "unshelve", alarm, body.seq, {"note": body.note}, site=found["site"], key=key)
    return _alarm(parts, session.user, alarm)


@router.get("/alarms/{alarm}/assignees", response_model=NamesPage)
def assignees(session: Looking, parts: PartsOf, alarm: str) -> dict[str, Any]:
    """Who decides on such alarms, and so can be asked to see to it."""
    found = _alarm(parts, session.user, alarm)
    able = [user.name for user in parts.accounts.users() if user.acts_on(found["class"], found["site"])]
    return {"items": sorted(able), "next": None}


@router.post("/alarms/{alarm}/assign", responses=told(409), response_model=AlarmDetail)
def assign(session: Acting, parts: PartsOf, alarm: str, body: Assignment, key: Key = "") -> dict[str, Any]:
    found = _decides(parts, session.user, "assign", alarm)
    if body.assignee is not None and body.assignee not in assignees(session, parts, alarm)["items"]:
        told = f"'assignee' decides on class '{found['class']}': GET /api/v1/alarms/{alarm}/assignees names who does"
        raise Problem(422, "The request does not fit", told)
    ask(parts, session.user, "assign", alarm, body.seq, {"assignee": body.assignee}, site=found["site"], key=key)
    return _alarm(parts, session.user, alarm)


@router.post("/alarms/{alarm}/{action}", responses=told(409), response_model=AlarmDetail)
def act(
    session: Acting,
    parts: PartsOf,
    alarm: str,
    action: Literal["acknowledge", "comment", "dispose", "close"],
    body: Action,
    key: Key = "",
) -> dict[str, Any]:
    user = session.user
    found = _decides(parts, user, action, alarm)
    if action == "dispose" and body.disposition is None and body.outcome is None:
        detail = f"'disposition' is one of admit, refuse, refer; or 'outcome' one of {', '.join(Outcome)}"
        raise Problem(422, "The request does not fit", detail)
    if (action in ("comment", "close") or body.disposition == "refuse") and not (body.note or "").strip():
        raise Problem(422, "The request does not fit", "'note' must say why")
    decided = body.disposition or body.outcome
    ask(parts, user, action, alarm, body.seq, {"note": body.note, "disposition": decided}, site=found["site"], key=key)
    return _alarm(parts, user, alarm)
