"""The page of devices in a real browser: an instrument replaced and calibrated, the device taken out of calling and back."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect

from tests import servers
from tests.integration.pictures import View, opened, show
from tests.integration.running import EAST, PASSWORD, Running

pytestmark = pytest.mark.integration


def test_an_instrument_is_replaced_and_calibrated_and_its_due_date_is_a_visible_duty(
    run: Running, browser: Browser
) -> None:
    row = {"device": "level-1", "metric": "level", "value": 1.9, "time": int(time.time() * 1000)}
    run.publish(f"{EAST}/readings", {"readings": [row]})
    servers.wait_until(run.alarms, what="the alarm")
    today = datetime.now(UTC).date()
    with opened(run, browser, View()) as page:
        show(page, "#page=devices&site=east")
        expect(page.get_by_text("No calibration is due within 30 days.")).to_be_visible()
        page.locator(".device-link").first.click()
        expect(page.get_by_role("region", name="Alarms of this device")).to_contain_text("Drain nearly full")
        expect(page.get_by_role("region", name="Newest values")).to_contain_text("1.900")
        page.get_by_role("button", name="Record a replacement").click()
        page.locator(".ant-modal-footer").get_by_role("button", name="Save").click()
        expect(page.locator("#instrument-serial-error")).to_have_text("say which instrument it is")
        page.fill("#instrument-serial", "<b>LT-7</b>")
        page.locator(".ant-modal-footer").get_by_role("button", name="Save").click()
        record = page.get_by_role("region", name="Instrument")
        expect(record).to_contain_text("<b>LT-7</b>")
        page.get_by_role("button", name="Record a calibration").click()
        page.fill("#instrument-calibrated_on", (today - timedelta(days=350)).isoformat())
        page.fill("#instrument-due_on", (today + timedelta(days=15)).isoformat())
        page.locator(".ant-modal-footer").get_by_role("button", name="Save").click()
        expect(record.locator(".calibration-soon")).to_be_visible()
        page.get_by_role("link", name="All devices").click()
        expect(page.locator(".device-due-list li")).to_have_count(1)
        expect(page.locator(".device-due-list li")).to_contain_text("due soon")
    assert run.stored("level-1", "level")[-1][1] == 1.9


def test_a_device_is_taken_out_of_calling_and_back(run: Running, browser: Browser) -> None:
    with opened(run, browser, View(size=(800, 1280))) as page:
        show(page, "#page=devices&of=level-2")
        page.get_by_role("button", name="Take out of calling").click()
        page.locator(".ant-modal-footer").get_by_role("button", name="Save").click()
        expect(page.locator("#mask-reason-missing")).to_have_text("Say why.")
        page.fill("#mask-reason", "the manhole is being cleaned")
        page.locator(".ant-modal-footer").get_by_role("button", name="Save").click()
        expect(page.locator(".device-mask")).to_contain_text("the manhole is being cleaned")
        assert [mask["device"] for mask in run.get("/api/v1/masks")["items"]] == ["level-2"]
        page.get_by_role("button", name="End it now").click()
        expect(page.get_by_text("In use: alarms call people.")).to_be_visible()
    assert run.get("/api/v1/masks")["items"] == []


def test_a_reason_outlives_the_catalogue_that_is_fetched_each_minute(run: Running, browser: Browser) -> None:
    with opened(run, browser, View()) as page:
        page.clock.install()
        page.reload()
        show(page, "#page=devices&of=level-2")
        page.get_by_role("button", name="Take out of calling").click()
        page.fill("#mask-reason", "the manhole is being")
        with page.expect_response("**/api/v1/rules"), page.expect_response("**/api/v1/sites"):
            page.clock.fast_forward(61_000)
        page.wait_for_timeout(1_000)
        expect(page.locator("#mask-reason")).to_have_value("the manhole is being", timeout=1_000)


def test_what_somebody_may_do_at_one_site_is_not_offered_at_another(run: Running, browser: Browser) -> None:
    grants = [{"role": "engineer", "site": "east"}, {"role": "viewer", "site": "west"}]
    run.http.post("/api/v1/users", json={"name": "two", "password": PASSWORD, "grants": grants}).raise_for_status()
    with opened(run, browser, View(), name="two") as page:
        for device, count in (("level-2", 1), ("meter", 0)):
            show(page, f"#page=devices&of={device}")
            expect(page.get_by_text("In use: alarms call people.")).to_be_visible()
            for button in ("Take out of calling", "Record a replacement"):
                expect(page.get_by_role("button", name=button)).to_have_count(count)
