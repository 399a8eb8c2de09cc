import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import servers

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
