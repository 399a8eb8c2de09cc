"""The record of who did what, for administrators of all sites: searched, verified, taken along."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from api.access import ReadingAudit
from api.answers import Route
from api.audit import Anchor, Wanted
from api.contract import AuditPage, AuditVerdict
from api.parts import PartsOf
from api.problems import Problem, told

router = APIRouter(route_class=Route)
_EVER = 2**53


def _wanted(
    parts: PartsOf,
    actor: Annotated[str | None, Query(max_length=64)] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    text: Annotated[str | None, Query(min_length=1, max_length=100, description="in subject or outcome")] = None,
    site: Annotated[str | None, Query(max_length=64, description="where it was, or what it names")] = None,
    start: Annotated[int, Query(ge=0, lt=_EVER, description="epoch ms")] = 0,
    end: Annotated[int, Query(ge=0, le=_EVER, description="epoch ms")] = _EVER,
) -> Wanted:
    if site is not None and site not in parts.catalogue.site:
        raise Problem(404, "No such site", f"there is no site '{site}': GET /api/v1/sites")
    return Wanted(actor, action, text, site, start, end)


WantedRows = Annotated[Wanted, Depends(_wanted)]


@router.get("/audit", responses=told(404), response_model=AuditPage)
def audit_page(
    session: ReadingAudit,
    parts: PartsOf,
    wanted: WantedRows,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[int | None, Query(ge=1, lt=_EVER)] = None,
) -> dict[str, Any]:
    items = parts.accounts.audit.page(wanted, limit + 1, cursor)
    return {"items": items[:limit], "next": items[limit - 1]["id"] if len(items) > limit else None}


@router.get("/audit/verify", response_model=AuditVerdict)
def verify_audit(
    session: ReadingAudit,
    parts: PartsOf,
    anchor: Annotated[str | None, Query(pattern=r"^\d{1,15}:[0-9a-f]{64}$", description="ID:HASH from the log")] = None,
) -> dict[str, Any]:
    """Whether the record is whole: what was changed, is missing or was added behind its back. It reads all of it."""
    number, _, sealed = (anchor or "").partition(":")
    head = parts.accounts.audit.head()
    faults = parts.accounts.audit.faults(Anchor(int(number), sealed) if anchor else None)
    return {"is_whole": not faults, "faults": faults, "head": {"id": head.id, "hash": head.hash}}


@router.get(
    "/audit/export",
    response_class=Response,
    responses={**told(404), 200: {"content": {"application/x-ndjson": {}}, "description": "A row a line"}},
)
def export_audit(session: ReadingAudit, parts: PartsOf, wanted: WantedRows) -> StreamingResponse:
    """The rows as JSON, one a line, oldest first, with their hashes; that they were taken along is a row itself."""
    parts.accounts.record(session.user.name, "audit-export", wanted.actor or "everybody", "done")
    last = parts.accounts.audit.head().id

    def lines() -> Iterator[str]:
        for row in parts.accounts.audit.rows(wanted):
            if row["id"] > last:  # what is added while it is read
                return
            yield json.dumps(row, ensure_ascii=False) + "\n"

    headers = {"Content-Disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)
