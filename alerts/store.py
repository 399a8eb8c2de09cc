"""Alarms, transitions, notices, commands and the engine's place in the journal, in the SQL database.

What follows from a stretch of the journal is written in one transaction with the cursor, so that a crash leaves either
all of it or none. Written again, it changes nothing: transitions and notices have names of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from alerts.alarm import LATE_DATA, Alarm, Transition, What
from alerts.rule import Severity
from telemetry.database import metadata

alarms = sa.Table(
    "alarm",
    metadata,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("class", sa.String(64), nullable=False),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("severity", sa.Integer, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("onset_ms", sa.BigInteger, nullable=False),
    sa.Column("raised_ms", sa.BigInteger, nullable=False),
    sa.Column("closed_ms", sa.BigInteger),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Index("alarm_open", "is_open", "onset_ms"),
)
transitions = sa.Table(
    "transition",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("alarm", sa.String(20), sa.ForeignKey("alarm.id"), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("what", sa.String(20), nullable=False),
    sa.Column("severity", sa.Integer, nullable=False),
    sa.Column("event_ms", sa.BigInteger, nullable=False),
    sa.Column("known_ms", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(64)),
    sa.Column("note", sa.Text),
    sa.Column("value", sa.Float),
    sa.Column("quiet", sa.String(40)),
    sa.UniqueConstraint("alarm", "seq"),
    sqlite_autoincrement=True,
)
notices = sa.Table(
    "notice",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(120), nullable=False, unique=True),  # the receiver's protection against a repetition
    sa.Column("alarm", sa.String(20), sa.ForeignKey("alarm.id"), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("channel", sa.String(64), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False),
    sa.Column("event_ms", sa.BigInteger, nullable=False),
    sa.Column("delivered_ms", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Index("notice_waiting", "channel", "state", "due_ms"),
    sqlite_autoincrement=True,
)
commands = sa.Table(
    "command",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),  # waiting, journaled, done, refused
    sa.Column("answer", sa.Text),
    sa.Index("command_state", "state"),
)
memory = sa.Table(
    "engine_memory",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("cursor", sa.BigInteger, nullable=False),  # journal records whose effects are stored
    sa.Column("snapshot_cursor", sa.BigInteger, nullable=False),  # journal records that the snapshot has seen
    sa.Column("snapshot", sa.LargeBinary),
)

_ACTIONABLE_MS = {
    Severity.CRITICAL: 24 * 3_600_000,
    Severity.HIGH: 4 * 3_600_000,
    Severity.MEDIUM: 3_600_000,
    Severity.LOW: 3_600_000,
}
MQTT_CHANNEL = "mqtt"
_SENT_TO_PEOPLE = (What.RAISED, What.SEVERITY_UP, What.REOPENED)
_IN_MAX = 500  # names in one query


def _due() -> sa.Select[Any]:
    """Made once: making a statement costs many times what it costs to run it."""
    channel, now_ms = sa.bindparam("channel_", type_=sa.String), sa.bindparam("now_ms", type_=sa.BigInteger)
    earlier = notices.alias()
    held_up = sa.exists().where(
        earlier.c.alarm == notices.c.alarm,
        earlier.c.channel == channel,
        earlier.c.state == "waiting",
        earlier.c.due_ms > now_ms,
        earlier.c.id < notices.c.id,
    )
    waits = (notices.c.channel == channel) & (notices.c.state == "waiting") & (notices.c.due_ms <= now_ms)
    limit = sa.bindparam("limit_", type_=sa.Integer)
    return sa.select(notices).where(waits, ~held_up).order_by(notices.c.id).limit(limit)


_DUE = _due()


@dataclass(frozen=True, slots=True)
class Notice:
    """One message of the outbox."""

    id: int
    key: str
    attempts: int
    created_ms: int
    body: Mapping[str, Any]


class Store:
    """The alert core's side of the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        # Made once, because making a statement costs many times what it costs to run it. Each is given all of its rows.
        insert = postgresql.insert if database.dialect.name == "postgresql" else sqlite.insert
        keep_alarms = insert(alarms)
        changing = {c.name: keep_alarms.excluded[c.name] for c in alarms.c if c.name != "id"}
        self._keep_alarms = keep_alarms.on_conflict_do_update(index_elements=["id"], set_=changing)
        self._keep_transitions = insert(transitions).on_conflict_do_nothing(index_elements=["alarm", "seq"])
        self._keep_notices = insert(notices).on_conflict_do_nothing(index_elements=["key"])

    def memory(self) -> tuple[int, int, bytes | None]:
        """(cursor, snapshot cursor, snapshot)."""
        with self._database.connect() as db:
            row = db.execute(sa.select(memory)).first()
        return (0, 0, None) if row is None else (row.cursor, row.snapshot_cursor, row.snapshot)

    def apply(
        self,
        cursor: int,
        steps: Sequence[Transition],
        changed: Mapping[str, Alarm],
        documents: Mapping[str, dict[str, Any]],
        channels: Mapping[str, Sequence[str]],
        answers: Mapping[str, str],
    ) -> bool:
        """Write what a stretch of the journal came to, up to record `cursor`; tell whether notices were added.

        Args:
            documents: For each changed alarm what is shown and sent.
            channels: For each changed alarm the channels beside MQTT that hear of it.
        """
        alarm_rows = [_alarm_row(alarm, documents[alarm.id]) for alarm in changed.values()]
        with self._database.begin() as db:
            if alarm_rows:
                db.execute(self._keep_alarms, alarm_rows)
            if steps:
                db.execute(self._keep_transitions, [_transition_row(taken) for taken in steps])
            owed = self._owed(db, steps, documents, channels)
            has_notices = bool(owed) and db.execute(self._keep_notices, owed).rowcount > 0
            for command, why_not in answers.items():
                state = "refused" if why_not else "done"
                db.execute(commands.update().where(commands.c.id == command).values(state=state, answer=why_not))
            if not db.execute(memory.update().values(cursor=cursor)).rowcount:
                db.execute(memory.insert().values(id=1, cursor=cursor, snapshot_cursor=0))
        return has_notices

    def keep_snapshot(self, cursor: int, snapshot: bytes) -> None:
        """Remember the engine as it is after journal record `cursor`."""
        values = {"snapshot_cursor": cursor, "snapshot": snapshot}
        with self._database.begin() as db:
            if not db.execute(memory.update().values(values)).rowcount:
                db.execute(memory.insert().values(id=1, cursor=0, **values))

    def waiting_commands(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What people ask for and the journal has not got yet, oldest first."""
        query = sa.select(commands).where(commands.c.state == "waiting").order_by(commands.c.created_ms).limit(100)
        with self._database.connect() as db:
            return [(row.id, row.body) for row in db.execute(query)]

    def journaled(self, ids: Iterable[str]) -> None:
        """These commands are in the journal now."""
        with self._database.begin() as db:
            asked = commands.c.id.in_(list(ids)) & (commands.c.state == "waiting")
            db.execute(commands.update().where(asked).values(state="journaled"))

    def due_notices(self, channel: str, now_ms: int, limit: int) -> list[Notice]:
        """Messages of a channel whose time has come, oldest first; none before an earlier one of its alarm."""
        with self._database.connect() as db:
            rows = db.execute(_DUE, {"channel_": channel, "now_ms": now_ms, "limit_": limit})
            return [Notice(row.id, row.key, row.attempts, row.created_ms, row.body) for row in rows]

    def delivered(self, ids: Sequence[int], now_ms: int) -> None:
        """These messages were handed over."""
        values = {"state": "delivered", "delivered_ms": now_ms, "attempts": notices.c.attempts + 1, "error": None}
        with self._database.begin() as db:
            db.execute(notices.update().where(notices.c.id.in_(ids)).values(values))

    def not_delivered(self, notice: int, error: str, due_ms: int | None) -> None:
        """A message was not taken: try again at `due_ms`, or never when None."""
        values: dict[str, Any] = {"attempts": notices.c.attempts + 1, "error": error[:500]}
        values |= {"state": "failed"} if due_ms is None else {"due_ms": due_ms}
        with self._database.begin() as db:
            db.execute(notices.update().where(notices.c.id == notice).values(values))

    @staticmethod
    def _owed(
        db: sa.Connection,
        steps: Sequence[Transition],
        documents: Mapping[str, dict[str, Any]],
        channels: Mapping[str, Sequence[str]],
    ) -> list[dict[str, Any]]:
        """The notices that transitions call for. Nobody is called for what was over before it was known, or long ago."""
        late = [taken for taken in steps if taken.reason == LATE_DATA]
        over = {(taken.alarm, taken.known_ms) for taken in late if taken.what.is_end}
        ended = [
            taken.alarm for taken in steps if taken.what.is_end and (channels[taken.alarm] or not _is_recent(taken))
        ]
        told: set[tuple[str, str]] = set()
        for start in range(0, len(ended), _IN_MAX):
            query = sa.select(notices.c.alarm, notices.c.channel).where(
                notices.c.alarm.in_(ended[start : start + _IN_MAX])
            )
            told |= {(row.alarm, row.channel) for row in db.execute(query)}
        rows = []
        for taken in steps:
            # What late readings say of now is news, however long it has been true.
            is_over = taken.reason == LATE_DATA and (taken.alarm, taken.known_ms) in over
            is_news = _is_recent(taken) or (taken.reason == LATE_DATA and not is_over)
            for channel in (MQTT_CHANNEL, *channels[taken.alarm]):
                if taken.what.is_end:
                    # The end is told to those who were told of the beginning, also when it turns out to be long ago.
                    is_owed = (taken.alarm, channel) in told or (channel == MQTT_CHANNEL and is_news)
                elif channel == MQTT_CHANNEL:
                    is_owed = is_news
                else:
                    is_owed = is_news and taken.what in _SENT_TO_PEOPLE and not is_over and taken.quiet is None
                if is_owed:
                    rows.append(_notice_row(taken, channel, documents[taken.alarm]))
                    told.add((taken.alarm, channel))
        return rows


def _is_recent(taken: Transition) -> bool:
    return taken.known_ms - taken.event_ms <= _ACTIONABLE_MS[taken.severity]


def _alarm_row(alarm: Alarm, document: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": alarm.id,
        "rule": alarm.rule,
        "class": alarm.alarm_class,
        "site": alarm.site,
        "device": alarm.device,
        "severity": int(alarm.severity),
        "is_open": alarm.is_open,
        "seq": alarm.seq,
        "onset_ms": alarm.onset_ms,
        "raised_ms": alarm.raised_ms,
        "closed_ms": alarm.closed_ms,
        "document": document,
    }


def _transition_row(taken: Transition) -> dict[str, Any]:
    row = {name: getattr(taken, name) for name in Transition.__slots__}
    return row | {"what": taken.what.value, "severity": int(taken.severity)}


def _notice_row(taken: Transition, channel: str, document: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": f"{taken.alarm}/{taken.seq}/{channel}",
        "alarm": taken.alarm,
        "seq": taken.seq,
        "channel": channel,
        "state": "waiting",
        "attempts": 0,
        "created_ms": taken.known_ms,
        "due_ms": taken.known_ms,
        "event_ms": taken.event_ms,
        "body": {"what": taken.what.value, "reason": taken.reason, "alarm": document},
    }
