"""Who is told, as data: people, duty rosters and routes, declared in YAML beside the rules and checked when loaded.

A rule names a *route*; a route has a *ladder* for each severity; each *step* of a ladder calls people, whoever has a role,
or whoever a roster says is on duty then. Addresses stay in the files: what goes into the journal says only by which
channels a person can be reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_serializer, model_validator

from alerts.duty import Roster, on_duty
from alerts.rule import Declared, Severity
from telemetry.catalogue import LocalText, Name
from telemetry.declaration import Document, Mistake, Mistakes, read_document, validate

Language = Literal["zh", "en"]
WORDS = ("what", "where", "value", "limit", "since", "why", "reason", "advice", "last", "link")
"""What a template may speak of."""


class Person(Declared):
    """Somebody who can be told."""

    id: Name
    name: LocalText
    language: Language = "zh"
    roles: tuple[Name, ...] = ()
    addresses: dict[Name, str] = Field(min_length=1, repr=False)  # channel -> address there

    @field_serializer("addresses")
    def _channels_only(self, addresses: dict[str, str]) -> dict[str, str]:
        # A telephone number is nobody's business who reads the journal, and a new one is no new rule.
        return dict.fromkeys(addresses, "")


class Step(Declared):
    """Some time after the raise these are called, if nobody has acknowledged by then."""

    after_s: float = Field(default=0.0, ge=0)
    to: tuple[Name, ...] = Field(min_length=1)  # people, roles and rosters
    channels: tuple[Name, ...] = Field(min_length=1)


def _ascending(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if any(later.after_s < earlier.after_s for earlier, later in pairwise(steps)):
        raise ValueError("each step comes after the one before it: order them by 'after_s'")
    return steps


class Ladder(Declared):
    """What is done about one severity until somebody acknowledges, and after that."""

    steps: Annotated[tuple[Step, ...], AfterValidator(_ascending)] = Field(min_length=1)
    loops: int = Field(default=1, ge=1, le=20)  # how often all steps are gone through before it counts as exhausted
    wait_s: float = Field(default=300.0, gt=0)  # from the last step to the first of the next loop, or to the end
    ack_timeout_s: float | None = Field(default=None, gt=0)  # an acknowledged alarm that is still open counts as unseen
    repeat_s: float | None = Field(default=None, gt=0)  # a reminder so often while it is open
    fallback: tuple[Name, ...] = ()  # channels that are used as well when a message does not get through
    fallback_after_s: float = Field(default=120.0, gt=0)
    digest: Literal["business-hours"] | None = None  # no calls: a list at the beginning of the next working hour

    @property
    def loop_ms(self) -> int:
        return round((self.steps[-1].after_s + self.wait_s) * 1000)

    @property
    def first(self) -> int:
        """How many steps are taken with the raise itself."""
        return sum(step.after_s == 0 for step in self.steps)


class Route(Declared):
    """How an alarm finds people. Either say who they are, and the usual ladders hold, or give ladders of your own."""

    id: Name
    name: LocalText | None = None
    classes: tuple[Name, ...] = ()  # of alarms whose rule names no route: they take this one
    duty: tuple[Name, ...] = ()
    lead: tuple[Name, ...] = ()  # called when duty does not answer
    manager: tuple[Name, ...] = ()
    channels: tuple[Name, ...] = ()
    urgent: tuple[Name, ...] = ()  # what also wakes people: SMS, a voice call
    fallback: tuple[Name, ...] = ()
    critical: Ladder | None = None
    high: Ladder | None = None
    medium: Ladder | None = None
    low: Ladder | None = None

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.duty and not self.channels:
            raise ValueError("'duty' needs 'channels' by which they are told")
        if not self.duty and not (self.critical or self.high or self.medium or self.low):
            raise ValueError("give 'duty' and 'channels', or a ladder for at least one severity")
        return self

    @cached_property
    def _ladders(self) -> dict[Severity, Ladder]:
        found = {severity: getattr(self, severity.word) for severity in Severity}
        if self.duty:
            found = {severity: given or self._usual(severity) for severity, given in found.items()}
        return {severity: ladder for severity, ladder in found.items() if ladder is not None}

    def ladder(self, severity: Severity) -> Ladder | None:
        """What is done at a severity; None when nobody is told."""
        return self._ladders.get(severity)

    @property
    def ladders(self) -> Mapping[Severity, Ladder]:
        return self._ladders

    def _usual(self, severity: Severity) -> Ladder:
        lead, manager = self.lead or self.duty, self.manager or self.lead or self.duty
        loud = tuple(dict.fromkeys(self.channels + self.urgent))

        def step(after_s: float, to: tuple[Name, ...], channels: tuple[Name, ...]) -> Step:
            return Step(after_s=after_s, to=to, channels=channels)

        if severity is Severity.CRITICAL:
            return Ladder(
                steps=(
                    step(0, self.duty, self.channels),
                    step(60, self.duty, self.urgent or self.channels),
                    step(180, lead, loud),
                    step(600, manager, loud),
                ),
                loops=3,
                ack_timeout_s=900,
                repeat_s=14_400,
                fallback=self.fallback,
                fallback_after_s=30,
            )
        if severity is Severity.HIGH:
            return Ladder(
                steps=(
                    step(0, self.duty, self.channels),
                    step(300, lead, self.channels),
                    step(900, manager, self.channels),
                ),
                ack_timeout_s=3600,
                repeat_s=14_400,
                fallback=self.fallback,
            )
        return Ladder(
            steps=(step(0, self.duty, self.channels),),
            repeat_s=14_400,
            fallback=self.fallback,
            digest="business-hours",
        )


class Template(Declared):
    """Words of the district's own, with {what}, {where} and the rest in them."""

    title: str = Field(min_length=1)
    text: str = Field(min_length=1)


