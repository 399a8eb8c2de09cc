"""A storm in a real Chromium, on a real broker, core and API: water rises, an overflow is foreseen, the report follows."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests import servers
from tests.api.test_drains import GAUGE
from tests.integration.pictures import View, grave, opened, show
from tests.integration.running import EAST, Running, running

pytestmark = pytest.mark.integration
_WIDE, _TALL = (1280, 800), (800, 1280)


@pytest.fixture(scope="module")
def run(screens: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("storm")
    with servers.mosquitto(folder) as port, storm_running(folder, port) as started:
        yield started


def storm_running(folder: Path, port: int) -> AbstractContextManager[Running]:
    """The small district with a rain gauge."""
    (folder / "catalogue").mkdir()
    (folder / "catalogue" / "gauge.yaml").write_text(GAUGE, encoding="utf-8")
    return running(folder, port)


def publish(run: Running, *rows: tuple[str, str, float, float]) -> None:
    """(device, metric, value, seconds ago)"""
    now_ms = time.time() * 1000
    readings = [
        {"device": device, "metric": metric, "value": value, "time": round(now_ms - 1000 * ago)}
        for device, metric, value, ago in rows
    ]
    for start in range(0, len(readings), 100):
        run.publish(f"{EAST}/readings", {"readings": readings[start : start + 100]})


def pour(run: Running) -> None:
    """Ten minutes of rain; the lower manhole stands high and rises 2.6 cm a minute; the upper one is dry."""
    publish(run, *(("gauge", "rain_rate", 30.0, s) for s in range(600, 0, -30)))
    publish(run, *(("level-1", "level", 0.1, s) for s in range(600, 0, -30)))
    publish(run, *(("level-2", "level", 0.86 - 0.26 * s / 600, s) for s in range(600, 0, -10)))
    servers.wait_until(
        lambda: {alarm["rule"] for alarm in run.alarms()} >= {"drain-level", "drain-forecast"}, what="the alarms"
    )
    servers.wait_until(lambda: len(run.stored("gauge", "rain_rate")) >= 20, what="the rain in history")
    # History is a step behind the alarms.
    servers.wait_until(lambda: len(run.stored("level-2", "level")) >= 60, what="the levels in history")


@pytest.fixture(scope="module")
def rained(run: Running) -> Running:
    pour(run)
    return run


def drains(page: Page, more: str = "") -> None:
    show(page, f"#page=drains{more}")


def test_before_anything_was_heard_nothing_looks_fine(run: Running, browser: Browser) -> None:
    with opened(run, browser, View(size=_TALL)) as page:
        drains(page)
        expect(page.get_by_text("Not known: no level is heard")).to_be_visible()
        expect(page.get_by_text("No open alarms")).to_be_visible()
        assert grave(page) == []


@pytest.mark.parametrize("view", [View(), View("zh", _TALL, "dark")], ids=lambda view: view.name)
def test_the_forecast_is_large_and_a_cause_folds_what_follows_from_it(
    rained: Running, browser: Browser, view: View
) -> None:
    with opened(rained, browser, view) as page:
        drains(page)
        expect(page.locator(".overflow strong")).to_contain_text("min" if view.language == "en" else "分钟")
        expect(page.locator(".profile-ahead")).to_have_count(1)
        # A sensor that has fallen silent meanwhile has a card of its own, with nothing folded under it.
        expect(page.locator(".cause-card:has(details)")).to_have_count(1)
        expect(page.locator(".cause-card details li").first).to_be_hidden()
        page.locator(".cause-card summary").click()
        expect(page.locator(".cause-card details li").first).to_be_visible()
        page.locator(".profile-shaft").last.click()
        expect(page.locator(".drains-block canvas")).to_be_visible()
        assert grave(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= view.size[0]
        with page.expect_response("**/api/v1/drains/**"):
            pass  # asked anew every few seconds: what somebody has unfolded stays so
        expect(page.locator(".cause-card details li").first).to_be_visible()


def test_the_past_of_a_level_is_one_click_away(rained: Running, browser: Browser) -> None:
    with opened(rained, browser, View()) as page:
        drains(page, "&at=mh-2")
        expect(page.locator(".drains-block canvas")).to_be_visible()
        for choice in ("7 days", "A year"):
            page.get_by_text(choice, exact=True).click()
            expect(page.locator(".drains-block canvas")).to_be_visible(timeout=2_000)


def test_a_chart_that_stood_open_through_an_outage_is_asked_for_again(rained: Running, browser: Browser) -> None:
    with opened(rained, browser, View()) as page:
        show(page, "#page=alarms&device=level-2&metric=level")
        expect(page.locator(".series-chart canvas")).to_be_visible()
        assert rained.core is not None
        rained.core.kill()
        expect(page.locator(".connection-bar")).to_be_visible()
        with page.expect_response(lambda answer: "/readings?device=level-2" in answer.url and answer.ok):
            rained.start_core()
        expect(page.locator(".series-chart canvas")).to_be_visible()


def test_storms_further_back_are_asked_for_once_however_often_somebody_presses(
    rained: Running, browser: Browser
) -> None:
    with opened(rained, browser, View()) as page:
        storm = {"start_ms": 0, "end_ms": 60_000, "depth_mm": 1.0, "peak_mm_h": 9.0, "heard": 1.0, "is_over": True}
        page.route("**/drains/*/storms", lambda route: route.fulfill(json={"items": [], "next": "1"}))
        page.route("**/drains/*/storms?cursor=1", lambda route: route.fulfill(json={"items": [storm], "next": None}))
        drains(page, "&view=storms")
        page.get_by_role("button", name="Look further back").dblclick()
        expect(page.get_by_role("button", name="Look further back")).to_have_count(0)
        expect(page.get_by_role("button", name="Report")).to_have_count(1)


def test_storms_that_come_late_are_no_period_of_another_report(rained: Running, browser: Browser) -> None:
    with opened(rained, browser, View()) as page:
        held: list[Route] = []
        page.route("**/drains/*/storms", lambda route: held.append(route))
        show(page, "#page=reports&site=east")
        kind = page.locator(".filter select").first
        day = page.locator(".filter input[type=date]").first
        expect(day).not_to_have_value("")
        before = day.input_value()
        with page.expect_request("**/drains/*/storms"):
            kind.select_option("storm")
        kind.select_option("day")
        expect(day).to_have_value(before)
        with page.expect_response("**/drains/*/storms"):
            held[0].fulfill(json={"items": [{"start_ms": 1}], "next": None})
        page.wait_for_timeout(500)
        expect(day).to_have_value(before)
        # Storms that could not be had are not none.
        page.unroute("**/drains/*/storms")
        page.route("**/drains/*/storms", lambda route: route.abort())
        kind.select_option("storm")
        expect(page.get_by_text("This could not be loaded")).to_be_visible()


def test_with_the_server_gone_the_profile_says_that_it_is_old(rained: Running, browser: Browser) -> None:
    with opened(rained, browser, View()) as page:
        drains(page)
        expect(page.locator(".profile")).to_be_visible()
        page.route("**/api/v1/drains/**", lambda route: route.abort())
        expect(page.locator(".drains-old")).to_contain_text("as of")


def test_the_storm_has_a_report_with_peak_and_first_alarm(rained: Running, browser: Browser) -> None:
    with opened(rained, browser, View()) as page:
        drains(page, "&view=storms")
        page.get_by_role("button", name="Report").click()
        row = page.locator(".storm-report tbody tr").last
        expect(row).to_contain_text("0.8")
        expect(row).to_contain_text("nobody")
        expect(page.locator(".storm-facts")).to_contain_text("goes on")
        assert grave(page) == []
        page.emulate_media(media="print")
        expect(page.locator(".header")).to_be_hidden()
        expect(row).to_be_visible()


def test_a_cleaning_is_planned_done_and_signed_off(rained: Running, browser: Browser) -> None:
    with opened(rained, browser, View(size=_TALL)) as page:
        drains(page, "&view=cleaning")
        page.get_by_role("button", name="Plan cleaning").first.click()
        page.locator(".ant-modal-footer").get_by_role("button", name="Plan", exact=True).click()
        expect(page.get_by_text("Say who cleans")).to_be_visible()
        page.get_by_label("Who cleans").fill("<b>Crew 2</b>")
        page.locator(".ant-modal-footer").get_by_role("button", name="Plan", exact=True).click()
        expect(page.locator(".job")).to_contain_text("<b>Crew 2</b>")
        page.get_by_label("Silt before, m").fill("deep")
        page.get_by_role("button", name="Done").click()
        expect(page.get_by_text("A number from 0 to 20")).to_be_visible()
        page.get_by_label("Silt before, m").fill("0,12")
        page.get_by_role("button", name="Done").click()
        expect(page.locator(".job")).to_contain_text("0.12 m")
        page.get_by_role("button", name="Sign off").click()
        expect(page.locator(".job")).to_contain_text("signed off")
        assert grave(page) == []
