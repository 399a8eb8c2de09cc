"""The dormitories' page in a real Chromium on a real server: a leak, a month's bill, a forbidden load and its case."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests import dormitory, servers
from tests.integration.pictures import View, grave, opened, show
from tests.integration.running import Running, running

pytestmark = pytest.mark.integration

_TOPIC = "gatehouse/v1/west/gw-west/readings"
_BATCH = 2_000


@pytest.fixture(scope="module")
def run(screens: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("dormitories")
    dormitory.write(folder)
    with servers.mosquitto(folder) as port, running(folder, port) as started:
        seed(started)
        yield started


def last_month() -> datetime:
    """The first of it, at the dormitory."""
    first = datetime.now(dormitory.ZONE).replace(day=1)
    return (first - timedelta(days=1)).replace(day=1)


def seed(run: Running) -> None:
    """Registers of last month until now, and a heater that is on for a minute."""
    now_ms = round(time.time() * 1000)
    month = last_month()
    rows = dormitory.registers(dormitory.month_ms(month.year, month.month), now_ms - dormitory.HOUR_MS)
    # The last one is of now: a register that spoke an hour ago would be of a silent meter.
    last = {device: (device, metric, now_ms - 1000, value) for device, metric, _, value in rows}
    readings = [
        {"device": device, "metric": metric, "time": time_ms, "value": value}
        for device, metric, time_ms, value in [*rows, *last.values()]
    ]
    for ago in range(90, 0, -5):
        watts, factor = (1830.0, 0.98) if 20 <= ago <= 60 else (30.0, 0.5)
        at = now_ms - ago * 1000
        readings.append({"device": "e-2", "metric": "power", "time": at, "value": watts})
        readings.append({"device": "e-2", "metric": "power_factor", "time": at, "value": factor})
    for start in range(0, len(readings), _BATCH):
        run.publish(_TOPIC, {"readings": readings[start : start + _BATCH]})
    servers.wait_until(lambda: any(alarm["device"] == "e-2" for alarm in run.alarms("all")), what="the alarm")
    servers.wait_until(lambda: len(run.stored("w-3", "volume")) > 24, what="the registers")


def test_a_leak_is_seen_on_the_plan_and_listed_with_litres_and_money(run: Running, browser: Browser) -> None:
    with opened(run, browser, View()) as page:
        show(page, "#page=dormitories")
        tile = page.locator(".room-tile").filter(has_text="Room 101")
        expect(tile).to_contain_text("Leak")
        # By keyboard to its neighbour, and into it.
        tile.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".room-tile:focus")).to_contain_text("Room 102")
        page.get_by_text("Leaks (1)").click()
        row = page.locator(".leak-table tbody tr")
        expect(row).to_contain_text("288")
        expect(row).to_contain_text("1.44")
        row.get_by_role("button", name="Room 101").click()
        expect(page.locator(".room-facts")).to_contain_text("Leak")
        expect(page.locator(".room-charts section")).to_have_count(3)


def test_a_months_bill_is_looked_at_issued_and_downloaded(run: Running, browser: Browser) -> None:
    month = f"{last_month():%Y-%m}"
    with opened(run, browser, View()) as page:
        show(page, f"#page=dormitories&tab=bills&month={month}")
        expect(page.locator(".bill-state")).to_have_text("Draft")
        made: dict[str, Any] = run.get(f"/api/v1/bills/dorm/{month}")["bill"]
        due = page.locator(".bill-total td").last
        expect(due).to_have_text(f"{sum(bed['due_fen'] for room in made['rooms'] for bed in room['beds']) / 100:.2f}")
        with page.expect_download() as download:
            page.get_by_role("link", name="PDF").click()
        assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
        page.get_by_role("button", name="Issue bill").click()
        page.locator(".ant-modal-footer").get_by_role("button", name="Issue bill").click()
        expect(page.locator(".bill-state")).to_contain_text("Issued by admin")
        expect(page.get_by_role("button", name="Issue bill")).to_have_count(0)
    assert run.get(f"/api/v1/bills/dorm/{month}")["bill"] == made


def test_a_bill_is_not_shown_under_another_month(run: Running, browser: Browser) -> None:
    month = last_month()
    held: list[Route] = []
    with opened(run, browser, View()) as page:
        show(page, f"#page=dormitories&tab=bills&month={month:%Y-%m}")
        expect(page.locator(".bill-total")).to_have_count(1)
        page.route("**/api/v1/bills/dorm/*", lambda route: held.append(route))
        page.get_by_label("Month").select_option(f"{month - timedelta(days=1):%Y-%m}")
        expect(page.locator(".ant-skeleton")).to_be_visible()
        expect(page.locator(".bill-total")).to_have_count(0)
        held[0].continue_()
        expect(page.locator(".ant-skeleton")).to_have_count(0)


def test_a_forbidden_load_is_warned_of_appealed_and_decided(run: Running, browser: Browser) -> None:
    with opened(run, browser, View()) as page:
        show(page, "#page=dormitories&tab=cases")
        page.get_by_role("button", name="Warn").click()
        answer(page, "Warn", "")
        expect(page.get_by_text("Please say why.")).to_be_visible()
        answer(page, "Warn", "1800 W at night")
        expect(page.locator(".case-warned")).to_contain_text("Warning, stage 1")
        page.get_by_role("button", name="Record appeal").click()
        answer(page, "Record appeal", "a hair dryer")
        expect(page.locator(".case-appealed")).to_contain_text("a hair dryer")
        page.get_by_role("button", name="Uphold").click()
        answer(page, "Uphold", "power factor of a heater")
        expect(page.locator(".case-upheld .case-steps > li")).to_have_count(3)
        show(page, "#page=dormitories&room=room-2")
        expect(page.locator(".plain-table tbody tr").first).to_contain_text("1800")


def answer(page: Page, confirm: str, reason: str) -> None:
    page.fill("#dialog-note", reason)
    page.locator(".ant-modal-footer").get_by_role("button", name=confirm).click()


@pytest.mark.parametrize("view", [View("zh"), View("en", (800, 1280), "dark")], ids=lambda view: view.name)
def test_every_tab_is_accessible_and_fits_its_width(run: Running, browser: Browser, view: View) -> None:
    month = f"{last_month():%Y-%m}"
    with opened(run, browser, view) as page:
        for where in ("tab=rooms", "tab=leaks", "tab=cases", f"tab=bills&month={month}", "room=room-2"):
            show(page, f"#page=dormitories&{where}")
            expect(page.locator(".dormitory-bar")).to_be_visible()
            page.wait_for_timeout(1_500)
            assert grave(page) == [], where
            assert page.evaluate("document.documentElement.scrollWidth") <= view.size[0], where
