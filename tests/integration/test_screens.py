"""Every page of the screens, from the table of pages: it stands, it is accessible; and what the alarm pages promise."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from alerts.escalation import FAULT
from alerts.store import Store
from gatehouse.settings import load_settings
from telemetry.clock import SystemClock
from telemetry.database import open_database
from tests import servers
from tests.integration import pictures
from tests.integration.pictures import View, address, grave, opened, page_ids, show
from tests.integration.running import EAST, Running

pytestmark = pytest.mark.integration

_IS_NAME_CUT = """() => {
    const name = document.querySelector(".menu-name");
    return name !== null && (name.scrollWidth > name.clientWidth || name.scrollHeight > name.parentElement.clientHeight);
}"""


@pytest.fixture(scope="module")
def seeded(run: Running) -> str:
    return pictures.seed(run)


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
            assert not page.evaluate(_IS_NAME_CUT), f"the name of {page_id} is cut in the header"


def test_an_old_link_opens_the_drawer_over_the_first_page_and_over_any_other(
    run: Running, browser: Browser, seeded: str
) -> None:
    with opened(run, browser, View()) as page:
        show(page, f"#site=east&alarm={seeded}")
        expect(page.locator(".detail .transitions li").first).to_be_visible()
        expect(page.locator(".column-alarms")).to_be_attached()
        show(page, f"#page=alarms&alarm={seeded}")
        expect(page.locator(".detail .transitions li").first).to_be_visible()
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
        expect(page.locator("tr[data-id]")).to_have_count(4)
        page.get_by_role("button", name="Select all open").click()
        # Somebody else is quicker with one of them; the stream is held back, so that this screen cannot know.
        taken = next(alarm for alarm in run.alarms() if alarm["key"] == "bulk-1")
        page.route("**/alarms/*/acknowledge", lambda route: _stale(route, taken["id"]))
        page.get_by_role("button", name="Acknowledge 4").click()
        expect(page.locator(".bulk-results")).to_contain_text("3 of 4 acknowledged")
        expect(page.locator(".bulk-results li")).to_contain_text("changed meanwhile")
        page.unroute("**/alarms/*/acknowledge")
        page.get_by_role("button", name="Acknowledge 1").click()
        expect(page.locator(".bulk-results")).to_contain_text("1 of 1 acknowledged")
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
        expect(page.locator(".facts")).to_contain_text("admin")
        page.locator("main").get_by_role("button", name="Shelve").click()
        page.locator(".ant-modal-footer").get_by_role("button", name="Shelve").click()
        expect(page.get_by_text("Please say why nobody needs to be called.")).to_be_visible()
        page.fill("#dialog-note", "the nurse is with them")
        page.locator(".ant-modal-footer").get_by_role("button", name="Shelve").click()
        expect(page.locator(".facts")).to_contain_text("the nurse is with them")
        show(page, "#page=alarms&mine=yes")
        expect(page.locator("tr[data-id]")).to_have_count(1)
        expect(page.locator("tr[data-id]")).to_contain_text("Shelved until")


def test_who_comes_back_is_told_once_what_they_missed(run: Running, browser: Browser, seeded: str) -> None:
    run.http.post("/api/v1/seen").raise_for_status()
    row = {"device": "scanner", "metric": "skin_temperature", "value": 39.7, "key": "missed"}
    run.publish(f"{EAST}/readings", {"readings": [row]})
    servers.wait_until(lambda: any(alarm["key"] == "missed" for alarm in run.alarms()), what="the alarm")
    with opened(run, browser, View(size=(800, 1280))) as page:
        expect(page.locator(".missed")).to_contain_text("1 raised, 0 closed")
        show(page, "#page=guard")  # where nothing stands above the present
        expect(page.locator(".missed")).to_have_count(0)
        show(page, "#page=overview")
        expect(page.locator(".missed")).to_be_visible()
        assert grave(page) == []
        with page.expect_response("**/api/v1/seen"):
            page.get_by_role("button", name="Got it").click()
        page.reload()
        page.wait_for_selector(".connection-live")
        page.wait_for_timeout(500)
        expect(page.locator(".missed")).to_have_count(0)


def test_with_the_server_away_a_reload_says_as_of_when_and_nothing_of_the_api_was_kept(
    run: Running, browser: Browser
) -> None:
    with opened(run, browser, View(), service_workers="allow") as page:
        page.evaluate("navigator.serviceWorker.ready")
        page.wait_for_function("() => navigator.serviceWorker.controller !== null")
        page.wait_for_function("() => localStorage.getItem('gatehouse.heard') !== null")
        # An address of the API is the server's to answer: no page that was kept stands in for it.
        elsewhere = page.context.new_page()
        answer = elsewhere.goto(page.url.partition("#")[0] + "api/v1/session/openid")
        assert answer is not None and (answer.status, answer.from_service_worker) == (404, False)
        elsewhere.close()
        page.context.set_offline(True)
        page.reload()
        expect(page.locator(".door-heard")).to_contain_text("connection lost")
        kept = page.evaluate(
            """async () => {
                const lists = [];
                for (const name of await caches.keys())
                    for (const { url } of await (await caches.open(name)).keys()) lists.push(url);
                return lists;
            }"""
        )
        assert len(kept) > 10
        assert [url for url in kept if "/api/" in url or "/health" in url] == []
        page.context.set_offline(False)
        expect(page.locator(".connection-live")).to_be_visible()


def test_an_alarm_about_ourselves_leads_to_its_steps_in_the_language_of_the_screen(
    run: Running, browser: Browser
) -> None:
    store = Store(open_database(load_settings(run.config, {}).database.url))
    store.report(FAULT, "backup-old/copies", "tried", SystemClock().now_ms())
    servers.wait_until(lambda: [a for a in run.alarms() if a["rule"] == "backup-old"], what="the alarm")
    (alarm,) = (a["id"] for a in run.alarms() if a["rule"] == "backup-old")
    for language, link, title in (
        ("zh", "操作步骤", "# 备份过期"),
        ("en", "Step by step", "# There is no recent backup"),
    ):
        with opened(run, browser, View(language)) as page:
            show(page, address("alarm", alarm))
            expect(page.locator(".alarm-read-only")).to_have_count(0)
            with page.expect_popup() as popup:
                page.get_by_role("link", name=link).click()
            expect(popup.value.get_by_text(title)).to_be_visible()


def test_who_comes_back_from_a_provider_unheard_is_told_so_and_its_button_comes_when_it_can_be_asked_for(
    run: Running, browser: Browser
) -> None:
    context = browser.new_context(service_workers="block")
    context.add_init_script("localStorage.setItem('gatehouse.language', 'en');")
    page = context.new_page()
    page.route("**/api/v1/session/ways", lambda route: route.abort())
    page.goto(f"{run.http.base_url}?login=refused")
    expect(page.get_by_text("That log-in does not open Gatehouse")).to_be_visible()
    page.unroute("**/api/v1/session/ways")
    page.route("**/api/v1/session/ways", lambda route: route.fulfill(json={"openid": "the institute"}))
    expect(page.get_by_role("link", name="Log in with the institute")).to_be_visible(timeout=15_000)
    context.close()
