"""The screens in a real Chromium, on a real broker, core and API: what a guard sees, decides and is told."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Locator, Page, expect

from tests import servers
from tests.integration.running import EAST, PASSWORD, Running

pytestmark = pytest.mark.integration

# A silent core is noticed after 6 s and told with the next health event, at most 5 s later.

_LATIN = "[A-Za-z]{3,}"
# What a Chinese screen shows in Latin letters besides the names of the small district, which are not translated.
_NOT_TRANSLATED = {"English", "admin", "GMT", "JSON", "MQTT"}

OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(run: Running, browser: Browser) -> Iterator[OpenPage]:
    """Pages of people who are logged in; when the test is over, none may have complained on its console."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def told(message: ConsoleMessage) -> None:
        # That nobody is logged in yet, or that an answer is a refusal, the browser itself writes there.
        is_answer = re.search(r"status of (401|409) ", message.text)
        if message.type in ("error", "warning") and not is_answer:
            complaints.append(message.text)

    def failed(error: Error) -> None:
        complaints.append(str(error))

    def make(name: str = "admin", locale: str = "en-GB") -> Page:
        context = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("console", told)
        page.on("pageerror", failed)
        page.goto(str(run.http.base_url))
        page.fill("#login-name", name)
        page.fill("#login-password", PASSWORD)
        page.click("button[type=submit]")
        expect(page.locator(".connection-live")).to_be_visible()
        expect(page.locator(".tile").first).to_be_visible()
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def scan(run: Running, key: str, temperature: float) -> None:
    """One person walks through the lane."""
    row = {"device": "scanner", "metric": "skin_temperature", "value": temperature, "key": key}
    run.publish(f"{EAST}/readings", {"readings": [row]})


def alarm_of(run: Running, key: str) -> dict[str, Any]:
    return next(alarm for alarm in run.alarms("all") if alarm["key"] == key)


def fever(run: Running, key: str, temperature: float) -> str:
    """A fever alarm; its id."""
    scan(run, key, temperature)
    servers.wait_until(lambda: any(alarm["key"] == key for alarm in run.alarms()), what=f"the alarm of {key}")
    return str(alarm_of(run, key)["id"])


def card(page: Page, temperature: float) -> Locator:
    """The alarm with this value; each test takes one of its own."""
    return page.locator(".alarm-card").filter(has_text=f"{temperature}\u00a0°C")


