"""Log in, log out, who I am."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from alerts.escalation import DUTY, SYSTEM
from api.access import (
    COOKIE,
    EVERYWHERE,
    TABLET_COOKIE,
    Anybody,
    Arrived,
    Enrolling,
    InPerson,
    Leaving,
    OnTablet,
    Permission,
    Session,
    cookie_name,
    cookie_of,
)
from api.answers import Route
from api.contract import Guards, SessionEntries, SessionShown
from api.parts import Parts, PartsOf
from api.people.accounts import CodeNeeded
from api.people.sessions import TABLET_MS, WALL_MS, TooManyFailures
from api.problems import Problem, told
from telemetry.errors import BadInput

router = APIRouter(route_class=Route)


class LogIn(BaseModel):
    """Name and password, and a code of who has a second factor."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64)
    password: str = Field(max_length=200)
    code: str = Field(default="", max_length=40, description="of the second factor, or a recovery code")


class ChangeOfGuard(BaseModel):
    """Who takes over at a tablet."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64)
    pin: str = Field(max_length=8)


class NewPin(BaseModel):
    """A PIN for changes of guard, with the password of whose it is."""

    model_config = ConfigDict(extra="forbid")

    password: str = Field(max_length=200)
    pin: str = Field(max_length=8)


class WallWanted(BaseModel):
    """Which sites a wall screen shows, with the password of who hangs it."""

    model_config = ConfigDict(extra="forbid")

    password: str = Field(max_length=200)
    sites: list[Annotated[str, Field(max_length=64)]] | None = Field(
        default=None, min_length=1, max_length=200, description="all of yours when not given"
    )


class NewPassword(BaseModel):
    """A new password, with the old one."""

    model_config = ConfigDict(extra="forbid")

    old: str = Field(max_length=200)
    new: str = Field(max_length=200)


@router.post("/session", responses=told(401, 429), response_model=SessionShown, dependencies=[Anybody])
def log_in(parts: PartsOf, body: LogIn, request: Request) -> Response:
    try:
        made = parts.accounts.log_in(body.name, body.password, address_of(request), body.code)
    except TooManyFailures as error:
        raise wait(error) from error
    except CodeNeeded as error:
        detail = "the code is wrong, over or used" if body.code else "send the 'code' of your second factor too"
        raise Problem(401, "Code needed", detail, code_needed=True) from error
    if made is None:
        raise Problem(401, "Not logged in", "name or password is wrong")
    return with_cookie(request, *made)


@router.get("/session/guards", responses=told(401), response_model=Guards)
def guards(tablet: OnTablet, parts: PartsOf) -> dict[str, Any]:
    sites = None if tablet.sites is None else list(tablet.sites)
    return {"sites": sites, "items": [{"name": name} for name in parts.accounts.sessions.guards(tablet)]}


@router.post("/session/pin", responses=told(401, 429), response_model=SessionShown)
def change_guard(
    tablet: OnTablet,
    parts: PartsOf,
    body: ChangeOfGuard,
    request: Request,
) -> Response:
    """Change the guard on a tablet. The first time, whoever is logged in with a password leaves it and keeps the tablet."""
    accounts, address = parts.accounts, address_of(request)
    try:
        made = accounts.sessions.change_guard(tablet, body.name, body.pin, address)
    except TooManyFailures as error:
        accounts.record(body.name, "change-guard", f"{tablet.keeper} {address}", "refused: too many PINs")
        raise wait(error) from error
    if made is None:
        accounts.record(body.name, "change-guard", f"{tablet.keeper} {address}", "refused: PIN")
        raise Problem(
            401, "Not this guard", "the PIN is wrong, or nobody of that name guards here; a password works too"
        )
    token, session, kept = made
    if left := cookie_of(request, COOKIE):
        accounts.log_out(left)
    accounts.record(session.user.name, "change-guard", f"{tablet.keeper} {address}", "done")
    response = with_cookie(request, token, session)
    if kept is not None:
        set_cookie(request, response, TABLET_COOKIE, kept, TABLET_MS // 1000)
    return response


@router.put("/session/pin", responses=told(429), status_code=204)
def set_pin(session: InPerson, parts: PartsOf, body: NewPin, request: Request) -> Response:
    must_know(parts, session, body.password, request, "pin-set")
    try:
        parts.accounts.change_pin(session.user.name, session.user.name, body.pin)
    except BadInput as error:
        raise Problem(422, "The request does not fit", f"pin: {error.detail}") from error
    return Response(status_code=204)


@router.put("/session/password", responses=told(429), response_model=SessionShown)
def change_password(session: Enrolling, parts: PartsOf, body: NewPassword, request: Request) -> Response:
    """Change one's own password. All sessions end; the answer is a new one."""
    must_know(parts, session, body.old, request, "password-change")
    try:
        parts.accounts.change_password(session.user.name, body.new)
    except BadInput as error:
        raise Problem(422, "The request does not fit", f"new: {error.detail}") from error
    return with_cookie(request, *parts.accounts.begin(session.user.name, address_of(request)))


