"""Every page of the screens as a picture, in each language, size and look: for people to look at.

    python -m tests.integration.pictures FOLDER

Pages are those of `web/src/shell/pages.ts`, so that a new one is in it by itself.
"""

import argparse
import itertools
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

from tests import servers
from tests.integration.running import EAST, PASSWORD, Running, running

PAGES = servers.ROOT / "web/src/shell/pages.ts"
AXE = servers.ROOT / "web/node_modules/axe-core/axe.min.js"
LANGUAGES = ("zh", "en")
SIZES = ((1280, 800), (800, 1280))
LOOKS = ("light", "dark")
# Chromium in a container, silent towards the network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_SETTLED_MS = 700
# A button that has just become usable fades from one colour to the other: what is judged is where it ends.
_STILL = """() => Promise.all(document.getAnimations()
    .filter((it) => it.playState === "running" && Number.isFinite(it.effect.getComputedTiming().endTime))
    .map((it) => it.finished.catch(() => null)))"""
_GRAVE = ("serious", "critical")


@dataclass(frozen=True)
class View:
    """How somebody sees the screens."""

    language: str = "en"
    size: tuple[int, int] = SIZES[0]
    look: str = "light"

    @property
    def name(self) -> str:
        return f"{self.language}-{self.size[0]}x{self.size[1]}-{self.look}"


def page_ids() -> list[str]:
    """Of every page there is, also those that only a link opens."""
    return re.findall(r'^  page\("([a-z-]+)"', PAGES.read_text(), re.MULTILINE)


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def seed(run: Running) -> str:
    """Something to see on every page: an open fever, a closed one, refused input. The open alarm's id."""
    for key, temperature in (("seed-1", 36.5), ("seed-2", 38.6), ("seed-3", 39.4)):
        row = {"device": "scanner", "metric": "skin_temperature", "value": temperature, "key": key}
        run.publish(f"{EAST}/readings", {"readings": [row]})
    run.publish(f"{EAST}/readings", b'{"readings":[{"device":"scanner"')
    servers.wait_until(lambda: len(run.alarms()) >= 2, what="the alarms")
    by_key = {alarm["key"]: alarm for alarm in run.alarms()}
    body = {"seq": 1, "disposition": "admit", "note": "36.4 °C measured twice"}
    run.http.post(f"/api/v1/alarms/{by_key['seed-2']['id']}/dispose", json=body).raise_for_status()
    return str(by_key["seed-3"]["id"])


def address(page_id: str, alarm: str) -> str:
    """Where a page is, with what it needs to show something."""
    return f"#page={page_id}&of={alarm}" if page_id == "alarm" else f"#page={page_id}"


@contextmanager
def opened(
    run: Running,
    browser: Browser,
    view: View,
    service_workers: Literal["allow", "block"] = "block",
    name: str = "admin",
) -> Iterator[Page]:
    """A browser of its own that is logged in and has chosen language and look."""
    context = browser.new_context(
        viewport={"width": view.size[0], "height": view.size[1]}, color_scheme="light", service_workers=service_workers
    )
    chosen = {"gatehouse.language": view.language, "gatehouse.look": view.look, "gatehouse.sound": "off"}
    context.add_init_script("".join(f"localStorage.setItem({key!r}, {value!r});" for key, value in chosen.items()))
    context.request.post(f"{run.http.base_url}/api/v1/session", data={"name": name, "password": PASSWORD})
    page = context.new_page()
    page.goto(f"{run.http.base_url}")
    page.wait_for_selector(".connection-live")
    yield page
    context.close()


def show(page: Page, where: str) -> None:
    """Go to an address and wait until it stands."""
    page.evaluate("(where) => { location.hash = where; }", where)
    page.wait_for_timeout(_SETTLED_MS)
    page.wait_for_function("() => document.querySelector('main .ant-skeleton') === null")


def grave(page: Page) -> list[str]:
    """Violations of accessibility that keep somebody from using the page."""
    page.evaluate(_STILL)
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:120]}"
        for violation in found["violations"]
        if violation["impact"] in _GRAVE
        for node in violation["nodes"]
    ]


def main() -> None:
    """Take all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory() as place,
        servers.mosquitto(Path(place)) as port,
        running(Path(place), port) as run,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS) as browser,
    ):
        alarm = seed(run)
        for view in itertools.starmap(View, itertools.product(LANGUAGES, SIZES, LOOKS)):
            with opened(run, browser, view) as page:
                for page_id in page_ids():
                    show(page, address(page_id, alarm))
                    page.screenshot(path=folder / f"{page_id}-{view.name}.png")
                show(page, f"#page=alarms&alarm={alarm}")
                page.screenshot(path=folder / f"drawer-{view.name}.png")


if __name__ == "__main__":
    main()
