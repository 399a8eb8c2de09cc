"""Live events for the screens; health and metrics for machines."""

import functools
from collections.abc import AsyncIterator
from typing import Annotated

import prometheus_client
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from api.access import Anybody, Looking, is_still_in
from api.answers import Route, as_json
from api.contract import Alive, Health
from api.events import TooManyClients
from api.parts import PartsOf
from api.problems import Problem

router = APIRouter(route_class=Route)
outside = APIRouter(route_class=Route)
"""Not under /api/v1."""


@router.get(
    "/events",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events: docs/api/stream.md"}},
)
async def live_events(
    session: Looking, parts: PartsOf, request: Request, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    last_seen = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 16 else None
    stream = parts.events.stream(session.user, last_seen, functools.partial(is_still_in, request, session))
    try:
        first = await anext(stream)
    except TooManyClients as error:
        raise Problem(503, "Too many screens", "close some and try again") from error

    async def whole() -> AsyncIterator[str]:
        yield first
        async for event in stream:
            yield event

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(whole(), media_type="text/event-stream", headers=headers)


@outside.get("/health/live", response_model=Alive, dependencies=[Anybody])
async def alive() -> Response:
    return as_json({"status": "alive"})


@outside.get("/health/ready", response_model=Health, responses={503: {"model": Health}}, dependencies=[Anybody])
def ready(parts: PartsOf) -> JSONResponse:
    health = parts.events.health()
    return JSONResponse(health, 200 if health["ready"] else 503)


@outside.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=[Anybody],
)
def metrics() -> Response:
    return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)
