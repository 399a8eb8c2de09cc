"""An administrator who must enrol sees nothing else, enrols, and then logs in with a code; in a real browser."""

from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import expect, sync_playwright

from api.app import SCREENS
from tests import servers
from tests.integration import pictures
from tests.integration.running import PASSWORD, running

pytestmark = pytest.mark.integration


def test_enrolling_and_logging_in_with_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = pictures.chromium()
    if program is None or not (SCREENS / "index.html").exists():
        servers.missing("chromium and the built screens", "apt-get install chromium; make screens")
        raise AssertionError
    monkeypatch.setenv("GATEHOUSE__API__SECOND_FACTOR", "required")
    with (
        servers.mosquitto(tmp_path) as port,
        running(tmp_path, port) as run,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=pictures.ARGUMENTS) as browser,
    ):
        page = browser.new_page(
            base_url=str(run.http.base_url), locale="en-GB", viewport={"width": 1280, "height": 800}
        )
        page.goto("/")
        page.fill("#login-name", "admin")
        page.fill("#login-password", PASSWORD)
        page.keyboard.press("Enter")
        page.fill("#factor-password", PASSWORD)
        page.screenshot(path=tmp_path / "must.png")
        page.keyboard.press("Enter")
        secret = page.locator(".second-factor code").inner_text().replace(" ", "")
        page.wait_for_function("document.querySelector('.factor-picture').naturalWidth > 0")
        page.screenshot(path=tmp_path / "scan.png")
        page.fill("#factor-code", pyotp.TOTP(secret).now())
        page.keyboard.press("Enter")
        codes = (
            page.locator(".recovery-codes li").all_inner_texts() if page.wait_for_selector(".recovery-codes") else []
        )
        page.screenshot(path=tmp_path / "codes.png")
        assert len(codes) == 10
        page.get_by_role("button", name="I have written them down").click()
        expect(page.locator(".user-name")).to_have_text("admin")
        page.context.clear_cookies()
        page.reload()
        page.fill("#login-name", "admin")
        page.fill("#login-password", PASSWORD)
        page.keyboard.press("Enter")
        page.fill("#login-code", codes[0])
        page.screenshot(path=tmp_path / "code.png")
        page.keyboard.press("Enter")
        expect(page.locator(".user-name")).to_have_text("admin")
