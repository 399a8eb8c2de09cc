"""The record of who did what, for administrators of all sites."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.access import ReadingAudit
from api.parts import PartsOf

router = APIRouter()
_EVER = 2**53


@router.get("/audit")
def audit_page(
    session: ReadingAudit,
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[int | None, Query(ge=1, lt=_EVER)] = None,
    actor: Annotated[str | None, Query(max_length=64)] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    site: Annotated[str | None, Query(max_length=64)] = None,
    start: Annotated[int, Query(ge=0, lt=_EVER, description="epoch ms")] = 0,
    end: Annotated[int, Query(ge=0, le=_EVER, description="epoch ms")] = _EVER,
) -> dict[str, Any]:
    items = parts.accounts.audit.page(limit + 1, cursor, actor, action, start, end, site)
    return {"items": items[:limit], "next": items[limit - 1]["id"] if len(items) > limit else None}
