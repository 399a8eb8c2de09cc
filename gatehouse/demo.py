"""`gatehouse demo`: a whole simulated district in one command, every part a process of its own as in production.

The past is not painted into the database: the simulator's two weeks go into the gateways' spools, and from there the way
of every reading: uplink, broker, core, journal, alarms, history. Then the field devices come alive and the gateways
poll them. A gateway reaches the broker over a cable that the scenario can cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import secrets
import shutil
import signal
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import yaml
from firmware_sim.district import District
from firmware_sim.live import Endpoints, LiveDistrict
from firmware_sim.past import Columns, Past, build_past
from firmware_sim.publisher import Publisher
from firmware_sim.scenario import Action, CutGateway, MendGateway, Scenario
from firmware_sim.world import WorldState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.access import Grant, Role, User
from api.alarms import Alarms, Filter
from api.duties import Duties, load_duties
from gatehouse.migrate import migrate
from gatehouse.ports import free_port, is_free
from gatehouse.record import open_accounts
from gatehouse.settings import load_settings
from gatehouse.supervisor import Cable, Child
from gatehouse.telephone import Telephone
from gatehouse.verdict import Verdict, judge, rounded
from gateway.spool import Spool
from ingest.history.settings import ParquetSettings
from telemetry.catalogue import Catalogue
from telemetry.clock import SystemClock
from telemetry.database import open_database
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.frames import encode_columns
from telemetry.topics import readings_topic

_DISTRICT = Path(__file__).parent / "district"
_MARK = "demonstration.txt"  # stands in a folder that is ours to delete
_PLAIN_ROWS_MAX = 500
_ADMINISTRATOR = "admin"
_PATIENCE_S = 60.0
_DRAIN_WITHIN_S = 600.0
_SIGNED_BEFORE_MS = 600_000  # a duty was due

console = Console(stderr=True)


def run_demo(
    folder: Path, port: int, seed: int, *, headless: bool, seconds: float | None, json_file: Path | None
) -> int:
    """Run until Ctrl-C, or for so many seconds; the exit status. Headless, the run is judged: 1 when anything is wrong."""
    if not headless:
        return asyncio.run(_Demo(folder.resolve(), port, seed, with_screens=True).run(seconds))
    with tempfile.TemporaryDirectory(prefix="gatehouse-demo-") as scratch:
        demo = _Demo(Path(scratch), port, seed, with_screens=False)
        asyncio.run(demo.run(180.0 if seconds is None else seconds))
        verdict = demo.verdict()
        verdict.show(Console())
        if json_file is not None:
            json_file.write_text(json.dumps(verdict.as_data(), indent=1, ensure_ascii=False), encoding="utf-8")
        return 0 if verdict.is_good else 1


@dataclass(frozen=True, slots=True)
class _Ports:
    broker: int
    api: int
    metrics: int


class _Demo:
    """One run of the demonstration district in one folder."""

    def __init__(self, folder: Path, port: int, seed: int, *, with_screens: bool) -> None:
        if with_screens and not is_free(port):
            raise BadConfiguration(f"port {port} is taken: end what uses it, or choose another with --port")
        self._folder = folder
        self._seed = seed
        self._with_screens = with_screens
        self._is_new = not (folder / "world.pickle").exists()
        if self._is_new:
            _begin_anew(folder)
        self._config = folder / "gatehouse.yaml"
        self._logs = folder / "logs"
        self._logs.mkdir(exist_ok=True)
        self._phone = Telephone(folder / "messages.jsonl")
        self._ports = _Ports(free_port(), port if with_screens else free_port(), free_port())
        self._cables: dict[str, Cable] = {}
        self._children: dict[str, Child] = {}
        self._district = District.load(folder)
        self._past: Past | None = None
        self._past_seconds: float | None = None
        self._live: LiveDistrict | None = None
        self._administrator: str | None = None

    async def run(self, seconds: float | None) -> int:
        """Start everything, live, stop everything."""
        started_s = time.monotonic()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            self._write_configuration()
            await self._start("broker", "broker", "--port", str(self._ports.broker))
            await _until(_listening(self._ports.broker), "the embedded broker")
            if self._is_new:
                await asyncio.to_thread(self._sign_old_duties)
            await self._start("core", "core", "--config", str(self._config))
            await _until(self._core_ready, "the core")
            if self._with_screens:
                if self._is_new:
                    self._administrator = await asyncio.to_thread(_add_administrator, self._config)
                await self._start("api", "api", "--config", str(self._config))
            state = await self._bring_past(stop) if self._is_new else self._load_world()
            if not stop.is_set():
                await self._go_live(state, stop, seconds, started_s)
        finally:
            for name in ("api", "core", "broker"):
                if name in self._children:
                    await self._children[name].stop()
            for child in self._children.values():
                child.kill_now()
            self._phone.hang_up()
        return 0

    def verdict(self) -> Verdict:
        """How the run went; to be asked when it is over."""
        assert self._live is not None and self._past is not None
        settings = load_settings(self._config)
        assert isinstance(settings.history, ParquetSettings)
        generated: Counter[tuple[str, str, float]] = Counter()
        for _, columns in self._past:
            names = [tuple(name.split("/")) for name in columns.names]
            generated.update(
                (*names[i], rounded(v)) for i, v in zip(columns.index.tolist(), columns.value.tolist(), strict=True)
            )
        for (device, metric, value), count in self._live.truth.multiset().items():
            generated[device, metric, rounded(value)] += count
        found = judge(
            catalogue=Catalogue.load(settings.catalogue),
            history=settings.history.folder,
            database=open_database(settings.database.url),
            generated=generated,
            broken=self._live.truth.broken,
            expected=[*self._past.alarms, *self._live.expected_alarms()],
            live_from_ms=self._live.start_ms,
        )
        found.restarts = {name: child.restarts for name, child in self._children.items() if child.restarts}
        found.past_readings, found.past_seconds = self._past.reading_count, self._past_seconds
        return found

    # --- starting ---------------------------------------------------------------------------------------------------

    def _write_configuration(self) -> None:
        """Put this run's ports where the district's files have templates."""
        config = yaml.safe_load(self._config.read_text(encoding="utf-8"))
        config["broker"] = {"host": "127.0.0.1", "port": self._ports.broker}
        config["insecure"] = True  # the embedded broker listens on the loopback only
        config["api"] = {"host": "127.0.0.1", "port": self._ports.api}
        phone = {"type": "webhook", "url": self._phone.url, "allow_networks": ["127.0.0.0/8"]}
        config["channels"] = {"phone": phone}
        config["metrics"] = {"host": "127.0.0.1", "port": self._ports.metrics}
        self._config.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    async def _start(self, name: str, *arguments: str) -> None:
        self._children[name] = Child(name, list(arguments), self._logs / f"{name}.log")
        await self._children[name].start()

    async def _core_ready(self) -> bool:
        return await asyncio.to_thread(_answers, f"http://127.0.0.1:{self._ports.metrics}/health/ready")

    def _core_metric(self, name: str) -> float:
        """One figure of the core's own metrics; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports.metrics}/metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    # --- the past ---------------------------------------------------------------------------------------------------

    async def _bring_past(self, stop: asyncio.Event) -> WorldState:
        started_s = time.monotonic()
        self._past = past = await asyncio.to_thread(build_past, self._district, SystemClock().now_ms(), self._seed)
        with Progress(
            TextColumn("two weeks of past"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=not self._with_screens,
        ) as progress:
            task = progress.add_task("past", total=past.reading_count)
            plain = await asyncio.to_thread(self._fill_spools, past)
            for gateway in self._district.gateways:
                await self._start_gateway(gateway, with_drivers=False)
            sender = asyncio.create_task(asyncio.to_thread(self._publish_plain, plain))
            until_s = time.monotonic() + _DRAIN_WITHIN_S
            while not stop.is_set():
                done, behind = await asyncio.to_thread(
                    lambda: (
                        self._core_metric("gatehouse_readings_total"),
                        self._core_metric("gatehouse_alerts_lag_records"),
                    )
                )
                progress.update(task, completed=min(done, past.reading_count))
                if done >= past.reading_count and behind <= 5 and sender.done():
                    break
                if time.monotonic() > until_s:
                    raise Unavailable(f"the past did not arrive within {_DRAIN_WITHIN_S:.0f} s; look into {self._logs}")
                await asyncio.sleep(0.2)
            await sender
            for gateway in self._district.gateways:
                await self._children.pop(f"gateway {gateway}").stop()
        if not stop.is_set():
            await asyncio.to_thread(self._decide_old_fevers)
        self._past_seconds = time.monotonic() - started_s
        self._keep_world(past.world_state)
        return past.world_state

    def _decide_old_fevers(self) -> None:
        """In two weeks somebody has decided about every person with a fever: the guards of the demo do so now."""
        alarms = Alarms(open_database(load_settings(self._config).database.url), SystemClock())
        guard = User("demo-guard", frozenset({Grant(Role.GUARD)}))
        found, _ = alarms.page(guard, Filter(state="open", alarm_class="fever"), 100, None)
        for alarm in found:
            details = {"note": "measured again by contact; sent to the clinic", "disposition": "refer"}
            alarms.ask(guard, "dispose", alarm["id"], alarm["seq"], details)

    def _sign_old_duties(self) -> None:
        """In two weeks somebody has signed for what was due; what is due later today is for people to sign."""
        settings, now_ms = load_settings(self._config), SystemClock().now_ms()
        migrate(settings.database.url)
        catalogue = Catalogue.load(settings.catalogue)
        first = datetime.fromtimestamp(now_ms / 1000, UTC).date() - timedelta(days=self._district.world.past.days)
        for file in settings.duties.glob("*.yaml"):
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
            for duty in document["duties"]:
                duty["since"] = first
            file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
        duties = Duties(open_database(settings.database.url), catalogue, load_duties(settings.duties, catalogue))
        for site in catalogue.sites:
            today = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(site.timezone)).date()
            for due in duties.of_days(site.id, first, today):
                if due.due_ms <= now_ms:
                    duties.sign(due, f"demo-{due.duty.role}", due.due_ms - _SIGNED_BEFORE_MS, "")

    def _fill_spools(self, past: Past) -> list[Columns]:
        """Frames of our own gateways into their spools; what a foreign publisher measured is returned."""
        spools: dict[str, Spool] = {}
        plain: list[Columns] = []
        for gateway, columns in past:
            if gateway not in self._district.gateways:
                plain.append(columns)
                continue
            if gateway not in spools:
                path = self._folder / self._district.gateways[gateway].spool.path
                spools[gateway] = Spool(path, SystemClock())
            spools[gateway].append(
                encode_columns(
                    "\n".join(columns.names),
                    columns.index.data,
                    columns.time_ms.data,
                    columns.value.data,
                    columns.quality.data,
                    columns.keys,
                )
            )
        for spool in spools.values():
            spool.close()
        return plain

    def _publish_plain(self, chunks: list[Columns]) -> None:
        """The canteen is no gateway of ours: its past comes as plain JSON, as its present does."""
        canteen = self._district.world.canteen
        publisher = Publisher("127.0.0.1", self._ports.broker, f"{canteen.gateway}-past")
        publisher.start()
        try:
            topic, give_up = readings_topic(canteen.site, canteen.gateway), threading.Event()
            for columns in chunks:
                names = [name.split("/") for name in columns.names]
                rows = [
                    {"device": names[i][0], "metric": names[i][1], "time": t, "value": v}
                    for i, t, v in zip(
                        columns.index.tolist(), columns.time_ms.tolist(), columns.value.tolist(), strict=True
                    )
                ]
                for start in range(0, len(rows), _PLAIN_ROWS_MAX):
                    payload = msgspec.json.encode({"readings": rows[start : start + _PLAIN_ROWS_MAX]})
                    publisher.publish(topic, payload, lambda: None, give_up)
            publisher.wait(_PATIENCE_S)
        finally:
            publisher.stop()

    # --- live -------------------------------------------------------------------------------------------------------

    async def _go_live(self, state: WorldState, stop: asyncio.Event, seconds: float | None, started_s: float) -> None:
        modbus = {gateway: free_port() for gateway in self._district.gateways}
        push = {gateway: free_port() for gateway in self._district.gateways}
        urls = {gateway: f"http://127.0.0.1:{port}/push" for gateway, port in push.items()}
        endpoints = Endpoints(modbus, urls, "127.0.0.1", self._ports.broker)
        scenario = Scenario.load(self._folder / "scenario.yaml", self._district)
        self._live = live = LiveDistrict(self._district, scenario, self._seed, state, endpoints, on_action=self._act)
        field_stop = asyncio.Event()
        field = asyncio.create_task(live.run(field_stop), name="field")
        await live.listening.wait()
        for gateway in self._district.gateways:
            await self._start_gateway(gateway, with_drivers=True, modbus=modbus[gateway], push=push[gateway])
        if self._with_screens:
            await _until(self._page_ready, "the page")
            self._say_where(time.monotonic() - started_s)
        keeper = asyncio.create_task(self._keep_world_now_and_then(state), name="world")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_any(stop.wait(), field), seconds)
        if field.done():
            field.result()
        keeper.cancel()
        # In the order of the stream, so that everything that was measured arrives.
        for cable in self._cables.values():
            cable.mend()
        field_stop.set()
        await field
        await self._settle()
        for gateway in self._district.gateways:
            await self._children[f"gateway {gateway}"].stop()
        self._keep_world(state)

    async def _start_gateway(self, name: str, *, with_drivers: bool, modbus: int = 0, push: int = 0) -> None:
        if name not in self._cables:
            self._cables[name] = Cable(self._ports.broker)
            await self._cables[name].lay(0)
        file = self._folder / "gateways" / f"{name}.yaml"
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        config["broker"] = {"host": "127.0.0.1", "port": self._cables[name].port, "reconnect_delay_max_s": 3}
        config["spool"]["path"] = str(self._folder / config["spool"]["path"])
        for driver in config["drivers"]:
            driver["port"] = modbus if driver["driver"] == "modbus-tcp" else push
        if not with_drivers:
            config["drivers"] = []
        running = self._folder / "gateways" / f"running-{name}.yml"
        running.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        await self._start(f"gateway {name}", "gateway", "--config", str(running))

    async def _act(self, action: Action) -> None:
        if isinstance(action, CutGateway):
            self._cables[action.gateway].cut()
        elif isinstance(action, MendGateway):
            self._cables[action.gateway].mend()

    async def _settle(self) -> None:
        """Wait until spools are empty, the journal is judged and history has it."""
        assert self._live is not None
        expected = self._live.truth.reading_count + (self._past.reading_count if self._past else 0)

        async def at_rest() -> bool:
            done, lag, stored = await asyncio.to_thread(
                lambda: tuple(
                    self._core_metric(f"gatehouse_{name}")
                    for name in ("readings_total", "alerts_lag_records", "history_rows_total")
                )
            )
            return done >= expected and lag <= 5 and stored >= expected

        with contextlib.suppress(Unavailable):
            # A core that was killed has counted anew; then the time is simply up.
            await _until(at_rest, "the last readings", 15.0)

    async def _page_ready(self) -> bool:
        return await asyncio.to_thread(_answers, f"http://127.0.0.1:{self._ports.api}/health/ready")

    def _say_where(self, seconds: float) -> None:
        credentials = self._folder / "administrator.txt"
        if self._administrator is not None:
            credentials.write_text(f"{_ADMINISTRATOR} {self._administrator}\n", encoding="utf-8")
            credentials.chmod(0o600)
        name, password = credentials.read_text(encoding="utf-8").split()
        console.print(f"\n[bold]Gatehouse is live[/bold] ({seconds:.0f} s): http://127.0.0.1:{self._ports.api}/")
        console.print(f"  log in as [bold]{name}[/bold] with password [bold]{password}[/bold]", highlight=False)
        console.print(f"  publish to MQTT at 127.0.0.1:{self._ports.broker}; logs in {self._logs}; end with Ctrl-C\n")

    # --- what the next start goes on from ---------------------------------------------------------------------------

    def _keep_world(self, state: WorldState) -> None:
        draft = self._folder / "world.draft"
        draft.write_bytes(pickle.dumps(state))
        draft.replace(self._folder / "world.pickle")

    def _load_world(self) -> WorldState:
        try:
            state = pickle.loads((self._folder / "world.pickle").read_bytes())  # noqa: S301 - written by ourselves
        except Exception as error:
            raise BadConfiguration(
                f"{self._folder} is of another version of the demo: remove it and start again"
            ) from error
        assert isinstance(state, WorldState)
        return state

    async def _keep_world_now_and_then(self, state: WorldState) -> None:
        while True:
            await asyncio.sleep(30)
            self._keep_world(state)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _listening(port: int) -> Callable[[], Awaitable[bool]]:
    async def is_listening() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return is_listening


