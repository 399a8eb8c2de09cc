"""What the outbox needs as time passes: the next channel for what gets stuck, digests, and what is missing put back.

Everything is one transaction with keys of its own, so that doing it twice, or after a crash once more, changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from alerts import events
from alerts.alarm import Transition, What
from alerts.notify.routing import CALLS, Heard, Router, notice_key
from alerts.notify.words import digest_words
from alerts.people import People, Route
from alerts.rule import Severity
from alerts.store import alarms, notices, transitions
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY

EVERY_S = 1.0
RECONCILE_EVERY_S = 60.0
_AT_ONCE = 500
_DIGEST_FALLBACK_MS = 120_000
_LOOK_BACK_MS = 24 * 3_600_000
_IN_MAX = 500
_IN_DIGEST = ("id", "rule", "rule_name", "place_name", "class", "site", "severity", "onset_ms", "timezone", "state")
_STEPS = (
    sa.select(
        transitions.c.alarm,
        transitions.c.seq,
        transitions.c.what,
        transitions.c.severity,
        transitions.c.event_ms,
        transitions.c.known_ms,
        transitions.c.reason,
        transitions.c.actor,
        transitions.c.note,
        transitions.c.value,
        transitions.c.quiet,
        transitions.c.step,
    )
    .where(transitions.c.alarm.in_(sa.bindparam("alarms", expanding=True)))
    .order_by(transitions.c.id)
)


class Wanted:
    """Who should be told of an alarm, by the rules in force."""

    def __init__(
        self,
        people: People,
        since_ms: int,
        route_of: Callable[[Mapping[str, Any]], Route | None],
        channels_of: Callable[[str], Sequence[str]],
    ) -> None:
        self.people = people
        self.since_ms = since_ms  # of steps before that other rules decided
        self.route_of = route_of
        self.channels_of = channels_of


class Upkeep:
    """One thread beside the senders."""

    def __init__(
        self, database: sa.Engine, clock: Clock, wanted: Callable[[], Wanted], wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._wanted = wanted
        self._wake = wake
        self._reconciled_s = clock.monotonic_s()
        insert = postgresql.insert if database.dialect.name == "postgresql" else sqlite.insert
        # PostgreSQL's driver writes many rows as one statement, and counts them only when it is asked to.
        self._keep = (
            insert(notices).on_conflict_do_nothing(index_elements=["key"]).execution_options(preserve_rowcount=True)
        )

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        while not stop.wait(EVERY_S):
            try:
                self.step()
            except DATABASE_AWAY as error:
                events.database_unavailable(str(error), is_first=True)

    def step(self) -> None:
        """Whatever is due."""
        now_ms = self._clock.now_ms()
        fallen_back = self.fall_back(now_ms)
        digests = self.close_digests(now_ms)
        healed = 0
        if self._clock.monotonic_s() - self._reconciled_s >= RECONCILE_EVERY_S:
            self._reconciled_s = self._clock.monotonic_s()
            healed = self.reconcile(now_ms)
        if fallen_back or digests or healed:
            self._wake()

    def fall_back(self, now_ms: int) -> int:
        """Use the next channel as well for what is not through in time, or never will be."""
        query = (
            sa.select(notices)
            .where(notices.c.fallback_ms <= now_ms, notices.c.state.in_(("waiting", "failed")))
            .order_by(notices.c.fallback_ms)
            .limit(_AT_ONCE)
        )
        with self._database.begin() as db:
            stuck = [dict(row) for row in db.execute(query).mappings()]
            if not stuck:
                return 0
            db.execute(notices.update().where(notices.c.id.in_([r["id"] for r in stuck])).values(fallback_ms=None))
            db.execute(self._keep, [_by_next_channel(row, now_ms) for row in stuck])
        events.notices_fell_back(len(stuck))
        return len(stuck)

    def close_digests(self, now_ms: int) -> int:
        """Put what was held for a digest, and is due, into one message for each person and channel."""
        due = (notices.c.state == "held") & (notices.c.due_ms <= now_ms)
        made = 0
        with self._database.begin() as db:
            for channel, recipient in db.execute(
                sa.select(notices.c.channel, notices.c.recipient).where(due).distinct()
            ):
                mine = due & (notices.c.channel == channel) & (notices.c.recipient == recipient)
                held = (
                    db.execute(sa.select(notices).where(mine).order_by(notices.c.id).limit(_AT_ONCE)).mappings().all()
                )
                row = _digest([dict(each) for each in held], now_ms)
                db.execute(self._keep, [row])
                told = notices.update().where(notices.c.id.in_([each["id"] for each in held]))
                db.execute(told.values(state="digested", digest=row["key"]))
                made += 1
        return made

    def reconcile(self, now_ms: int) -> int:
        """Compare who should have been told with the outbox, and put back what is missing."""
        wanted = self._wanted()
        with self._database.connect() as db:
            missing = [*self._missing_calls(db, wanted, now_ms), *self._missing_ends(db, wanted, now_ms)]
        if not missing:
            return 0
        with self._database.begin() as db:
            healed = db.execute(self._keep, missing).rowcount
        if healed:
            events.notice_healed(healed)
        return healed

    def _missing_calls(self, db: sa.Connection, wanted: Wanted, now_ms: int) -> Iterable[dict[str, Any]]:
        documents = {row.id: row.document for row in db.execute(sa.select(alarms).where(alarms.c.is_open))}
        names = list(documents)
        for start in range(0, len(names), _IN_MAX):
            some = names[start : start + _IN_MAX]
            steps = [step for step in _steps(db, some) if step.what is not What.UNMASKED]
            known = set(db.execute(sa.select(notices.c.key).where(notices.c.alarm.in_(some))).scalars())
            router = _router(wanted, {name: documents[name] for name in some})
            at = {(step.alarm, step.seq): step for step in steps}
            for row in router.notices(steps):
                step = at[row["alarm"], row["seq"]]
                is_ours = step.known_ms >= max(wanted.since_ms, now_ms - _LOOK_BACK_MS)
                is_call = row["sort"] == "call" or (row["sort"] == "step" and step.what in CALLS)
                if is_ours and is_call and row["key"] not in known:
                    yield row | {"state": "waiting", "due_ms": now_ms}

    def _missing_ends(self, db: sa.Connection, wanted: Wanted, now_ms: int) -> Iterable[dict[str, Any]]:
        end = notices.alias()
        heard = sa.exists().where(
            end.c.alarm == notices.c.alarm,
            end.c.recipient == notices.c.recipient,
            end.c.sort == "end",
            end.c.seq > notices.c.seq,
        )
        query = (
            sa.select(notices, alarms.c.document)
            .join(alarms, alarms.c.id == notices.c.alarm)
            .where(notices.c.sort == "call", ~alarms.c.is_open, notices.c.created_ms > now_ms - _LOOK_BACK_MS, ~heard)
            .order_by(notices.c.seq, notices.c.id)
        )
        seen: set[tuple[str, str]] = set()
        for row in db.execute(query).all():
            if (row.alarm, row.recipient) in seen:
                continue
            seen.add((row.alarm, row.recipient))
            ends = [step for step in _steps(db, [row.alarm]) if step.what.is_end]
            if ends:
                heard_by = Heard(row.channel, row.role, row.language, row.fallback, None)
                made = _router(wanted, {row.alarm: row.document}).end_row(ends[-1], row.recipient, heard_by)
                yield made | {"due_ms": now_ms}


def _steps(db: sa.Connection, names: Sequence[str]) -> list[Transition]:
    return [
        Transition(row[0], row[1], What(row[2]), Severity(row[3]), *row[4:])
        for row in db.execute(_STEPS, {"alarms": list(names)})
    ]


def _router(wanted: Wanted, documents: Mapping[str, Mapping[str, Any]]) -> Router:
    found = {name: wanted.route_of(document) for name, document in documents.items()}
    routes = {name: route for name, route in found.items() if route is not None}
    channels = {name: wanted.channels_of(document["rule"]) for name, document in documents.items()}
    return Router(wanted.people, routes, documents, channels, {}, {})


def _by_next_channel(row: dict[str, Any], now_ms: int) -> dict[str, Any]:
    channel, *left = row["fallback"].split(",")
    patience_ms = max(0, row["fallback_ms"] - row["created_ms"])
    return _without_id(row) | {
        "key": notice_key(row["key"], row["seq"], "by", channel),
        "channel": channel,
        "state": "waiting",
        "attempts": 0,
        "error": None,
        "due_ms": now_ms,
        "fallback": ",".join(left),
        "fallback_ms": now_ms + patience_ms if left else None,
        "body": {**row["body"], "of": row["body"].get("of", row["key"])},  # the message that this one stands in for
    }


def _digest(held: list[dict[str, Any]], now_ms: int) -> dict[str, Any]:
    first = held[0]
    title, text = digest_words([each["body"] for each in held], first["language"])
    fallback = next((each["fallback"] for each in held if each["fallback"]), "")
    told = [
        {
            "key": each["key"],
            "what": each["body"]["what"],
            "reason": each["body"]["reason"],
            "sort": each["sort"],
            "alarm": {name: each["body"]["alarm"].get(name) for name in _IN_DIGEST},
        }
        for each in held
    ]
    return _without_id(first) | {
        "key": notice_key("digest", first["id"], first["channel"], first["recipient"]),
        "sort": "digest",
        "step": None,
        "state": "waiting",
        "created_ms": now_ms,
        "due_ms": now_ms,
        "fallback": fallback,
        "fallback_ms": now_ms + _DIGEST_FALLBACK_MS if fallback else None,
        "title": title,
        "text": text,
        "body": {"what": "digest", "reason": "digest", "alarm": first["body"]["alarm"], "notices": told},
    }


def _without_id(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}
