"""Alarms, transitions, masks, notices, commands and the engine's place in the journal, in the SQL database.

What follows from a stretch of the journal is written in one transaction with the cursor, so that a crash leaves either
all of it or none. Written again, it changes nothing: transitions and notices have names of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from alerts.alarm import Alarm, Transition
from alerts.escalation import DUTY_MISSED, FAULTS, SYSTEM, UNDELIVERED
from alerts.masks import Mask
from alerts.notify.routing import FLOOD_MS, Flood, Heard, Router, Told, is_recent
from alerts.people import NOBODY, People, Route
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
    sa.Column("step", sa.Integer),
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
    sa.Column("recipient", sa.String(64), nullable=False, server_default=""),  # a person; none: a system
    sa.Column("role", sa.String(64), nullable=False, server_default=""),  # under which they were called
    sa.Column("language", sa.String(8), nullable=False, server_default=""),
    # step (to a system), call, end, line (of what came and went unseen), digest or flood
    sa.Column("sort", sa.String(8), nullable=False, server_default="step"),
    sa.Column("step", sa.Integer),  # of the ladder
    sa.Column("state", sa.String(12), nullable=False),  # waiting, delivered, failed; held for a digest, digested
    sa.Column("digest", sa.String(120)),  # key of the notice that told it
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False),
    sa.Column("event_ms", sa.BigInteger, nullable=False),
    sa.Column("delivered_ms", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("fallback", sa.String(400), nullable=False, server_default=""),  # channels that are left to try
    sa.Column("fallback_ms", sa.BigInteger),  # when the next of them is used, too
    sa.Column("title", sa.Text),
    sa.Column("text", sa.Text),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Index("notice_waiting", "channel", "state", "due_ms"),
    sa.Index("notice_of_alarm", "alarm", "channel", "recipient"),
    sa.Index("notice_stuck", "fallback_ms"),
    sa.Index("notice_held", "state", "due_ms"),
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
masks = sa.Table(
    "mask",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),  # of the command that declared it
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("from_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger),
    sa.Column("rule", sa.String(64)),
    sa.Column("device", sa.String(64)),
    sa.Column("metric", sa.String(64)),
    sa.Column("key", sa.Text),
    sa.Column("place", sa.String(64)),
    sa.Column("site", sa.String(64)),
    sa.Column("severity", sa.Integer, nullable=False),  # nothing worse than this
    sa.Column("one_shot", sa.Boolean, nullable=False),
    sa.Index("mask_from", "from_ms"),
    sa.Index("mask_in_force", "ended_ms"),
)
rule_versions = sa.Table(
    "rule_version",
    metadata,
    sa.Column("rule", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", sa.JSON(none_as_null=True)),  # null: retired
    sa.Column("actor", sa.String(64)),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("origin", sa.String(8), nullable=False),  # file or api
)
roster_versions = sa.Table(
    "roster_version",
    metadata,
    sa.Column("roster", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("actor", sa.String(64)),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("origin", sa.String(8), nullable=False),  # file or api
)
memory = sa.Table(
    "engine_memory",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("cursor", sa.BigInteger, nullable=False),  # journal records whose effects are stored
    sa.Column("snapshot_cursor", sa.BigInteger, nullable=False),  # journal records that the snapshot has seen
    sa.Column("snapshot", sa.LargeBinary),
)

_IN_MAX = 500  # names in one query


def _due() -> sa.Select[Any]:
    """Made once: making a statement costs many times what it costs to run it."""
    channel, now_ms = sa.bindparam("channel_", type_=sa.String), sa.bindparam("now_ms", type_=sa.BigInteger)
    earlier = notices.alias()
    held_up = sa.exists().where(
        earlier.c.alarm == notices.c.alarm,
        earlier.c.channel == channel,
        earlier.c.recipient == notices.c.recipient,
        earlier.c.state == "waiting",
        earlier.c.due_ms > now_ms,
        earlier.c.id < notices.c.id,
    )
    waits = (notices.c.channel == channel) & (notices.c.state == "waiting") & (notices.c.due_ms <= now_ms)
    waits &= notices.c.recipient.not_in(sa.bindparam("passed_over_", expanding=True))
    limit = sa.bindparam("limit_", type_=sa.Integer)
    return sa.select(notices).where(waits, ~held_up).order_by(notices.c.id).limit(limit)


_DUE = _due()
# Built once: it is asked ten times a second, and building it costs more than the database takes to answer.
_WAITING = (
    sa.select(commands.c.id, commands.c.body)
    .where(commands.c.state == "waiting")
    .order_by(commands.c.created_ms)
    .limit(100)
)


@dataclass(frozen=True, slots=True)
class Notice:
    """One message of the outbox."""

    id: int
    key: str
    attempts: int
    created_ms: int
    body: Mapping[str, Any]
    recipient: str = ""  # a person; none: a system
    title: str = ""
    text: str = ""
    sort: str = "step"


@dataclass(frozen=True, slots=True)
class Calling:
    """By what people are called: everybody there is, and the routes of the alarms that have one."""

    people: People = NOBODY
    routes: Mapping[str, Route] = field(default_factory=dict)


_NO_CALLS = Calling()


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
        keep_masks = insert(masks)
        ending = {"ended_ms": keep_masks.excluded["ended_ms"]}
        self._keep_masks = keep_masks.on_conflict_do_update(index_elements=["id"], set_=ending)
        self._keep_versions = insert(rule_versions).on_conflict_do_nothing(index_elements=["rule", "version"])
        self._keep_rosters = insert(roster_versions).on_conflict_do_nothing(index_elements=["roster", "version"])
        # PostgreSQL's driver writes many rows as one statement, and counts them only when it is asked to.
        self._keep_notices = (
            insert(notices).on_conflict_do_nothing(index_elements=["key"]).execution_options(preserve_rowcount=True)
        )
        self._floods: dict[str, Flood] = {}
        self._is_flood_loaded = False

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
        calling: Calling = _NO_CALLS,
        declared: Sequence[Mask] = (),
        versions: Sequence[Mapping[str, Any]] = (),
        rosters: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """Write what a stretch of the journal came to, up to record `cursor`; tell whether notices were added.

        Args:
            documents: For each changed alarm what is shown and sent.
            channels: For each changed alarm the channels beside MQTT that hear of it.
            calling: Whom steps call.
            declared: Masks that people made or that ended.
            versions: Rules that have another version now.
            rosters: Duty rosters that have.
        """
        alarm_rows = [_alarm_row(alarm, documents[alarm.id]) for alarm in changed.values()]
        with self._database.begin() as db:
            if alarm_rows:
                db.execute(self._keep_alarms, alarm_rows)
            if steps:
                db.execute(self._keep_transitions, [_transition_row(taken) for taken in steps])
            if declared:
                db.execute(self._keep_masks, [_mask_row(mask) for mask in declared])
            if versions:
                db.execute(self._keep_versions, list(versions))
            if rosters:
                db.execute(self._keep_rosters, list(rosters))
            owed, floods = self._owed(db, steps, documents, channels, calling)
            has_notices = bool(owed) and db.execute(self._keep_notices, owed).rowcount > 0
            for command, why_not in answers.items():
                state = "refused" if why_not else "done"
                db.execute(commands.update().where(commands.c.id == command).values(state=state, answer=why_not))
            if not db.execute(memory.update().values(cursor=cursor)).rowcount:
                db.execute(memory.insert().values(id=1, cursor=cursor, snapshot_cursor=0))
        self._floods |= floods  # not before it is stored
        return has_notices

    def keep_snapshot(self, cursor: int, snapshot: bytes) -> None:
        """Remember the engine as it is after journal record `cursor`."""
        values = {"snapshot_cursor": cursor, "snapshot": snapshot}
        with self._database.begin() as db:
            if not db.execute(memory.update().values(values)).rowcount:
                db.execute(memory.insert().values(id=1, cursor=0, **values))

    def waiting_commands(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What people ask for and the journal has not got yet, oldest first."""
        with self._database.connect() as db:
            return [(row.id, row.body) for row in db.execute(_WAITING)]

    def answer(self, command: str, why_not: str) -> None:
        """A command that comes to nothing."""
        with self._database.begin() as db:
            db.execute(commands.update().where(commands.c.id == command).values(state="refused", answer=why_not))

    def journaled(self, ids: Iterable[str]) -> None:
        """These commands are in the journal now."""
        with self._database.begin() as db:
            asked = commands.c.id.in_(list(ids)) & (commands.c.state == "waiting")
            db.execute(commands.update().where(asked).values(state="journaled"))

    def due_notices(self, channel: str, now_ms: int, limit: int, passed_over: Collection[str] = ()) -> list[Notice]:
        """Messages of a channel whose time has come, oldest first; none before an earlier one of its alarm.

        Args:
            passed_over: Recipients whose messages are left out.
        """
        asked = {"channel_": channel, "now_ms": now_ms, "limit_": limit, "passed_over_": list(passed_over)}
        with self._database.connect() as db:
            rows = db.execute(_DUE, asked)
            return [
                Notice(
                    row.id,
                    row.key,
                    row.attempts,
                    row.created_ms,
                    row.body,
                    row.recipient,
                    row.title or "",
                    row.text or "",
                    row.sort,
                )
                for row in rows
            ]

    def delivered(self, ids: Sequence[int], now_ms: int) -> None:
        """These messages were handed over."""
        values = {"state": "delivered", "delivered_ms": now_ms, "attempts": notices.c.attempts + 1, "error": None}
        values |= {"fallback_ms": None}
        with self._database.begin() as db:
            db.execute(notices.update().where(notices.c.id.in_(ids)).values(values))

    def not_delivered(self, notice: int, error: str, due_ms: int | None, now_ms: int | None = None) -> None:
        """A message was not taken: try again at `due_ms`; when None never, and by the next channel from `now_ms` on."""
        values: dict[str, Any] = {"attempts": notices.c.attempts + 1, "error": error[:500]}
        if due_ms is not None:
            values |= {"due_ms": due_ms}
        else:
            at_once = sa.case((notices.c.fallback_ms.is_(None), None), else_=now_ms)
            values |= {"state": "failed", "fallback_ms": at_once}
        with self._database.begin() as db:
            db.execute(notices.update().where(notices.c.id == notice).values(values))

    def failing(self, channel: str) -> set[str]:
        """What open alarms say does not get through: CHANNEL, or CHANNEL/RECIPIENT."""
        query = sa.select(alarms.c.document).where(
            alarms.c.is_open, alarms.c.rule == UNDELIVERED, alarms.c.device == channel
        )
        with self._database.connect() as db:
            keys = [row.document["key"] for row in db.execute(query)]
        return {channel if key is None else f"{channel}/{key}" for key in keys}

    def faults(self) -> set[str]:
        """What open alarms say is wrong with the core's machine: ALARM/SUBJECT."""
        ours = (alarms.c["class"] == SYSTEM) & alarms.c.rule.in_(FAULTS)
        query = sa.select(alarms.c.rule, alarms.c.device).where(alarms.c.is_open, ours)
        with self._database.connect() as db:
            return {f"{row.rule}/{row.device}" for row in db.execute(query)}

    def duties(self, since_ms: int) -> dict[str, bool]:
        """Duties that were told as missed since then, SITE/DUTY/DAY: whether that still stands."""
        ours = (alarms.c.rule == DUTY_MISSED) & (alarms.c.is_open | (alarms.c.raised_ms >= since_ms))
        with self._database.connect() as db:
            rows = db.execute(
                sa.select(alarms.c.site, alarms.c.device, alarms.c.is_open, alarms.c.document).where(ours)
            )
            return {f"{row.site}/{row.device}/{row.document['key']}": row.is_open for row in rows}

    def report(self, action: str, subject: str, error: str, now_ms: int, said: Mapping[str, str] | None = None) -> bool:
        """Tell the engine, through the journal, how a channel does; not, and False, while it is still to hear the last."""
        body: dict[str, Any] = {"action": action, "alarm": subject, "seq": 0, "actor": "core", "note": error[:500]}
        if said is not None:
            body["said"] = dict(said)
        name = hashlib.sha256(f"{action}/{subject}/{now_ms}".encode()).hexdigest()[:32]
        with self._database.begin() as db:
            pending = sa.select(commands.c.body).where(commands.c.state.in_(("waiting", "journaled")))
            if any(row.body["alarm"] == subject for row in db.execute(pending)):
                return False
            db.execute(commands.insert().values(id=name, created_ms=now_ms, body=body, state="waiting"))
            return True

    def _owed(
        self,
        db: sa.Connection,
        steps: Sequence[Transition],
        documents: Mapping[str, dict[str, Any]],
        channels: Mapping[str, Sequence[str]],
        calling: Calling,
    ) -> tuple[list[dict[str, Any]], dict[str, Flood]]:
        """The notices that transitions call for, and the floods after them."""
        # Who was told is asked where it matters: most alarms in a flood are told over MQTT alone, and within hours.
        ends = (taken for taken in steps if taken.what.is_end)
        asked = [t.alarm for t in ends if calling.people.people or channels[t.alarm] or not is_recent(t)]
        floods: dict[str, Flood] = {}
        if calling.routes:
            floods = {role: flood.copy() for role, flood in self._load_floods(db).items()}
        router = Router(calling.people, calling.routes, documents, channels, _told(db, asked), floods)
        return router.notices(steps), floods

    def _load_floods(self, db: sa.Connection) -> dict[str, Flood]:
        """How often roles were called lately; read once, as nobody else writes calls."""
        if not self._is_flood_loaded:
            self._is_flood_loaded = True
            newest_ms = db.execute(sa.select(sa.func.max(notices.c.created_ms))).scalar() or 0
            latest = sa.select(notices.c.role, sa.func.max(notices.c.created_ms).label("at_ms"))
            floods = db.execute(latest.where(notices.c.sort == "flood").group_by(notices.c.role))
            begun: dict[str, int] = {row.role: row.at_ms for row in floods}
            from_ms = min([newest_ms, *begun.values()]) - FLOOD_MS
            calls = (
                sa.select(notices.c.role, notices.c.alarm, notices.c.seq, sa.func.min(notices.c.created_ms))
                .where(notices.c.sort == "call", notices.c.created_ms >= from_ms)
                .group_by(notices.c.role, notices.c.alarm, notices.c.seq)
                .order_by(sa.func.min(notices.c.id))
            )
            for role, _, _, created_ms in db.execute(calls):
                flood = self._floods.setdefault(role, Flood())
                if created_ms == begun.get(role):
                    flood.is_on = True
                flood.call(created_ms)
        return self._floods


