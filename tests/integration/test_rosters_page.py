"""The page of a roster in a real browser: an exception on a day, a gap that is asked about, and what is on record of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests import servers
from tests.integration.pictures import View, opened, show
from tests.integration.running import PASSWORD, Running, running

pytestmark = pytest.mark.integration

PEOPLE = """
people:
  - {id: li, name: {en: Li Wei, zh: 李卫}, addresses: {pager: "1"}}
  - {id: wang, name: {en: Wang Fang, zh: 王芳}, addresses: {pager: "2"}}
rosters: [{id: guards, name: {en: Guards, zh: 门卫}, shifts: [{people: [li]}]}]
"""


@pytest.fixture(scope="module")
def run(screens: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("rosters-page")
    (folder / "people").mkdir()
    (folder / "people" / "all.yaml").write_text(PEOPLE, encoding="utf-8")
    with servers.mosquitto(folder) as port, running(folder, port) as started:
        yield started


def test_an_exception_without_anybody_is_asked_about_and_then_kept_with_its_reason(
    run: Running, browser: Browser
) -> None:
    with opened(run, browser, View(size=(1280, 900))) as page:
        show(page, "#page=rosters")
        page.get_by_role("link", name="Change: Guards").click()
        until = page.get_by_role("textbox", name="To", exact=True).first
        until.fill("7pm")
        expect(page.get_by_text("A time on 24 hours")).to_be_visible()
        until.fill("24")
        until.blur()
        expect(until).to_have_value("24:00")
        page.get_by_role("button", name="Add an exception").click()
        save = page.get_by_role("button", name="Save")
        save.click()
        expect(page.get_by_text("Say why.")).to_be_visible()
        page.fill("#roster-note", "Li is at a course")
        save.click()
        exceptions = page.get_by_role("region", name="Exceptions on a day")
        expect(exceptions.get_by_role("alert")).to_contain_text("nobody is on duty from")
        page.get_by_label("that is on purpose").check()
        save.click()
        expect(page.get_by_text("Saved as version 2")).to_be_visible()
        expect(page.get_by_role("region", name="History")).to_contain_text("Li is at a course")
    assert run.get("/api/v1/rosters/guards")["roster"]["overrides"][0]["people"] == []


def test_who_saves_second_sees_what_the_first_has_changed_and_keeps_what_they_typed(
    run: Running, browser: Browser
) -> None:
    with opened(run, browser, View(size=(1280, 900))) as page:
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        show(page, "#page=rosters&roster=guards")
        page.get_by_role("button", name="Add a holiday").click()
        page.get_by_role("region", name="Shifts on holidays").get_by_role("button", name="Add a shift").click()
        given = run.get("/api/v1/rosters/guards")
        theirs = given["roster"] | {
            "overrides": [{"date": "2030-01-02", "from": "08:00", "to": "20:00", "people": ["wang"]}]
        }
        body = {"roster": theirs, "version": given["version"], "note": "A course in January", "accepts_gaps": True}
        run.http.put("/api/v1/rosters/guards", json=body).raise_for_status()
        page.fill("#roster-note", "A public holiday")
        # What they changed cannot be fetched at once: that costs nothing that is typed, and can be tried again.
        away = "**/api/v1/rosters/guards/versions"
        page.route(away, lambda route: route.abort())
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("What they changed could not be fetched.")).to_be_visible()
        page.unroute(away)
        page.get_by_role("button", name="Try again").click()
        conflict = page.get_by_role("alert").filter(has_text="Somebody else has changed this roster meanwhile")
        expect(conflict).to_contain_text("A course in January")
        page.get_by_role("button", name="Go on with mine on top of theirs").click()
        expect(page.locator("#roster-note")).to_have_value("A public holiday")
        expect(page.get_by_role("region", name="Exceptions on a day").get_by_label("Date")).to_have_value("2030-01-02")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("at least one is needed")).to_be_visible()
        people = page.get_by_role("region", name="Shifts on holidays").get_by_role("combobox", name="On duty")
        people.click()
        page.locator(".ant-select-item-option", has_text="Li Wei").last.click()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Save").click()
        page.get_by_label("that is on purpose").check()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text(f"Saved as version {given['version'] + 2}")).to_be_visible()
        assert broken == []
    kept = run.get("/api/v1/rosters/guards")["roster"]
    assert [each["date"] for each in kept["overrides"]] == ["2030-01-02"]
    assert len(kept["holidays"]) == 1


def test_what_the_server_finds_wrong_is_said_in_chinese(run: Running, browser: Browser) -> None:
    with opened(run, browser, View("zh", (1280, 900))) as page:
        show(page, "#page=rosters&roster=guards")
        page.get_by_role("region", name="班次", exact=True).get_by_role("button", name="删除").click()
        page.fill("#roster-note", "试一试")
        page.get_by_role("button", name="保存").click()
        alert = page.get_by_role("region", name="班次", exact=True).get_by_role("alert")
        expect(alert).to_have_text("至少需要一项")


def test_who_may_change_rosters_at_one_site_only_reads_them_here(run: Running, browser: Browser) -> None:
    grants = [{"role": "engineer", "site": "east"}]
    run.http.post("/api/v1/users", json={"name": "east", "password": PASSWORD, "grants": grants}).raise_for_status()
    with opened(run, browser, View(size=(1280, 900)), name="east") as page:
        show(page, "#page=rosters")
        page.get_by_role("link", name="As written: Guards").click()
        expect(page.get_by_text("You may look at this roster and not change it.")).to_be_visible()
        expect(page.get_by_role("button", name="Save")).to_have_count(0)
