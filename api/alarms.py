"""Alarms as the API reads them, and the commands it leaves for the core."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from alerts.alarm import What
from alerts.rule import Severity
from alerts.store import alarms, commands, notices, rule_versions, transitions
from api.access import User
from telemetry.clock import Clock
from telemetry.errors import BadInput

_ANSWER_WITHIN_S = 5.0
_KEYS = uuid.UUID("6f0d6f1e-5a0b-4d39-9f4e-2c1f1a7f3b11")  # of ids that follow from a caller's key
_LOOK_EVERY_S = 0.02
_BEGUN_MAX = 500
_STEPS_TOLD_MAX = 50
_IN_MAX = 500
_EVIDENCE_BEFORE_MS = 30 * 60_000
_EVIDENCE_AFTER_MS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alarms."""

    state: str = "all"  # open, closed or all
    site: str | None = None
    alarm_class: str | None = None
    severity: Severity | None = None
    rule: str | None = None
    assignee: str | None = None
    devices: frozenset[str] | None = None  # only of these
    start_ms: int | None = None
    end_ms: int | None = None


class Refused(Exception):
    """The core would not do it: the alarm is not what the person saw."""


class NoAnswer(Exception):
    """The command is on record, and the core has not taken it yet."""


class Alarms:
    """Reads the alert core's tables; writes nothing there but commands."""

    def __init__(self, database: sa.Engine, clock: Clock) -> None:
        self.database = self._database = database
        self._clock = clock

    def page(
        self, user: User, wanted: Filter, limit: int, after: tuple[int, str] | None
    ) -> tuple[list[dict[str, Any]], tuple[int, str] | None]:
        """Newest first, and after which (onset, id) the next page begins."""
        query = sa.select(alarms.c.document, alarms.c.onset_ms, alarms.c.id)
        # Onset alone may repeat; the id makes the order total, and a cursor of both survives new alarms above it.
        query = query.order_by(alarms.c.onset_ms.desc(), alarms.c.id)
        if wanted.state != "all":
            query = query.where(alarms.c.is_open == (wanted.state == "open"))
        for column, value in (
            (alarms.c.site, wanted.site),
            (alarms.c["class"], wanted.alarm_class),
            (alarms.c.severity, wanted.severity),
            (alarms.c.rule, wanted.rule),
            (alarms.c.document["assigned_to"].as_string(), wanted.assignee),
        ):
            if value is not None:
                query = query.where(column == value)
        if user.sites is not None:
            query = query.where(alarms.c.site.in_(sorted(user.sites)))
        if wanted.devices is not None:
            query = query.where(alarms.c.device.in_(sorted(wanted.devices)))
        if wanted.start_ms is not None:
            query = query.where(alarms.c.onset_ms >= wanted.start_ms)
        if wanted.end_ms is not None:
            query = query.where(alarms.c.onset_ms < wanted.end_ms)
        if after is not None:
            onset_ms, name = after
            same = (alarms.c.onset_ms == onset_ms) & (alarms.c.id > name)
            query = query.where((alarms.c.onset_ms < onset_ms) | same)
        with self._database.connect() as db:
            rows = db.execute(query.limit(limit + 1)).all()
        last = rows[limit - 1] if len(rows) > limit else None
        return [row.document for row in rows[:limit]], None if last is None else (last.onset_ms, last.id)

    def one(self, user: User, alarm: str) -> dict[str, Any] | None:
        """An alarm with its transitions, notices and the stretch of readings to look at."""
        with self._database.connect() as db:
            row = db.execute(sa.select(alarms).where(alarms.c.id == alarm)).first()
            if row is None or not user.sees(row.site):
                return None
            steps = db.execute(sa.select(transitions).where(transitions.c.alarm == alarm).order_by(transitions.c.seq))
            sent = db.execute(sa.select(notices).where(notices.c.alarm == alarm).order_by(notices.c.id))
            # The version that judged it: the newest there was when it was raised.
            of_rule = (rule_versions.c.rule == row.rule) & (rule_versions.c.time_ms <= row.raised_ms)
            version = db.execute(sa.select(sa.func.max(rule_versions.c.version)).where(of_rule)).scalar()
            end_ms = (row.closed_ms or self._clock.now_ms()) + _EVIDENCE_AFTER_MS
            document: dict[str, Any] = row.document
            return {
                **document,
                "rule_version": version,
                "transitions": [_transition(step) for step in steps],
                "notices": [_notice(notice) for notice in sent],
                "evidence": {
                    "device": row.device,
                    "metric": document["metric"],
                    "start_ms": row.onset_ms - _EVIDENCE_BEFORE_MS,
                    "end_ms": min(end_ms, self._clock.now_ms()),
                    "limits": [
                        {"severity": Severity(limit["severity"]).word, "value": limit["value"]}
                        for limit in document.get("limits", [])
                    ],
                },
            }

    def open_of(self, user: User, devices: Sequence[str], limit: int) -> list[dict[str, Any]]:
        """Open alarms of devices, as far as somebody may see them, the longest open first."""
        query = sa.select(alarms.c.document).where(alarms.c.is_open, alarms.c.device.in_(devices))
        if user.sites is not None:
            query = query.where(alarms.c.site.in_(sorted(user.sites)))
        with self._database.connect() as db:
            return [row.document for row in db.execute(query.order_by(alarms.c.onset_ms).limit(limit))]

    def begun_between(self, devices: Sequence[str], start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Alarms of devices that began in a stretch of time, in its order, each with its transitions as `steps`."""
        query = sa.select(alarms.c.document).where(
            alarms.c.device.in_(devices), alarms.c.onset_ms >= start_ms, alarms.c.onset_ms < end_ms
        )
        with self._database.connect() as db:
            return _with_steps(db, query.order_by(alarms.c.onset_ms).limit(_BEGUN_MAX))

    def named(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Alarms by their ids, in the order of their onset, each with its transitions as `steps`."""
        found: list[dict[str, Any]] = []
        with self._database.connect() as db:
            for at in range(0, len(names), _IN_MAX):
                of = alarms.c.id.in_(names[at : at + _IN_MAX])
                found += _with_steps(db, sa.select(alarms.c.document).where(of))
        return sorted(found, key=lambda alarm: (alarm["onset_ms"], alarm["id"]))

    def done_since(self, alarm: str, seq: int) -> list[dict[str, Any]]:
        """The steps of an alarm after the one that somebody saw, with what a decision was."""
        query = sa.select(transitions, alarms.c.document).join(alarms, alarms.c.id == transitions.c.alarm)
        query = query.where(transitions.c.alarm == alarm, transitions.c.seq > seq).order_by(transitions.c.seq)
        with self._database.connect() as db:
            rows = db.execute(query.limit(_STEPS_TOLD_MAX)).all()
        decided = What.DISPOSED.value
        return [
            _transition(row) | {"disposition": row.document.get("disposition") if row.what == decided else None}
            for row in rows
        ]

    def silent_devices(self) -> set[str]:
        """Devices of which an open alarm says that they are not heard any more."""
        is_silence = alarms.c.document["rule_type"].as_string() == "silence"
        with self._database.connect() as db:
            return set(db.execute(sa.select(alarms.c.device).where(alarms.c.is_open, is_silence)).scalars())

    def newest_step(self) -> int:
        """The number of the last transition."""
        with self._database.connect() as db:
            return db.execute(sa.select(sa.func.max(transitions.c.id))).scalar() or 0

    def changed_since(self, step: int, limit: int = 1000) -> list[tuple[int, dict[str, Any]]]:
        """(transition number, alarm as it stands now), one an alarm, in the order of the numbers."""
        query = (
            sa.select(transitions.c.id, alarms.c.document)
            .join(alarms, alarms.c.id == transitions.c.alarm)
            .where(transitions.c.id > step)
            .order_by(transitions.c.id)
            .limit(limit)
        )
        with self._database.connect() as db:
            newest = {row.document["id"]: (row.id, row.document) for row in db.execute(query)}
        return sorted(newest.values(), key=lambda pair: pair[0])

    def ask(self, user: User, action: str, alarm: str, seq: int, details: Mapping[str, Any], key: str = "") -> str:
        """Leave a command for the core and wait for its answer; the command's id. Raises Refused or NoAnswer.

        With a key of the caller's the id follows from it: asked again, the same command is waited for, and no other made.
        Raises BadInput where the key stood for something else.
        """
        body = {"action": action, "alarm": alarm, "seq": seq, "actor": user.name, **details}
        name = uuid.uuid5(_KEYS, f"{user.name}/{key}").hex if key else uuid.uuid4().hex
        command = {"id": name, "created_ms": self._clock.now_ms(), "body": body, "state": "waiting"}
        try:
            with self._database.begin() as db:
                db.execute(commands.insert().values(command))
        except sa.exc.IntegrityError:
            with self._database.connect() as db:
                before = db.execute(sa.select(commands.c.body).where(commands.c.id == name)).scalar_one()
            if before != body:
                raise BadInput("key-used", "this Idempotency-Key stood for something else") from None
        until_s = self._clock.monotonic_s() + _ANSWER_WITHIN_S
        while self._clock.monotonic_s() < until_s:
            with self._database.connect() as db:
                row = db.execute(sa.select(commands).where(commands.c.id == name)).one()
            if row.state == "done":
                return name
            if row.state == "refused":
                raise Refused(row.answer)
            time.sleep(_LOOK_EVERY_S)
        raise NoAnswer


def _with_steps(db: sa.Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {row.document["id"]: {**row.document, "steps": []} for row in db.execute(query)}
    steps = sa.select(transitions).where(transitions.c.alarm.in_(found)).order_by(transitions.c.id)
    for step in db.execute(steps):
        found[step.alarm]["steps"].append(_transition(step))
    return list(found.values())


def _transition(row: Any) -> dict[str, Any]:
    names = ("seq", "what", "event_ms", "known_ms", "reason", "actor", "note", "value")
    return {name: getattr(row, name) for name in names} | {"severity": Severity(row.severity).word}


def _notice(row: Any) -> dict[str, Any]:
    names = ("channel", "seq", "state", "attempts", "event_ms", "delivered_ms", "error")
    return {name: getattr(row, name) for name in names} | {"recipient": row.recipient or row.channel}
