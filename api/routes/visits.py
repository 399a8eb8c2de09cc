"""What somebody missed since they last looked."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.access import Looking
from api.answers import Route
from api.contract import Missed
from api.parts import PartsOf

router = APIRouter(route_class=Route)


@router.get("/missed", response_model=Missed)
def missed(
    session: Looking, parts: PartsOf, limit: Annotated[int, Query(ge=1, le=100, description="of 'items'")] = 20
) -> dict[str, Any]:
    """Alarms raised or closed since `POST /api/v1/seen`."""
    return parts.visits.missed(session.user, limit)


@router.post("/seen", status_code=204)
def seen(session: Looking, parts: PartsOf) -> None:
    """They are looking now, and know what was before."""
    parts.visits.seen(session.user)
