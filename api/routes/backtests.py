"""Back-tests of rules, and the figures of alarm quality."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from alerts.record import figures_of
from api.access import Looking, TryingRules
from api.answers import Route
from api.backtests import QUEUE_MAX, Wanted
from api.contract import AlarmFigures, BacktestJob
from api.parts import PartsOf
from api.problems import Problem, told

router = APIRouter(route_class=Route)

_SPAN_MAX_MS = 400 * 86_400_000


@router.post("/rules/backtest", responses=told(429), response_model=BacktestJob, status_code=202)
def start_backtest(session: TryingRules, parts: PartsOf, body: Wanted) -> dict[str, Any]:
    if not (body.rule or body.rules) or not 0 < body.end - body.start <= _SPAN_MAX_MS:
        detail = "name a 'rule' or give 'rules'; 'end' lies after 'start' by at most 400 days"
        raise Problem(422, "The request does not fit", detail)
    job = parts.backtests.submit(body, session.user.name) if parts.backtests is not None else None
    if job is None:
        raise Problem(429, "Too many back-tests", f"{QUEUE_MAX} wait already: try again when one is done")
    return job.as_data()


@router.get("/rules/backtest/{job}", response_model=BacktestJob)
def one_backtest(_session: TryingRules, parts: PartsOf, job: str) -> dict[str, Any]:
    found = parts.backtests.find(job) if parts.backtests is not None else None
    if found is None:
        raise Problem(404, "No such back-test", "the newest few are kept: POST /api/v1/rules/backtest for another")
    return found.as_data()


@router.get("/figures", responses=told(404), response_model=AlarmFigures)
def all_figures(
    session: Looking,
    parts: PartsOf,
    start: Annotated[int | None, Query(ge=0, lt=2**53, description="epoch ms; 30 days ago if not given")] = None,
    end: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
    site: Annotated[str | None, Query(max_length=64, description="all of yours when not given")] = None,
) -> dict[str, Any]:
    if site is not None and (site not in parts.catalogue.site or not session.user.sees(site)):
        raise Problem(404, "No such site", f"there is no site '{site}' that you may see: GET /api/v1/sites")
    end_ms = parts.clock.now_ms() if end is None else end
    start_ms = end_ms - 30 * 86_400_000 if start is None else start
    if not 0 < end_ms - start_ms <= _SPAN_MAX_MS:
        raise Problem(422, "The request does not fit", "'end' lies after 'start' by at most 400 days")
    sites = session.user.sites if site is None else [site]
    return figures_of(parts.alarms.database, start_ms, end_ms, sites).as_data()