async def _until(condition: Callable[[], Awaitable[bool]], what: str, within_s: float = _PATIENCE_S) -> None:
    until_s = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > until_s:
            raise Unavailable(f"waited {within_s:.0f} s in vain for {what}")
        await asyncio.sleep(0.1)


async def _any(*works: Any) -> None:
    await asyncio.wait([asyncio.ensure_future(work) for work in works], return_when=asyncio.FIRST_COMPLETED)


def _begin_anew(folder: Path) -> None:
    """The district as it is delivered, also in place of one whose first start was broken off. Raises OSError."""
    if folder.exists():
        if any(folder.iterdir()) and not (folder / _MARK).exists():
            raise BadConfiguration(
                f"{folder} is not empty and no demonstration's: name another with --data"
                " (if a first start was broken off there, delete it)"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    mark = "Made by `gatehouse demo`, which deletes this folder where its first start was broken off.\n"
    (folder / _MARK).write_text(mark, encoding="utf-8")
    shutil.copytree(_DISTRICT, folder, dirs_exist_ok=True)


def _add_administrator(config: Path) -> str:
    """The demo's own first administrator; the password."""
    settings = load_settings(config)
    password = secrets.token_urlsafe(9)
    open_accounts(settings).add_user(_ADMINISTRATOR, password, [Role.ADMINISTRATOR], None)
    return password
