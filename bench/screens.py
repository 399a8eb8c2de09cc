"""What do people at screens wait for, and how many screens does one API process carry?

A real broker, core and API; a real Chromium for what is seen, bare connections for screens beyond it: those read the event
stream and do nothing else, so that the generator does not take the machine from what is measured. Publish → visible counts
from the *intended* time of sending to the frame after the alarm's card is in the page, by one machine's clock. Requests are
sent on time whether earlier ones were answered or not, and count from when they were due. A visit counts from the address
being opened, by somebody who is logged in, to the first tile with data. Eight hours at a screen are played on the page's
own clock: its timers run, its stream is fed an event of live values a second, and the heap is read after a collection.

Non-goals: a network between server and screen, drawing on the tablets that guards have, many people acting at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from bench import district, processes
from bench.report import Cell, Goal, Report, Table
from bench.service import COOKIE, Beside, Client, Service, connect, load, read_stream, running
from telemetry.errors import BadConfiguration

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

SCREENS_READINGS_PER_S = 200
_CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
_GRACE_S = 20.0
# In the page: when each temperature was first painted in an alarm's card.
_WATCH = """
window.seenMs = {};
const look = () => {
  for (const card of document.querySelectorAll('.alarm-card')) {
    const found = card.textContent.match(/(\\d\\d\\.\\d\\d)\\u00a0°C/);
    if (found && !(found[1] in window.seenMs)) {
      window.seenMs[found[1]] = 0;
      requestAnimationFrame(() => { window.seenMs[found[1]] = Date.now(); });
    }
  }
};
new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
look();
"""
# In the page, before its own scripts: when the first tile was there. What is fetched ahead for other pages comes after it.
_MARK_TILE = """
const watch = new MutationObserver(() => {
  if (document.querySelector('.tile') === null) return;
  window.tileAt = performance.now();
  watch.disconnect();
});
watch.observe(document, { childList: true, subtree: true });
"""
# In the page, before its own scripts: the streams that it opens are kept, to be fed.
_KEEP_STREAMS = """
const Real = window.EventSource;
window.streams = [];
window.EventSource = class extends Real { constructor(...given) { super(...given); window.streams.push(this); } };
"""
_FEED = """
([events, values]) => {
  const now = Date.now();
  for (let number = 0; number < events; number++) {
    const time_ms = now - (events - number) * 1000;
    const told = values.map(([device, metric, value]) => [device, metric, time_ms, value + (number % 60) / 1000, 0]);
    const data = JSON.stringify({ time_ms, values: told });
    window.streams.at(-1).dispatchEvent(new MessageEvent('live', { data }));
  }
}
"""


def run(
    seconds: float = 60.0,
    screens: int = 50,
    clients: int = 950,
    requests_per_s: float = 200.0,
    ingest_per_s: float = 3_000.0,
    visits: int = 5,
    hours: float = 8.0,
    series: int = 400,
) -> Report:
    """Each part by itself, one after the other, against one core and API.

    Args:
        clients: Event streams at once; the API takes 1,000.
        ingest_per_s: Readings a second, a message each, beside the requests.
        hours: That a screen is open, on its own clock.
    """
    report = Report(
        "screens",
        "what do people at screens wait for?",
        {
            "seconds": seconds,
            "screens": screens,
            "clients": clients,
            "requests_per_s": requests_per_s,
            "ingest_per_s": ingest_per_s,
            "visits": visits,
            "hours": hours,
            "series": series,
        },
    )
    with running(series) as service:
        _requests(report, service, seconds, requests_per_s, ingest_per_s, series)
        _streams(report, service, seconds, clients)
    with running(series) as service, _chromium() as browser:
        _visits(report, service, browser, visits)
        _visible(report, service, browser, seconds, screens, series)
        _memory(report, service, browser, hours)
    report.notes.append("of the screens one is a page in Chromium and the others are event streams, as said on top")
    return report


# --- requests ---------------------------------------------------------------------------------------------------------


def _requests(report: Report, service: Service, seconds: float, rate: float, ingest: float, series: int) -> None:
    paths = ("/api/v1/alarms?state=all&limit=100", f"/api/v1/devices?site={district.SITE}&limit=100")
    with load(service.broker_port, ingest, series, fevers_per_s=1.0):
        time.sleep(min(2.0, seconds))
        before = service.core.metrics("gatehouse_readings_total")[0], time.monotonic()
        # A process of its own, by plain sockets: whoever asks must not be what is waited for.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            waited_ms = other.submit(_asked, service.port, service.token, paths, rate, seconds).result()
        taken = (service.core.metrics("gatehouse_readings_total")[0] - before[0]) / (time.monotonic() - before[1])
    rows: list[list[Cell]] = []
    for path, waits in zip(paths, waited_ms, strict=True):
        p50, p90, p99 = (float(x) for x in np.percentile(waits, [50, 90, 99]))
        route = path.partition("?")[0]
        rows.append([route, len(waits), p50, p90, p99, max(waits)])
        what = f"p99 of {route} at {rate:.0f} requests/s beside {ingest:,.0f} readings/s, ms"
        report.goals.append(Goal(what, "≤ 100", p99, p99 <= 100))
    title = f"answers, ms, while the core took {taken:,.0f} readings/s"
    report.tables.append(Table(title, ("route", "samples", "p50", "p90", "p99", "max"), rows))


def _asked(*given: Any) -> list[list[float]]:
    return asyncio.run(_ask(*given))


async def _ask(port: int, token: str, paths: tuple[str, ...], rate: float, seconds: float) -> list[list[float]]:
    """Milliseconds of each answer, by path, from when the request was due."""
    found: list[list[float]] = [[] for _ in paths]
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    slots = asyncio.Semaphore(64)

    async def one(number: int, due_s: float) -> None:
        which = number % len(paths)
        head = f"GET {paths[which]} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {COOKIE}={token}\r\n\r\n"
        async with slots:
            while free and free[-1][0].at_eof():  # the API closes what is idle
                free.pop()[1].close()
            reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            await reader.readexactly(int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
            found[which].append((time.monotonic() - due_s) * 1000)
            free.append((reader, writer))

    begin_s = time.monotonic()
    asked: dict[asyncio.Task[None], tuple[int, float]] = {}
    for number in range(round(rate * seconds)):
        due_s = begin_s + number / rate
        if (left_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
        asked[asyncio.create_task(one(number, due_s))] = number % len(paths), due_s
    done, waiting = await asyncio.wait(asked, timeout=_GRACE_S)
    for task in done:
        task.result()
    for task in waiting:  # it took that long at least
        task.cancel()
        which, due_s = asked[task]
        found[which].append((time.monotonic() - due_s) * 1000)
    for _, writer in free:
        writer.close()
    return found


# --- event streams ----------------------------------------------------------------------------------------------------


def _streams(report: Report, service: Service, seconds: float, clients: int) -> None:
    """Ten alarms a second to all; in the middle all are cut off for three seconds and resume."""
    found = [Client() for _ in range(clients)]
    with load(service.broker_port, 1.0, 1, fevers_per_s=10.0) as made:
        asyncio.run(_follow(service, found, _GRACE_S, lambda: all(client.last_id for client in found)))
        assert all(client.last_id for client in found), "a stream says nothing: it has no place to resume from"
        before = {alarm["id"].encode() for alarm in _alarms(service)}
        used, rate = asyncio.run(_listen(service, found, seconds))
        made.stop()
        # What was raised while they listened or were cut off; the last ones are waited for.
        raised = {alarm["id"].encode() for alarm in _alarms(service)} - before
        asyncio.run(_follow(service, found, max(0.5, min(_GRACE_S, seconds))))
    missed = sum(len(raised - client.alarms) for client in found)
    per_core = clients / used
    columns = ("streams", "events/s each", "API's cores", "streams per core", "alarms", "missed by all")
    row: list[Cell] = [clients, rate, used, per_core, len(raised), missed]
    report.tables.append(Table("event streams that all hear everything", columns, [row]))
    report.goals.append(
        Goal("event streams per core, 10 alarms a second each", "≥ 1,000", per_core, per_core >= 1_000 and rate >= 10)
    )
    report.goals.append(Goal("alarms missed by streams that resumed", "0", float(missed), missed == 0))


async def _listen(service: Service, found: list[Client], seconds: float) -> tuple[float, float]:
    """(cores that the API used, events a second of each stream) while nobody connects."""
    used = []
    for half in range(2):
        opened = await connect(service, found)
        tasks = [
            asyncio.create_task(read_stream(reader, client)) for (reader, _), client in zip(opened, found, strict=True)
        ]
        await asyncio.sleep(min(3.0, seconds))
        count, cpu_s = sum(client.event_count for client in found), processes.cpu_s(service.api_pid)
        began_s = time.monotonic()
        await asyncio.sleep(seconds / 2)
        wall_s = time.monotonic() - began_s
        rate = (sum(client.event_count for client in found) - count) / wall_s / len(found)
        used.append(((processes.cpu_s(service.api_pid) - cpu_s) / wall_s, rate))
        for task in tasks:
            task.cancel()
        for _, writer in opened:
            writer.close()
        for client in found:
            client.tail = b""  # what was cut off in the middle comes again
        if half == 0:
            await asyncio.sleep(min(3.0, seconds))
    return float(np.mean([cores for cores, _ in used])), float(np.mean([each for _, each in used]))


async def _follow(
    service: Service, found: list[Client], seconds: float, is_enough: Callable[[], bool] = lambda: False
) -> None:
    """Read for a while, from where each left off."""
    opened = await connect(service, found)
    tasks = [
        asyncio.create_task(read_stream(reader, client)) for (reader, _), client in zip(opened, found, strict=True)
    ]
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and not is_enough():  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    for _, writer in opened:
        writer.close()
    for client in found:
        client.tail = b""


def _alarms(service: Service) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    cursor: str | None = None
    with httpx.Client(base_url=service.url, cookies={COOKIE: service.token}, timeout=60) as client:
        while True:
            query = {"state": "all", "limit": "500"} | ({} if cursor is None else {"cursor": cursor})
            page = client.get("/api/v1/alarms", params=query).json()
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found


# --- Chromium ---------------------------------------------------------------------------------------------------------


def _visits(report: Report, service: Service, browser: Browser, visits: int) -> None:
    cold, warm, script_kb = [], [], 0.0
    for _ in range(visits):
        with _context(service, browser) as context:
            page = context.new_page()
            page.add_init_script(_MARK_TILE)
            cold.append(_visit(page, service))
            sizes = page.evaluate(
                "performance.getEntriesByType('resource')"
                ".filter(r => r.name.endsWith('.js') && r.responseEnd <= window.tileAt).map(r => r.encodedBodySize)"
            )
            script_kb = max(script_kb, sum(sizes) / 1000)
            page.wait_for_timeout(1_000)  # its service worker puts the rest aside
            warm.append(_visit(page, service))
    rows: list[list[Cell]] = [
        ["cold", len(cold), float(np.median(cold)), max(cold)],
        ["warm", len(warm), float(np.median(warm)), max(warm)],
    ]
    report.tables.append(Table("a visit to the first tile with data, s", ("visit", "samples", "median", "max"), rows))
    report.goals.append(
        Goal("first visit, cold, s (median)", "≤ 2.5", float(np.median(cold)), bool(np.median(cold) <= 2.5))
    )
    report.goals.append(
        Goal("first visit, warm, s (median)", "≤ 1", float(np.median(warm)), bool(np.median(warm) <= 1))
    )
    report.goals.append(Goal("script before the first screen, compressed, kB", "≤ 350", script_kb, script_kb <= 350))


def _visit(page: Page, service: Service) -> float:
    began_s = time.monotonic()
    page.goto(service.url)
    page.wait_for_selector(".tile", timeout=60_000)
    return time.monotonic() - began_s


def _visible(report: Report, service: Service, browser: Browser, seconds: float, screens: int, series: int) -> None:
    others = Beside(service, [Client() for _ in range(screens - 1)])
    with _context(service, browser) as context, others:
        page = context.new_page()
        _visit(page, service)
        page.evaluate(_WATCH)
        with load(service.broker_port, SCREENS_READINGS_PER_S, series, fevers_per_s=2.0) as made:
            page.wait_for_timeout(1000 * seconds)
            made.stop()
            page.wait_for_timeout(2_000)
        seen_ms: dict[str, float] = page.evaluate("window.seenMs")
    waited_ms = [seen_ms[value] - due_ms for value, due_ms in made.due_ms.items() if seen_ms.get(value)]
    lost = len(made.due_ms) - len(waited_ms)
    p50, p90, p99 = (float(x) for x in np.percentile(waited_ms, [50, 90, 99]))
    columns = ("screens", "samples", "never seen", "p50", "p90", "p99", "max")
    row: list[Cell] = [screens, len(waited_ms), lost, p50, p90, p99, max(waited_ms)]
    report.tables.append(Table("publish → alarm visible in Chromium, ms", columns, [row]))
    what = f"p99, publish → visible, {screens} screens, {SCREENS_READINGS_PER_S} readings/s, ms"
    report.goals.append(Goal(what, "≤ 1,000", p99, p99 <= 1_000 and lost == 0))
    report.samples["visible, ms"] = [round(each, 1) for each in waited_ms]


def _memory(report: Report, service: Service, browser: Browser, hours: float) -> None:
    values = [[district.device(number), district.METRIC, 0.5] for number in range(100)]
    with _context(service, browser) as context:
        page = context.new_page()
        page.clock.install()
        page.add_init_script(_KEEP_STREAMS)
        page.goto(service.url)
        page.clock.run_for(2_000)
        page.wait_for_selector(".tile", timeout=60_000)
        measured = context.new_cdp_session(page)  # the page's own `performance` follows its clock and has no memory
        measured.send("Performance.enable")
        heap_mb: list[float] = []
        minutes = round(60 * hours)
        # The first minutes fill what has a size: they are no growth.
        warm = min(10, max(1, minutes // 10))
        for minute in range(minutes + 1):
            if minute in (warm, minutes):
                measured.send("HeapProfiler.collectGarbage")
                figures = measured.send("Performance.getMetrics")["metrics"]
                heap_mb.append(next(each["value"] for each in figures if each["name"] == "JSHeapUsedSize") / 1e6)
            page.evaluate(_FEED, [60, values])
            page.clock.run_for(60_000)
    growth = 100 * (heap_mb[-1] / heap_mb[0] - 1)
    row: list[Cell] = [hours, heap_mb[0], heap_mb[-1], growth]
    report.tables.append(
        Table("a screen that stays open", ("hours", "heap after ten minutes, MB", "at the end, MB", "%"), [row])
    )
    report.goals.append(Goal(f"growth of a screen's memory in {hours:g} h, %", "≤ 20", growth, growth <= 20))


@contextlib.contextmanager
def _chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise BadConfiguration("chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, args=_CHROMIUM) as made:
        yield made


@contextlib.contextmanager
def _context(service: Service, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": COOKIE, "value": service.token, "url": service.url}])
    try:
        yield context
    finally:
        context.close()
