"""The HTTP application: the routes put together, what holds for every request, and the screens."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI

from api import problems
from api.description import describe
from api.guard import Guard
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

    app.add_middleware(Guard)
    for module in _ROUTERS:
        app.include_router(module.router, prefix="/api/v1", tags=[module.__name__.rpartition(".")[2]])
    app.include_router(live.outside)
    if SCREENS.is_dir():
        app.mount("/", ScreenFiles(SCREENS), name="screens")
    return app


def _must_not_end(task: asyncio.Task[None]) -> None:
    """Screens that hear nothing are worse than none: when such a task fails, the process ends and is started again."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("a task failed; stopping", task=task.get_name(), error=repr(task.exception()))
        os.kill(os.getpid(), signal.SIGTERM)
