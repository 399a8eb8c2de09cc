"""One round: a district of real processes, so many kills, everything healed, waited for, stopped and judged."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa

from alerts.store import notices
from telemetry import journal_files
from telemetry.database import open_database
from telemetry.errors import BadConfiguration, Unavailable
from tests import servers
from tests.kills import district
from tests.kills.district import EAST, WEST
from tests.kills.load import Key, Load
from tests.kills.monitor import Monitor
from tests.kills.pager import Pager
from tests.kills.programs import Program
from tests.kills.proxy import Proxy
from tests.kills.schedule import Schedule
from tests.kills.verdict import Stores, Verdict, judge
from tests.kills.volume import Volume

START_MAX_S = 60.0
SETTLE_MAX_S = 180.0
SLOW_S = 30.0  # waiting for longer is said
CALM_COUNT = 3  # looks in a row that find nothing waiting
LAG_MAX = 3  # records: ticks come all the time
LOAD_AFTER_S = 2.0  # measuring goes on for a moment after everything is healed

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What distinguishes a round."""

    seed: int
    kills: int
    history: str  # parquet or influxdb
    is_persistent: bool  # the broker's memory
    kills_broker: bool
    small_disk: str | None  # what stands on one: core, or a gateway
    planted: str | None = None  # a bug of `tests/sim/planted.py` that is to be found

    def __str__(self) -> str:
        memory = "persistent" if self.is_persistent else "forgetful"
        disk = f", {self.small_disk} on a small disk" if self.small_disk else ""
        return f"seed {self.seed}, {self.history}, {memory} broker{'' if self.kills_broker else ' left alone'}{disk}"


