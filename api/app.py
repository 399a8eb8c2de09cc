"""The HTTP application: the routes put together, what holds for every request, and the screens."""

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response

from api import problems
from api.description import describe
from api.parts import Parts
from api.register.upkeep import keep_purged
from api.reports.keeping import keep_made
from api.routes import (
    alarms,
    audit,
    backtests,
    bills,
    cleaning,
    dormitories,
    drains,
    duties,
    gates,
    instruments,
    live,
    masks,
    openid,
    readings,
    register,
    reports,
    rosters,
    rules,
    runbook,
    second_factor,
    session,
    tokens,
    users,
    visits,
    world,
)
from api.screen_files import ScreenFiles

_log = structlog.get_logger("api")

SCREENS = Path(__file__).parent / "screens"
_BODY_MAX = 100_000
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# The order matters where addresses overlap: a back-test stands under /rules.
_ROUTERS = (
    openid,
    session,
    second_factor,
    world,
    backtests,
    rules,
    readings,
    alarms,
    duties,
    rosters,
    gates,
    dormitories,
    bills,
    reports,
    instruments,
    register,
    masks,
    drains,
    cleaning,
    users,
    tokens,
    visits,
    audit,
    runbook,
    live,
)

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_TRANSPORT_SECURITY = "max-age=31536000"


def make_app(parts: Parts) -> FastAPI:
    """Put the application together."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(parts.events.run(), name="events")
        task.add_done_callback(_must_not_end)
        purging = asyncio.create_task(keep_purged(parts.register, parts.accounts.audit), name="register")
        purging.add_done_callback(_must_not_end)
        reporting = asyncio.create_task(keep_made(parts), name="reports")
        reporting.add_done_callback(_must_not_end)
        try:
            yield
        finally:
            for each in (task, purging, reporting):
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
                    await each

    app = FastAPI(
        title="Gatehouse",
        version="1",
        lifespan=lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        generate_unique_id_function=lambda route: "-".join([*map(str, route.tags), route.name]),
        redoc_url=None,
    )
    app.state.parts = parts
    problems.install(app)

    def described() -> dict[str, Any]:
        app.openapi_schema = app.openapi_schema or describe(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]

    @app.middleware("http")
    async def _guarded(request: Request, call_next: Any) -> Response:
        response: Response = await _refused(request) or await call_next(request)
        for name, value in _SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if parts.is_behind_https:
            response.headers.setdefault("Strict-Transport-Security", _TRANSPORT_SECURITY)
        if request.url.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    for module in _ROUTERS:
        app.include_router(module.router, prefix="/api/v1", tags=[module.__name__.rpartition(".")[2]])
    app.include_router(live.outside)
    if SCREENS.is_dir():
        app.mount("/", ScreenFiles(SCREENS), name="screens")
    return app


async def _refused(request: Request) -> Response | None:
    """What is answered before anybody looks into a request: nobody waits for more than a body may hold."""
    if "transfer-encoding" in request.headers:
        return problems.answer(411, "Length required", "say how long the body is: send Content-Length")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > _BODY_MAX:
        return problems.answer(413, "Too large", f"a request's body holds at most {_BODY_MAX} bytes")
    if not await _is_text(request):
        return problems.answer(422, "The request does not fit", "a text holds characters alone: no NUL, no half of one")
    return None


async def _is_text(request: Request) -> bool:
    """Whether all that is said in it is text that can be stored: JSON can spell what is none."""
    if "\0" in request.url.path or b"%00" in request.scope["query_string"]:
        return False
    body = await request.body() if "content-length" in request.headers else b""
    if b"\\u" not in body:
        return True
    try:
        said = json.dumps(json.loads(body), ensure_ascii=False)
        said.encode()
    except UnicodeEncodeError:
        return False
    except (ValueError, RecursionError):
        return True  # whoever reads it says what is wrong
    return _NUL.search(said) is None


def _must_not_end(task: asyncio.Task[None]) -> None:
    """Screens that hear nothing are worse than none: when such a task fails, the process ends and is started again."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("a task failed; stopping", task=task.get_name(), error=repr(task.exception()))
        os.kill(os.getpid(), signal.SIGTERM)
