"""Duty rosters as people read them: a week of shifts, and who would be called now about what.

Rosters, people and routes are files (docs/notices.md); here they are only read. No address is shown: of a person there is the
name, and by which channels they can be reached.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from alerts.duty import Roster, instant_ms, on_duty, zone_of
from alerts.people import Ladder, People, Person, Route, Step
from alerts.rule import Severity
from api.contract import named

_WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class Span:
    """So long the same people are on duty; nobody, when `people` is empty."""

    start_ms: int
    end_ms: int
    people: tuple[str, ...]


def monday_of(day: date) -> date:
    """The first day of a day's week."""
    return day - timedelta(days=day.weekday())


def today_of(roster: Roster, now_ms: int) -> date:
    """The day that it is where the roster holds."""
    return datetime.fromtimestamp(now_ms / 1000, zone_of(roster.timezone)).date()


def week(roster: Roster, monday: date) -> list[Span]:
    """Who is on duty in the seven days from a Monday on, without a hole: a time with nobody is a span as well."""
    zone = zone_of(roster.timezone)
    start_ms, end_ms = (
        instant_ms(monday + timedelta(days=days), datetime.min.time(), zone) for days in (0, _WEEK_DAYS)
    )
    # It changes at most where a shift or an exception of any day begins or ends; a night's ends on the next day.
    times = {time for shift in (*roster.shifts, *roster.holiday_shifts) for time in (shift.start, shift.end)}
    times |= {time for override in roster.overrides for time in (override.start, override.end)}
    bounds = {start_ms}
    for days in range(-1, _WEEK_DAYS + 1):
        day = monday + timedelta(days=days)
        bounds |= {instant_ms(day, time, zone) for time in times}
    edges = [*sorted(each for each in bounds if start_ms <= each < end_ms), end_ms]
    found: list[Span] = []
    for begins_ms, ends_ms in itertools.pairwise(edges):
        people = on_duty(roster, begins_ms)
        if found and found[-1].people == people:
            found[-1] = Span(found[-1].start_ms, ends_ms, people)
        else:
            found.append(Span(begins_ms, ends_ms, people))
    return found


def shown_roster(people: People, roster: Roster, monday: date, now_ms: int) -> dict[str, Any]:
    """A roster's week."""
    spans = week(roster, monday)
    on_duty_then = {name for span in spans for name in span.people}
    return {
        "id": roster.id,
        "name": None if roster.name is None else named(roster.name),
        "timezone": roster.timezone,
        "monday": monday.isoformat(),
        "start_ms": spans[0].start_ms,
        "end_ms": spans[-1].end_ms,
        "spans": [{"start_ms": span.start_ms, "end_ms": span.end_ms, "people": list(span.people)} for span in spans],
        "now": [_person(people.person[name]) for name in on_duty(roster, now_ms)],
        "people": [_person(people.person[name]) for name in sorted(on_duty_then)],
    }


def shown_route(people: People, route: Route, now_ms: int) -> dict[str, Any]:
    """A route with its ladders, the gravest first, and who each step would call now."""
    return {
        "id": route.id,
        "name": None if route.name is None else named(route.name),
        "is_system": route.id == people.system_route,
        "ladders": [
            {"severity": severity.word, **_ladder(people, route.ladders[severity], now_ms)}
            for severity in sorted(route.ladders, reverse=True)
        ],
    }


def shown_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Which route a rule takes, and how grave its alarms can be."""
    levels = rule.get("levels") or [rule]
    grave = sorted(
        {Severity[str(level["severity"]).upper()] for level in levels if level.get("severity")}, reverse=True
    )
    return {
        "id": rule["id"],
        "name": rule.get("name"),
        "class": rule["class"],
        "severities": [severity.word for severity in grave],
        "route": rule.get("route"),
        "notify": list(rule.get("notify") or ()),
    }


def _ladder(people: People, ladder: Ladder, now_ms: int) -> dict[str, Any]:
    return {
        "loops": ladder.loops,
        "wait_s": ladder.wait_s,
        "repeat_s": ladder.repeat_s,
        "fallback": list(ladder.fallback),
        "is_digest": ladder.digest is not None,
        "steps": [
            {"after_s": step.after_s, "to": list(step.to), "channels": list(step.channels), "called": called}
            for step, called in ((step, list(_called(people, step, now_ms))) for step in ladder.steps)
        ],
    }


def _called(people: People, step: Step, now_ms: int) -> Iterator[dict[str, Any]]:
    for role, person in people.called(step.to, now_ms):
        reached = [channel for channel in step.channels if channel in person.addresses]
        yield {"role": role, **_person(person), "channels": reached}


def _person(person: Person) -> dict[str, Any]:
    return {"id": person.id, "name": named(person.name)}
