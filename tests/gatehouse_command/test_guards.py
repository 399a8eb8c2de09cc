"""Who decides at a gateway's page: the file for the box, and what the core answers about a name."""

from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner

from api.access import Role
from api.people.sessions import pins
from gatehouse.__main__ import app
from gatehouse.guards import Guards
from gatehouse.record import open_accounts
from gatehouse.settings import load_settings
from telemetry.database import open_database
from telemetry.errors import BadConfiguration
from tests import district


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = district.write_district(tmp_path)
    accounts = open_accounts(load_settings(file, {}))
    for name, role, sites in (
        ("li", Role.GUARD, ["east"]),
        ("chen", Role.GUARD, None),
        ("wang", Role.GUARD, ["west"]),
        ("zhao", Role.ENGINEER, None),
        ("admin", Role.ADMINISTRATOR, None),
    ):
        accounts.add_user(name, "a password for tests", [role], sites)
    for name in ("li", "chen", "wang"):
        accounts.change_pin(name, name, "738291")
    return file


def test_the_file_holds_the_guards_of_the_site_who_have_a_pin(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "guards.yaml"
    said = CliRunner().invoke(app, ["user", "guards", "east", "--out", str(out), "--config", str(config)])
    assert said.exit_code == 0 and "chen, li" in said.output
    assert out.stat().st_mode & 0o777 == 0o600
    written = yaml.safe_load(out.read_text())
    assert (written["site"], [guard["name"] for guard in written["guards"]]) == ("east", ["chen", "li"])
    with open_database(load_settings(config, {}).database.url).connect() as db:
        kept = {row.user: row.pin for row in db.execute(sa.select(pins))}
    assert {guard["pin"] for guard in written["guards"]} == {kept["chen"], kept["li"]}
    wrong = CliRunner().invoke(app, ["user", "guards", "nowhere", "--config", str(config)])
    assert isinstance(wrong.exception, BadConfiguration)


def test_a_guard_is_one_at_their_sites_until_they_are_disabled(config: Path) -> None:
    settings = load_settings(config, {})
    guards = Guards(open_database(settings.database.url))
    asked = [("li", "east"), ("li", "west"), ("chen", "west"), ("zhao", "east"), ("nobody", "east")]
    assert [guards.is_guard(*each) for each in asked] == [True, False, True, False, False]
    open_accounts(settings).change("system", "li", None, None, True)
    assert not guards.is_guard("li", "east")


def test_while_the_database_is_away_who_last_was_a_guard_is_one(config: Path) -> None:
    database = open_database(load_settings(config, {}).database.url)
    guards = Guards(database)
    assert guards.is_guard("li", "east")
    with database.begin() as db:
        db.execute(sa.text("DROP TABLE user_grant"))
    assert guards.is_guard("li", "east") and not guards.is_guard("mallory", "east")
