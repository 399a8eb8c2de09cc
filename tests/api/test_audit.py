"""The audit is only added to, and whatever is changed behind its back is found."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.access import Permission
from api.audit import Anchor, Audit, audit, heads, row_hash
from api.drains.cleaning import BEFORE
from telemetry.clock import ManualClock
from telemetry.errors import BadInput
from tests.api.test_app import World, act

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

_TRIGGERS = ("audit_unchanged", "audit_kept", "audit_not_replaced")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_795_000_000_000)


@pytest.fixture
def record(database: sa.Engine, clock: ManualClock) -> Audit:
    made = Audit(database, clock)
    for number in range(6):
        # Some rows are of no site: those of before there were any, too.
        site = None if number == 0 else "east-compound"
        made.record("li", "mask", f'设备 {number} "quoted" \\ \u2028', "done", site)
        clock.advance(3600)
    return made


def _behind_its_back(database: sa.Engine, *statements: Any) -> None:
    """What somebody does who has the file, and takes the triggers away first."""
    with database.begin() as db:
        for trigger in _TRIGGERS:
            where = " ON audit" if db.dialect.name == "postgresql" else ""
            db.execute(sa.text(f"DROP TRIGGER IF EXISTS {trigger}{where}"))
        for statement in statements:
            db.execute(statement)


def _flips(value: object) -> list[object]:
    """The value with each bit of it changed, one at a time, as far as it stays text or a number."""
    if isinstance(value, int):
        # A number that a column of 32 bits does not hold cannot be written there.
        return [value ^ (1 << bit) for bit in range(40 if value >> 31 else 31)]
    if value is None:
        return ["", *map(chr, range(97, 110))]  # a site that none was named
    assert isinstance(value, str)
    flipped: list[object] = [None] if value == "east-compound" else []
    for at, byte in enumerate(data := value.encode()):
        for bit in range(8):
            changed = data[:at] + bytes([byte ^ (1 << bit)]) + data[at + 1 :]
            try:
                flipped.append(changed.decode())
            except UnicodeDecodeError:
                continue
    return [each for each in flipped if "\0" not in str(each)]


def test_a_record_that_nobody_touched_is_whole(record: Audit) -> None:
    assert record.faults() == []


@pytest.mark.parametrize("at", [1, 3, 6])
@pytest.mark.parametrize("field", [column.name for column in audit.c])
def test_every_bit_of_every_field_is_sealed(database: sa.Engine, record: Audit, at: int, field: str) -> None:
    with database.connect() as db:
        value = db.execute(sa.select(audit.c[field]).where(audit.c.id == at)).scalar_one()
        taken = set(db.execute(sa.select(audit.c.id)).scalars())
    flips = [each for each in _flips(value) if not (field == "id" and each in taken)]
    assert len(flips) > 10
    if database.dialect.name == "postgresql":
        flips = flips[::9]  # what seals a row is computed here, not there
    _behind_its_back(database)
    for changed in flips:
        where = changed if field == "id" else at
        with database.begin() as db:
            db.execute(audit.update().where(audit.c.id == at).values({field: changed}))
        assert record.faults(), (field, changed)
        with database.begin() as db:
            db.execute(audit.update().where(audit.c.id == where).values({field: value}))
    assert record.faults() == []


@pytest.mark.parametrize("field", ["id", "hash"])
def test_every_bit_of_the_head_is_checked(database: sa.Engine, record: Audit, field: str) -> None:
    with database.connect() as db:
        value = db.execute(sa.select(heads.c[field])).scalar_one()
    for changed in _flips(value):
        with database.begin() as db:
            db.execute(heads.update().values({field: changed}))
        assert record.faults(), changed


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_row_that_was_taken_out_is_missed(database: sa.Engine, record: Audit, at: int) -> None:
    _behind_its_back(database, audit.delete().where(audit.c.id == at))
    assert record.faults()


def test_whoever_rewrites_the_end_and_the_head_shows_against_the_anchor(database: sa.Engine, record: Audit) -> None:
    with database.connect() as db:
        row = db.execute(sa.select(audit).where(audit.c.id == 6)).one()
        before = db.execute(sa.select(audit).where(audit.c.id == 5)).one()
    anchor = Anchor(row.id, row.hash)
    assert record.faults(anchor) == []
    back = heads.update().values(id=5, hash=before.hash)
    _behind_its_back(database, audit.delete().where(audit.c.id == 6), back)
    record.record("li", "mask", "something else", "done")
    assert record.faults() == []
    assert record.faults(anchor) == ["the row of the anchor is not there, or is another"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'x' WHERE id = 2",
        "DELETE FROM audit WHERE id = 6",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ],
)
def test_the_database_refuses_to_change_what_is_on_record(database: sa.Engine, record: Audit, statement: str) -> None:
    if database.dialect.name == "sqlite" and statement.startswith("TRUNCATE"):
        statement = "REPLACE INTO audit SELECT * FROM audit WHERE id = 3"  # SQLite has no TRUNCATE, but a REPLACE
    with pytest.raises(sa.exc.DBAPIError, match="only added to"), database.begin() as db:
        db.execute(sa.text(statement))
    assert record.faults() == []


def test_a_purge_proves_itself_and_a_second_one_too(record: Audit, clock: ManualClock) -> None:
    for left in (3, 1):
        assert record.purge("admin", clock.now_ms() - left * 3_600_000 - 1)
        assert record.faults() == []
    assert [row["action"] for row in record.rows()] == ["mask", "audit-purge", "audit-purge"]


def test_an_anchor_whose_row_was_purged_is_told_apart_from_a_record_that_was_changed(
    record: Audit, clock: ManualClock
) -> None:
    sealed = {row["id"]: row["hash"] for row in record.rows()}
    clock.advance(86_400)
    record.record("li", "mask", "later", "done")
    record.purge("system", clock.now_ms() - 3_600_000)
    assert record.faults(Anchor(6, sealed[6])) == []  # the purge names the last row that went
    assert record.faults(Anchor(6, "0" * 64)) == ["the row of the anchor is not there, or is another"]
    (told,) = record.faults(Anchor(3, sealed[3]))
    assert told == "the row of the anchor went with a purge of rows up to 6: hold a later anchor against the record"


def test_rows_that_no_purge_names_are_missed(database: sa.Engine, record: Audit, clock: ManualClock) -> None:
    record.purge("admin", clock.now_ms() - 4 * 3_600_000 - 1)
    _behind_its_back(database, audit.delete().where(audit.c.id == 3))
    assert record.faults() == ["rows up to 3 are missing, and no purge says so"]


def test_nothing_is_purged_from_a_damaged_record(database: sa.Engine, record: Audit, clock: ManualClock) -> None:
    _behind_its_back(database, audit.update().where(audit.c.id == 2).values(actor="x"))
    with pytest.raises(BadInput, match="does not verify"):
        record.purge("admin", clock.now_ms())


def test_what_is_not_text_and_what_is_long_is_recorded_all_the_same(record: Audit) -> None:
    record.record("x" * 100, "log-in", "\ufffd\U0001f600", "y" * 500)
    assert record.faults() == []


def test_the_audit_is_searched_by_person_action_words_site_and_time(world: World) -> None:
    record = world.accounts.record
    headers = world.log_in()
    world.clock.advance(600)
    start_ms = world.clock.now_ms()
    record("li", "mask", "level-1", "done", "east")
    record("li", "duty-sign", "round 2026-11-23 (not east)", "refused: role", "west")
    record("chen", "user-grants", "guard", "guard at east")
    world.clock.advance(1)

    def found(**query: str | int) -> list[tuple[str, str]]:
        wanted: dict[str, str | int] = {"start": start_ms, **query}
        answer = world.client.get("/api/v1/audit", params=wanted, headers=headers)
        return [(row["actor"], row["action"]) for row in answer.json()["items"]]

    assert found(actor="li") == [("li", "duty-sign"), ("li", "mask")]
    assert found(action="mask") == [("li", "mask")]
    assert found(text="REFUSED") == [("li", "duty-sign")]
    assert found(text="%") == []  # it is no pattern
    assert found(site="east") == [("chen", "user-grants"), ("li", "mask")]
    assert found(site="west") == [("li", "duty-sign")]
    assert found(actor="li", site="east", end=start_ms) == []
    assert world.client.get("/api/v1/audit?site=north").status_code == 404


def test_what_was_done_to_an_alarm_is_found_under_its_site(world: World) -> None:
    world.readings(("scanner/skin_temperature", 39.0, 1))
    headers = world.log_in()
    (alarm,) = world.client.get("/api/v1/alarms").json()["items"]
    assert act(world, headers, alarm["id"], "acknowledge", seq=alarm["seq"]).status_code == 200
    rows = world.client.get("/api/v1/audit?site=east&action=acknowledge").json()["items"]
    assert [row["subject"] for row in rows] == [alarm["id"]]
    assert world.client.get("/api/v1/audit?site=west&action=acknowledge").json()["items"] == []


def test_the_page_verifies_the_record_and_takes_it_along(world: World) -> None:
    headers = world.log_in()
    whole = world.client.get("/api/v1/audit/verify").json()
    assert (whole["is_whole"], whole["faults"]) == (True, [])
    head = whole["head"]
    anchored = world.client.get(f"/api/v1/audit/verify?anchor={head['id']}:{head['hash']}").json()
    assert anchored["is_whole"]
    other = world.client.get(f"/api/v1/audit/verify?anchor={head['id']}:{'0' * 64}").json()
    assert other["faults"] == ["the row of the anchor is not there, or is another"]
    assert world.client.get("/api/v1/audit/verify?anchor=x").status_code == 422
    exported = world.client.get("/api/v1/audit/export?actor=admin", headers=headers)
    rows = [json.loads(line) for line in exported.text.splitlines()]
    assert [row["action"] for row in rows] == ["log-in", "audit-export"]
    assert all(row["hash"] == row_hash(row) for row in rows)
    _behind_its_back(world.database, audit.update().where(audit.c.id == 2).values(actor="nobody"))
    damaged = world.client.get("/api/v1/audit/verify").json()
    assert damaged["faults"] == ["row 2 was changed"]


def test_everything_that_is_put_on_record_has_its_words_on_the_page() -> None:
    root = Path(__file__).parents[2]
    page = (root / "web" / "src" / "audit" / "texts.ts").read_text(encoding="utf-8")
    block = re.search(r"actions: \{(.*?)\n    \},", page, re.DOTALL)
    assert block is not None
    named = set(re.findall(r'"?([a-z]+(?:-[a-z]+)*)"?: "', block[1]))
    recorded = {permission.value for permission in Permission} | {f"cleaning-{state}" for state in BEFORE}
    for folder in ("api", "gatehouse"):
        for file in (root / folder).rglob("*.py"):
            recorded |= set(re.findall(r'\brecord\(\s*[\w.\[\]:]+,\s*"([a-z-]+)"', file.read_text(encoding="utf-8")))
    assert len(recorded) > 40
    assert recorded - named == set()
