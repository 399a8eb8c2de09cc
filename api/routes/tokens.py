"""Tokens for machines: made by somebody for themselves and shown once; administrators see and end everybody's."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import InPerson, Permission, Session
from api.answers import Route
from api.contract import TokenMade, TokenPage
from api.parts import PartsOf
from api.problems import Problem, told
from api.routes.session import must_know
from telemetry.errors import BadInput

router = APIRouter(route_class=Route)


class TokenWanted(BaseModel):
    """What a token is for, and the password of who makes it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64, description="what it is for")
    scopes: list[Permission] = Field(min_length=1, max_length=20)
    sites: list[Annotated[str, Field(max_length=64)]] | None = Field(
        default=None, min_length=1, max_length=200, description="all of yours when not given"
    )
    expires_ms: int = Field(ge=0, lt=2**53, description="epoch ms, at most 400 days ahead")
    password: str = Field(max_length=200)


@router.get("/tokens", response_model=TokenPage)
def token_page(
    session: InPerson,
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str, Query(max_length=16)] = "",
    user: Annotated[str | None, Query(max_length=64, description="whose; for who manages users")] = None,
) -> dict[str, Any]:
    found = parts.accounts.tokens.page(_whose(session) or user, limit + 1, cursor)
    items = found[:limit]
    return {"items": items, "next": items[-1]["id"] if len(found) > limit else None}


@router.post("/tokens", responses=told(429), response_model=TokenMade, status_code=201)
def make_token(session: InPerson, parts: PartsOf, body: TokenWanted, request: Request) -> dict[str, Any]:
    must_know(parts, session, body.password, request, "token-make")
    try:
        token, made = parts.accounts.tokens.make(
            session.user, body.name, frozenset(body.scopes), body.sites, body.expires_ms
        )
    except BadInput as error:
        raise Problem(422, "The request does not fit", error.detail) from error
    where = "all sites" if body.sites is None else ", ".join(body.sites)
    told = f"{made['id']} '{body.name}': {', '.join(made['scopes'])} at {where}"
    parts.accounts.record(session.user.name, "token-make", told, "done")
    return {**made, "token": token}


@router.delete("/tokens/{number}", status_code=204)
def end_token(session: InPerson, parts: PartsOf, number: str) -> Response:
    whose = parts.accounts.tokens.end(number, _whose(session))
    if whose is None:
        raise Problem(404, "No such token", f"there is no token '{number}': GET /api/v1/tokens")
    parts.accounts.record(session.user.name, "token-end", f"{number} of {whose}", "done")
    return Response(status_code=204)


def _whose(session: Session) -> str | None:
    return None if session.user.may(Permission.MANAGE_USERS) else session.user.name
