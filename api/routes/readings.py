"""What was measured, what was refused, what is missing."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from api import completeness
from api.access import Looking, SeeingRefused
from api.answers import Route
from api.columns import MEDIA, Format, wanted, written
from api.contract import CompletenessPage, GatewayPage, QuarantineShown, ReadingColumns
from api.parts import PartsOf
from api.problems import Problem, told
from api.routes.gates import scanned_metrics
from api.routes.world import kind_of
from ingest.history.history import Aggregate

router = APIRouter(route_class=Route)

_STEPS_MAX = 20_000
_READINGS_MAX = 2_000_000
"""As they are stored, of one answer: it is put together in memory."""
_LONG_MS, _HOUR_MS, _MINUTE_MS = 31 * 86_400_000, 3_600_000, 60_000
_EVER_MS = 2**43  # in the year 2248; stores know no time after 2262
_BINARY = (Format.ARROW, Format.PARQUET)


@router.get(
    "/readings",
    response_model=ReadingColumns,
    responses={
        **told(404, 406),
        200: {
            "content": {
                MEDIA[Format.CSV]: {"schema": {"type": "string"}},
                **{MEDIA[form]: {"schema": {"type": "string", "format": "binary"}} for form in _BINARY},
            },
            "description": "One series, as the Accept header or `format` asks: docs/api/readings.md",
        },
    },
)
def readings(
    session: Looking,
    parts: PartsOf,
    device: str,
    metric: str,
    start: Annotated[int, Query(ge=0, lt=2**53, description="epoch ms, included")],
    end: Annotated[int, Query(ge=0, lt=2**53, description="epoch ms, not included")],
    every: Annotated[int | None, Query(ge=1000, description="one value each so many ms")] = None,
    aggregate: Aggregate = Aggregate.MEAN,
    form: Annotated[Format | None, Query(alias="format", description="before what Accept asks")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Any:
    kind = kind_of(parts, session.user, device)
    known = parts.catalogue.metric.get((device, metric))
    if known is None:
        raise Problem(404, "No such metric", f"kind '{kind}' has no metric '{metric}': GET /api/v1/kinds")
    written_as = wanted(form, accept)
    if written_as is None:
        raise Problem(406, "No such format", f"Accept one of {', '.join(MEDIA.values())}")
    end = min(end, _EVER_MS)
    if end <= start:
        raise Problem(422, "The request does not fit", "'end' must lie after 'start'")
    if every is not None and (end - start) // every > _STEPS_MAX:
        raise Problem(422, "The request does not fit", f"more than {_STEPS_MAX} steps: take a larger 'every'")
    # Steps of whole minutes are answered from what is summed up already.
    if (every is None or every % _MINUTE_MS) and end - start > _LONG_MS:
        counted = parts.history.read(kind, device, metric, start, end, _HOUR_MS, Aggregate.COUNT)
        if counted.value.sum() > _READINGS_MAX:
            told = f"more than {_READINGS_MAX} readings: take a shorter time, or an 'every' of whole minutes"
            raise Problem(422, "The request does not fit", told)
    curve = parts.history.read(kind, device, metric, start, end, every, aggregate)
    if written_as is not Format.JSON:
        if metric in scanned_metrics(parts).values():  # of people
            subject, site = f"{device} {metric} {start}..{end} {written_as}", parts.catalogue.site_of(device)
            parts.accounts.record(session.user.name, "readings-export", subject, "done", site)
        name = f"{device}-{metric}.{written_as}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"}
        content = written(written_as, curve, device, metric, known.unit)
        return Response(content, media_type=MEDIA[written_as], headers=headers)
    return {
        "device": device,
        "metric": metric,
        "unit": known.unit,
        "time_ms": curve.time_ms.tolist(),
        "value": curve.value.tolist(),
        "quality": curve.quality.tolist(),
    }


@router.get("/quarantine", response_model=QuarantineShown)
def refused(_session: SeeingRefused, parts: PartsOf, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
    items = [{name: getattr(entry, name) for name in type(entry).__slots__} for entry in parts.quarantine.newest(limit)]
    return {"counts": parts.quarantine.counts(), "items": items}


@router.get("/completeness", responses=told(404), response_model=CompletenessPage)
def complete(
    session: Looking,
    parts: PartsOf,
    site: str | None = None,
    day: Annotated[date | None, Query(description="a day of the site, today when not given")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    cursor: str | None = None,
) -> dict[str, Any]:
    wanted = [each.id for each in parts.catalogue.sites if session.user.sees(each.id) and site in (None, each.id)]
    if site is not None and not wanted:
        raise Problem(404, "No such site", f"there is no site '{site}' that you may see: GET /api/v1/sites")
    after = None
    if cursor is not None:
        device, slash, metric = cursor.partition("/")
        if not slash:
            raise Problem(422, "The request does not fit", "'cursor' is the 'next' of the page before")
        after = (device, metric)
    now_ms = parts.clock.now_ms()
    day = day or completeness.today(parts.catalogue, wanted, now_ms)
    if not 1970 < day.year < 9999:
        raise Problem(422, "The request does not fit", "'day' is a day of these years, like 2026-11-23")
    return completeness.page(parts.catalogue, parts.counts, wanted, day, now_ms, limit, after)


@router.get("/gateways", response_model=GatewayPage)
def gateways(session: Looking, parts: PartsOf) -> dict[str, Any]:
    return {"items": completeness.gateways(parts.catalogue, session.user, parts.gateway_states.all()), "next": None}
