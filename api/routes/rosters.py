"""Who is on duty when, who would be called now; and rosters changed, version by version."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from alerts.duty import zone_of
from alerts.rosterbook import OUTDATED
from api.access import ChangingRosters, Looking, Permission
from api.alarms import NoAnswer, Refused
from api.answers import Route
from api.asking import must_say_why
from api.contract import Calls, NamedPerson, RosterPage
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from api.rosters import (
    document_of,
    everybody,
    monday_of,
    new_gaps,
    read_written,
    shown_roster,
    shown_route,
    shown_rule,
    today_of,
)
from api.routes.rules import ChangedField
from api.rules import as_seen
from api.versions import changes

router = APIRouter(route_class=Route)

_CHANGES_TOLD_MAX = 40


class RosterShift(BaseModel):
    """So long somebody is on duty; `to` that is not later than `from` means into the next day."""

    model_config = ConfigDict(extra="forbid")

    days: list[str] = Field(examples=[["mon", "tue"]])
    start: str = Field(alias="from", examples=["08:00:00"])
    end: str = Field(alias="to", examples=["20:00:00"])
    people: list[str]


class RosterOverride(BaseModel):
    """On one date others are on duty, instead of the shifts that cover the same instants; nobody, when `people` is empty."""

    model_config = ConfigDict(extra="forbid")

    date: str = Field(examples=["2026-11-25"])
    start: str = Field(alias="from", examples=["08:00:00"])
    end: str = Field(alias="to", examples=["12:00:00"])
    people: list[str]


class RosterWritten(BaseModel):
    """A roster as it stands in a file."""

    id: str
    name: dict[str, str] | None
    timezone: str
    shifts: list[RosterShift]
    holidays: list[str]
    holiday_shifts: list[RosterShift]
    overrides: list[RosterOverride]


class RosterDocument(BaseModel):
    """A roster to change: `version` is what a change is based on, `people` who can be on it."""

    version: int
    roster: RosterWritten
    people: list[NamedPerson]


class RosterWanted(BaseModel):
    """A whole roster, the version it is based on, and why."""

    model_config = ConfigDict(extra="forbid")

    roster: dict[str, Any]
    version: int = Field(ge=0, lt=2**31)
    note: str = Field(min_length=1, max_length=2000)
    accepts_gaps: bool = Field(default=False, description="that nobody is on duty where somebody was, on purpose")


class RosterVersion(BaseModel):
    """One version of a roster, by whom and why."""

    version: int
    actor: str | None
    time_ms: int
    note: str | None
    origin: str
    changes: list[ChangedField]


class RosterVersions(BaseModel):
    """Newest first."""

    items: list[RosterVersion]
    next: str | None


@router.get("/rosters", response_model=RosterPage)
def rosters(
    session: Looking,
    parts: PartsOf,
    day: Annotated[
        date | None, Query(description="a day of the week that is asked for; this week when not given")
    ] = None,
) -> dict[str, Any]:
    """A week of every duty roster, in its own zone."""
    if day is not None and not 1970 < day.year < 9999:
        raise Problem(422, "The request does not fit", "'day' is a day of these years, like 2026-11-23")
    now_ms = parts.clock.now_ms()
    people, versions = parts.rosters.in_force()
    items = [
        shown_roster(people, roster, versions[roster.id], monday_of(day or today_of(roster, now_ms)), now_ms)
        for roster in people.rosters
    ]
    return {"as_of_ms": now_ms, "items": items, "next": None}


@router.get("/rosters/{roster}", responses=told(404), response_model=RosterDocument)
def roster_document(session: Looking, parts: PartsOf, roster: str) -> dict[str, Any]:
    """A roster as it is written, to change it."""
    found = _document(parts, roster)
    # Who else could be on it is for who may change it.
    if not session.user.may(Permission.CHANGE_ROSTERS):
        turns = [turn for each in ("shifts", "holiday_shifts", "overrides") for turn in found["roster"][each]]
        on_it = {name for turn in turns for name in turn["people"]}
        found["people"] = [each for each in found["people"] if each["id"] in on_it]
    return found


@router.get("/rosters/{roster}/versions", responses=told(404), response_model=RosterVersions)
def roster_versions(session: Looking, parts: PartsOf, roster: str) -> dict[str, Any]:
    """Who changed what, when and why."""
    found = parts.rosters.versions(roster)
    if not found:
        raise Problem(404, "No such roster", f"there is no version of a roster '{roster}': GET /api/v1/rosters")
    return {"items": found, "next": None}


@router.put("/rosters/{roster}", responses=told(404, 409), response_model=RosterDocument)
def put_roster(session: ChangingRosters, parts: PartsOf, roster: str, body: RosterWanted) -> dict[str, Any]:
    """Change a roster. Refused where nobody would be on duty any more, unless that is said to be on purpose."""
    user = session.user
    people, versions = parts.rosters.in_force()
    if roster not in people.roster:
        raise Problem(404, "No such roster", f"there is no roster '{roster}': GET /api/v1/rosters")
    must_say_why(body.note)
    if body.version != versions[roster]:
        parts.accounts.record(user.name, "put-roster", roster, "refused: outdated")
        detail = f"{OUTDATED}: version {versions[roster]} is in force, yours is based on {body.version}"
        raise Problem(409, "The roster is not as you saw it", f"{detail}; look at it again")
    wanted, errors = read_written(body.roster, people)
    if wanted is None:
        detail = "; ".join(f"{each['field']}: {each['message']}" for each in errors[:_CHANGES_TOLD_MAX])
        raise Problem(422, "The roster does not fit", detail, errors=errors)
    if wanted.id != roster:
        errors = [{"field": "id", "message": f"is '{wanted.id}', asked for '{roster}'", "code": "other-id"}]
        raise Problem(422, "The roster does not fit", f"id: {errors[0]['message']}", errors=errors)
    gaps = [] if body.accepts_gaps else new_gaps(people.roster[roster], wanted, parts.clock.now_ms())
    if gaps:
        zone = zone_of(wanted.timezone)

        def clock(ms: int) -> str:
            return f"{datetime.fromtimestamp(ms / 1000, zone):%Y-%m-%d %H:%M}"

        errors = [
            {
                "field": gap.field,
                "message": f"nobody is on duty from {clock(gap.start_ms)} to {clock(gap.end_ms)}",
                "code": "nobody-on-duty",
            }
            for gap in gaps
        ]
        detail = "; ".join(f"{each['field']}: {each['message']}" for each in errors[:_CHANGES_TOLD_MAX])
        shown = [{"field": gap.field, "start_ms": gap.start_ms, "end_ms": gap.end_ms} for gap in gaps]
        raise Problem(422, "Nobody would be on duty", detail, errors=errors, gaps=shown)
    document = document_of(wanted)
    moved = changes(document_of(people.roster[roster]), document)
    subject = f"{roster}: " + "; ".join(
        f"{each['field']} {each['from']} -> {each['to']}" for each in moved[:_CHANGES_TOLD_MAX]
    )
    details = {"roster_id": roster, "note": body.note, "document": document}
    try:
        parts.alarms.ask(user, "change-roster", "", body.version, details)
    except Refused as error:
        parts.accounts.record(user.name, "put-roster", subject, f"refused: {error}")
        if str(error).startswith(OUTDATED):
            raise Problem(409, "The roster is not as you saw it", f"{error}; look at it again") from error
        raise Problem(422, "The roster does not fit", str(error)) from error
    except NoAnswer as error:
        parts.accounts.record(user.name, "put-roster", subject, "waiting")
        raise Problem(503, "The core does not answer", "your change is on record and follows") from error
    parts.accounts.record(user.name, "put-roster", subject, "done")
    return _document(parts, roster)


@router.get("/calls", response_model=Calls)
def calls(session: Looking, parts: PartsOf) -> dict[str, Any]:
    """Every route with who would be called now, step by step, and which rule takes which route."""
    now_ms = parts.clock.now_ms()
    people, _ = parts.rosters.in_force()
    return {
        "as_of_ms": now_ms,
        "routes": [shown_route(people, route, now_ms) for route in people.routes],
        "rules": [
            shown_rule(people, rule)
            for rule in parts.rules.in_force()
            if as_seen(rule, parts.catalogue, session.user) is not None
        ],
    }


def _document(parts: Parts, roster: str) -> dict[str, Any]:
    people, versions = parts.rosters.in_force()
    if roster not in people.roster:
        raise Problem(404, "No such roster", f"there is no roster '{roster}': GET /api/v1/rosters")
    return {
        "version": versions[roster],
        "roster": document_of(people.roster[roster]),
        "people": everybody(people),
    }