def _told(db: sa.Connection, asked: Sequence[str]) -> dict[str, Told]:
    """Who was told of alarms, in the order in which they were."""
    found: dict[str, Told] = {}
    wanted = (notices.c.alarm, notices.c.recipient, notices.c.sort, notices.c.channel, notices.c.role)
    more = (notices.c.language, notices.c.fallback, notices.c.state, notices.c.due_ms)
    for start in range(0, len(asked), _IN_MAX):
        query = sa.select(*wanted, *more).where(notices.c.alarm.in_(asked[start : start + _IN_MAX]))
        # By the alarm's steps: the copy that goes by another channel is written later than what came after it.
        for row in db.execute(query.order_by(notices.c.seq, notices.c.id)):
            held_ms = row.due_ms if row.state == "held" else None
            heard = Heard(row.channel, row.role, row.language, row.fallback, held_ms)
            found.setdefault(row.alarm, Told()).hear(row.recipient, row.sort, heard)
    return found


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


def _mask_row(mask: Mask) -> dict[str, Any]:
    row = {name: getattr(mask, name) for name in Mask.__slots__}
    return row | {"kind": mask.kind.value, "severity": int(mask.severity)}


def _transition_row(taken: Transition) -> dict[str, Any]:
    row = {name: getattr(taken, name) for name in Transition.__struct_fields__}
    return row | {"what": taken.what.value, "severity": int(taken.severity)}