def test_a_fever_is_on_the_page_without_a_reload_and_acknowledged_by_a_touch(run: Running, open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate("window.wasHereBefore = true")

    scan(run, "a", 38.6)

    expect(card(page, 38.6)).to_be_visible()
    expect(page.locator(".lane-temperature")).to_contain_text("38.6")
    topic = f"gatehouse/v1/east/alarms/{alarm_of(run, 'a')['id']}"
    servers.wait_until(lambda: topic in [heard for heard, _ in run.heard], what="the alarm on MQTT")

    card(page, 38.6).get_by_role("button", name="Acknowledge").click()

    expect(card(page, 38.6)).to_contain_text("Acknowledged by admin")
    expect(card(page, 38.6).get_by_role("button", name="Acknowledge")).to_have_count(0)
    servers.wait_until(
        lambda: any(json.loads(body)["acknowledged_by"] == "admin" for heard, body in run.heard if heard == topic),
        what="the acknowledgement on MQTT",
    )
    assert page.evaluate("window.wasHereBefore")


def test_a_decision_on_an_older_state_is_not_taken_and_the_person_is_told(run: Running, open_page: OpenPage) -> None:
    fever(run, "b", 38.7)
    first, second = open_page(), open_page()
    card(second, 38.7).get_by_role("button", name="Refuse").click()
    second.fill("#dialog-note", "38.7 measured twice")
    card(first, 38.7).get_by_role("button", name="Acknowledge").click()
    expect(card(first, 38.7)).to_contain_text("Acknowledged by admin")

    second.locator(".ant-modal-footer").get_by_role("button", name="Refuse").click()

    expect(second.get_by_text("Someone else changed this alarm meanwhile")).to_be_visible()
    expect(second.locator(".meanwhile li")).to_contain_text("admin Acknowledged")
    assert alarm_of(run, "b")["disposition"] is None
    assert second.input_value("#dialog-note") == "38.7 measured twice", "what was typed is kept"

    second.fill("#dialog-note", "")
    second.locator(".ant-modal-footer").get_by_role("button", name="Send it even so").click()
    expect(second.get_by_text("Refusing entry needs a reason on record.")).to_be_visible()
    second.fill("#dialog-note", "38.7 measured twice")
    second.locator(".ant-modal-footer").get_by_role("button", name="Send it even so").click()
    servers.wait_until(lambda: alarm_of(run, "b")["disposition"] == "refuse", what="the decision")
    expect(card(first, 38.7)).to_have_count(0)


def test_who_does_not_decide_on_a_class_reads_its_alarms_without_buttons(run: Running, open_page: OpenPage) -> None:
    fever(run, "c", 38.8)
    subprocess.run(
        servers.gatehouse("user", "add", "manager", "--role", "manager", "--config", run.config),
        env={**os.environ, "GATEHOUSE_PASSWORD": PASSWORD},
        check=True,
        capture_output=True,
    )
    page = open_page("manager")
    expect(card(page, 38.8)).to_contain_text("Read only")
    for action in ("Acknowledge", "Admit", "Refuse", "Refer"):
        expect(card(page, 38.8).get_by_role("button", name=action)).to_have_count(0)
    card(page, 38.8).get_by_role("button", name="Details").click()
    expect(page.locator(".detail .transitions li")).to_have_count(1)


def test_refused_input_stands_in_quarantine_with_its_reason(run: Running, open_page: OpenPage) -> None:
    page = open_page()
    page.locator(".quarantine-head").click()
    run.publish(f"{EAST}/readings", b'{"readings":[{"device":"scanner"')
    row = page.locator(".quarantine tbody tr").filter(has_text="Broken JSON")
    expect(row.first).to_be_visible()
    expect(row.first).to_contain_text(f"{EAST}/readings")


def test_the_page_says_that_the_core_is_gone_and_finds_back_by_itself(run: Running, open_page: OpenPage) -> None:
    fever(run, "d", 38.9)
    page = open_page()
    # Of the list new alarms are read out, not how old each of them is now.
    expect(page.locator(".alarms-list[aria-live]")).to_have_attribute("aria-relevant", "additions")
    assert run.core is not None
    run.core.kill()

    expect(page.locator(".connection-bar")).to_contain_text("the core is not heard")
    expect(page.locator(".connection-live")).to_have_count(0)
    expect(page.locator(".as-of")).to_contain_text("stale")

    run.start_core()

    expect(page.locator(".connection-live")).to_be_visible()
    expect(page.locator(".connection-bar")).to_have_count(0)
    expect(card(page, 38.9)).to_be_visible()
    scan(run, "e", 39.1)
    expect(card(page, 39.1)).to_be_visible()
    refused = [item["topic"] for item in run.get("/api/v1/quarantine")["items"]]
    assert not [topic for topic in refused if "/alarms/" in topic], "the core does not hear itself"


def test_the_other_language_leaves_no_word_of_the_first(run: Running, open_page: OpenPage) -> None:
    fever(run, "f", 39.2)
    page = open_page()
    assert not re.search("[\u4e00-\u9fff]", page.inner_text("body").replace("中文", ""))

    page.get_by_role("button", name="中文").click()

    expect(page.get_by_role("heading", name="告警", exact=True)).to_be_visible()
    card(page, 39.2).locator(".alarm-details").click()
    expect(page.locator(".detail .chart canvas").first).to_be_visible()
    names = json.dumps([run.get(f"/api/v1/{what}") for what in ("sites", "kinds", "rules")])
    shown = set(re.findall(_LATIN, page.inner_text("body")))
    assert shown - set(re.findall(_LATIN, names)) <= _NOT_TRANSLATED, "neither English nor the key of a text"
    page.reload()
    expect(page.get_by_role("heading", name="告警", exact=True)).to_be_visible()
