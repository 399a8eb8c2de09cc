"""Bills that were issued: written once, with everything they follow from sealed by a hash, and never changed.

What becomes known afterwards is a correction, a line of the next bill: what the month costs now less what was charged.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
import sqlalchemy as sa

from api.dormitories.bill import Account, Bill, CorrectionLine, accounts, corrected, forgotten
from telemetry.database import metadata

CORRECTED_MONTHS = 2
"""So many issued months before a bill are computed anew for it."""

bills = sa.Table(
    "dormitory_bill",
    metadata,
    sa.Column("building", sa.String(64), primary_key=True),
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("issued_ms", sa.BigInteger, nullable=False),
    sa.Column("issued_by", sa.String(64), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("document_hash", sa.String(64), nullable=False),
)


class AlreadyIssued(Exception):
    """The month has its bill."""


class Overtaken(Exception):
    """Another month got its bill meanwhile, perhaps with the corrections that are in this one."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A bill as it went out."""

    bill: Bill
    issued_ms: int
    issued_by: str
    is_intact: bool  # it is what was written


class Bills:
    """Reads issued bills and adds to them; there is nothing here that changes one."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def issued(self, building: str, month: date) -> Issued | None:
        query = sa.select(bills).where(bills.c.building == building, bills.c.month == f"{month:%Y-%m}")
        with self._database.connect() as db:
            row = db.execute(query).first()
        return None if row is None else _issued(row)

    def months(self, building: str) -> list[str]:
        """Which months have their bill, newest first."""
        with self._database.connect() as db:
            return list(db.execute(_months(building)).scalars())

    def corrections(self, building: str, month: date, anew: Callable[[date], Bill]) -> list[CorrectionLine]:
        """What the issued months before a month lack."""
        with self._database.connect() as db:
            rows = db.execute(sa.select(bills).where(bills.c.building == building).order_by(bills.c.month)).all()
        out = [_issued(row).bill for row in rows]
        charged: dict[str, dict[Account, int]] = {bill.month: defaultdict(int, accounts(bill)) for bill in out}
        for bill in out:
            for line in bill.corrections:
                if line.month in charged:
                    charged[line.month][line.tariff, line.room, line.bed] += line.fen
        lines: list[CorrectionLine] = []
        for bill in [each for each in out if each.month < f"{month:%Y-%m}"][-CORRECTED_MONTHS:]:
            now = anew(date.fromisoformat(f"{bill.month}-01"))
            # What was measured and is not there any more was used all the same: nobody gets it back.
            gone = forgotten(bill, now)
            lines += [line for line in corrected(bill.month, now, charged[bill.month]) if line.tariff not in gone]
        return lines

    def issue(self, bill: Bill, by: str, now_ms: int, known: Sequence[str]) -> Issued:
        """Make a bill final, that was made when these `months` had theirs. Raises AlreadyIssued and Overtaken."""
        document = bill.model_dump(mode="json")
        row = {
            "building": bill.building,
            "month": bill.month,
            "issued_ms": now_ms,
            "issued_by": by,
            "document": document,
            "document_hash": _hash(document),
        }
        try:
            with self._database.connect() as db:
                if db.dialect.name == "postgresql":
                    # Of two months that are issued at once neither sees the other: one of both is refused.
                    db = db.execution_options(isolation_level="SERIALIZABLE")
                with db.begin():
                    db.execute(bills.insert().values(row))
                    if [each for each in db.execute(_months(bill.building)).scalars() if each != bill.month] != [
                        *known
                    ]:
                        raise Overtaken
        except sa.exc.IntegrityError as error:
            raise AlreadyIssued from error
        return Issued(bill, now_ms, by, is_intact=True)


def _months(building: str) -> sa.Select[Any]:
    return sa.select(bills.c.month).where(bills.c.building == building).order_by(bills.c.month.desc())


def _issued(row: Any) -> Issued:
    is_intact = _hash(row.document) == row.document_hash
    return Issued(Bill.model_validate(row.document), row.issued_ms, row.issued_by, is_intact)


def _hash(document: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()
