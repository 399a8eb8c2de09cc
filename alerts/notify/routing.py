"""From transitions to notices: who is told of a step, by which channels, now or in a digest. Pure; no clock, no database.

Systems (MQTT and a rule's `notify` channels) hear every raise and its end. People are called by the route of the rule: with
the raise its first steps, with ESCALATED the step that it names. Whoever was called hears exactly once that it is over,
also when others were called since.

In a flood, more than ten calls in ten minutes under one role, only critical alarms are told one by one; the rest is told
in a digest a minute, until fewer than five came in ten minutes. Nothing is dropped: what a digest tells has its rows too.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.alarm import LATE_DATA, Transition, What
from alerts.duty import next_business_ms
from alerts.escalation import TOLD_ONCE
from alerts.notify.words import flood_words, words
from alerts.people import Ladder, People, Person, Route, Step
from alerts.rule import Severity

MQTT_CHANNEL = "mqtt"
FLOOD_ABOVE, FLOOD_BELOW, FLOOD_MS = 10, 5, 600_000
DIGEST_MS = 60_000
CALLS = frozenset(
    {
        What.RAISED, What.SEVERITY_UP, What.REOPENED, What.FLAPPING, What.UNMASKED,
        What.REALARMED, What.ESCALATED, What.EXHAUSTED, What.REMINDED,
    }
)  # fmt: skip
"""What people are called for."""
_SENT_TO_SYSTEMS = frozenset({What.RAISED, What.SEVERITY_UP, What.REOPENED, What.FLAPPING, What.UNMASKED})
_ACTIONABLE_MS = {
    Severity.CRITICAL: 24 * 3_600_000,
    Severity.HIGH: 4 * 3_600_000,
    Severity.MEDIUM: 3_600_000,
    Severity.LOW: 3_600_000,
}
_KEY_MAX = 120


@dataclass(frozen=True, slots=True)
class Heard:
    """A call that somebody got and of whose end they have not heard."""

    channel: str
    role: str
    language: str
    fallback: str
    held_until_ms: int | None  # it waits for a digest, and so does the end


@dataclass(slots=True)
class Told:
    """Who was told of an alarm so far."""

    systems: set[str] = field(default_factory=set)
    people: dict[str, Heard] = field(default_factory=dict)
    was_anybody: bool = False  # also people who heard of its end since

    def hear(self, recipient: str, sort: str, heard: Heard) -> None:
        """One more notice."""
        if not recipient:
            self.systems.add(heard.channel)
        elif sort == "end":
            self.people.pop(recipient, None)
        elif sort == "call":
            self.was_anybody = True
            self.people.setdefault(recipient, heard)
        elif sort == "line":
            self.was_anybody = True


@dataclass(slots=True)
class Flood:
    """How often a role was called lately."""

    times_ms: deque[int] = field(default_factory=deque)
    is_on: bool = False

    def call(self, now_ms: int) -> bool:
        """Count one call; tell whether the flood begins with it."""
        while self.times_ms and self.times_ms[0] <= now_ms - FLOOD_MS:
            self.times_ms.popleft()
        if self.is_on and len(self.times_ms) < FLOOD_BELOW:
            self.is_on = False
        self.times_ms.append(now_ms)
        begins = not self.is_on and len(self.times_ms) > FLOOD_ABOVE
        self.is_on = self.is_on or begins
        return begins

    def copy(self) -> Flood:
        """To try a call that may not be stored."""
        return Flood(deque(self.times_ms), self.is_on)


@dataclass(frozen=True, slots=True)
class Called:
    """Somebody whom a step calls, by one channel."""

    person: Person
    role: str
    channel: str
    step: int
    fallback: tuple[str, ...]


class Router:
    """Works out the notices of one transaction.

    Args:
        routes: The routes of alarms that have one.
        told: Who was told of the alarms that end; empty for others.
        floods: By role; changed as calls are counted.
    """

    def __init__(
        self,
        people: People,
        routes: Mapping[str, Route],
        documents: Mapping[str, Mapping[str, Any]],
        channels: Mapping[str, Sequence[str]],
        told: dict[str, Told],
        floods: dict[str, Flood],
    ) -> None:
        self._people = people
        self._routes = routes
        self._documents = documents
        self._channels = channels
        self._told = told
        self._floods = floods

    def notices(self, steps: Sequence[Transition]) -> list[dict[str, Any]]:
        """The rows of the outbox that transitions call for."""
        over = {(taken.alarm, taken.known_ms) for taken in steps if taken.reason == LATE_DATA and taken.what.is_end}
        rows: list[dict[str, Any]] = []
        for taken in steps:
            # Nobody is called for what was over before it was known, or long ago. What late readings say of now is
            # news, however long it has been true.
            is_over = taken.reason == LATE_DATA and (taken.alarm, taken.known_ms) in over
            is_news = is_recent(taken) or (taken.reason == LATE_DATA and not is_over)
            told = self._told.setdefault(taken.alarm, Told())
            self._systems(taken, told, is_news, is_over, rows)
            if taken.what.is_end:
                self._end(taken, told, rows)
            elif is_news and not is_over and self.calls(taken):
                self._call(taken, told, rows)
        return rows

    def calls(self, taken: Transition) -> bool:
        """Whether people are called for a step of an alarm."""
        if taken.what not in CALLS or taken.quiet is not None:
            return False
        document = self._documents[taken.alarm]
        return taken.what is not What.UNMASKED or (document["state"] == "open" and not document["acknowledged"])

    def called(self, taken: Transition) -> list[Called]:
        """Whom a step of an alarm calls. Where nobody is on duty, the next step of the ladder that reaches somebody."""
        route = self._routes.get(taken.alarm)
        ladder = None if route is None else route.ladder(taken.severity)
        return [] if ladder is None else list(_called(self._people, ladder, taken.step, taken.known_ms))

    def _systems(self, taken: Transition, told: Told, is_news: bool, is_over: bool, rows: list[dict[str, Any]]) -> None:
        for channel in (MQTT_CHANNEL, *self._channels[taken.alarm]):
            if taken.what.is_end:
                # The end is told to those who were told of the beginning, also when it turns out to be long ago.
                is_owed = channel in told.systems or (channel == MQTT_CHANNEL and is_news)
            elif channel == MQTT_CHANNEL:
                is_owed = is_news
            else:
                is_owed = is_news and not is_over and taken.what in _SENT_TO_SYSTEMS and self.calls(taken)
            if is_owed:
                rows.append(self._row(taken, channel))
                told.systems.add(channel)

    def _call(self, taken: Transition, told: Told, rows: list[dict[str, Any]]) -> None:
        route = self._routes.get(taken.alarm)
        ladder = None if route is None else route.ladder(taken.severity)
        if ladder is None:
            return
        called = self.called(taken)
        held_until: dict[str, int | None] = {}
        for role in dict.fromkeys(one.role for one in called):
            if ladder.digest and self._documents[taken.alarm]["rule"] not in TOLD_ONCE:
                held_until[role] = _business_ms(self._people, role, taken.known_ms)
                continue
            flood = self._floods.setdefault(role, Flood())
            begins = flood.call(taken.known_ms)
            is_held = flood.is_on and taken.severity < Severity.CRITICAL
            held_until[role] = digest_ms(taken.known_ms) if is_held else None
            if begins:
                for person in dict.fromkeys(one.person.id for one in called if one.role == role):
                    first = next(one for one in called if one.person.id == person)
                    rows.append(self._flood_row(taken, first))
        for one in called:
            held_ms = held_until[one.role]
            rows.append(self.call_row(taken, one, ladder, held_ms))
            heard = Heard(one.channel, one.role, one.person.language, ",".join(one.fallback), held_ms)
            told.hear(one.person.id, "call", heard)

    def call_row(self, taken: Transition, one: Called, ladder: Ladder, held_ms: int | None) -> dict[str, Any]:
        """The row of one call."""
        row = self._row(taken, one.channel, one.person.id, str(one.step), sort="call", held_ms=held_ms)
        row |= {"role": one.role, "language": one.person.language, "step": one.step}
        row |= self._stuck(taken, one.fallback, ladder, held_ms)
        return row | self._words(taken, one.person.language)

    def _end(self, taken: Transition, told: Told, rows: list[dict[str, Any]]) -> None:
        for recipient, heard in told.people.items():
            rows.append(self.end_row(taken, recipient, heard))
        if not told.people and not told.was_anybody and taken.alarm in self._routes:
            self._lines(taken, told, rows)
        told.people.clear()

    def end_row(self, taken: Transition, recipient: str, heard: Heard) -> dict[str, Any]:
        """The row that tells somebody who was called that it is over."""
        flood = self._floods.get(heard.role)
        held_ms = heard.held_until_ms
        if held_ms is not None and held_ms <= taken.known_ms:
            held_ms = digest_ms(taken.known_ms)  # the digest may be on its way just now
        if held_ms is None and flood is not None and flood.is_on and taken.severity < Severity.CRITICAL:
            held_ms = digest_ms(taken.known_ms)
        row = self._row(taken, heard.channel, recipient, "end", sort="end", held_ms=held_ms)
        row |= {"role": heard.role, "language": heard.language}
        route = self._routes.get(taken.alarm)
        ladder = None if route is None else route.ladder(taken.severity)
        if ladder is not None and heard.fallback:
            row |= self._stuck(taken, tuple(heard.fallback.split(",")), ladder, held_ms)
        return row | self._words(taken, heard.language)

    def _lines(self, taken: Transition, told: Told, rows: list[dict[str, Any]]) -> None:
        """It came and went while nobody could be called, masked or away: a line in the next digest."""
        severity = Severity[self._documents[taken.alarm]["severity_max"].upper()]
        ladder = self._routes[taken.alarm].ladder(severity)
        if ladder is None:
            return
        reached: set[str] = set()
        for one in _called(self._people, ladder, 0, taken.known_ms):
            if one.person.id in reached:
                continue
            reached.add(one.person.id)
            held_ms = digest_ms(taken.known_ms)
            if ladder.digest:
                held_ms = _business_ms(self._people, one.role, taken.known_ms)
            row = self._row(taken, one.channel, one.person.id, "line", sort="line", held_ms=held_ms)
            row |= {"role": one.role, "language": one.person.language}
            rows.append(row | self._words(taken, one.person.language))
            told.was_anybody = True

    def _flood_row(self, taken: Transition, one: Called) -> dict[str, Any]:
        row = self._row(taken, one.channel, one.person.id, "flood", sort="flood", held_ms=None)
        title, text = flood_words(one.role, one.person.language)
        return row | {"role": one.role, "language": one.person.language, "title": title, "text": text}

    def _words(self, taken: Transition, language: str) -> dict[str, Any]:
        title, text = words(taken, self._documents[taken.alarm], language, self._people.templates)
        return {"title": title, "text": text}

    @staticmethod
    def _stuck(taken: Transition, fallback: tuple[str, ...], ladder: Ladder, held_ms: int | None) -> dict[str, Any]:
        """When a message that is still not through goes by the next channel, too."""
        if not fallback:
            return {}
        stuck_ms = None if held_ms is not None else taken.known_ms + round(1000 * ladder.fallback_after_s)
        return {"fallback": ",".join(fallback), "fallback_ms": stuck_ms}

    def _row(
        self,
        taken: Transition,
        channel: str,
        recipient: str = "",
        part: str = "",
        *,
        sort: str = "step",
        held_ms: int | None = None,
    ) -> dict[str, Any]:
        return {
            "key": notice_key(taken.alarm, taken.seq, channel, recipient, part),
            "alarm": taken.alarm,
            "seq": taken.seq,
            "channel": channel,
            "recipient": recipient,
            "role": "",
            "language": "",
            "sort": sort,
            "step": None,
            "state": "waiting" if held_ms is None else "held",
            "attempts": 0,
            "created_ms": taken.known_ms,
            "due_ms": taken.known_ms if held_ms is None else held_ms,
            "event_ms": taken.event_ms,
            "fallback": "",
            "fallback_ms": None,
            "title": None,
            "text": None,
            "body": {"what": taken.what.value, "reason": taken.reason, "alarm": self._documents[taken.alarm]},
        }


def notice_key(alarm: str, seq: int, channel: str, recipient: str = "", part: str = "") -> str:
    """The same on every attempt and after every crash: the receiver's protection against a repetition."""
    key = "/".join(str(one) for one in (alarm, seq, channel, recipient, part) if one != "")
    return key if len(key) <= _KEY_MAX else f"{alarm}/{seq}/{hashlib.sha256(key.encode()).hexdigest()[:40]}"


