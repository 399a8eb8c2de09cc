"""The page of a roster in a real browser: an exception on a day, a gap that is asked about, and what is on record of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests import servers
from tests.integration.pictures import View, opened, show
from tests.integration.running import Running, running

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
