"""A real gateway in a process of its own, with a driver that makes its readings up; it tells what it sees from inside.

`python -m bench.box PLAN.json`: the same as `python -m gateway`, but for the driver, a spool that looks at its watch, and
a file that says five times a second how things are. Like a gateway it imports neither numpy nor anything of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import msgspec

import gateway.gateway
from gateway.__main__ import run_until_signalled
from gateway.driver import DriverSettings, Sink
from gateway.drivers import DRIVERS, DriverKind
from gateway.events import Events
from gateway.settings import GatewaySettings, SpoolSettings
from gateway.spool import Release, Spool
from telemetry.clock import Clock
from telemetry.logs import configure_logs
from telemetry.reading import Reading
from telemetry.settings import BrokerSettings

TOLD_EVERY_S = 0.2
_STEP_S = 0.002  # readings are handed over in groups, as soon as a group is due


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway is to do."""

    site: str
    gateway: str
    broker_port: int
    folder: str
    devices: list[str]
    metric: str
    rate: float  # readings a second; 0: as many as the gateway takes
    reading_count: int = 0  # and then no more; 0: until told to stop
    group: int = 20  # handed over at once, as a poll of a meter is
    scanner: tuple[str, str] | None = None  # device and metric of the fevers
    fever_c: float = 38.5
    fever_every_s: float = 0.0
    fevers_from_s: float = 0.0  # of the monotonic clock; each is due so many steps after it
    fever_count: int = 0


class Told(msgspec.Struct, kw_only=True):
    """What a gateway has seen so far. Seconds are of the monotonic clock."""

    now_s: float = 0.0
    began_s: float = 0.0  # when the driver was started
    offered: int = 0
    offered_all_s: float | None = None
    kept: int = 0  # frames durable in the spool in this run
    unwritten: int = 0  # readings in memory, at most a group more
    held: int = 0  # frames waiting for their receipt
    behind: int = 0  # frames of backlog among them
    behind_from_s: float | None = None
    caught_up_s: float | None = None
    receipted_s: float | None = None  # when nothing waited any more after all was offered
    fevers: int = 0
    late_max_s: float = 0.0  # by how much the driver was late at worst
    imported_mb: float = 0.0
    memory_mb: float = 0.0
    memory_peak_mb: float = 0.0
    cpu_s: float = 0.0
    receipt_s: list[float] = []  # from durable in the spool to the receipt, one a frame


class WatchedSpool(Spool):
    """A spool that remembers when a frame became durable, and how long after that its receipt came."""

    made: WatchedSpool

    def __init__(self, *arguments: Any) -> None:
        self.kept_s: dict[str, deque[tuple[int, float]]] = {}
        self.kept_count = 0
        self.waited_s = array("d")
        super().__init__(*arguments)
        WatchedSpool.made = self

    def append(self, columns: bytes) -> int:
        with self._writing:
            seq = super().append(columns)
            self.kept_s.setdefault(self.epoch, deque()).append((seq, time.monotonic()))
            self.kept_count += 1
            return seq

    def release(self, epoch: str, seq: int) -> Release:
        now_s = time.monotonic()
        waiting = self.kept_s.get(epoch)
        while waiting and waiting[0][0] <= seq:
            self.waited_s.append(now_s - waiting.popleft()[1])
        return super().release(epoch, seq)


class BenchSettings(DriverSettings):
    """A driver's entry that says nothing; the plan does."""

    @property
    def name(self) -> str:
        return "bench"

    def device_names(self) -> Iterator[str]:
        return iter(())


