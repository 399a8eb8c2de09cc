"""Pages of those who run a district, in a real browser: users, the audit, rosters, alarm quality, a new rule, the wall."""

from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, expect

from tests import servers
from tests.integration.pictures import View, opened, seed, show
from tests.integration.running import PASSWORD, Running, running

pytestmark = pytest.mark.integration

PEOPLE = """
people:
  - {id: li, name: {en: Li Wei, zh: 李卫}, roles: [guard], addresses: {pager: "13800000001"}}
  - {id: wang, name: {en: Wang Fang, zh: 王芳}, addresses: {pager: "13800000002"}}
rosters:
  - id: guards
    name: {en: Guards, zh: 门卫}
    shifts:
      - {from: "08:00", to: "20:00", people: [li]}
      - {from: "20:00", to: "08:00", people: [wang]}
  - {id: nights, name: {en: Nobody's, zh: 空表}, shifts: [{days: [mon], from: "00:00", to: "00:01", people: [li]}],
     overrides: []}
routes:
  - {id: gate, name: {en: To the gate, zh: 通知门卫}, duty: [guards], lead: [wang], channels: [pager]}
system_route: gate
"""


@pytest.fixture(scope="module")
def run(screens: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("office")
    (folder / "people").mkdir()
    (folder / "people" / "all.yaml").write_text(PEOPLE, encoding="utf-8")
    with servers.mosquitto(folder) as port, running(folder, port) as started:
        seed(started)
        yield started


def test_somebody_is_added_granted_and_disabled_and_a_refusal_stands_at_its_field(
    run: Running, browser: Browser
) -> None:
    with opened(run, browser, View(size=(800, 1280))) as page:
        show(page, "#page=people")
        page.get_by_role("button", name="Add somebody").click()
        page.fill("#people-name", "admin")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#people-name-error")).to_have_text("There is somebody of that name already.")
        page.fill("#people-name", "<b>chen")
        page.get_by_role("button", name="Add a role").click()
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator(".people-secret code")).to_be_visible()
        password = page.locator(".people-secret code").inner_text().strip()
        page.get_by_role("button", name="I have handed it over").click()
        expect(page.get_by_role("heading", name="<b>chen")).to_be_visible()
        with page.context.browser.new_context() as other:  # type: ignore[union-attr]
            entered = other.request.post(
                f"{run.http.base_url}/api/v1/session", data={"name": "<b>chen", "password": password}
            )
            assert entered.json()["user"]["sites"] == ["east"]
        page.reload()
        sessions = page.get_by_role("region", name="Where they are logged in")
        expect(sessions.locator("tbody tr")).to_have_count(1)
        sessions.get_by_role("button", name="End").first.click()
        expect(sessions).to_contain_text("Nowhere.")
        page.get_by_role("button", name="Disable").click()
        page.locator(".ant-modal-confirm").get_by_role("button", name="Disable").click()
        expect(page.get_by_role("button", name="Let in again")).to_be_visible()
        show(page, "#page=people&who=admin")
        page.get_by_role("button", name="Take away administrator").click()
        page.get_by_role("button", name="Save roles").click()
        expect(page.locator("#people-grants-error")).to_contain_text("Nobody could manage users")


def test_the_audit_is_filtered_and_verified_on_its_page(run: Running, browser: Browser) -> None:
    with opened(run, browser, View()) as page:
        show(page, "#page=audit&action=dispose")
        expect(page.locator(".audit-rows tbody tr")).to_have_count(1)
        page.get_by_role("button", name="Verify the record").click()
        expect(page.get_by_text("The record is whole")).to_be_visible()
        page.get_by_role("searchbox", name="Person").fill("nobody")
        expect(page.get_by_text("No row fits these filters")).to_be_visible()
        page.get_by_role("button", name="Clear filters").click()
        expect(page.locator(".audit-rows tbody tr").first).to_be_visible()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save what is filtered").click()
        assert '"action": "log-in"' in saved.value.path().read_text(encoding="utf-8")


def test_rosters_show_the_week_and_who_would_be_called_now(run: Running, browser: Browser) -> None:
    with opened(run, browser, View("zh")) as page:
        show(page, "#page=rosters&day=2026-11-25")
        guards = page.get_by_role("region", name="门卫")
        expect(guards.locator(".roster-day")).to_have_count(7)
        expect(guards.locator(".roster-day").nth(2).locator(".roster-shift")).to_have_count(3)
        expect(guards.locator(".roster-now")).to_contain_text("当前值班：")
        page.get_by_text("此刻通知谁").click()
        expect(page.get_by_role("region", name="通知门卫")).to_contain_text("(pager)")
        expect(page.get_by_role("region", name="按规则")).to_contain_text("不通知人员")


def test_alarm_quality_is_counted_and_labelled(run: Running, browser: Browser) -> None:
    with opened(run, browser, View()) as page:
        show(page, "#page=figures&days=1")
        raised = page.get_by_role("region", name="All alarms").locator("tr", has_text="alarms raised")
        counted = sum(share["alarms"] for share in run.get("/api/v1/figures")["top_rules"])
        expect(raised.locator(".figures-value")).to_have_text(str(counted))
        expect(page.get_by_role("region", name="The ten largest rules")).to_contain_text("Fever")
        show(page, "#page=figures&days=1&where=west")
        expect(page.get_by_role("region", name="The ten largest rules")).not_to_contain_text("Fever")


