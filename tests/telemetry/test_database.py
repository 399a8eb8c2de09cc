from pathlib import Path

import pytest
import sqlalchemy as sa

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
