"""Logging in at a provider of OpenID Connect: there, and back. A browser comes here by its address bar, so it is sent on."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.access import COOKIE, Anybody, cookie_name, cookie_of
from api.answers import Route
from api.contract import Ways
from api.parts import PartsOf
from api.people.openid import BACK, PENDING_S
from api.problems import Problem, told
from api.routes.session import address_of, set_cookie
from telemetry.errors import BadInput, Unavailable

router = APIRouter(route_class=Route)
_PENDING = "gatehouse_openid"
_log = structlog.get_logger("openid")


@router.get("/session/ways", response_model=Ways, dependencies=[Anybody])
def ways(parts: PartsOf) -> dict[str, Any]:
    """How one may log in beside by name and password: what the button says; null: by nothing else."""
    return {"openid": None if parts.openid is None else parts.openid.settings.title}


@router.get(
    "/session/openid", responses=told(404), dependencies=[Anybody], status_code=303, response_class=RedirectResponse
)
def there(parts: PartsOf, request: Request) -> Response:
    if parts.openid is None:
        raise Problem(404, "Not set up", "log in with name and password; api.openid names a provider")
    try:
        kept, url = parts.openid.begin()
    except Unavailable as error:
        _log.warning("the provider of log-ins is away", error=str(error))
        return RedirectResponse("/?login=away", 303)
    answer = RedirectResponse(url, 303)
    # Lax: it must come back with a browser that another site sends here.
    answer.set_cookie(
        cookie_name(request, _PENDING),
        kept,
        PENDING_S,
        httponly=True,
        samesite="lax",
        secure=parts.is_behind_https,
        path="/",
    )
    return answer


@router.get(
    BACK.removeprefix("/api/v1"),
    responses=told(404),
    dependencies=[Anybody],
    status_code=303,
    response_class=RedirectResponse,
)
def back(
    parts: PartsOf,
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4_000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    if parts.openid is None:
        raise Problem(404, "Not set up", "log in with name and password; api.openid names a provider")
    accounts, address = parts.accounts, address_of(request)
    name, why = "openid", error
    try:
        name = parts.openid.end(cookie_of(request, _PENDING) or "", state, code if not error else "")
        why = accounts.why_not_by_provider(name, parts.openid.settings.is_second_factor)
    except BadInput as refused:
        why = error or refused.reason
    except Unavailable as away:
        _log.warning("the provider of log-ins is away", error=str(away))
        why = "away"
    if why:
        accounts.record(name[:64], "log-in", f"{address} openid", f"refused: {why}")
        answer = RedirectResponse(f"/?login={'away' if why == 'away' else 'refused'}", 303)
    else:
        answer = RedirectResponse("/", 303)
        token, _ = accounts.begin(name, address)
        accounts.record(name, "log-in", f"{address} openid", "done")
        set_cookie(request, answer, COOKIE, token, None)
    answer.delete_cookie(cookie_name(request, _PENDING), path="/", secure=parts.is_behind_https, httponly=True)
    return answer
