"""Log in, log out, who I am."""

from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api.access import COOKIE, Anybody, Looking, Permission, Session
from api.accounts import TooManyFailures
from api.parts import Parts, PartsOf
from api.problems import Problem

router = APIRouter()


class LogIn(BaseModel):
    """Name and password."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64)
    password: str = Field(max_length=200)


@router.post("/session", dependencies=[Anybody])
def log_in(parts: PartsOf, body: LogIn, request: Request) -> Response:
    address = request.client.host if request.client else ""
    try:
        made = parts.accounts.log_in(body.name, body.password, address)
    except TooManyFailures as error:
        raise Problem(429, "Too many attempts", "wait a minute before the next attempt") from error
    if made is None:
        raise Problem(401, "Not logged in", "name or password is wrong")
    token, session = made
    response = JSONResponse(_session(parts, session))
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=parts.is_behind_https, path="/")
    return response


@router.get("/session")
def session_now(session: Looking, parts: PartsOf) -> dict[str, Any]:
    return _session(parts, session)


@router.delete("/session", status_code=204)
def log_out(session: Looking, parts: PartsOf, gatehouse_session: Annotated[str, Cookie()]) -> Response:
    parts.accounts.log_out(gatehouse_session)
    parts.accounts.record(session.user.name, "log-out", "", "done")
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/")
    return response


def _session(parts: Parts, session: Session) -> dict[str, Any]:
    user = session.user
    classes = set(parts.rules.classes().values())
    return {
        "user": {
            "name": user.name,
            "roles": sorted(role.value for role in user.roles),
            "sites": None if user.sites is None else sorted(user.sites),
            "acts_on": sorted(name for name in classes if any(user.acts_on(name, each.site) for each in user.grants)),
            "permissions": sorted(each for each in Permission if user.may_somewhere(each)),
        },
        "csrf": session.csrf,
        "insecure": parts.is_insecure,
    }
