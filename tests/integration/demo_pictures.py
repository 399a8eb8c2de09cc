"""Pictures of the demonstration district for the README and docs/, in both languages.

    python -m tests.integration.demo_pictures docs/screenshots

Runs `gatehouse demo` in a scratch folder until there is something to see, with a registrar and three invented visitors.
Needs Chromium, and ImageMagick to make the files small.
"""

import argparse
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx2
from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests import servers
from tests.integration.pictures import ARGUMENTS, LANGUAGES, chromium, show
from tests.integration.running import PASSWORD

# By name: the address, who looks, and what is clicked on first.
VIEWS: dict[str, tuple[str, str, str | None]] = {
    "gate": ("#page=guard", "admin", None),
    "overview": ("#page=overview", "admin", None),
    "drains": ("#page=drains", "admin", None),
    "wall": ("#page=wall", "admin", None),
    "alarms": ("#page=alarms", "admin", None),
    "dormitories": ("#page=dormitories", "admin", None),
    "bills": ("#page=dormitories", "admin", ".ant-segmented-item:nth-child(4)"),
    "register": ("#page=register", "registrar", None),
    "rules": ("#page=rules", "admin", None),
    "figures": ("#page=figures", "admin", None),
}
_SIZE: ViewportSize = {"width": 1280, "height": 800}
_STORY_S = 75  # after which there are a fever, rising drains and a heater
_VISITORS = (
    ("张三（示例）", "示例公司", "公务", "办公室", 36.4),
    ("李四（示例）", "示例快递", "送货", "总务处", 36.6),
    ("王五（示例）", "示例水务", "维修", "设施科", 36.5),
)


@contextmanager
def demo(folder: Path) -> Iterator[tuple[str, str]]:
    """A running district: its address and the administrator's password."""
    port, log = servers.free_port(), folder / "demo.log"
    with servers.process(servers.gatehouse("demo", "--data", folder / "district", "--port", str(port)), log):
        pattern = r"log in as admin with password (\S+)"
        servers.wait_until(lambda: re.search(pattern, log.read_text()) is not None, what="the demo", timeout_s=120)
        found = re.search(pattern, log.read_text())
        assert found is not None
        yield f"http://127.0.0.1:{port}", found[1]


def enter_visitors(base: str) -> None:
    """Somebody to see in the register; nobody who exists."""
    with httpx2.Client(base_url=base, timeout=20) as http:
        logged_in = http.post("/api/v1/session", json={"name": "registrar", "password": PASSWORD}).json()
        http.headers["X-CSRF-Token"] = logged_in["csrf"]
        gate = http.get("/api/v1/gates").json()["items"][0]["id"]
        for visitor, organisation, purpose, department, value in _VISITORS:
            body: dict[str, object] = {
                "visitor": visitor,
                "organisation": organisation,
                "purpose": purpose,
                "department": department,
            }
            body |= {"gate": gate, "temperature": {"value": value}}
            answer = http.post("/api/v1/register/entries", json=body, headers={"Idempotency-Key": uuid4().hex})
            answer.raise_for_status()


def take(page: Page, name: str, language: str, folder: Path) -> None:
    """One picture, as small as 256 colours make it."""
    where, _, click = VIEWS[name]
    show(page, where)
    seen = page.get_by_role("button", name=re.compile("Got it|知道了"))
    if seen.count():
        seen.first.click()
    if click is not None:
        page.locator(f"main {click}").first.click()
    if name == "bills":
        # The demo's past is two weeks: the month before has no readings.
        page.get_by_label(re.compile("^Month$|^月份$")).select_option(time.strftime("%Y-%m"))
        page.wait_for_timeout(500)
        page.wait_for_function("() => document.querySelector('main .ant-skeleton') === null")
    page.wait_for_timeout(2_000)
    file = folder / f"{name}-{language}.png"
    page.screenshot(path=file)
    subprocess.run(["convert", file, "-strip", "+dither", "-colors", "128", f"PNG8:{file}"], check=True)


def main() -> None:
    """Take all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory() as place,
        demo(Path(place)) as (base, password),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS) as browser,
    ):
        add = ("user", "add", "registrar", "--role", "registrar", "--config", Path(place) / "district/gatehouse.yaml")
        subprocess.run(
            servers.gatehouse(*add), env={**os.environ, "GATEHOUSE_PASSWORD": PASSWORD}, check=True, capture_output=True
        )
        enter_visitors(base)
        time.sleep(_STORY_S)
        for language in LANGUAGES:
            for who, secret in (("admin", password), ("registrar", PASSWORD)):
                context = browser.new_context(viewport=_SIZE, color_scheme="light", service_workers="block")
                chosen = {"language": language, "look": "light", "sound": "on"}
                context.add_init_script("".join(f"localStorage['gatehouse.{k}'] = {v!r};" for k, v in chosen.items()))
                context.request.post(f"{base}/api/v1/session", data={"name": who, "password": secret})
                page = context.new_page()
                page.goto(base)
                page.wait_for_selector(".connection-live")
                for name in (name for name, view in VIEWS.items() if view[1] == who):
                    take(page, name, language, folder)
                context.close()


if __name__ == "__main__":
    main()
