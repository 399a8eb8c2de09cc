"""Duty rosters as people read them: a week of shifts, and who would be called now about what.

People and routes are files (docs/notices.md). What a roster says can be changed over HTTP, version by version; the core says
which is in force (`alerts.rosterbook`). No address is shown: of a person there is the name, and by which channels they can be
reached.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from alerts.duty import Roster, instant_ms, on_duty, zone_of
from alerts.people import Ladder, People, Person, Route, Step
from alerts.rosterbook import with_rosters
from alerts.rule import Severity
from alerts.store import roster_versions
from api.contract import named
from api.versions import history, newest

_WEEK_DAYS = 7
GAPS_WEEKS = 4
"""So far ahead a change of a roster is looked through for times with nobody; and in the week of each dated exception."""


@dataclass(frozen=True, slots=True)
class Span:
    """So long the same people are on duty; nobody, when `people` is empty."""

    start_ms: int
    end_ms: int
    people: tuple[str, ...]


class Rosters:
    """Reads the alert core's table of versions.

    Args:
        files: What the files declare: who there is, and the rosters until the core has told what is in force.
    """

    def __init__(self, database: sa.Engine, files: People) -> None:
        self._database = database
        self._files = files

    def in_force(self) -> tuple[People, dict[str, int]]:
        """Everybody, with the rosters that are in force; and the version of each."""
        with self._database.connect() as db:
            rows = db.execute(newest(roster_versions, "roster")).all()
        made = {row.roster: Roster.model_validate(row.document) for row in rows}
        versions = {row.roster: row.version for row in rows}
        return with_rosters(self._files, made), {each.id: versions.get(each.id, 0) for each in self._files.rosters}

    def versions(self, roster: str) -> list[dict[str, Any]]:
        """Newest first, each with what it changed."""
        return [told for _, told in history(self._database, roster_versions, "roster", roster)]


@dataclass(frozen=True, slots=True)
class Gap:
    """Nobody is on duty then, and somebody was before the change."""

    field: str  # of the roster, that says so
    start_ms: int
    end_ms: int


def new_gaps(old: Roster, new: Roster, now_ms: int) -> list[Gap]:
    """When nobody would be on duty any more: in the next weeks, and in the week of each date that either of them names."""
    first = monday_of(today_of(new, now_ms))
    mondays = {first + timedelta(weeks=number) for number in range(GAPS_WEEKS)}
    dates = {override.date for override in (*old.overrides, *new.overrides)} | set(old.holidays) | set(new.holidays)
    for day in dates:
        if first <= day < date.max - timedelta(weeks=2):
            mondays |= {monday_of(day), monday_of(day + timedelta(days=1))}  # a night goes on into the next day
    found: list[Gap] = []
    for monday in sorted(mondays):
        manned = [span for span in week(old, monday) if span.people]
        for empty in (span for span in week(new, monday) if not span.people):
            for span in manned:
                start_ms, end_ms = max(empty.start_ms, span.start_ms, now_ms), min(empty.end_ms, span.end_ms)
                if start_ms < end_ms:
                    found.append(Gap(_saying(new, start_ms), start_ms, end_ms))
    return found


def _saying(roster: Roster, now_ms: int) -> str:
    """The field that leaves an instant to nobody."""
    zone = zone_of(roster.timezone)
    day = datetime.fromtimestamp(now_ms / 1000, zone).date()
    for number, override in enumerate(roster.overrides):
        last = override.date if override.end > override.start else override.date + timedelta(days=1)
        start_ms, end_ms = instant_ms(override.date, override.start, zone), instant_ms(last, override.end, zone)
        if not override.people and start_ms <= now_ms < end_ms:
            return f"overrides[{number}].people"
    return "holiday_shifts" if day in roster.holidays else "shifts"


def document_of(roster: Roster) -> dict[str, Any]:
    """A roster as it is written in a file."""
    return roster.model_dump(mode="json", by_alias=True)


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


def shown_roster(people: People, roster: Roster, version: int, monday: date, now_ms: int) -> dict[str, Any]:
    """A roster's week."""
    spans = week(roster, monday)
    on_duty_then = {name for span in spans for name in span.people}
    return {
        "id": roster.id,
        "version": version,
        "name": None if roster.name is None else named(roster.name),
        "timezone": roster.timezone,
        "monday": monday.isoformat(),
        "start_ms": spans[0].start_ms,
        "end_ms": spans[-1].end_ms,
        "spans": [{"start_ms": span.start_ms, "end_ms": span.end_ms, "people": list(span.people)} for span in spans],
        "now": [_person(people.person[name]) for name in on_duty(roster, now_ms) if name in people.person],
        "people": [_person(people.person[name]) for name in sorted(on_duty_then) if name in people.person],
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


def shown_rule(people: People, rule: Mapping[str, Any]) -> dict[str, Any]:
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
        "route": rule.get("route") or people.route_of_class.get(rule["class"]),
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


def everybody(people: People) -> list[dict[str, Any]]:
    """Who could be on a roster."""
    return [_person(person) for person in people.people]


def _person(person: Person) -> dict[str, Any]:
    return {"id": person.id, "name": named(person.name)}
