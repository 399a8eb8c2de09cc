"""Every page of the screens, from the table of pages: it stands, it is accessible; and what the alarm pages promise."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from api.app import SCREENS
from tests import servers
from tests.integration import pictures
from tests.integration.pictures import View, address, opened, page_ids, show
from tests.integration.running import EAST, Running, running

pytestmark = pytest.mark.integration

_SOON_MS = 10_000
_GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if not (SCREENS / "index.html").exists():
        servers.missing("the built screens", "make screens")
    folder = tmp_path_factory.mktemp("screens")
    with servers.mosquitto(folder) as port, running(folder, port) as started:
        yield started


@pytest.fixture(scope="module")
def seeded(run: Running) -> str:
    return pictures.seed(run)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = pictures.chromium()
    if program is None:
        servers.missing("chromium", "apt-get install chromium")
        raise AssertionError
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=pictures.ARGUMENTS) as started,
    ):
        yield started


def grave(page: Page) -> list[str]:
    """Violations of accessibility that keep somebody from using the page."""
    page.evaluate(pictures.AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:120]}"
        for violation in found["violations"]
        if violation["impact"] in _GRAVE
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("view", [View("zh"), View("en", (800, 1280), "dark")], ids=lambda view: view.name)
def test_every_page_is_accessible_and_fits_its_width(run: Running, browser: Browser, seeded: str, view: View) -> None:
    if not pictures.AXE.exists():
        servers.missing("axe-core", "make screens")
    with opened(run, browser, view) as page:
        for page_id in page_ids():
            show(page, address(page_id, seeded))
            assert grave(page) == [], page_id
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= view.size[0], f"{page_id} is wider than the screen"


def test_an_old_link_opens_the_drawer_over_the_first_page_and_over_any_other(
    run: Running, browser: Browser, seeded: str
) -> None:
    with opened(run, browser, View()) as page:
        show(page, f"#site=east&alarm={seeded}")
        expect(page.locator(".detail .transitions li").first).to_be_visible(timeout=_SOON_MS)
        expect(page.locator(".column-alarms")).to_be_attached()
        show(page, f"#page=alarms&alarm={seeded}")
        expect(page.locator(".detail .transitions li").first).to_be_visible(timeout=_SOON_MS)
        expect(page.locator(".alarm-rows")).to_be_attached()
        show(page, "#page=nonsense")
        expect(page.get_by_text("There is no such page")).to_be_visible()


def test_many_alarms_are_acknowledged_at_once_and_what_changed_meanwhile_is_told(
    run: Running, browser: Browser, seeded: str
) -> None:
    rows = [{"device": "scanner", "metric": "skin_temperature", "value": 39.1, "key": f"bulk-{n}"} for n in range(3)]
    run.publish(f"{EAST}/readings", {"readings": rows})
    servers.wait_until(lambda: sum(alarm["value"] == 39.1 for alarm in run.alarms()) == 3, what="the alarms")
    with opened(run, browser, View()) as page:
        show(page, "#page=alarms&class=fever")
        expect(page.locator("tr[data-id]")).to_have_count(4, timeout=_SOON_MS)
        page.get_by_role("button", name="Select all open").click()
        # Somebody else is quicker with one of them; the stream is held back, so that this screen cannot know.
        taken = next(alarm for alarm in run.alarms() if alarm["key"] == "bulk-1")
        page.route("**/alarms/*/acknowledge", lambda route: _stale(route, taken["id"]))
        page.get_by_role("button", name="Acknowledge 4").click()
        expect(page.locator(".bulk-results")).to_contain_text("3 of 4 acknowledged", timeout=_SOON_MS)
        expect(page.locator(".bulk-results li")).to_contain_text("changed meanwhile")
        page.unroute("**/alarms/*/acknowledge")
        page.get_by_role("button", name="Acknowledge 1").click()
        expect(page.locator(".bulk-results")).to_contain_text("1 of 1 acknowledged", timeout=_SOON_MS)
    assert all(alarm["acknowledged_by"] == "admin" for alarm in run.alarms() if alarm["class"] == "fever")


def _stale(route: Any, alarm: str) -> None:
    """For one alarm the request says that it saw a step long gone."""
    if alarm not in route.request.url:
        route.continue_()
        return
    route.continue_(post_data=json.dumps({"seq": 99}))


def test_an_alarm_is_assigned_and_shelved_on_its_page(run: Running, browser: Browser, seeded: str) -> None:
    with opened(run, browser, View()) as page:
        show(page, address("alarm", seeded))
        page.locator("main").get_by_role("button", name="Assign").click()
        page.locator(".ant-modal-footer").get_by_role("button", name="Assign").click()
        expect(page.locator(".facts")).to_contain_text("admin", timeout=_SOON_MS)
        page.locator("main").get_by_role("button", name="Shelve").click()
        page.locator(".ant-modal-footer").get_by_role("button", name="Shelve").click()
        expect(page.get_by_text("Please say why nobody needs to be called.")).to_be_visible()
        page.fill("#dialog-note", "the nurse is with them")
        page.locator(".ant-modal-footer").get_by_role("button", name="Shelve").click()
        expect(page.locator(".facts")).to_contain_text("the nurse is with them", timeout=_SOON_MS)
        show(page, "#page=alarms&mine=yes")
        expect(page.locator("tr[data-id]")).to_have_count(1, timeout=_SOON_MS)
        expect(page.locator("tr[data-id]")).to_contain_text("Shelved until")
