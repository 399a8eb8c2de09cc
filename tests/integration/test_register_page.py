"""The visitor register in a real Chromium: a department announces, a guard admits, a registrar reads and prints."""

import io
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests import servers
from tests.integration.pictures import View, grave
from tests.integration.running import EAST, PASSWORD, Running

pytestmark = pytest.mark.integration
_HEARD = "() => { window.print = () => { window.printed = document.querySelector('.register-print').innerText; }; }"
_COUNT_NOTES = """() => {
    const start = OscillatorNode.prototype.start;
    window.notes = 0;
    OscillatorNode.prototype.start = function (...at) { window.notes += 1; return start.apply(this, at); };
}"""
NAMES = ("欧阳娜", "王小明", "Li <b>Hua</b>")
ROLES = {"reg": "registrar", "li": "guard"}


@pytest.fixture(scope="module")
def staffed(run: Running) -> Running:
    for name, role in ROLES.items():
        subprocess.run(
            servers.gatehouse("user", "add", name, "--role", role, "--config", run.config),
            env={**os.environ, "GATEHOUSE_PASSWORD": PASSWORD},
            check=True,
            capture_output=True,
        )
    return run


@contextmanager
def seen_by(run: Running, browser: Browser, name: str, view: View, where: str) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": view.size[0], "height": view.size[1]}, service_workers="block", accept_downloads=True
    )
    chosen = {"gatehouse.language": view.language, "gatehouse.look": view.look, "gatehouse.sound": "off"}
    context.add_init_script("".join(f"localStorage.setItem({key!r}, {value!r});" for key, value in chosen.items()))
    context.request.post(f"{run.http.base_url}/api/v1/session", data={"name": name, "password": PASSWORD})
    page = context.new_page()
    page.goto(f"{run.http.base_url}{where}")
    page.wait_for_selector(".connection-live")
    yield page
    context.close()


def scan(run: Running, value: float) -> None:
    run.publish(f"{EAST}/readings", {"readings": [{"device": "scanner", "metric": "skin_temperature", "value": value}]})


def fill(page: Page, visitor: str) -> None:
    page.fill("#visitor-visitor", visitor)
    page.fill("#visitor-organisation", "水务公司")
    page.locator(".purpose-presets button").nth(3).click()
    page.fill("#visitor-department", "后勤处")


