"""What every test of the screens needs: a district that runs, and a browser to look at it with."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from api.app import SCREENS
from tests import servers
from tests.integration import pictures
from tests.integration.running import Running, running

# How long a page may take in a test: that it is wrong is what fails here, not that the machine has other work. How soon
# people see things is measured in bench/.
_PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def screens() -> None:
    """They are built."""
    if not (SCREENS / "index.html").exists():
        servers.missing("the built screens", "make screens")


@pytest.fixture(scope="module")
def run(screens: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Broker, core and API with the small district; a module that needs another one makes its own."""
    folder = tmp_path_factory.mktemp("run")
    with servers.mosquitto(folder) as port, running(folder, port) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Not of the session: while it runs, nothing else in the process may run an event loop."""
    program = pictures.chromium()
    if program is None:
        servers.missing("chromium", "apt-get install chromium")
        raise AssertionError
    expect.set_options(timeout=_PATIENCE_MS)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=pictures.ARGUMENTS) as started,
    ):
        yield started
