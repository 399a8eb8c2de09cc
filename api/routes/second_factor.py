"""A person's own second factor: begun, confirmed with a first code, taken away."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import Enrolling
from api.answers import Route
from api.contract import SecretShown, SessionWithCodes
from api.parts import PartsOf
from api.people.sessions import TooManyFailures
from api.problems import Problem, told
from api.routes.session import address_of, must_know, wait, with_cookie
from telemetry.errors import BadInput

router = APIRouter(route_class=Route)


class Begin(BaseModel):
    """The password of whose it is."""

    model_config = ConfigDict(extra="forbid")

    password: str = Field(max_length=200)


class Confirm(BaseModel):
    """The first code."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=40)


class Drop(BaseModel):
    """The password and a code, or a recovery code."""

    model_config = ConfigDict(extra="forbid")

    password: str = Field(max_length=200)
    code: str = Field(max_length=40)


@router.post("/session/second-factor", responses=told(409, 429), response_model=SecretShown)
def begin(session: Enrolling, parts: PartsOf, body: Begin, request: Request) -> dict[str, str]:
    must_know(parts, session, body.password, request, "second-factor-begin")
    try:
        return parts.accounts.second_factor.begin(session.user.name)
    except BadInput as error:
        raise Problem(409, "Not now", error.detail) from error


@router.post("/session/second-factor/confirm", responses=told(429), response_model=SessionWithCodes)
def confirm(session: Enrolling, parts: PartsOf, body: Confirm, request: Request) -> Response:
    """The second factor counts from now on. All sessions end; the answer is a new one, with the recovery codes."""
    accounts, name = parts.accounts, session.user.name
    try:
        codes = accounts.second_factor.confirm(name, body.code)
    except TooManyFailures as error:
        raise wait(error) from error
    except BadInput as error:
        accounts.record(name, "second-factor-on", name, f"refused: {error.reason}")
        raise Problem(422, "The request does not fit", f"code: {error.detail}") from error
    accounts.sessions.end_of(name, None)
    accounts.record(name, "second-factor-on", name, "done")
    return with_cookie(request, *accounts.begin(name, address_of(request)), recovery_codes=codes)


@router.post("/session/second-factor/drop", responses=told(429), status_code=204)
def drop(session: Enrolling, parts: PartsOf, body: Drop, request: Request) -> Response:
    accounts, name = parts.accounts, session.user.name
    must_know(parts, session, body.password, request, "second-factor-off")
    try:
        is_right = accounts.second_factor.is_right(name, body.code)
    except TooManyFailures as error:
        raise wait(error) from error
    if not is_right:
        accounts.record(name, "second-factor-off", name, "refused: code")
        raise Problem(403, "Not your code", "it needs a code that was not used yet, or a recovery code")
    accounts.second_factor.drop(name)
    accounts.record(name, "second-factor-off", name, "done")
    return Response(status_code=204)
