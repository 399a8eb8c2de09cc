"""Cleaning jobs of drains: planned, done, signed off; with what the water stood at before and after."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import Cleaning, Looking, Permission, User
from api.answers import Route
from api.asking import at_cursor
from api.drains.cleaning import State
from api.drains.network import Node, networks
from api.drains.silt import AGE_DAYS_MAX, base_m, local_day
from api.parts import Parts, PartsOf
from api.problems import Problem, told
from api.routes.drains import network_of, nights_of, rain_of

router = APIRouter(route_class=Route)

_DAY_MS = 86_400_000


class JobWanted(BaseModel):
    """A cleaning that is planned: of the pipe that leaves a place, for a day of the site."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(max_length=64)
    place: str = Field(max_length=64)
    planned: date
    crew: str = Field(min_length=1, max_length=200, pattern=r"\S")
    note: str = Field(default="", max_length=2000)


class JobDone(BaseModel):
    """It has been cleaned; `seq` is the step that was seen. Silt is measured by hand, before and after."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1, lt=2**31)
    silt_m: float | None = Field(default=None, ge=0, le=20)
    left_m: float | None = Field(default=None, ge=0, le=20)
    note: str = Field(default="", max_length=2000)


class JobStep(BaseModel):
    """The step that was seen."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1, lt=2**31)


class Job(BaseModel):
    """A cleaning job as it stands."""

    id: str
    network: str
    place: str
    state: State
    seq: int
    planned: date
    crew: str
    note: str
    created_ms: int
    created_by: str
    done_ms: int | None
    done_by: str | None
    silt_m: float | None
    left_m: float | None
    done_note: str | None
    signed_ms: int | None
    signed_by: str | None


class JobEffect(Job):
    """With the base level of dry nights before and after, in metres; null while there are no such nights."""

    before_m: float | None
    after_m: float | None
    nights_before: int
    nights_after: int


class JobPage(BaseModel):
    """Jobs, the newest first."""

    items: list[Job]
    next: str | None


@router.get("/cleaning-jobs", responses=told(404))
def job_page(
    session: Looking,
    parts: PartsOf,
    network: str | None = None,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
) -> JobPage:
    """Jobs of the networks that one sees, or of one of them."""
    if network is not None:
        names = [network_of(parts, session.user, network).place.id]
    else:
        names = [name for name, each in networks(parts.catalogue).items() if session.user.sees(each.site)]
    found, following = parts.cleaning.page(names, state, limit, None if cursor is None else at_cursor(cursor))
    return JobPage(
        items=[Job(**job) for job in found], next=None if following is None else f"{following[0]}.{following[1]}"
    )


@router.post("/cleaning-jobs", responses=told(404, 409), status_code=201)
def plan(session: Cleaning, parts: PartsOf, body: JobWanted) -> Job:
    """Plan one."""
    user = session.user
    _node(parts, user, body.network, body.place)
    site = _must_clean(parts, user, "plan-cleaning", body.network, body.place)
    made = parts.cleaning.plan(
        user.name, body.network, body.place, body.planned.isoformat(), body.crew.strip(), body.note
    )
    if made is None:
        raise Problem(409, "Too many jobs", "sign off or cancel some of the open jobs first: GET /api/v1/cleaning-jobs")
    parts.accounts.record(user.name, "plan-cleaning", f"{body.place} {made['id']}", "done", site)
    return Job(**made)


@router.get("/cleaning-jobs/{job}")
def one(session: Looking, parts: PartsOf, job: str) -> JobEffect:
    """A job, and what it did to the level."""
    found = _job(parts, session.user, job)
    network = network_of(parts, session.user, found["network"])
    node = next((node for node in network.nodes if node.place.id == found["place"]), None)
    none = JobEffect(**found, before_m=None, after_m=None, nights_before=0, nights_after=0)
    if found["done_ms"] is None or node is None or node.device is None:
        return none
    done_ms = found["done_ms"]
    start_ms = done_ms - AGE_DAYS_MAX * _DAY_MS
    end_ms = min(done_ms + AGE_DAYS_MAX * _DAY_MS, parts.clock.now_ms())
    rain = rain_of(parts, network, start_ms - _DAY_MS, end_ms)
    nights = nights_of(parts, network, node.device, rain, start_ms, end_ms)
    # The night of the day itself came before the crew; the first after it is the next day's.
    day = local_day(done_ms, parts.catalogue.site[network.site].timezone)
    before, after = nights.between(0, day + 1), nights.between(day + 1, 2**40)
    return JobEffect(
        **found,
        before_m=base_m(before),
        after_m=base_m(after, last=False),
        nights_before=len(before),
        nights_after=len(after),
    )


@router.post("/cleaning-jobs/{job}/done", responses=told(409))
def done(session: Cleaning, parts: PartsOf, job: str, body: JobDone) -> Job:
    """It has been cleaned."""
    changes = {
        "done_ms": parts.clock.now_ms(),
        "done_by": session.user.name,
        "silt_m": body.silt_m,
        "left_m": body.left_m,
        "done_note": body.note,
    }
    return _step(parts, session.user, job, body.seq, State.DONE, changes)


@router.post("/cleaning-jobs/{job}/sign-off", responses=told(409))
def sign_off(session: Cleaning, parts: PartsOf, job: str, body: JobStep) -> Job:
    """Somebody has looked at what was done, and stands for it with their name."""
    changes = {"signed_ms": parts.clock.now_ms(), "signed_by": session.user.name}
    return _step(parts, session.user, job, body.seq, State.SIGNED, changes)


@router.post("/cleaning-jobs/{job}/cancel", responses=told(409))
def cancel(session: Cleaning, parts: PartsOf, job: str, body: JobStep) -> Job:
    """It will not be done."""
    return _step(parts, session.user, job, body.seq, State.CANCELLED, {})


def _step(parts: Parts, user: User, job: str, seq: int, state: State, changes: dict[str, Any]) -> Job:
    found = _job(parts, user, job)
    action = f"cleaning-{state}"
    site = _must_clean(parts, user, action, found["network"], job)
    made = parts.cleaning.step(job, seq, state, changes)
    if made is None:
        parts.accounts.record(user.name, action, job, "refused: not as seen", site)
        now = parts.cleaning.one(job) or found
        told = f"it is {now['state']} by now, at step {now['seq']}; look at it again"
        raise Problem(409, "The job is not as you saw it", told)
    parts.accounts.record(user.name, action, job, "done", site)
    return Job(**made)


def _job(parts: Parts, user: User, job: str) -> dict[str, Any]:
    found = parts.cleaning.one(job)
    network = None if found is None else networks(parts.catalogue).get(found["network"])
    if found is None or network is None or not user.sees(network.site):
        raise Problem(404, "No such job", f"there is no job '{job}' that you may see: GET /api/v1/cleaning-jobs")
    return found


def _node(parts: Parts, user: User, network: str, place: str) -> Node:
    for node in network_of(parts, user, network).nodes:
        if node.place.id == place:
            return node
    raise Problem(422, "The request does not fit", f"'place': network '{network}' has no place '{place}'")


def _must_clean(parts: Parts, user: User, action: str, network: str, subject: str) -> str:
    """The site of a network where somebody plans and signs cleaning."""
    site = networks(parts.catalogue)[network].site
    if not user.may(Permission.CLEAN, site):
        parts.accounts.record(user.name, action, subject, "refused: role", site)
        raise Problem(403, "Not for this role", "engineers and administrators of the site plan and sign cleaning")
    return site
