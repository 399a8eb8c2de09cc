from pathlib import Path

import pytest
import sqlalchemy as sa

from telemetry.database import DATABASE_AWAY, open_database


def test_an_error_of_the_database_does_not_say_what_was_to_be_written(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/gatehouse.db")
    with pytest.raises(DATABASE_AWAY, match="no such table") as raised, database.begin() as db:
        db.execute(sa.text("INSERT INTO visits VALUES (:visitor)"), {"visitor": "Zhang San"})
    assert "Zhang" not in str(raised.value)