def is_recent(taken: Transition) -> bool:
    """Whether somebody who hears of it now can still act."""
    return taken.known_ms - taken.event_ms <= _ACTIONABLE_MS[taken.severity]


def digest_ms(now_ms: int) -> int:
    """When the digest leaves that gathers what comes now."""
    return (now_ms // DIGEST_MS + 1) * DIGEST_MS


def _called(people: People, ladder: Ladder, step: int | None, now_ms: int) -> Iterator[Called]:
    if step is None:
        wanted = [number for number, each in enumerate(ladder.steps) if each.after_s == 0]
    else:
        after_s = ladder.steps[min(step, len(ladder.steps) - 1)].after_s
        wanted = [number for number, each in enumerate(ladder.steps) if each.after_s == after_s]
    seen: set[tuple[str, str]] = set()
    for number in wanted:
        yield from _of_step(people, ladder, number, now_ms, seen)
    if wanted and not seen:
        for number in (*range(wanted[-1] + 1, len(ladder.steps)), *range(wanted[0])):
            yield from _of_step(people, ladder, number, now_ms, seen)
            if seen:
                return


def _of_step(people: People, ladder: Ladder, number: int, now_ms: int, seen: set[tuple[str, str]]) -> Iterator[Called]:
    step: Step = ladder.steps[number]
    for role, person in people.called(step.to, now_ms):
        reached = [channel for channel in step.channels if channel in person.addresses]
        # Somebody who has none of these channels is told by one that they have: a gap in a list is no reason for silence.
        reached = reached or [next(iter(person.addresses))]
        beside = tuple(c for c in ladder.fallback if c in person.addresses and c not in reached)
        for channel in reached:
            if (person.id, channel) not in seen:
                seen.add((person.id, channel))
                yield Called(person, role, channel, number, beside)


def _business_ms(people: People, role: str, now_ms: int) -> int:
    roster = people.roster.get(role)
    if roster is None:
        return next_business_ms(now_ms, "Asia/Shanghai")
    return next_business_ms(now_ms, roster.timezone, roster.holidays)