class PeopleFile(Declared):
    """One YAML file of people, rosters and routes."""

    people: tuple[Person, ...] = ()
    rosters: tuple[Roster, ...] = ()
    routes: tuple[Route, ...] = ()
    system_route: Name | None = None  # who hears that messages do not get through, or that nobody answered
    duty_route: Name | None = None  # who hears that a daily duty was missed; `system_route` when not given
    templates: dict[Language, Template] = Field(default={})


class People(PeopleFile):
    """All files together, cross-checked."""

    @cached_property
    def person(self) -> dict[str, Person]:
        return {person.id: person for person in self.people}

    @cached_property
    def roster(self) -> dict[str, Roster]:
        return {roster.id: roster for roster in self.rosters}

    @cached_property
    def route(self) -> dict[str, Route]:
        return {route.id: route for route in self.routes}

    @cached_property
    def route_of_class(self) -> dict[str, str]:
        """Alarm class -> the route that takes its alarms where the rule names none."""
        return {name: route.id for route in self.routes for name in route.classes}

    @cached_property
    def with_role(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for person in self.people:
            for role in person.roles:
                found[role] = (*found.get(role, ()), person.id)
        return found

    def called(self, to: Iterable[str], now_ms: int) -> Iterator[tuple[str, Person]]:
        """(role, person) of those that a step calls at an instant: each once, under the name that came first."""
        seen: set[str] = set()
        for name in to:
            if name in self.person:
                ids: Iterable[str] = (name,)
            elif name in self.roster:
                ids = on_duty(self.roster[name], now_ms)
            else:
                ids = self.with_role.get(name, ())
            for person in ids:
                if person not in seen and person in self.person:
                    seen.add(person)
                    yield name, self.person[person]


NOBODY = People()


def load_people(folder: Path) -> People:
    """What a folder's *.yaml declare; nobody where there is no folder. Raises Mistakes with all that is wrong."""
    mistakes: list[Mistake] = []
    parsed: list[tuple[Document, PeopleFile]] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            document = read_document(file)
            parsed.append((document, validate(document, PeopleFile)))
        except Mistakes as error:
            mistakes += error.mistakes
    if not mistakes:
        mistakes = _cross_check(parsed)
    if mistakes:
        raise Mistakes(mistakes)
    return People(
        people=tuple(person for _, file in parsed for person in file.people),
        rosters=tuple(roster for _, file in parsed for roster in file.rosters),
        routes=tuple(route for _, file in parsed for route in file.routes),
        system_route=next((file.system_route for _, file in parsed if file.system_route), None),
        duty_route=next((file.duty_route for _, file in parsed if file.duty_route), None),
        templates={language: made for _, file in parsed for language, made in file.templates.items()},
    )


def mistakes_of(people: People, rules: Iterable[tuple[str, str | None]], channels: Iterable[str]) -> list[str]:
    """What only shows beside the rules and the server's settings: routes and channels that are not there.

    Args:
        rules: (rule, its route).
        channels: Names of the server's channels.
    """
    known = set(channels)
    found = [
        f"rule '{rule}': route: there is no route '{route}'"
        for rule, route in rules
        if route is not None and route not in people.route
    ]
    for person in people.people:
        for channel in sorted(person.addresses.keys() - known):
            found.append(f"person '{person.id}': addresses: '{channel}' is not among 'channels'")
    for route in people.routes:
        for severity, ladder in route.ladders.items():
            used = {channel for step in ladder.steps for channel in step.channels} | set(ladder.fallback)
            for channel in sorted(used - known):
                found.append(f"route '{route.id}': {severity.word}: '{channel}' is not among 'channels'")
    return found


def _cross_check(parsed: list[tuple[Document, PeopleFile]]) -> list[Mistake]:
    mistakes: list[Mistake] = []
    seen: dict[str, str] = {}
    routes = {route.id for _, file in parsed for route in file.routes}
    people = {person.id for _, file in parsed for person in file.people}
    roles = {role for _, file in parsed for person in file.people for role in person.roles}
    rosters = {roster.id for _, file in parsed for roster in file.rosters}
    callable_ = people | roles | rosters
    given: set[str] = set()
    claimed: dict[str, str] = {}
    for document, file in parsed:
        # A step calls all three by one name, so no two may share it.
        for part in ("people", "rosters"):
            for number, entry in enumerate(getattr(file, part)):
                where: tuple[str | int, ...] = (part, number, "id")
                if entry.id in seen:
                    mistakes.append(document.mistake(where, f"'{entry.id}' is taken: see {seen[entry.id]}"))
                elif entry.id in roles:
                    mistakes.append(document.mistake(where, f"'{entry.id}' is a role of somebody; take another name"))
                seen[entry.id] = f"{document.file}:{document.line(where)}"
        for number, route in enumerate(file.routes):
            if f"route {route.id}" in seen:
                mistakes.append(document.mistake(("routes", number, "id"), f"'{route.id}' is taken"))
            seen[f"route {route.id}"] = ""
            for at, name in enumerate(route.classes):
                if name in claimed:
                    message = f"alarms of class '{name}' take route '{claimed[name]}' already"
                    mistakes.append(document.mistake(("routes", number, "classes", at), message))
                claimed[name] = route.id
            for path, name in _named_in(route):
                if name not in callable_:
                    message = f"there is no person, role or roster '{name}'"
                    mistakes.append(document.mistake(("routes", number, *path), message))
        for number, roster in enumerate(file.rosters):
            for path, name in names_on(roster):
                if name not in people:
                    mistakes.append(document.mistake(("rosters", number, *path), f"there is no person '{name}'"))
        for field, wanted in (("system_route", file.system_route), ("duty_route", file.duty_route)):
            if wanted is None:
                continue
            if wanted not in routes:
                mistakes.append(document.mistake((field,), f"there is no route '{wanted}'"))
            elif field in given:
                mistakes.append(document.mistake((field,), "stands in another file, too; keep one"))
            given.add(field)
        for language, template in file.templates.items():
            for field in ("title", "text"):
                try:
                    getattr(template, field).format_map(dict.fromkeys(WORDS, ""))
                except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
                    message = f"cannot be filled in ({type(error).__name__}: {error}); there are {', '.join(WORDS)}"
                    mistakes.append(document.mistake(("templates", language, field), message))
    return mistakes


def _named_in(route: Route) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for part in ("duty", "lead", "manager"):
        for at, name in enumerate(getattr(route, part)):
            yield (part, at), name
    for severity in Severity:
        ladder = getattr(route, severity.word)
        for number, step in enumerate(ladder.steps if ladder else ()):
            for at, name in enumerate(step.to):
                yield (severity.word, "steps", number, "to", at), name


def names_on(roster: Roster) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(where it stands, who) of everybody whom a roster names."""
    for part in ("shifts", "holiday_shifts", "overrides"):
        for number, shift in enumerate(getattr(roster, part)):
            for at, name in enumerate(shift.people):
                yield (part, number, "people", at), name
