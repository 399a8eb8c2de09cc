"""The page of duties in a real browser: what is due is signed off with a note, and stands in the month."""

import datetime as dt
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests import servers
from tests.integration.pictures import View, opened, show
from tests.integration.running import PASSWORD, Running, running

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def run(screens: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("duties-page")
    today = dt.datetime.now(dt.timezone(dt.timedelta(hours=8))).date()
    since = today - dt.timedelta(days=3)  # three are missed, at whatever time of day: two tests sign one each
    (folder / "duties").mkdir()
    duty = f"{{id: round, name: {{en: Round, zh: 巡查}}, role: guard, since: {since}, sites: [east], by: '23:59:59'}}"
    other = (
        f"{{id: water, name: {{en: Water, zh: 查水}}, role: registrar, since: {today}, sites: [east], by: '23:59:59'}}"
    )
    (folder / "duties" / "all.yaml").write_text(f"duties:\n  - {duty}\n  - {other}\n", encoding="utf-8")
    with servers.mosquitto(folder) as port, running(folder, port) as started:
        yield started


def test_a_duty_is_signed_off_with_a_note_and_a_missed_one_stands_out(run: Running, browser: Browser) -> None:
    with opened(run, browser, View(size=(800, 1280))) as page:
        show(page, "#page=duties&site=east")
        missed = page.get_by_role("region", name="Missed in the last days")
        expect(missed).to_be_visible()
        page.get_by_role("listitem").filter(has_text="Round").get_by_role("button", name="Sign off").first.click()
        page.fill("#duty-note", "<i>all rooms</i>")
        # A touch beside the dialog is made in passing, with gloves on.
        page.mouse.click(20, 1200)
        page.keyboard.press("Escape")
        expect(page.locator("#duty-note")).to_have_value("<i>all rooms</i>")
        page.locator(".ant-modal-footer").get_by_role("button", name="Sign off").click()
        today = page.get_by_role("region", name="Today")
        expect(today).to_contain_text("<i>all rooms</i>")
        expect(today).to_contain_text("admin, ")
        expect(page.get_by_role("region", name="Month")).to_contain_text("1 done")
        # Somebody else is quicker with what was missed: it is said, and the list is as it is now.
        missed.get_by_role("button", name="Sign off").first.click()
        first = run.get("/api/v1/duties?site=east")["missed"][0]
        body = {"site": "east", "day": first["day"], "note": ""}
        run.http.post("/api/v1/duties/round/sign", json=body).raise_for_status()
        page.locator(".ant-modal-footer").get_by_role("button", name="Sign off").click()
        expect(page.get_by_text("Somebody else has signed it meanwhile.")).to_be_visible()


def test_what_others_sign_comes_to_an_open_page_its_month_too(run: Running, browser: Browser) -> None:
    with opened(run, browser, View(size=(1280, 900))) as page:
        page.clock.install()
        show(page, "#page=duties&site=east")
        month = page.get_by_role("region", name="Month")
        expect(month.get_by_text("signed it from elsewhere")).to_have_count(0)
        late = run.get("/api/v1/duties?site=east")["missed"][0]
        body = {"site": "east", "day": late["day"], "note": "signed it from elsewhere"}
        run.http.post(f"/api/v1/duties/{late['duty']}/sign", json=body).raise_for_status()
        page.clock.fast_forward(61_000)
        expect(month.get_by_text("signed it from elsewhere")).to_have_count(1)


def test_a_registrar_signs_the_duty_that_is_theirs_and_is_called_so_in_chinese(run: Running, browser: Browser) -> None:
    grants = [{"role": "registrar", "site": "east"}]
    run.http.post("/api/v1/users", json={"name": "desk", "password": PASSWORD, "grants": grants}).raise_for_status()
    with opened(run, browser, View("zh", (800, 1280)), name="desk") as page:
        show(page, "#page=duties&site=east")
        card = page.get_by_role("listitem").filter(has_text="查水")
        expect(card).to_contain_text("登记员")
        expect(page.get_by_role("button", name="签字确认")).to_have_count(1)  # the guards' are not theirs
        card.get_by_role("button", name="签字确认").click()
        page.locator(".ant-modal-footer").get_by_role("button", name="签字确认").click()
        expect(card).to_contain_text("desk")


def test_what_was_typed_is_there_again_after_a_log_in_that_ended_and_gone_once_it_is_sent(
    run: Running, browser: Browser
) -> None:
    grants = [{"role": "guard", "site": "east"}]
    run.http.post("/api/v1/users", json={"name": "night", "password": PASSWORD, "grants": grants}).raise_for_status()
    with opened(run, browser, View(size=(800, 1280)), name="night") as page:
        show(page, "#page=duties&site=east")
        page.get_by_role("button", name="Sign off").first.click()
        page.fill("#duty-note", "second floor wet")
        run.http.delete("/api/v1/users/night/sessions").raise_for_status()
        page.locator(".ant-modal-footer").get_by_role("button", name="Sign off").click()
        page.get_by_label("Name").fill("night")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector(".connection-live")
        page.get_by_role("button", name="Sign off").first.click()
        expect(page.locator("#duty-note")).to_have_value("second floor wet")
        page.locator(".ant-modal-footer").get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Sign off").first.click()
        expect(page.locator("#duty-note")).to_have_value("")