def test_a_new_rule_begins_as_a_copy_and_is_saved_as_version_one(run: Running, browser: Browser) -> None:
    with opened(run, browser, View()) as page:
        show(page, "#page=rules")
        page.get_by_role("button", name="New rule").click()
        page.fill("#rule-new-id", "heater")
        page.get_by_role("button", name="Begin").click()
        expect(page.locator("#rule-new-id-error")).to_have_text("There is a rule of this name.")
        page.fill("#rule-new-id", "kettle")
        page.get_by_label("Begins as").select_option("heater")
        page.get_by_role("button", name="Begin").click()
        page.locator("[id='rule-levels[0].at_least']").fill("2500")
        page.fill("#rule-note", "kettles too")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved as version 1.")).to_be_visible()
    kettle = next(rule for rule in run.get("/api/v1/rules")["items"] if rule["id"] == "kettle")
    assert (kettle["version"], kettle["class"], kettle["levels"][0]["at_least"]) == (1, "dormitory", 2500)


def test_a_pin_that_is_asked_for_twice_in_a_row_is_one(run: Running, browser: Browser) -> None:
    grants = [{"role": "guard", "site": "east"}]
    run.http.post("/api/v1/users", json={"name": "pin", "password": PASSWORD, "grants": grants}).raise_for_status()
    with opened(run, browser, View()) as page:
        show(page, "#page=people&who=pin")
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method) if request.method == "PATCH" else None)
        page.get_by_role("button", name="New PIN").dblclick()
        expect(page.locator(".people-secret code")).to_have_count(1)
        page.get_by_role("button", name="I have handed it over").click()
        expect(page.locator(".people-secret code")).to_have_count(0)
    assert sent == ["PATCH"]


def test_whoever_closes_the_dialog_of_their_second_step_goes_on_in_the_session_it_began(
    run: Running, browser: Browser
) -> None:
    grants = [{"role": "viewer", "site": None}]
    run.http.post("/api/v1/users", json={"name": "two", "password": PASSWORD, "grants": grants}).raise_for_status()
    with opened(run, browser, View(), name="two") as page:
        page.locator(".header-buttons button").last.click()
        page.get_by_role("menuitem", name="Second log-in step").click()
        page.fill("#factor-password", PASSWORD)
        page.get_by_role("button", name="Begin").click()
        secret = page.locator(".second-factor code").inner_text().replace(" ", "")
        page.fill("#factor-code", pyotp.TOTP(secret).now())
        page.get_by_role("button", name="Switch on").click()
        expect(page.locator(".recovery-codes li")).to_have_count(10)
        # A touch beside it is made in passing, and the codes are not shown again.
        page.mouse.click(5, 600)
        page.keyboard.press("Escape")
        expect(page.locator(".recovery-codes li")).to_have_count(10)
        page.locator(".ant-modal-close").click()
        expect(page.locator(".recovery-codes")).to_have_count(0)
        page.locator(".header-buttons button").last.click()
        page.get_by_role("menuitem", name="Log out").click()
        expect(page.locator("#login-name")).to_be_visible()


def test_a_wall_hangs_shows_only_itself_and_says_when_it_is_cut_off(run: Running, browser: Browser) -> None:
    with opened(run, browser, View(size=(1920, 1080))) as page:
        show(page, "#page=wall")
        page.get_by_role("button", name="Let it hang here").click()
        page.get_by_role("checkbox", name="West").uncheck()
        page.fill("#wall-password", "not mine at all")
        page.get_by_role("button", name="Let it hang", exact=True).click()
        expect(page.locator("#wall-refusal")).to_have_text("That is not your password.")
        page.fill("#wall-password", PASSWORD)
        page.get_by_role("button", name="Let it hang", exact=True).click()
        expect(page.get_by_text("Wall screen of admin")).to_be_visible()
        # Whatever the address says, and after a restart of the browser.
        page.goto(f"{run.http.base_url}/#page=people")
        page.reload()
        fever = page.locator(".wall-alarm", has_text="Fever")
        expect(fever).to_have_count(1)
        expect(page.locator(".wall-site")).to_have_count(1)
        expect(fever).to_contain_text("Nobody has it yet")
        page.route("**/api/v1/events", lambda route: route.abort())
        page.reload()
        expect(page.locator(".wall-old")).to_contain_text("No connection to the server")
        expect(page.locator(".wall .wall-good, .wall-live")).to_have_count(0)
        page.unroute("**/api/v1/events")
        expect(page.locator(".wall-old")).to_have_count(0)
        # Without the list there are neither noughts nor anything that is well, whatever the stream says.
        away = {"type": "about:blank", "title": "A part behind the API is away", "status": 503, "detail": "try again"}
        page.route("**/api/v1/alarms?state=open*", lambda route: route.fulfill(status=503, json=away))
        page.reload()
        expect(page.get_by_text("The list of alarms does not come")).to_be_visible()
        expect(page.locator(".wall-counts strong")).to_have_text(["–"] * 4)
        expect(page.locator(".wall .wall-good")).to_have_count(0)
        page.unroute("**/api/v1/alarms?state=open*")
        expect(fever).to_have_count(1)
        page.get_by_role("button", name="Take it down").click()
        expect(page.locator("#login-name")).to_be_visible()
