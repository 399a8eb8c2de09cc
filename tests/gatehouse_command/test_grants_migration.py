"""What older versions stored of people: roles at sites become grants, neither more nor fewer; the audit is sealed."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import gatehouse.migrate
from api.audit import Audit
from gatehouse.migrate import migrate
from telemetry.clock import ManualClock
from telemetry.database import open_database


def test_roles_at_sites_become_grants_and_sessions_end(empty_url: str) -> None:
    engine = open_database(empty_url)
    config = Config()
    config.set_main_option("script_location", str(Path(gatehouse.migrate.__file__).parent / "migrations"))
    with engine.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, "0006")
    with engine.begin() as db:
        for name, roles, sites in (
            ("admin", '["administrator"]', None),
            ("li", '["guard", "viewer"]', '["east", "west"]'),
            ("none", '["guard"]', "[]"),
            ("null", '["guard"]', "null"),
        ):
            row = {"n": name, "r": roles, "s": sites}
            db.execute(sa.text("INSERT INTO user_account VALUES (:n, 'x', :r, :s, 1)"), row)
        for number in (2, 7):
            db.execute(sa.text(f"INSERT INTO audit VALUES ({number}, 5, 'li', 'mask', '\"a\tb\"', 'done')"))
        db.execute(sa.text("INSERT INTO session VALUES ('t', 'li', 'c', 9)"))
    migrate(empty_url)
    with engine.connect() as db:
        found = {tuple(row) for row in db.execute(sa.text('SELECT "user", role, site FROM user_grant'))}
        left = db.execute(sa.text("SELECT name FROM user_account ORDER BY name")).scalars().all()
        assert db.execute(sa.text("SELECT count(*) FROM session")).scalar() == 0
    record = Audit(engine, ManualClock())
    assert (record.faults(), [row["id"] for row in record.rows()]) == ([], [1, 2])
    record.record("li", "mask", "", "done")
    assert record.faults() == []
    engine.dispose()
    lis = {("li", role, site) for role in ("guard", "viewer") for site in ("east", "west")}
    assert found == {("admin", "administrator", ""), ("null", "guard", ""), *lis}
    assert left == ["admin", "li", "none", "null"]
