"""Runs the engine: reads the journal, stores what follows, keeps a snapshot, and puts people's commands into the journal.

After a crash the engine is the snapshot plus the records after it; effects that were stored before are left alone, so
the outcome is the same as without the crash. A snapshot of another version is not read: the journal is.

Rules and catalogue are records like everything else: at start those of the files go into the journal where they differ,
and hold from that record on. So the journal read again gives the same alarms, whatever the files say now.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from alerts import events
from alerts.alarm import Alarm, Effects
from alerts.engine import Engine
from alerts.escalation import route_of
from alerts.notify.upkeep import Wanted
from alerts.people import NOBODY, People, Route, mistakes_of
from alerts.program import Program, compile_rules
from alerts.rosterbook import STATE as ROSTERS_STATE
from alerts.rosterbook import RosterBook
from alerts.rulebook import STATE, RuleBook
from alerts.rules import (
    Rule,
    changes_in,
    decode_rules,
    encode_rules,
    mistakes_in,
    roster_changes_in,
    schedules_in,
)
from alerts.snapshot import SNAPSHOT_VERSION
from alerts.store import Calling, Store
from alerts.texts import document
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY
from telemetry.declaration import field_name
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.journal import Journal, Kind, Record, Stored
from telemetry.series import SeriesRegistry

CURSOR = "alerts"
SNAPSHOT_EVERY_S = 20.0
COMMANDS_EVERY_S = 0.1
_RECORDS_MAX = 200  # read at once: so much is stored in one transaction
_REREAD_AT_ONCE = 1000
REREAD_RECORDS_MAX = 5_000_000  # some days: a gateway that never finishes must not keep the journal for ever
CHANGE_RULE = "change-rule"
CHANGE_ROSTER = "change-roster"
_DIGEST = "rules"  # in the journal's state, of the last rules that went into it


T = TypeVar("T")


class _Memory(msgspec.Struct):
    """A snapshot of the engine, and the rules that it was taken under."""

    version: int
    rules: bytes
    engine: bytes
    since_ms: int = 0  # from when on the rules hold


class _Versioned(msgspec.Struct):
    version: int


_MEMORY = msgspec.msgpack.Decoder(_Memory)
_VERSIONED = msgspec.msgpack.Decoder(_Versioned)


@dataclass(frozen=True, slots=True)
class _InForce:
    """What decides, and what alarms are described by."""

    encoded: bytes
    rules: dict[str, Rule]
    catalogue: Catalogue
    people: People = NOBODY
    since_ms: int = 0  # from when on

    def route_of(self, alarm: Alarm) -> Route | None:
        """How an alarm finds people."""
        rule = self.rules.get(alarm.rule)
        names = {} if rule is None or rule.route is None else {rule.id: rule.route}
        return route_of(alarm.rule, alarm.alarm_class, self.people, names)


class AlertWorker:
    """One thread that owns the engine.

    Args:
        program: The rules as the files have them, over `catalogue`.
        people: Whom they call, as the files have it.
        channels: Names of the server's channels; any name will do, when not given.
    """

    def __init__(
        self,
        journal: Journal,
        program: Program,
        catalogue: Catalogue,
        store: Store,
        clock: Clock,
        on_notices: Callable[[], None],
        people: People = NOBODY,
        channels: Collection[str] | None = None,
    ) -> None:
        self._channels_known = channels
        self._journal = journal
        self._store = store
        self._clock = clock
        self._on_notices = on_notices
        self._random = random.Random()  # jitter only
        self._registry = SeriesRegistry(program.names)
        self._catalogue, self._schedules = catalogue, tuple(program.schedules.values())
        self._rosters = RosterBook(people, journal.state(ROSTERS_STATE).get(ROSTERS_STATE))
        if self._rosters.unfit:
            told = "; ".join(self._rosters.unfit)
            raise BadConfiguration(f"{told}; it was changed over HTTP: declare it in the files again, or the person")
        self._people = people = self._rosters.people
        self._book = RuleBook(program.rules, journal.state(STATE).get(STATE))
        rules = tuple(self._book.rules.values())
        for number, where, said in mistakes_in(rules, catalogue, self._schedules):
            told = f"rule '{rules[number].id}', as it was changed over HTTP: {field_name(where)}: {said}"
            raise BadConfiguration(f"{told}; declare it in the files again, or give the catalogue what it names")
        if rules != program.rules:
            program = compile_rules(rules, catalogue, self._registry, self._schedules)
        encoded = encode_rules(rules, catalogue, people, self._schedules)
        self._in_force = _InForce(encoded, dict(self._book.rules), catalogue, people)
        self._announce_rules(encoded)
        self.engine = Engine(program, self._reread, people)
        self.position = 0
        self._stored = 0
        self._kept = 0
        self._resume()
        self._described_by = self._in_force
        self._kept = self.position
        self._in_hand: Effects | None = None  # judged and not stored yet
        self._again = self._left_again()
        self._commands_s = self._snapshot_s = clock.monotonic_s()
        events.watch_lag(lambda: self.lag)

    @property
    def lag(self) -> int:
        """Journal records whose effects are still to come."""
        return self._journal.last - self._kept

    @property
    def behind(self) -> int:
        """Journal records that alarms do not reflect yet: those to come, and those that an outage's end reads once more."""
        return self.lag + self._again

    def wanted(self) -> Wanted:
        """Who should be told of alarms by the rules in force; asked from another thread."""
        force = self._in_force
        names = {rule.id: rule.route for rule in force.rules.values() if rule.route is not None}
        return Wanted(
            force.people,
            force.since_ms,
            lambda document: route_of(document["rule"], document["class"], force.people, names),
            lambda rule: force.rules[rule].notify if rule in force.rules else (),
        )

    def in_force(self) -> tuple[Mapping[str, Rule], Catalogue]:
        """What decides now; asked from another thread."""
        force = self._in_force
        return force.rules, force.catalogue

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; then keep a last snapshot, so that the next start has nothing to repeat."""
        while not stop.is_set():
            if self._patiently(self.step, stop) is False:
                self._journal.wait(self.position, COMMANDS_EVERY_S)
        self._patiently(self._leave, stop)

    def _leave(self) -> None:
        """What was judged is stored first: past a snapshot nobody would judge it again."""
        if self._in_hand is not None:
            self._keep(self._in_hand)
            self._in_hand = None
        self._snapshot()

    def step(self) -> bool:
        """Judge and store a bounded piece; True when there is more at once.

        Raises Unavailable or DATABASE_AWAY: a store is away. What is in hand stays in hand; call again later.
        """
        if self._in_hand is None:
            self._in_hand = self.judge(self._journal.read(self.position, _RECORDS_MAX))
        self._keep(self._in_hand)
        events.progressed(len(list(self.engine.open_alarms)), self._in_hand.late, self._in_hand.too_late)
        self._in_hand = None
        self._again = self._left_again()
        now_s = self._clock.monotonic_s()
        if now_s - self._commands_s >= COMMANDS_EVERY_S:
            self._commands_s = now_s
            self._take_commands()
        if now_s - self._snapshot_s >= SNAPSHOT_EVERY_S:
            self._snapshot_s = now_s
            self._snapshot()
        return self.lag > 0

    def _left_again(self) -> int:
        """Records that the past of an outage that is over has still to see."""
        after = self.engine.again_after
        return 0 if after is None else self.position - after

    def judge(self, records: Sequence[Stored]) -> Effects:
        """What records come to, up to the first that changes the rules: what came before is told in the words of its own."""
        merged = Effects()
        for record in records:
            if record.kind is Kind.RULES:
                self._merge(merged, self._switch(record), record.offset)
            else:
                self._merge(merged, self.engine.apply(record), record.offset)
            self.position = record.offset
            if self._described_by is not self._in_force:
                break
        return merged

    def _announce_rules(self, encoded: bytes) -> None:
        digest = hashlib.sha256(encoded).digest()
        if self._journal.state(_DIGEST).get(_DIGEST) != digest or self._book.changes or self._rosters.changes:
            self._append_rules(self._book, self._rosters, digest)

    def _append_rules(self, book: RuleBook, rosters: RosterBook, digest: bytes) -> None:
        payload = encode_rules(
            tuple(book.rules.values()),
            self._catalogue,
            rosters.people,
            self._schedules,
            book.changes,
            rosters.changes,
        )
        record = Record(Kind.RULES, self._clock.now_ms(), payload)
        state = {_DIGEST: digest, STATE: book.kept(), ROSTERS_STATE: rosters.kept()}
        self._journal.append([record], state)
        book.changes, rosters.changes = [], []
        self._book, self._rosters, self._people = book, rosters, rosters.people

    def _change_rule(self, command: str, body: Mapping[str, Any]) -> str:
        """Let a person change a rule, through the journal; why not, or ""."""
        if self._book.is_done(command):
            return ""
        book, why_not = self._book.take(command, body, self._catalogue, self._schedules)
        if book is None:
            return why_not
        rules = tuple(book.rules.values())
        named = [(rule.id, rule.route) for rule in rules if rule.id == body["rule_id"]]
        wrong = [said for said in mistakes_of(self._people, named, self._channels_known or ()) if said[:5] == "rule "]
        if body.get("document") and self._channels_known is not None:
            notify = book.rules[body["rule_id"]].notify
            wrong += [f"notify: there is no channel '{name}'" for name in notify if name not in self._channels_known]
        if wrong:
            return "; ".join(wrong)
        try:
            compile_rules(rules, self._catalogue, self._registry, self._schedules)
        except BadConfiguration as error:
            return str(error)
        encoded = encode_rules(rules, self._catalogue, self._people, self._schedules)
        self._append_rules(book, self._rosters, hashlib.sha256(encoded).digest())
        return ""

    def _change_roster(self, command: str, body: Mapping[str, Any]) -> str:
        """Let a person change a duty roster, through the journal; why not, or ""."""
        if self._rosters.is_done(command):
            return ""
        rosters, why_not = self._rosters.take(command, body)
        if rosters is None:
            return why_not
        rules = tuple(self._book.rules.values())
        encoded = encode_rules(rules, self._catalogue, rosters.people, self._schedules)
        self._append_rules(self._book, rosters, hashlib.sha256(encoded).digest())
        return ""

    def _switch(self, record: Stored) -> Effects:
        rules, catalogue, people = decode_rules(record.payload)
        encoded = encode_rules(rules, catalogue, people, schedules_in(record.payload))
        if encoded == self._in_force.encoded:
            # At the start of the journal these are the rules that the engine was made with.
            self._in_force = self._described_by = replace(self._in_force, since_ms=record.time_ms)
            effects = Effects()
        else:
            old = self.engine
            effects = old.before_other_rules(record)
            self._put_in_force(encoded, record.time_ms)
            events.rules_switched(len(self._in_force.rules))
            changed = self.engine.load(old.save(), record.time_ms, old.program)
            effects.transitions += changed.transitions
            effects.alarms |= changed.alarms
            effects.masks |= changed.masks
        for change in changes_in(record.payload):
            rule = self._in_force.rules.get(change.rule)
            document = None if rule is None else rule.model_dump(mode="json", by_alias=True)
            row = change.model_dump(exclude={"command"}) | {"document": document, "time_ms": record.time_ms}
            effects.rules.append(row)
            if change.command is not None:
                effects.answers[change.command] = ""
        rosters = self._in_force.people.roster
        for moved in roster_changes_in(record.payload):
            document = rosters[moved.roster].model_dump(mode="json", by_alias=True)
            row = moved.model_dump(exclude={"command"}) | {"document": document, "time_ms": record.time_ms}
            effects.rosters.append(row)
            if moved.command is not None:
                effects.answers[moved.command] = ""
        return effects

    def _put_in_force(self, encoded: bytes, since_ms: int) -> None:
        rules, catalogue, people = decode_rules(encoded)
        self.engine = Engine(
            compile_rules(rules, catalogue, self._registry, schedules_in(encoded)), self._reread, people
        )
        self._in_force = _InForce(encoded, {rule.id: rule for rule in rules}, catalogue, people, since_ms)

    def _resume(self) -> None:
        self._stored, snapshot_cursor, saved = self._store.memory()
        if saved is not None and _VERSIONED.decode(saved).version != SNAPSHOT_VERSION:
            events.snapshot_ignored("its snapshot was written by another version")
            saved = None
        if saved is not None:
            memory = _MEMORY.decode(saved)
            if memory.rules != self._in_force.encoded:
                self._put_in_force(memory.rules, memory.since_ms)
            self._in_force = replace(self._in_force, since_ms=memory.since_ms)
            self.position = snapshot_cursor
            self.engine.load(memory.engine, self._clock.now_ms())
        elif self._stored and self._journal.first > 1:
            events.snapshot_ignored(f"records before {self._journal.first} are no longer held")

    def _reread(self, after: int, through: int) -> Iterator[Stored]:
        while after < through:
            records = self._journal.read(after, min(_REREAD_AT_ONCE, through - after))
            for record in records:
                if record.offset > through:
                    return  # between them something was trimmed away
                yield record
            if not records:
                return
            after = records[-1].offset

    def _merge(self, merged: Effects, new: Effects, offset: int) -> None:
        """Gather effects; those of records that were stored before a crash only bring the engine up to date."""
        merged.late += new.late
        merged.too_late += new.too_late
        for gateway in new.incomplete:
            events.outage_incomplete(gateway)
        if offset > self._stored:
            merged.transitions += new.transitions
            merged.alarms |= new.alarms
            merged.answers |= new.answers
            merged.masks |= new.masks
            merged.rules += new.rules
            merged.rosters += new.rosters

    def _keep(self, effects: Effects) -> None:
        if not (effects.transitions or effects.answers or effects.masks or effects.rules or effects.rosters):
            # Nothing to store; the cursor follows with the next snapshot.
            self._kept, self._described_by = self.position, self._in_force
            return
        words = self._described_by
        documents = {a.id: document(a, words.rules.get(a.rule), words.catalogue) for a in effects.alarms.values()}
        channels = {a.id: self._channels(a) for a in effects.alarms.values()}
        routes = {a.id: route for a in effects.alarms.values() if (route := words.route_of(a)) is not None}
        cursor = max(self.position, self._stored)
        has_notices = self._store.apply(
            cursor,
            effects.transitions,
            effects.alarms,
            documents,
            channels,
            effects.answers,
            Calling(words.people, routes),
            list(effects.masks.values()),
            effects.rules,
            effects.rosters,
        )
        self._stored = cursor
        self._kept, self._described_by = self.position, self._in_force
        for taken in effects.transitions:
            events.transition(effects.alarms[taken.alarm], taken)
        if has_notices:
            self._on_notices()

    def _channels(self, alarm: Alarm) -> tuple[str, ...]:
        rule = self._described_by.rules.get(alarm.rule)
        return rule.notify if rule else ()

    def _take_commands(self) -> None:
        waiting = self._store.waiting_commands()
        if not waiting:
            return
        done = []
        for name, body in [(name, body) for name, body in waiting if body["action"] in (CHANGE_RULE, CHANGE_ROSTER)]:
            change = self._change_rule if body["action"] == CHANGE_RULE else self._change_roster
            why_not = change(name, body)
            if why_not:
                self._store.answer(name, why_not)
            else:
                done.append(name)
        self._store.journaled(done)
        waiting = [(name, body) for name, body in waiting if body["action"] not in (CHANGE_RULE, CHANGE_ROSTER)]
        now_ms = self._clock.now_ms()
        records = [Record(Kind.COMMAND, now_ms, msgspec.json.encode({**body, "id": name})) for name, body in waiting]
        self._journal.append(records)
        self._store.journaled(name for name, _ in waiting)

    def _snapshot(self) -> None:
        memory = _Memory(SNAPSHOT_VERSION, self._in_force.encoded, self.engine.save(), self._in_force.since_ms)
        self._store.keep_snapshot(self.position, msgspec.msgpack.encode(memory))
        # What the end of an outage will read again stays, too.
        needed_after = self.engine.needed_after
        needed_after = self.position if needed_after is None else min(self.position, needed_after)
        self._journal.set_cursor(CURSOR, max(needed_after, self.position - REREAD_RECORDS_MAX))

    def _patiently(self, attempt: Callable[[], T], stop: threading.Event) -> T | None:
        """Try until the database takes it, with growing pauses; None when stopped before."""
        delay_s, is_first = 0.2, True
        while True:
            try:
                return attempt()
            except (*DATABASE_AWAY, Unavailable) as error:
                events.database_unavailable(str(error), is_first)
                is_first = False
            if stop.wait(delay_s * self._random.uniform(0.5, 1.0)):
                return None
            delay_s = min(delay_s * 2, 30.0)