@router.post("/session/wall", responses=told(429), response_model=SessionShown)
def become_wall(
    session: InPerson,
    parts: PartsOf,
    body: WallWanted,
    request: Request,
) -> Response:
    """Let this browser be a wall screen: it looks at these sites and does nothing else. The log-in there ends."""
    must_know(parts, session, body.password, request, "wall-make")
    try:
        token, made = parts.accounts.sessions.begin_wall(session.user, body.sites, address_of(request))
    except BadInput as error:
        raise Problem(422, "The request does not fit", error.detail) from error
    parts.accounts.log_out(cookie_of(request, COOKIE) or "")
    where = "all sites" if body.sites is None else ", ".join(body.sites)
    parts.accounts.record(session.user.name, "wall-make", where, "done")
    response = JSONResponse(_session(parts, made))
    set_cookie(request, response, COOKIE, token, WALL_MS // 1000)
    return response


@router.get("/session/all", response_model=SessionEntries)
def own_sessions(session: InPerson, parts: PartsOf) -> dict[str, Any]:
    return {"items": parts.accounts.sessions.of(session.user.name)}


@router.delete("/session/all/{number}", status_code=204)
def end_own_session(session: InPerson, parts: PartsOf, number: str) -> Response:
    name = session.user.name
    if not parts.accounts.sessions.end_of(name, number):
        raise Problem(404, "No such session", f"you have no session '{number}': GET /api/v1/session/all")
    parts.accounts.record(name, "session-end", f"{name} {number}", "done")
    return Response(status_code=204)


@router.get("/session", response_model=SessionShown)
def session_now(session: Arrived, parts: PartsOf) -> dict[str, Any]:
    return _session(parts, session)


@router.delete("/session", status_code=204)
def log_out(session: Leaving, parts: PartsOf, request: Request) -> Response:
    parts.accounts.log_out(cookie_of(request, COOKIE) or "")
    parts.accounts.record(session.user.name, "log-out", "", "done")
    response = Response(status_code=204)
    # A browser that keeps such a cookie for this host alone takes the order to forget it in the same form alone.
    response.delete_cookie(cookie_name(request, COOKIE), path="/", secure=parts.is_behind_https, httponly=True)
    return response


def must_know(parts: Parts, session: Session, password: str, request: Request, action: str) -> None:
    """Who found a browser open cannot make it theirs; nor does a password lead past the second factor at a tablet."""
    name = session.user.name
    if session.is_by_pin and parts.accounts.second_factor.is_on(name):
        parts.accounts.record(name, action, name, "refused: second factor")
        raise Problem(403, "Second factor needed", "a PIN is not enough for it: log in with your password and a code")
    try:
        is_known = parts.accounts.knows(name, password, address_of(request))
    except TooManyFailures as error:
        raise wait(error) from error
    if not is_known:
        parts.accounts.record(name, action, name, "refused: password")
        raise Problem(403, "Not your password", "it needs the password that you have now")


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""


def wait(error: TooManyFailures) -> Problem:
    """The answer to who tries too often."""
    return Problem(429, "Too many attempts", f"wait {error.wait_s} s before the next attempt")


def with_cookie(request: Request, token: str, session: Session, **more: Any) -> Response:
    """The session as an answer, its token in a cookie."""
    response = JSONResponse({**_session(request.app.state.parts, session), **more})
    set_cookie(request, response, COOKIE, token, None)
    return response


def set_cookie(request: Request, response: Response, name: str, token: str, lasts_s: int | None) -> None:
    """Give a browser a token that no script reads and no other site makes it send."""
    secure = request.app.state.parts.is_behind_https
    called = cookie_name(request, name)
    response.set_cookie(called, token, lasts_s, httponly=True, samesite="strict", secure=secure, path="/")


def _session(parts: Parts, session: Session) -> dict[str, Any]:
    user = session.user
    classes = {*parts.rules.classes().values(), DUTY}
    may: list[dict[str, Any]] = []
    for site in (None, *sorted({each.site for each in user.grants if each.site is not None})):
        # What is about ourselves is of all sites, and of no rule.
        known = classes | {SYSTEM} if site is None else classes
        may.append(
            {
                "site": site,
                "permissions": sorted(
                    each for each in Permission if user.may(each, None if each in EVERYWHERE else site)
                ),
                "acts_on": sorted(name for name in known if user.acts_on(name, site)),
            }
        )
    return {
        "user": {
            "name": user.name,
            "roles": sorted(role.value for role in user.roles),
            "sites": None if user.sites is None else sorted(user.sites),
            "acts_on": sorted({name for each in may for name in each["acts_on"]}),
            "permissions": sorted(each for each in Permission if user.may_at_all(each)),
            "may": may,
        },
        "csrf": session.csrf,
        "is_wall": session.is_wall,
        "second_factor": {
            "is_on": parts.accounts.second_factor.is_on(user.name),
            "must_enrol": session.must_enrol,
            "codes_left": parts.accounts.second_factor.codes_left(user.name),
        },
        "insecure": parts.is_insecure,
    }
