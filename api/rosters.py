"""Duty rosters as people read them: a week of shifts, and who would be called now about what.

People and routes are files (docs/notices.md). What a roster says can be changed over HTTP, version by version; the core says
which is in force (`alerts.rosterbook`). No address is shown: of a person there is the name, and by which channels they can be
reached.
"""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import ValidationError

from alerts.duty import Override, Roster, Shift, instant_ms, on_duty, zone_of
from alerts.people import Ladder, People, Person, Route, Step
from alerts.rosterbook import read_roster, with_rosters
from alerts.rule import Severity
from alerts.store import roster_versions
from api.contract import named
from api.versions import history, newest
from telemetry.declaration import field_name

_WEEK_DAYS = 7
ENTRIES_MAX = {"shifts": 100, "holiday_shifts": 100, "holidays": 500, "overrides": 500}
"""So much a roster that comes over HTTP says at most: what it says is laid out week by week at each look."""
PEOPLE_MAX = 50
"""So many are on one shift or exception."""
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


def read_written(document: Mapping[str, Any], people: People) -> tuple[Roster | None, list[dict[str, Any]]]:
    """A roster as somebody wants it; or what is wrong at which field: in words, and as a code with what fills it in."""
    many = list(_too_many(document))
    if many:
        return None, many
    roster, wrong = read_roster(document, people)
    codes: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    if roster is None:
        try:
            Roster.model_validate(document)
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False):
                said = (field_name(tuple(each["loc"])) or "roster", each["msg"].removeprefix("Value error, "))
                codes[said] = _code(each["type"], each["loc"], each.get("ctx", {}))
    return roster, [
        _wrong(each.field, each.message, *codes.get((each.field, each.message), ("no-such-person", {})))
        for each in wrong
    ]


def _wrong(field: str, message: str, code: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"field": field, "message": message, "code": code, "given": dict(given)}


def _too_many(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, entries_max in ENTRIES_MAX.items():
        entries = document.get(name)
        if not isinstance(entries, list):
            continue  # said as any other mistake
        if len(entries) > entries_max:
            told = f"at most {entries_max} of them, not {len(entries)}: take away those that are past"
            yield _wrong(name, told, "too-many", {"max": entries_max})
            continue
        for number, entry in enumerate(entries):
            named_here = entry.get("people") if isinstance(entry, dict) else None
            if isinstance(named_here, list) and len(named_here) > PEOPLE_MAX:
                told = f"at most {PEOPLE_MAX} of them, not {len(named_here)}"
                yield _wrong(f"{name}[{number}].people", told, "too-many", {"max": PEOPLE_MAX})


_CODES = {
    "missing": "missing",
    "extra_forbidden": "unknown-field",
    "too_short": "empty",
    "string_pattern_mismatch": "not-a-name",
}
_CODE_OF_FIELD = {"days": "not-a-day", "timezone": "not-a-time-zone", "date": "not-a-date", "holidays": "not-a-date"}


def _code(sort: str, where: Sequence[str | int], context: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A code for what is wrong that stays, whatever the words of the message."""
    field = next((step for step in reversed(where) if isinstance(step, str)), "")
    if sort in _CODES:
        return _CODES[sort], {"min": context["min_length"]} if "min_length" in context else {}
    if field in ("from", "to"):
        return "offset" if sort == "value_error" else "not-a-time", {}
    if field == "" and sort == "value_error":
        return "no-holiday-shifts", {}
    return _CODE_OF_FIELD.get(field, "does-not-fit"), {}


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
        if override.date not in (day, day - timedelta(days=1)):
            continue
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
    laid = _laid_out(roster, monday, zone)
    bounds = {each for turn in laid for each in (turn.start_ms, turn.end_ms)}
    edges = [start_ms, *sorted(each for each in bounds if start_ms < each < end_ms), end_ms]
    # Each turn is looked at where it begins and where it ends, not at every instant at which something changes.
    coming = sorted(range(len(laid)), key=lambda number: laid[number].start_ms, reverse=True)
    holding: list[int] = []
    found: list[Span] = []
    for begins_ms, ends_ms in itertools.pairwise(edges):
        while coming and laid[coming[-1]].start_ms <= begins_ms:
            bisect.insort(holding, coming.pop())  # in the order of the roster
        holding = [number for number in holding if laid[number].end_ms > begins_ms]
        turns = [laid[number] for number in holding]
        deciding = [turn for turn in turns if turn.is_override] or turns
        people = tuple(dict.fromkeys(person for turn in deciding for person in turn.people))
        if found and found[-1].people == people:
            found[-1] = Span(found[-1].start_ms, ends_ms, people)
        else:
            found.append(Span(begins_ms, ends_ms, people))
    return found


@dataclass(frozen=True, slots=True)
class _Turn:
    """A shift or an exception on one day, laid on instants."""

    start_ms: int
    end_ms: int
    people: tuple[str, ...]
    is_override: bool


def _laid_out(roster: Roster, monday: date, zone: ZoneInfo) -> list[_Turn]:
    """All that can hold in the week from a Monday on, in the order in which `on_duty` names who is on it."""
    first, last = monday - timedelta(days=1), monday + timedelta(days=_WEEK_DAYS)  # the night before goes on into it
    at = functools.cache(lambda day, time: instant_ms(day, time, zone))

    def turn(day: date, entry: Shift | Override) -> _Turn:
        end_day = day if entry.end > entry.start else day + timedelta(days=1)
        return _Turn(at(day, entry.start), at(end_day, entry.end), entry.people, isinstance(entry, Override))

    found = [turn(each.date, each) for each in roster.overrides if first <= each.date <= last]
    off = {day for day in roster.holidays if first <= day <= last}
    for days in range((last - first).days + 1):
        day = first + timedelta(days=days)
        shifts = roster.holiday_shifts if day in off else roster.shifts
        found += [turn(day, shift) for shift in shifts if day in off or day.weekday() in shift.days]
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