def fits(page: Page, view: View) -> None:
    assert grave(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= view.size[0]


Keep = Callable[[Page, str], None]


@pytest.fixture
def keep() -> Keep:
    """Pictures, where a folder for them is named."""
    folder = os.environ.get("GATEHOUSE_PICTURES")

    def take(page: Page, name: str) -> None:
        if folder:
            page.screenshot(path=f"{folder}/register-{name}.png", full_page=True)

    return take


def test_a_visit_from_announcement_to_paper(staffed: Running, browser: Browser, keep: Keep) -> None:
    run = staffed
    tall = View("zh", (800, 1280))
    with seen_by(run, browser, "reg", View("en"), "#page=announce") as page:
        keep(page, "announce-empty")
        page.get_by_role("button", name="Announce", exact=True).click()
        expect(page.get_by_text("Write something here").first).to_be_visible()
        fill(page, NAMES[0])
        page.get_by_role("button", name="Announce", exact=True).click()
        expect(page.locator(".register-own .visit-line")).to_contain_text(NAMES[0])
        keep(page, "announce")
        fits(page, View("en"))

    with seen_by(run, browser, "li", tall, "#page=register") as page:
        expect(page.locator(".visit-line")).to_contain_text(NAMES[0])
        expect(page.get_by_text("一分钟内没有通行测温")).to_be_visible()
        keep(page, "gate-expected")
        scan(run, 36.4)
        expect(page.locator(".register-passage strong")).to_have_text("36.4 °C")
        page.get_by_role("button", name="准 入").or_(page.get_by_role("button", name="准入", exact=True)).click()
        expect(page.get_by_text("在内：1 人")).to_be_visible()

        # Nobody else gets the same passage; a new one comes by itself, and is too warm.
        expect(page.get_by_text("一分钟内没有通行测温")).to_be_visible()
        page.get_by_role("button", name="登记并准入").click()
        expect(page.get_by_text("请填写 30 至 45 之间的体温")).to_be_visible()
        fill(page, NAMES[1])
        page.evaluate(_COUNT_NOTES)
        page.get_by_role("button", name="声音已关闭，您将听不到告警。").click()
        expect(page.locator(".guard-sound")).to_have_count(0)
        scan(run, 37.5)
        expect(page.get_by_text("达到或超过 37.3 °C，请复测")).to_be_visible()
        expect(page.locator(".register-fever")).to_contain_text("有人发热被拦下")
        # Two notes when it was switched on and two for a new alarm; more only while nobody has answered.
        page.wait_for_function("() => window.notes > 4")
        keep(page, "gate-high")
        fits(page, tall)
        page.get_by_role("button", name="登记并准入").click()
        expect(page.get_by_text("在内：2 人")).to_be_visible()
        page.locator(".visit-line", has_text=NAMES[1]).get_by_role("button", name="复测").or_(
            page.locator(".visit-line", has_text=NAMES[1]).get_by_role("button", name="复 测")
        ).click()
        page.fill("#again-temperature", "36,7")
        keep(page, "gate-measure")
        page.locator(".ant-modal-footer .ant-btn-primary").click()
        expect(page.locator(".visit-line", has_text=NAMES[1])).to_contain_text("36.7 °C")

        fill(page, NAMES[2])
        page.fill("#entry-temperature", "36。5")
        page.get_by_role("button", name="登记并准入").click()
        expect(page.get_by_text("在内：3 人")).to_be_visible()
        page.locator(".visit-line", has_text=NAMES[0]).get_by_role("button", name="登记离开").click()
        expect(page.get_by_text("本班已离开或未准入：1 人")).to_be_visible()
        keep(page, "gate-full")
        assert page.get_by_text("查询与打印").count() == 0

    for view in (View("zh"), View("en", (800, 1280), "dark")):
        with seen_by(run, browser, "reg", view, "#page=register&tab=find") as page:
            search = page.locator(".register-buttons .ant-btn-primary")
            expect(search).to_be_disabled()
            page.locator(".register-reason .ant-select").click()
            page.locator(".ant-select-item-option").nth(1).click()
            expect(page.locator(".ant-select-dropdown:not(.ant-select-dropdown-hidden)")).to_have_count(0)
            search.click()
            expect(page.locator(".register-sheet tbody tr")).to_have_count(3)
            assert page.locator(".register-sheet b").count() == 0
            keep(page, f"find-{view.name}")
            fits(page, view)
            with page.expect_download() as saved:
                page.locator(".register-buttons button").nth(2).click()
            with zipfile.ZipFile(io.BytesIO(saved.value.path().read_bytes())) as book:
                assert NAMES[1] in book.read("xl/sharedStrings.xml").decode()
            page.evaluate(_HEARD)
            page.locator(".register-buttons button").nth(1).click()
            page.wait_for_function("() => window.printed !== undefined")
            assert all(name in page.evaluate("window.printed") for name in NAMES)
            page.goto(f"{run.http.base_url}#page=register&tab=counts")
            expect(page.locator(".register-sheet tbody tr")).to_have_count(1)
            keep(page, f"counts-{view.name}")
            fits(page, view)

    outcomes = [
        item["outcome"] for item in run.get("/api/v1/audit?limit=200")["items"] if item["action"] == "register-print"
    ]
    assert outcomes == ["contact-tracing: 3 shown"] * 2


def test_the_paper_holds_the_sheet_and_nothing_else(staffed: Running, browser: Browser) -> None:
    with seen_by(staffed, browser, "reg", View("zh"), "#page=register&tab=find") as page:
        page.locator(".register-reason .ant-select").click()
        page.locator(".ant-select-item-option").nth(0).click()
        # The sheet stays as long as the dialog of the printer is open.
        page.evaluate(
            "() => { window.print = () => { const sheet = document.querySelector('.register-print').cloneNode(true);"
            " setTimeout(() => document.body.append(sheet)); }; }"
        )
        page.locator(".register-buttons button").nth(1).click()
        page.locator(".register-print").wait_for(state="attached")
        page.emulate_media(media="print")
        expect(page.get_by_role("heading", name="来访人员体温登记表")).to_have_count(1)
        expect(page.locator("header")).to_be_hidden()
        folder = os.environ.get("GATEHOUSE_PICTURES")
        if folder:
            page.set_viewport_size({"width": 1040, "height": 735})
            page.screenshot(path=f"{folder}/register-paper.png")
            page.pdf(path=f"{folder}/register-paper.pdf", prefer_css_page_size=True)


def test_after_an_answer_that_was_lost_the_next_visitor_can_be_entered(staffed: Running, browser: Browser) -> None:
    with seen_by(staffed, browser, "li", View("en"), "#page=register") as page:

        def lose(route: Route) -> None:
            route.fetch()
            route.abort()

        page.route("**/api/v1/register/entries", lose, times=1)
        fill(page, "Li Lei")
        page.fill("#entry-temperature", "36.5")
        page.get_by_role("button", name="Enter and admit").click()
        expect(page.get_by_text("Not entered").first).to_be_visible()
        expect(page.locator(".visit-line", has_text="Li Lei")).to_be_visible()
        page.fill("#visitor-visitor", "Han Meimei")
        page.get_by_role("button", name="Enter and admit").click()
        expect(page.get_by_text("What was sent first has been taken after all")).to_be_visible()
        page.get_by_role("button", name="Enter and admit").click()
        expect(page.locator(".visit-line", has_text="Han Meimei")).to_be_visible()