class BenchDriver:
    """Implements `Driver`."""

    def __init__(self, plan: Plan, imported_mb: float, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._told = Told(imported_mb=imported_mb)
        self._is_finished = False

    async def run(self, sink: Sink) -> None:
        self._told.began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._offer(sink))
            group.create_task(self._bring_fevers(sink))
            await self._tell()

    async def _offer(self, sink: Sink) -> None:
        plan, told = self._plan, self._told
        count = len(plan.devices)
        while not self._is_finished and (not plan.reading_count or told.offered < plan.reading_count):
            if plan.rate:
                due_s = told.began_s + told.offered / plan.rate
                if (left_s := due_s - time.monotonic()) > 0:
                    await asyncio.sleep(max(left_s, _STEP_S))
                    continue
                told.late_max_s = max(told.late_max_s, -left_s)
            now_ms, first = self._clock.now_ms(), told.offered
            await sink.offer(
                [
                    Reading(plan.devices[n % count], plan.metric, now_ms, 0.25 + n % 500 / 1000)
                    for n in range(first, first + plan.group)
                ]
            )
            told.offered += plan.group
        told.offered_all_s = time.monotonic()

    async def _bring_fevers(self, sink: Sink) -> None:
        """One task a fever, as every scanner has a connection of its own: none waits for the one before."""
        plan = self._plan
        if plan.scanner is None:
            return
        async with asyncio.TaskGroup() as group:
            for number in range(plan.fever_count):
                await asyncio.sleep(plan.fevers_from_s + number * plan.fever_every_s - time.monotonic())
                if self._is_finished:
                    break
                reading = Reading(*plan.scanner, self._clock.now_ms(), plan.fever_c, key=f"p{number}")
                group.create_task(sink.keep([reading]))
                self._told.fevers += 1

    async def _tell(self) -> None:
        """Until cancelled."""
        told, spool = self._told, WatchedSpool.made
        file = told_file(Path(self._plan.folder), self._plan.gateway)
        while True:
            told.now_s = time.monotonic()
            self._is_finished = self._is_finished or _finish_file(self._plan).exists()
            told.kept, told.held = spool.kept_count, spool.count
            told.behind = spool.behind(spool.live, 0)
            if told.behind and told.behind_from_s is None:
                told.behind_from_s = told.now_s
            if told.behind_from_s is not None and not told.behind and told.caught_up_s is None:
                told.caught_up_s = told.now_s
            is_over = told.offered_all_s is not None and told.now_s - told.offered_all_s > 2 * TOLD_EVERY_S
            if is_over and not told.held and told.receipted_s is None:
                told.receipted_s = told.now_s
            told.memory_mb, told.memory_peak_mb = memory_mb("VmRSS"), memory_mb("VmHWM")
            told.cpu_s = time.process_time()
            told.receipt_s = list(spool.waited_s) if is_over or told.caught_up_s else []
            draft = file.with_suffix(".draft")
            draft.write_bytes(msgspec.json.encode(told))
            draft.replace(file)
            # While things go on nobody is kept waiting; the end is stamped closely.
            await asyncio.sleep(TOLD_EVERY_S if told.offered_all_s is None else TOLD_EVERY_S / 10)


def memory_mb(what: str) -> float:
    """VmRSS or VmHWM of this process, megabytes of 10⁶ bytes."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def told_file(folder: Path, gateway_name: str) -> Path:
    """Where a gateway says how things are."""
    return folder / f"{gateway_name}.told.json"


@contextlib.contextmanager
def box(plan: Plan) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway that does what is planned, until the block is left."""
    from bench import processes

    folder = Path(plan.folder)
    file = folder / f"{plan.gateway}.plan.json"
    file.write_bytes(msgspec.json.encode(plan))
    with processes.process([sys.executable, "-m", "bench.box", file], folder / f"{plan.gateway}.log") as running:
        yield running


def told(plan: Plan) -> Told:
    """What it last said. Raises OSError while it has not said anything."""
    return msgspec.json.decode(told_file(Path(plan.folder), plan.gateway).read_bytes(), type=Told)


def finish(plan: Plan) -> None:
    """Have it offer no more, and go on sending."""
    _finish_file(plan).touch()


def _finish_file(plan: Plan) -> Path:
    return Path(plan.folder) / f"{plan.gateway}.finish"


def spool_folder(folder: Path, gateway_name: str) -> Path:
    """Where a gateway keeps its frames."""
    return folder / f"{gateway_name}.spool"


def main(arguments: Sequence[str]) -> None:
    """Be a gateway."""
    imported_mb = memory_mb("VmRSS")
    configure_logs()
    plan = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Plan)
    settings = GatewaySettings(
        site=plan.site,
        gateway=plan.gateway,
        broker=BrokerSettings(host="127.0.0.1", port=plan.broker_port),
        spool=SpoolSettings(path=spool_folder(Path(plan.folder), plan.gateway)),
    ).model_copy(update={"drivers": (BenchSettings(driver="bench"),)})

    def make(_: BenchSettings, clock: Clock, __: Events) -> BenchDriver:
        return BenchDriver(plan, imported_mb, clock)

    cast(dict[str, DriverKind[Any]], DRIVERS)["bench"] = DriverKind(BenchSettings, make)
    with patch.object(gateway.gateway, "Spool", WatchedSpool):
        asyncio.run(run_until_signalled(settings, lambda: settings))


def import_costs(modules: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[tuple[str, float, int]]:
    """(module, megabytes, modules that came with it) of importing one after the other in a fresh process."""
    lines = [
        "import re, sys",
        "def mb(): return int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024 / 1e6",
        "print('python', mb(), len(sys.modules))",
        f"for name in {list(modules)!r}:",
        "    before, count = mb(), len(sys.modules)",
        "    __import__(name)",
        "    print(name, mb() - before, len(sys.modules) - count)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True, env=dict(environment)
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    return [(name, float(mb), int(count)) for name, mb, count in rows]


if __name__ == "__main__":
    main(sys.argv[1:])
