"""People who may log in: made, granted roles, let out again. For administrators of all sites."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import Grant, ManagingUsers, Role, Session
from api.answers import Route
from api.contract import AccountDetail, AccountPage, AccountShown, SessionEntries
from api.parts import Parts, PartsOf
from api.people.accounts import Account
from api.problems import Problem
from telemetry.errors import BadInput

router = APIRouter(route_class=Route)


class GrantWanted(BaseModel):
    """A role at a site, or at all."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    site: str | None = Field(default=None, max_length=64, description="all when not given")


class UserWanted(BaseModel):
    """Somebody new."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    password: str = Field(max_length=200)
    grants: list[GrantWanted] = Field(max_length=200)


class UserChange(BaseModel):
    """What is to be otherwise; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    grants: list[GrantWanted] | None = Field(default=None, max_length=200)
    password: str | None = Field(default=None, max_length=200)
    pin: str | None = Field(default=None, max_length=8, description="of a guard; an empty one takes it away")
    disabled: bool | None = None


@router.get("/users", response_model=AccountPage)
def user_page(
    session: ManagingUsers,
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> dict[str, Any]:
    found = parts.accounts.page(limit + 1, cursor)
    items = [_shown(account) for account in found[:limit]]
    return {"items": items, "next": items[-1]["name"] if len(found) > limit else None}


@router.post("/users", response_model=AccountShown, status_code=201)
def add_user(session: ManagingUsers, parts: PartsOf, body: UserWanted) -> dict[str, Any]:
    grants = _grants(parts, body.grants)
    try:
        parts.accounts.add(session.user.name, body.name, body.password, grants)
    except BadInput as error:
        raise _unfit(error) from error
    return _one(parts, body.name)


@router.get("/users/{name}", response_model=AccountDetail)
def one_user(session: ManagingUsers, parts: PartsOf, name: str) -> dict[str, Any]:
    accounts = parts.accounts
    return {
        **_one(parts, name),
        "has_pin": accounts.sessions.has_pin(name),
        "has_second_factor": accounts.second_factor.is_on(name),
    }


@router.patch("/users/{name}", response_model=AccountShown)
def change_user(session: ManagingUsers, parts: PartsOf, name: str, body: UserChange) -> dict[str, Any]:
    _one(parts, name)
    grants = None if body.grants is None else _grants(parts, body.grants)
    try:
        parts.accounts.change(session.user.name, name, grants, body.password, body.disabled, body.pin)
    except BadInput as error:
        parts.accounts.record(session.user.name, "user-change", name, f"refused: {error.reason}")
        raise _unfit(error) from error
    return _one(parts, name)


@router.get("/users/{name}/sessions", response_model=SessionEntries)
def sessions_of(session: ManagingUsers, parts: PartsOf, name: str) -> dict[str, Any]:
    _one(parts, name)
    return {"items": parts.accounts.sessions.of(name)}


@router.delete("/users/{name}/sessions", status_code=204)
def end_sessions_of(session: ManagingUsers, parts: PartsOf, name: str) -> Response:
    _one(parts, name)
    return _ended(session, parts, name, None)


@router.delete("/users/{name}/sessions/{number}", status_code=204)
def end_session_of(session: ManagingUsers, parts: PartsOf, name: str, number: str) -> Response:
    _one(parts, name)
    return _ended(session, parts, name, number)


@router.delete("/users/{name}/second-factor", status_code=204)
def drop_second_factor_of(session: ManagingUsers, parts: PartsOf, name: str) -> Response:
    _one(parts, name)
    try:
        parts.accounts.drop_second_factor(session.user.name, name)
    except BadInput as error:
        raise Problem(404, "No second factor", error.detail) from error
    return Response(status_code=204)


def _ended(session: Session, parts: Parts, name: str, number: str | None) -> Response:
    if not parts.accounts.sessions.end_of(name, number) and number is not None:
        raise Problem(404, "No such session", f"'{name}' has no session '{number}'")
    parts.accounts.record(session.user.name, "session-end", f"{name} {number or 'all'}", "done")
    return Response(status_code=204)


def _grants(parts: Parts, wanted: list[GrantWanted]) -> frozenset[Grant]:
    for each in wanted:
        if each.site is not None and each.site not in parts.catalogue.site:
            raise Problem(422, "The request does not fit", f"grants: there is no site '{each.site}'")
    return frozenset(Grant(each.role, each.site) for each in wanted)


def _one(parts: Parts, name: str) -> dict[str, Any]:
    found = parts.accounts.one(name)
    if found is None:
        raise Problem(404, "No such user", f"there is no user '{name}': GET /api/v1/users")
    return _shown(found)


def _shown(account: Account) -> dict[str, Any]:
    grants = sorted(account.user.grants, key=lambda each: (each.role.value, each.site or ""))
    return {
        "name": account.user.name,
        "grants": [{"role": each.role.value, "site": each.site} for each in grants],
        "created_ms": account.created_ms,
        "disabled_ms": account.disabled_ms,
    }


_FIELD = {
    "name-taken": "name",
    "bad-name": "name",
    "weak-password": "password",
    "known-password": "password",
    "no-guard": "pin",
    "bad-pin": "pin",
    "weak-pin": "pin",
}


def _unfit(error: BadInput) -> Problem:
    # What has no field of its own is about grants, or about letting somebody in no more.
    wrong = {"field": _FIELD.get(error.reason, "grants"), "code": error.reason, "message": error.detail}
    return Problem(422, "The request does not fit", error.detail, errors=[wrong])
