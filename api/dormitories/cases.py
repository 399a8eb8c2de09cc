"""Cases of forbidden loads: warning, perhaps an appeal, a decision; each step by somebody, at a time, with a reason.

    alarm ──warn──▶ warned ──appeal──▶ appealed ──decide──▶ upheld | withdrawn
                       └───────────────decide──────────────▶

A warning is of the second stage where another one of the room, not withdrawn, lies no longer ago than the house's
`warning_days`. Steps are added, never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from alerts.store import alarms
from telemetry.database import alone, metadata

Outcome = Literal["upheld", "withdrawn"]
SHOWN_MAX = 200
_DAY_MS = 86_400_000

cases = sa.Table(
    "load_case",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("alarm", sa.String(64), nullable=False, unique=True),
    sa.Column("building", sa.String(64), nullable=False),
    sa.Column("room", sa.String(64), nullable=False),
    sa.Column("stage", sa.Integer, nullable=False),
    sa.Column("warned_ms", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Index("load_case_of_room", "room", "warned_ms"),
    sqlite_autoincrement=True,
)
case_steps = sa.Table(
    "load_case_step",
    metadata,
    sa.Column("case", sa.Integer, sa.ForeignKey("load_case.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
_AFTER = {"appealed": ("warned",), "upheld": ("warned", "appealed"), "withdrawn": ("warned", "appealed")}


class NotSo(Exception):
    """The case is not as the person saw it."""


class Cases:
    """Reads cases and adds their steps."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def of(self, building: str, room: str | None = None) -> list[dict[str, Any]]:
        """The newest cases of a building or a room, with their steps."""
        query = sa.select(cases).where(cases.c.building == building).order_by(cases.c.id.desc()).limit(SHOWN_MAX)
        return self._with_steps(query if room is None else query.where(cases.c.room == room))

    def one(self, building: str, case: int) -> dict[str, Any] | None:
        """A case of a building, however long ago."""
        found = self._with_steps(sa.select(cases).where(cases.c.building == building, cases.c.id == case))
        return found[0] if found else None

    def warned(self, among: Sequence[str]) -> set[str]:
        """Which of these alarms have a case."""
        with self._database.connect() as db:
            return set(db.execute(sa.select(cases.c.alarm).where(cases.c.alarm.in_(among))).scalars())

    def _with_steps(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with self._database.connect() as db:
            rows = db.execute(query).all()
            chosen = case_steps.c.case.in_([row.id for row in rows])
            steps = db.execute(sa.select(case_steps).where(chosen).order_by(case_steps.c.seq)).all()
        return [_shown(row, [step for step in steps if step.case == row.id]) for row in rows]

    def loads(
        self, devices: Sequence[str], since_ms: int, limit: int, alarm: str | None = None
    ) -> list[dict[str, Any]]:
        """Alarms of forbidden loads (`rooms.is_forbidden_load`) with an onset since then, newest first; of one only."""
        document = alarms.c.document
        is_load = (document["rule_type"].as_string() == "forbidden-load") | (
            (alarms.c["class"] == "dormitory") & (document["metric"].as_string() == "power")
        )
        query = sa.select(document).where(alarms.c.device.in_(devices), alarms.c.onset_ms >= since_ms, is_load)
        if alarm is not None:
            query = query.where(alarms.c.id == alarm)
        with self._database.connect() as db:
            return [row.document for row in db.execute(query.order_by(alarms.c.onset_ms.desc()).limit(limit))]

    def alarms(
        self, devices: Sequence[str], since_ms: int, limit: int, *, only_open: bool = False
    ) -> list[dict[str, Any]]:
        """Alarms of devices with an onset since then, newest first."""
        query = sa.select(alarms.c.document).where(alarms.c.device.in_(devices), alarms.c.onset_ms >= since_ms)
        if only_open:
            query = query.where(alarms.c.is_open)
        with self._database.connect() as db:
            return [row.document for row in db.execute(query.order_by(alarms.c.onset_ms.desc()).limit(limit))]

    def warn(self, alarm: str, building: str, room: str, by: str, reason: str, now_ms: int, warning_days: int) -> int:
        """Open a case with its warning; its id. Raises NotSo when the alarm has one."""
        recent = sa.select(sa.func.count()).where(
            cases.c.room == room, cases.c.state != "withdrawn", cases.c.warned_ms > now_ms - warning_days * _DAY_MS
        )
        try:
            with alone(self._database, f"case {room}") as db:
                stage = 2 if db.execute(recent).scalar() else 1
                row = {"alarm": alarm, "building": building, "room": room, "stage": stage, "warned_ms": now_ms}
                made = db.execute(cases.insert().values(**row, state="warned", seq=1)).inserted_primary_key
                assert made is not None
                step = {"case": made[0], "seq": 1, "what": "warned", "actor": by, "time_ms": now_ms, "reason": reason}
                db.execute(case_steps.insert().values(step))
        except sa.exc.IntegrityError as error:
            raise NotSo("the alarm has a case already") from error
        return int(made[0])

    def step(self, building: str, case: int, seq: int, what: str, by: str, reason: str, now_ms: int) -> None:
        """Add a step to a case as somebody saw it. Raises NotSo."""
        seen = sa.and_(cases.c.id == case, cases.c.building == building, cases.c.seq == seq)
        change = cases.update().where(seen, cases.c.state.in_(_AFTER[what])).values(state=what, seq=seq + 1)
        with self._database.begin() as db:
            if not db.execute(change).rowcount:
                raise NotSo("it was decided or changed meanwhile")
            step = {"case": case, "seq": seq + 1, "what": what, "actor": by, "time_ms": now_ms, "reason": reason}
            db.execute(case_steps.insert().values(step))


def _shown(row: Any, steps: list[Any]) -> dict[str, Any]:
    names = ("id", "alarm", "building", "room", "stage", "state", "seq")
    told = [{name: getattr(step, name) for name in ("seq", "what", "actor", "time_ms", "reason")} for step in steps]
    return {name: getattr(row, name) for name in names} | {"steps": told}
