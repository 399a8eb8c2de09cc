"""Live events for the screens; health and metrics for machines."""

from collections.abc import AsyncIterator
from typing import Annotated

import prometheus_client
from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse, StreamingResponse

from api.access import Anybody, Looking
from api.events import TooManyClients
from api.parts import PartsOf
from api.problems import Problem

router = APIRouter()
outside = APIRouter()
"""Not under /api/v1."""


@router.get("/events")
async def live_events(
    session: Looking, parts: PartsOf, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    last_seen = int(last_event_id) if last_event_id and last_event_id.isdigit() and len(last_event_id) < 16 else None
    stream = parts.events.stream(session.user, last_seen)
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


@outside.get("/health/live", dependencies=[Anybody])
def alive() -> dict[str, str]:
    return {"status": "alive"}


@outside.get("/health/ready", dependencies=[Anybody])
def ready(parts: PartsOf) -> JSONResponse:
    health = parts.events.health()
    return JSONResponse(health, 200 if health["ready"] else 503)


@outside.get("/metrics", dependencies=[Anybody])
def metrics() -> Response:
    return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)
