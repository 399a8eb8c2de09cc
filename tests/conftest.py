import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from gatehouse.migrate import migrate
from tests import servers

BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.integration))
"""The databases that whatever is stored in SQL must work on."""

settings.register_profile("untimed", deadline=None)  # machines that run tests are busy; nothing here asserts time
settings.load_profile("untimed")


@pytest.fixture
def mosquitto_port(tmp_path: Path) -> Iterator[int]:
    with servers.mosquitto(tmp_path) as port:
        yield port


@pytest.fixture
def ram_path() -> Iterator[Path]:
    """A folder in memory where there is one: for tests that write thousands of small files, each with its sync."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with servers.influxdb(tmp_path_factory.mktemp("influx")) as made:
        yield made


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sa.URL]:
    """One server for all tests of a process; each has a database of its own."""
    with servers.postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_template(postgresql: sa.URL) -> sa.URL:
    """A database with the tables of this version: made once, copied for every test."""
    url = servers.database_of(postgresql)
    migrate(url.render_as_string(hide_password=False))
    return url


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, ram_path: Path) -> str:
    """The URL of a database without tables, in SQLite and in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{ram_path}/empty.db"
    url: sa.URL = servers.database_of(request.getfixturevalue("postgresql"))
    return url.render_as_string(hide_password=False)


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, ram_path: Path) -> str:
    """The URL of a database with the tables of this version, in SQLite and in PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{ram_path}/gatehouse.db"
        migrate(url)
        return url
    template: sa.URL = request.getfixturevalue("postgresql_template")
    return servers.database_of(template, template.database).render_as_string(hide_password=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With GATEHOUSE_NO_SKIP, as in CI, an integration test that is skipped for whatever reason has failed."""
    report = yield
    if report.skipped and os.environ.get("GATEHOUSE_NO_SKIP") and item.get_closest_marker("integration"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is not allowed here: {report.longrepr}"
    return report
