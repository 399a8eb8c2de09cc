"""A guard's shift in a real Chromium, on a real broker, core and API: who is stopped, measured again and decided on."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect

from tests import servers
from tests.integration.running import EAST, PASSWORD, Running
from tests.integration.test_browser import scan

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def guards(run: Running) -> Running:
    for name in ("li", "chen"):
        subprocess.run(
            servers.gatehouse("user", "add", name, "--role", "guard", "--config", run.config),
            env={**os.environ, "GATEHOUSE_PASSWORD": PASSWORD},
            check=True,
            capture_output=True,
        )
    return run


@pytest.fixture
def tablets(guards: Running, browser: Browser) -> Iterator[dict[str, Page]]:
    """One for each guard, as large as a tablet held upright."""
    found = {}
    for name in ("li", "chen"):
        context = browser.new_context(locale="en-GB", viewport={"width": 800, "height": 1280})
        page = found[name] = context.new_page()
        page.goto(str(guards.http.base_url))
        log_in(page, name)
        expect(page.locator(".guard-lane")).to_be_visible()
    yield found
    for page in found.values():
        page.context.close()


def log_in(page: Page, name: str) -> None:
    page.fill("#login-name", name)
    page.fill("#login-password", PASSWORD)
    page.click("button[type=submit]")


def decided(run: Running, key: str) -> dict[str, Any]:
    alarm = next(alarm for alarm in run.alarms("all") if alarm["key"] == key)
    found: dict[str, Any] = run.get(f"/api/v1/alarms/{alarm['id']}")
    return found


def test_a_first_alert_is_managed_by_what_the_screen_says(guards: Running, tablets: dict[str, Page]) -> None:
    page = tablets["li"]
    expect(page.get_by_text("Nobody is stopped")).to_be_visible()
    scan(guards, "g1", 38.6)
    expect(page.get_by_role("heading", name="Fever: stop this person")).to_be_visible()
    expect(page.locator(".measured").first).to_contain_text("38.6 °C")
    # A screen reader would say each second anew for how long nobody has answered, and nothing else.
    expect(page.locator(".unanswered")).to_be_visible()
    expect(page.locator("[role=status] .unanswered, [aria-live] .unanswered")).to_have_count(0)

    page.get_by_role("button", name="Measure again").click()
    expect(page.get_by_role("timer")).to_contain_text("Time left for the second measurement")
    expect(tablets["chen"].get_by_text("li sees to it")).to_be_visible()

    page.get_by_label("Second temperature").fill("366")
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_text("Type a temperature between 30 and 45")).to_be_visible()
    page.get_by_label("Second temperature").fill("36,6")
    page.get_by_role("button", name="Enter").click()
    expect(page.locator(".measured").last).to_contain_text("36.6 °C")
    expect(page.locator(".measured").last).to_contain_text("Normal · Ear, typed in by li")

    page.get_by_role("button", name="Admit").click()
    page.get_by_role("button", name="Second measurement normal").click()
    page.get_by_role("button", name="Yes, admit").click()
    expect(page.get_by_text("Nobody is stopped")).to_be_visible()
    alarm = decided(guards, "g1")
    assert (alarm["disposition"], alarm["transitions"][-1]["actor"]) == ("admit", "li")
    assert alarm["transitions"][-1]["note"] == "Second measurement normal"


def test_a_bad_temperature_is_said_to_be_bad_and_is_no_fever(guards: Running, tablets: dict[str, Page]) -> None:
    row = {"device": "scanner", "metric": "skin_temperature", "value": 39.4, "quality": "bad", "key": "g0"}
    guards.publish(f"{EAST}/readings", {"readings": [row]})
    lane = tablets["li"].locator(".guard-lane")
    expect(lane.locator(".guard-temperature")).to_contain_text("39.4 °C")
    expect(lane.locator(".reading-quality")).to_have_text("bad")
    expect(tablets["li"].locator(".guard-lane-high")).to_have_count(0)


def test_that_nobody_is_stopped_is_said_only_of_a_list_that_has_come(guards: Running, tablets: dict[str, Page]) -> None:
    page = tablets["li"]
    away = {"type": "about:blank", "title": "A part behind the API is away", "status": 503, "detail": "try again"}
    page.route("**/api/v1/alarms?state=open*", lambda route: route.fulfill(status=503, json=away))
    page.reload()
    expect(page.get_by_text("Not known now")).to_be_visible()
    expect(page.get_by_text("Nobody is stopped")).to_have_count(0)
    page.unroute("**/api/v1/alarms?state=open*")
    expect(page.get_by_text("Nobody is stopped")).to_be_visible()


def test_a_second_measurement_of_the_passage_appears_by_itself(guards: Running, tablets: dict[str, Page]) -> None:
    page = tablets["li"]
    scan(guards, "g2", 37.6)
    page.get_by_role("button", name="Measure again").click()
    expect(page.get_by_role("timer")).to_be_visible()
    scan(guards, "g2", 36.5)
    expect(page.locator(".measured").last).to_contain_text("36.5 °C")
    expect(page.get_by_role("timer")).to_contain_text("Time left to decide")
    decide(page, "Admit", "Yes, admit")


def decide(page: Page, what: str, confirm: str, reason: str = "") -> None:
    page.get_by_role("button", name=what, exact=True).click()
    if reason:
        page.get_by_label("In your own words").fill(reason)
    page.get_by_role("button", name=confirm).click()


def test_of_two_guards_the_second_is_told_who_was_first_and_what_they_said(
    guards: Running, tablets: dict[str, Page]
) -> None:
    li, chen = tablets["li"], tablets["chen"]
    scan(guards, "g3", 38.1)
    for page in (li, chen):
        page.get_by_role("button", name="Refuse", exact=True).click()
    chen.get_by_label("In your own words").fill("no mask")
    li.get_by_label("In your own words").fill("38.4 by ear")

    def first_li(route: Route) -> None:
        # While the second decision is on its way the first arrives.
        alarm = next(alarm for alarm in guards.alarms() if alarm["key"] == "g3")
        li.get_by_role("button", name="Yes, refuse").click()
        servers.wait_until(lambda: decided(guards, "g3")["state"] == "closed", what="the first decision")
        assert alarm["seq"] == 1
        route.continue_()

    chen.route("**/api/v1/alarms/*/dispose", first_li)
    chen.get_by_role("button", name="Yes, refuse").click(no_wait_after=True)
    expect(chen.get_by_text("Somebody else was first").first).to_be_visible()
    expect(chen.get_by_text("li: Refused. 38.4 by ear").first).to_be_visible()
    assert decided(guards, "g3")["transitions"][-1]["actor"] == "li"


def test_nobody_is_refused_without_a_reason(guards: Running, tablets: dict[str, Page]) -> None:
    page = tablets["li"]
    scan(guards, "g4", 38.2)
    page.get_by_role("button", name="Refuse", exact=True).click()
    page.get_by_role("button", name="Yes, refuse").click()
    expect(page.get_by_text("Nobody is refused without a reason")).to_be_visible()
    page.get_by_role("button", name="Has symptoms").click()
    page.get_by_role("button", name="Yes, refuse").click()
    expect(page.get_by_text("Nobody is stopped")).to_be_visible()


def test_a_session_that_ends_mid_decision_loses_nothing_typed(guards: Running, tablets: dict[str, Page]) -> None:
    page = tablets["li"]
    scan(guards, "g5", 38.3)
    page.get_by_role("button", name="Refuse", exact=True).click()
    page.get_by_label("In your own words").fill("would not wait")
    page.context.clear_cookies()
    page.get_by_role("button", name="Yes, refuse").click()
    log_in(page, "li")
    expect(page.get_by_label("In your own words")).to_have_value("would not wait")
    page.get_by_role("button", name="Yes, refuse").click()
    expect(page.get_by_text("Nobody is stopped")).to_be_visible()
    assert decided(guards, "g5")["transitions"][-1]["note"] == "would not wait"


def test_several_people_queue_in_sight_and_none_is_pushed_off_the_screen(
    guards: Running, tablets: dict[str, Page]
) -> None:
    page = tablets["li"]
    scan(guards, "g6", 38.4)
    page.get_by_role("button", name="Measure again").click()
    expect(page.get_by_role("timer")).to_be_visible()
    scan(guards, "g7", 37.7)
    expect(page.get_by_role("navigation", name="2 people wait")).to_be_visible()
    expect(page.locator(".measured").first).to_contain_text("38.4 °C")
    decide(page, "Admit", "Yes, admit")
    expect(page.locator(".measured").first).to_contain_text("37.7 °C")
    decide(page, "To the health post", "Yes, to the health post")
    expect(page.get_by_text("Nobody is stopped")).to_be_visible()


def test_a_shift_is_handed_over_with_a_name_and_a_note(guards: Running, tablets: dict[str, Page]) -> None:
    page = tablets["li"]
    page.get_by_role("button", name="Hand over the shift").click()
    page.get_by_label("For the next guard").fill("<b>Lane 1</b> is slow")
    page.get_by_role("button", name="Hand over as li").click()
    expect(page.get_by_text("<b>Lane 1</b> is slow")).to_be_visible()


def test_what_another_tablet_hands_over_is_seen_while_the_note_is_being_written(
    guards: Running, tablets: dict[str, Page]
) -> None:
    li, chen = tablets["li"], tablets["chen"]
    for page in (li, chen):
        page.get_by_role("button", name="Hand over the shift").click()
    li.get_by_label("For the next guard").fill("half a sentence")
    chen.get_by_label("For the next guard").fill("key 7 is missing")
    chen.get_by_role("button", name="Hand over as chen").click()
    expect(li.get_by_text("key 7 is missing")).to_be_visible(timeout=20_000)
    expect(li.get_by_label("For the next guard")).to_have_value("half a sentence")


def test_a_fever_or_a_session_that_ends_in_the_middle_of_a_handover_loses_nothing_typed(
    guards: Running, tablets: dict[str, Page]
) -> None:
    page = tablets["li"]
    page.get_by_role("button", name="Hand over the shift").click()
    page.get_by_label("For the next guard").fill("the barrier sticks")
    scan(guards, "g9", 38.1)
    expect(page.get_by_role("heading", name="Fever: stop this person")).to_be_visible()
    decide(page, "Admit", "Yes, admit")
    expect(page.get_by_label("For the next guard")).to_have_value("the barrier sticks")
    page.context.clear_cookies()
    page.reload()
    page.get_by_label("User name").fill("li")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Hand over the shift").click()
    expect(page.get_by_label("For the next guard")).to_have_value("the barrier sticks")


def choose_pin(guards: Running, page: Page, pin: str) -> None:
    csrf = page.request.get(f"{guards.http.base_url}/api/v1/session").json()["csrf"]
    answer = page.request.put(
        f"{guards.http.base_url}/api/v1/session/pin",
        data={"password": PASSWORD, "pin": pin},
        headers={"X-CSRF-Token": csrf},
    )
    assert answer.status == 204, answer.text()


def test_the_guard_changes_by_pin_in_the_middle_of_a_decision_and_signs_with_their_own_name(
    guards: Running, tablets: dict[str, Page]
) -> None:
    page, chen = tablets["li"], tablets["chen"]
    choose_pin(guards, chen, "2580")
    scan(guards, "g8", 38.2)
    page.get_by_role("button", name="Refuse", exact=True).click()
    page.get_by_label("In your own words").fill("has symptoms")
    page.get_by_role("button", name="Change guard").click()
    page.get_by_role("button", name="chen", exact=True).click()
    for wrong in "1111":
        page.get_by_role("button", name=wrong, exact=True).click()
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_text("The PIN is wrong")).to_be_visible()
    for digit in "2580":
        page.get_by_role("button", name=digit, exact=True).click()
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_text("You decide as chen")).to_be_visible()
    expect(page.get_by_label("In your own words")).to_have_value("has symptoms")
    page.get_by_role("button", name="Yes, refuse").click()
    expect(page.get_by_text("Nobody is stopped")).to_be_visible()
    assert decided(guards, "g8")["transitions"][-1]["actor"] == "chen"


def test_a_tablet_whose_server_is_away_does_not_say_that_nobody_has_a_pin(
    guards: Running, tablets: dict[str, Page]
) -> None:
    page, chen = tablets["li"], tablets["chen"]
    choose_pin(guards, chen, "2580")
    page.route("**/api/v1/session/guards", lambda route: route.abort())
    page.get_by_role("button", name="Change guard").click()
    expect(page.get_by_text("The server does not answer")).to_be_visible()
    page.unroute("**/api/v1/session/guards")
    # Whoever enters their own PIN is there again, too.
    for name in ("chen", "chen"):
        if not page.get_by_role("dialog").is_visible():
            page.get_by_role("button", name="Change guard").click()
        page.get_by_role("button", name=name, exact=True).click()
        for digit in "2580":
            page.get_by_role("button", name=digit, exact=True).click()
        page.get_by_role("button", name="Take over").click()
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_was_asked_for_one_guard_is_nothing_to_the_next(guards: Running, tablets: dict[str, Page]) -> None:
    """A late answer that the one before is not logged in any more would have thrown out who had just come."""
    page, chen = tablets["li"], tablets["chen"]
    choose_pin(guards, chen, "2580")
    held: list[Route] = []
    page.route("**/api/v1/gates", lambda route: held.append(route) if not held else route.continue_())
    with page.expect_request("**/api/v1/gates"):
        pass
    page.get_by_role("button", name="Change guard").click()
    page.get_by_role("button", name="chen", exact=True).click()
    for digit in "2580":
        page.get_by_role("button", name=digit, exact=True).click()
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_role("button", name="Take over")).to_have_count(0)
    assert page.request.get(f"{guards.http.base_url}/api/v1/session").json()["user"]["name"] == "chen"
    # Broken off it cannot be answered any more; before, it was.
    with contextlib.suppress(Error):
        held[0].fulfill(
            status=401, json={"title": "Not logged in", "status": 401, "detail": "late", "type": "about:blank"}
        )
    page.wait_for_timeout(500)
    expect(page.get_by_role("button", name="Change guard")).to_be_visible()
    expect(page.locator("#login-name")).to_have_count(0)
