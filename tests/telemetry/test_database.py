import socket
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import telemetry.database
from telemetry.database import DATABASE_AWAY, open_database
from telemetry.errors import BadConfiguration


def test_an_error_of_the_database_does_not_say_what_was_to_be_written(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/gatehouse.db")
    with pytest.raises(DATABASE_AWAY, match="no such table") as raised, database.begin() as db:
        db.execute(sa.text("INSERT INTO visits VALUES (:visitor)"), {"visitor": "Zhang San"})
    assert "Zhang" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql:/gatehouse:S3cret@db/g", "postgresql://gatehouse:x@y:S3cret@db/g"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadConfiguration, match=r"database\.url is not a URL") as raised:
        open_database(url)
    assert "S3cret" not in str(raised.value)


def asked(url: str) -> dict[str, Any]:
    """How the driver of PostgreSQL is asked for a connection."""
    database, found = open_database(url), {}

    @sa.event.listens_for(database, "do_connect")
    def _instead(_dialect: Any, _record: Any, _arguments: Any, named: dict[str, Any]) -> None:
        found.update(named)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        database.connect()
    return found


def test_a_connection_to_a_host_that_has_died_ends_by_itself_and_the_url_may_say_when() -> None:
    usual = asked("postgresql://gatehouse@db/g")
    assert usual["connect_timeout"] == 10
    # Of one that stands: what was sent and nobody confirms, and what is waited for from nobody.
    assert usual["tcp_user_timeout"] == 30_000 and usual["keepalives_idle"] <= 30
    given = asked("postgresql://gatehouse@db/g?connect_timeout=3&tcp_user_timeout=0")
    assert (given["connect_timeout"], given["tcp_user_timeout"]) == ("3", "0")
    assert given["keepalives_idle"] == usual["keepalives_idle"]


@pytest.mark.integration
def test_a_host_that_takes_a_connection_and_says_nothing_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(telemetry.database._POSTGRESQL, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = open_database(f"postgresql://gatehouse:S3cret@127.0.0.1:{silent.getsockname()[1]}/g")
        with pytest.raises(DATABASE_AWAY, match="timeout") as raised:
            database.connect()
    assert "S3cret" not in str(raised.value)
