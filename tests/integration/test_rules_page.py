"""The page of rules in a real browser: errors at the field, the back-test beside it, saved with a reason, a conflict."""

import time

import pytest
from playwright.sync_api import Browser, expect

from tests import servers
from tests.integration.pictures import View, opened, show
from tests.integration.running import Running

pytestmark = pytest.mark.integration

_REASON = "#rule-note"


def in_force(run: Running, name: str) -> dict[str, object]:
    found: dict[str, object] = next(rule for rule in run.get("/api/v1/rules")["items"] if rule["id"] == name)
    return found


def test_a_rule_is_changed_tried_and_saved_and_what_does_not_fit_is_said_at_its_field(
    run: Running, browser: Browser
) -> None:
    now_ms = int(time.time() * 1000)
    powers = [(now_ms - 3000 + 1000 * at, power) for at, power in enumerate((1200.0, 10.0, 1300.0))]
    rows = [{"device": "meter", "metric": "power", "time": at_ms, "value": power} for at_ms, power in powers]
    run.publish("gatehouse/v1/west/gw-west/readings", {"readings": rows})
    servers.wait_until(lambda: len(run.stored("meter", "power")) == 3, what="the readings in history")
    with opened(run, browser, View()) as page:
        show(page, "#page=rules")
        page.get_by_role("link", name="Heater").click()
        limit = page.locator("[id='rule-levels[0].at_least']")
        limit.fill("much")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".rule-levels .rule-error").first).to_have_text("Give a number.")
        expect(page.locator("#rule-note-missing")).to_have_text("Say why.")
        # What only the server knows comes back to its field too.
        limit.fill("1250")
        page.fill("#rule-schedule", "no-such-schedule")
        page.fill(_REASON, "kettles are allowed now")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#rule-schedule-error")).to_have_text("there is no schedule 'no-such-schedule'")
        page.fill("#rule-schedule", "")
        page.fill("#rule-raise_after_s", "-1")
        page.get_by_role("button", name="Try on the past").click()
        expect(page.locator("#rule-raise_after_s-error")).to_contain_text("greater than or equal to 0")
        page.fill("#rule-raise_after_s", "0")
        page.fill("#rule-clear_after_s", "0")
        page.get_by_role("button", name="Try on the past").click()
        expect(page.locator(".rule-backtest")).to_contain_text("3 readings looked at")
        expect(page.locator(".rule-backtest canvas")).to_be_visible()
        expect(page.locator(".rule-backtest")).to_contain_text("Only with the change: 1")
        limit.fill("1240")
        expect(page.locator(".rule-backtest")).to_contain_text("The rule was changed after this back-test")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".rule-version").first).to_contain_text("kettles are allowed now")
        expect(page.locator(".rule-version").first.locator("del").first).to_have_text("1000")
    assert in_force(run, "heater")["levels"] == [
        {"severity": "high", "at_least": 1240, "at_most": None, "clear": None, "local": False}
    ]


def test_who_was_slower_sees_the_others_change_and_keeps_what_they_typed(run: Running, browser: Browser) -> None:
    with opened(run, browser, View()) as page:
        show(page, "#page=rules&rule=drain-rise")
        page.fill("#rule-deadband", "0.001")
        page.fill(_REASON, "it flaps")
        other = in_force(run, "drain-rise")
        version = other.pop("version")
        body = {"rule": other | {"raise_count": 2}, "version": version, "note": "two in a row"}
        run.http.put("/api/v1/rules/drain-rise", json=body).raise_for_status()
        page.get_by_role("button", name="Save").click()
        conflict = page.locator(".rule-conflict")
        expect(conflict).to_contain_text("two in a row")
        expect(conflict.locator("code")).to_have_text("raise_count")
        expect(page.locator("#rule-deadband")).to_have_value("0.001")
        page.get_by_role("button", name="Take theirs, drop mine").click()
        expect(page.locator("#rule-raise_count")).to_have_value("2")
        page.fill(_REASON, "nobody needs it")
        page.get_by_role("button", name="Retire").click()
        page.locator(".ant-modal-container, .ant-modal-content").get_by_role("button", name="Retire").click()
        expect(page.locator(".rule-list")).to_be_visible()
        expect(page.locator(".rule-list")).not_to_contain_text("drain-rise")


def test_who_was_slower_and_has_a_bad_network_hears_that_nothing_is_saved(run: Running, browser: Browser) -> None:
    with opened(run, browser, View()) as page:
        uncaught: list[str] = []
        page.on("pageerror", lambda error: uncaught.append(str(error)))
        show(page, "#page=rules&rule=heater")
        page.fill("#rule-deadband", "0.5")
        page.fill(_REASON, "it flaps")
        expect(page.locator(".rule-version").first).to_be_visible()
        page.route(
            "**/api/v1/rules/heater", lambda route: route.fulfill(status=409, json={"status": 409, "detail": "x"})
        )
        page.route("**/api/v1/rules/heater/versions", lambda route: route.abort())
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".ant-message-error")).to_be_visible()
        expect(page.locator("#rule-deadband")).to_have_value("0.5")
        assert uncaught == []


def test_who_may_not_change_rules_reads_them(run: Running, browser: Browser) -> None:
    person = {"name": "looker", "grants": [{"role": "viewer"}], "password": "a long enough password"}
    made = run.http.post("/api/v1/users", json=person)
    assert made.status_code in (200, 201), made.text
    with opened(run, browser, View()) as page:
        page.context.request.delete(f"{run.http.base_url}/api/v1/session")
        login = {"name": "looker", "password": "a long enough password"}
        page.context.request.post(f"{run.http.base_url}/api/v1/session", data=login)
        page.goto(f"{run.http.base_url}#page=rules&rule=fever")
        page.reload()
        expect(page.get_by_text("You may read this rule.")).to_be_visible()
        expect(page.get_by_role("button", name="Save")).to_have_count(0)
        expect(page.locator("#rule-deadband")).not_to_be_editable()
        expect(page.locator(".rule-version").first).to_be_visible()
        show(page, "#page=rules")
        for name, where in (
            ("Offline", "all gateways"),
            ("Heater", "all with Power"),
        ):  # in words, not by what they are called inside
            expect(page.locator(".rule-list tr").filter(has_text=name)).to_contain_text(where)