class Round:
    """Runs one plan in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path, say: Say, on_kill: Say) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        self._on_kill = on_kill
        self._rng = random.Random(plan.seed)
        self._ports = district.draw_ports()
        self._volume: Volume | None = None
        self._influx: tuple[str, str] | None = None
        self._through = 0  # the journal's last record when the gateways had nothing left

    async def run(self) -> Verdict:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # nothing stays behind
        async with AsyncExitStack() as stack:
            try:
                return await self._run(stack)
            finally:
                if self._volume is not None:
                    stack.callback(self._volume.unmount)

    async def _run(self, stack: AsyncExitStack) -> Verdict:
        plan, folder, ports, rng = self._plan, self._folder, self._ports, self._rng
        if plan.small_disk is not None:
            self._volume = Volume(folder / "disk")
            if why_not := self._volume.mount():
                self._say(f"no small disk in this round: {why_not}")
                self._volume = None
        proxies = {name: Proxy(port, ports.broker, _child(rng)) for name, port in ports.proxy.items()}
        pager = Pager(ports.pager, _child(rng))
        listeners: list[Pager | Proxy] = [pager, *proxies.values()]
        for listener in listeners:
            await listener.start()
            stack.push_async_callback(listener.close)
        programs = await self._programs(stack)
        keepers = [asyncio.create_task(program.keep(), name=program.name) for program in programs.values()]
        for keeper in keepers:
            stack.callback(keeper.cancel)
        monitor = Monitor(ports.broker)
        stack.callback(monitor.close)
        load = Load(ports, _child(rng))
        stack.callback(load.close)
        loading = asyncio.create_task(load.run(), name="load")
        stack.callback(loading.cancel)
        await _until(lambda: len(monitor.receipt_s) == 2, START_MAX_S, f"a receipt for each gateway ({folder})")

        victims = [p for name, p in programs.items() if name != "mosquitto" or plan.kills_broker]
        schedule = Schedule(_child(rng), victims, programs["mosquitto"], proxies, self._volume, monitor)
        await schedule.strike(plan.kills, self._on_kill)
        schedule.heal()
        for program in programs.values():
            program.let_go()
        await asyncio.sleep(LOAD_AFTER_S)
        load.end()
        async with asyncio.timeout(SETTLE_MAX_S):
            await loading
        pager.is_unwell = False
        await self._settle(monitor)

        for keeper in keepers:
            keeper.cancel()
        for name in ("core", EAST, WEST):
            await programs[name].stop()
        for name, program in programs.items():
            if program.exits:
                self._say(f"{name} ended by itself {program.exits} times")
        ledger = load.ledger
        broker_life_s = monitor.first_receipt_after(max(programs["mosquitto"].killed_s, default=0.0) + 0.1)
        kept: set[Key] = {key for key, (at_s, is_taken) in ledger.plain.items() if is_taken and at_s > broker_life_s}
        parquet = folder / "data" / "history" if self._influx is None else None
        stores = Stores(self._journal(), f"sqlite:///{folder}/data/gatehouse.db", parquet, self._influx)
        return await asyncio.to_thread(judge, stores, ledger, ledger.promised | kept, pager.taken)

    async def _programs(self, stack: AsyncExitStack) -> dict[str, Program]:
        folder, ports = self._folder, self._ports
        broker = servers.mosquitto_program()
        assert broker is not None
        commands: dict[str, list[str | Path]] = {
            "mosquitto": [broker, "-c", district.write_broker(folder, ports, self._plan.is_persistent)]
        }
        history: dict[str, Any] = {"store": "parquet"}
        programs: dict[str, Program] = {}
        if self._plan.history == "influxdb":
            port = servers.free_port()
            url = f"http://127.0.0.1:{port}"
            influxd = servers.influxd_program()
            assert influxd is not None
            command = servers.influxd_command(influxd, folder, port)
            programs["influxd"] = self._program(stack, "influxd", command)
            first = asyncio.create_task(programs["influxd"].keep())
            await _until(lambda: servers.answers(f"{url}/health"), START_MAX_S, "influxd")
            first.cancel()
            self._influx = url, await asyncio.to_thread(servers.set_up_influxdb, url)
            history = {"store": "influxdb", "url": url, "token": self._influx[1], "timeout_ms": 3000}
        core = district.write_core(folder, ports, self._journal(), history)
        commands["core"] = self._gatehouse("core", core)
        for name in (EAST, WEST):
            config = district.write_gateway(folder, name, ports, self._disk(name) / f"spool-{name}")
            commands[name] = self._gatehouse("gateway", config)
        for name, command in commands.items():
            programs[name] = self._program(stack, name, command)
        return programs

    def _gatehouse(self, role: str, config: Path) -> list[str | Path]:
        if self._plan.planted is None:
            return servers.gatehouse(role, "--config", config)
        return [sys.executable, "-m", "tests.kills.planted", self._plan.planted, role, "--config", config]

    def _program(self, stack: AsyncExitStack, name: str, command: list[str | Path]) -> Program:
        program = Program(name, command, self._folder / f"{name}.log")
        stack.callback(program.abandon)
        return program

    def _disk(self, of: str) -> Path:
        return self._volume.path if self._volume is not None and self._plan.small_disk == of else self._folder

    def _journal(self) -> Path:
        return self._disk("core") / "journal"

    async def _settle(self, monitor: Monitor) -> None:
        """Until nothing waits for anything; says what it is when that takes long."""
        began_s = time.monotonic()
        said_s = began_s + SLOW_S
        calm = 0
        while time.monotonic() < began_s + SETTLE_MAX_S:
            waits = await asyncio.to_thread(self._waits, monitor, began_s)
            calm = 0 if waits else calm + 1
            if calm == CALM_COUNT:
                return
            if waits and time.monotonic() > said_s:
                said_s = time.monotonic() + SLOW_S
                self._say(f"still waiting after {time.monotonic() - began_s:.0f} s: {waits}")
            await asyncio.sleep(0.5)
        self._say(f"not settled after {SETTLE_MAX_S:.0f} s: {waits}")

    def _waits(self, monitor: Monitor, since_s: float) -> str:
        """What is not done yet; nothing when all is."""
        for gateway in (EAST, WEST):
            at_s, said = monitor.status.get(gateway, (0.0, {}))
            if at_s < since_s:
                return f"{gateway} says nothing"
            if said.get("state") != "online" or said.get("spooled") or said.get("unwritten"):
                return f"{gateway}: {json.dumps({k: said.get(k) for k in ('state', 'spooled', 'unwritten')})}"
        try:
            lag = _metric(f"http://127.0.0.1:{self._ports.metrics}/metrics", "gatehouse_alerts_lag_records")
            if lag > LAG_MAX:
                return f"{lag:.0f} records to be judged"
            summary = journal_files.summary(self._journal())
            self._through = self._through or summary.last  # that gateways are online is a new reading every second
            history = summary.cursors.get("history", 0)
            if history < self._through:
                return f"history is at record {history} of {self._through}"
            database = open_database(f"sqlite:///{self._folder}/data/gatehouse.db")
            with database.connect() as db:
                waiting = db.execute(sa.select(sa.func.count()).where(notices.c.state == "waiting")).scalar_one()
            database.dispose()
        except (httpx2.HTTPError, Unavailable, BadConfiguration, sa.exc.OperationalError) as error:
            return f"core: {error}"
        return f"{waiting} notices" if waiting else ""


def _child(rng: random.Random) -> random.Random:
    return random.Random(rng.randrange(1 << 30))


def _metric(url: str, name: str) -> float:
    for line in httpx2.get(url, timeout=3).text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    return float("inf")


async def _until(condition: Callable[[], object], within_s: float, what: str) -> None:
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        try:
            if await asyncio.to_thread(condition):
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError(f"waited {within_s:.0f} s in vain for {what}")
