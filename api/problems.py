"""Errors as RFC 9457 problem details that say what to do."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from telemetry.database import DATABASE_AWAY
from telemetry.errors import Unavailable

_log = structlog.get_logger("api")

MEDIA_TYPE = "application/problem+json"
_AWAY = "A part behind the API is away"
MEANING = {
    401: "Nobody is logged in, or the token, name, password or code is not right",
    403: "Not for this user: a permission, a site, the CSRF token or the second factor is missing",
    404: "There is no such thing, or none that may be seen",
    406: "No format that the caller takes",
    409: "It is not as the caller saw it: look at it again, then decide again",
    410: "It was there and is not kept any more",
    411: "A body without its length",
    413: "A body that is too large",
    422: "The request does not fit; `errors` names the fields where there are some",
    429: "Too many attempts, or too much is waiting already: wait and try again",
    503: "A part behind the API is away: try again",
}
"""What a status of an error says; docs/api/errors.md lists them."""


class Problem(Exception):
    """Answer with this instead."""

    def __init__(self, status: int, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.more = status, title, detail, more


def told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses` of a route: errors of it beside those that every route has (`api/description.py`)."""
    return {status: {"description": MEANING[status]} for status in statuses}


def install(app: FastAPI) -> None:
    """Let every error leave as a problem."""

    @app.exception_handler(Problem)
    async def _problem(_request: Request, error: Problem) -> JSONResponse:
        return answer(error.status, error.title, error.detail, **error.more)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI could not even try to read the body
            return answer(422, "The request does not fit", "the body is no JSON in UTF-8, or nested beyond reading")
        return answer(error.status_code, str(error.detail), str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def _validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        fields = [{"field": ".".join(map(str, e["loc"][1:])), "message": e["msg"]} for e in error.errors()]
        detail = "; ".join(f"{field['field'] or 'body'}: {field['message']}" for field in fields)
        return answer(422, "The request does not fit", detail, errors=fields)

    @app.exception_handler(Unavailable)
    async def _unavailable(_request: Request, error: Unavailable) -> JSONResponse:
        return answer(503, _AWAY, f"{error}; try again")

    async def _database_away(_request: Request, error: Exception) -> JSONResponse:
        _log.warning("the database does not answer", error=str(error))
        return answer(503, _AWAY, "the database does not answer, or has no connection left; try again")

    for kind in DATABASE_AWAY:
        app.add_exception_handler(kind, _database_away)


def answer(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """A problem as a response."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, media_type=MEDIA_TYPE)
