"""Who is on duty when, and who would be called now."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.access import Looking
from api.answers import Route
from api.contract import Calls, RosterPage
from api.parts import PartsOf
from api.problems import Problem
from api.rosters import monday_of, shown_roster, shown_route, shown_rule, today_of

router = APIRouter(route_class=Route)


@router.get("/rosters", response_model=RosterPage)
def rosters(
    session: Looking,
    parts: PartsOf,
    day: Annotated[
        date | None, Query(description="a day of the week that is asked for; this week when not given")
    ] = None,
) -> dict[str, Any]:
    """A week of every duty roster, in its own zone."""
    if day is not None and not 1970 < day.year < 9999:
        raise Problem(422, "The request does not fit", "'day' is a day of these years, like 2026-11-23")
    now_ms = parts.clock.now_ms()
    items = [
        shown_roster(parts.people, roster, monday_of(day or today_of(roster, now_ms)), now_ms)
        for roster in parts.people.rosters
    ]
    return {"as_of_ms": now_ms, "items": items, "next": None}


@router.get("/calls", response_model=Calls)
def calls(session: Looking, parts: PartsOf) -> dict[str, Any]:
    """Every route with who would be called now, step by step, and which rule takes which route."""
    now_ms = parts.clock.now_ms()
    return {
        "as_of_ms": now_ms,
        "routes": [shown_route(parts.people, route, now_ms) for route in parts.people.routes],
        "rules": [shown_rule(rule) for rule in parts.rules.in_force()],
    }
