"""A small district under one seed: the real gateway, ingest, journal, alerts, outbox and history, in one thread on virtual
time, over a simulated network and disks that fail.

`run(seed)` lets faults happen for a while, then lets everything heal, and compares what is there with what was taken: each
reading once, each alarm as an undisturbed run has it, each notice told. The same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import apsw
import sqlalchemy as sa
import structlog
import urllib3
from influxdb_client.rest import ApiException
from pydantic import SecretStr

import alerts.engine
import gatehouse.schema  # noqa: F401 - the first migration loads it, and loading it draws a number that is the seed's
import gateway.gateway
import gateway.lane
import gateway.spool
import ingest.history.parquet
from alerts.alarm import What
from alerts.notify.routing import MQTT_CHANNEL
from alerts.notify.sender import Sender
from alerts.program import compile_rules
from alerts.rule import Severity
from alerts.rules import load_rules
from alerts.store import Notice, Store, alarms, notices, transitions
from alerts.worker import AlertWorker
from gatehouse.migrate import migrate
from gateway.driver import Sink
from gateway.drivers import DRIVERS, DriverKind
from gateway.settings import GatewaySettings, LocalAlarmSettings, OutputSettings, SpoolSettings, UplinkSettings
from gateway.thinning import THINNED
from gateway.uplink import Uplink
from ingest.committer import Committer
from ingest.completeness import CompletenessLoop
from ingest.group import Group
from ingest.history import completeness as counts
from ingest.history.completeness import Completeness
from ingest.history.gateways import GatewayStates
from ingest.history.history import HistoryWriter, series_places
from ingest.history.influx import InfluxWriter
from ingest.history.loop import HistoryLoop
from ingest.history.parquet import ParquetWriter, parts_of
from ingest.history.quarantine import Quarantine
from ingest.history.settings import InfluxSettings
from ingest.local_alarms import Told
from ingest.packets import ProtocolError
from ingest.recent import Recent
from ingest.subscriber import Session
from ingest.vet import Vetter
from telemetry.batch import decode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import SteadyClock
from telemetry.database import open_database
from telemetry.errors import Unavailable
from telemetry.identity import alarm_id
from telemetry.journal import Journal, Kind
from telemetry.reading import Reading
from telemetry.series import SeriesRegistry
from telemetry.settings import BrokerSettings
from telemetry.topics import readings_topic
from tests.oracles.occurrences import LevelPlan, Occurrence, OneReading, occurrences
from tests.sim.disk import Crash, Disk, Unsynced
from tests.sim.faults import CORE, EAST, FAULTS_UNTIL_S, WEST, Fault, draw
from tests.sim.loop import EPOCH_MS, SimClock, SimLoop
from tests.sim.network import Broker, CoreEnd, GatewayLink

HEAL_MAX_S = 2400.0
MARGIN_BYTES = 16_000_000  # left of a gateway's disk, below which nothing new is taken
LANE_BYTES = 42_000  # of a gateway's lane: a dozen frames or two
SEGMENT_BYTES = 6000  # so that segments come and go within a short run
POISON = 0.123456  # a value that history refuses for good

CATALOGUE = """
sites: [{id: east, name: East}, {id: west, name: West}]
kinds:
  - {id: drain-level, name: Level, metrics: [{id: level, name: Level, unit: m, plausible: [-1, 5]}]}
  - {id: scanner, name: Scanner, metrics: [{id: skin_temperature, name: Skin, unit: degC, plausible: [30, 45]}]}
  - {id: meter, name: Meter, metrics: [{id: power, name: Power, unit: W}]}
gateways: [{id: gw-east, name: E, site: east}, {id: gw-west, name: W, site: west}]
places:
  - {id: yard, name: Yard, kind: drain, site: east}
  - {id: room, name: Room, kind: room, site: west}
devices:
  - {id: level-1, kind: drain-level, place: yard, gateway: gw-east}
  - {id: level-2, kind: drain-level, place: yard, gateway: gw-east}
  - {id: lane-1, kind: scanner, place: yard, gateway: gw-east}
  - {id: meter-1, kind: meter, place: room, gateway: gw-west}
  - {id: meter-2, kind: meter, place: room, gateway: gw-west}
  - {id: plain-1, kind: meter, place: room, gateway: gw-west}
"""
RULES = """
rules:
  - {id: drain, type: level, class: drain, name: Full, metric: level, reopen_within_s: 0, flap_slot_s: 0.001,
     deadband: 0.2, clear_after_s: 12, notify: [pager],
     levels: [{severity: high, at_least: 1.0}, {severity: critical, at_least: 1.5}]}
  - {id: fever, type: level, class: fever, name: Fever, metric: skin_temperature, per_passage: true, notify: [pager],
     levels: [{severity: high, at_least: 37.3}, {severity: critical, at_least: 38.0}]}
  - {id: load, type: level, class: dormitory, name: Load, metric: power, reopen_within_s: 0, flap_slot_s: 0.001,
     raise_after_s: 7,
     levels: [{severity: medium, at_least: 1000}]}
  - {id: crowded, type: level, class: dormitory, name: Crowded, metric: power, reopen_within_s: 0, flap_slot_s: 0.001,
     raise_count: 2,
     levels: [{severity: low, at_least: 999}]}
  - {id: silent, type: silence, class: sensor, name: Silent, metric: level, after_s: 200, severity: medium}
"""
PLANS = (
    LevelPlan("drain", "level", ((3, 1.0), (4, 1.5)), deadband=0.2, clear_after_ms=12_000),
    LevelPlan("fever", "skin_temperature", ((3, 37.3), (4, 38.0)), per_passage=True),
    LevelPlan("load", "power", ((2, 1000.0),), raise_after_ms=7000),
    LevelPlan("crowded", "power", ((1, 999.0),), raise_count=2),
)
VALUES = {
    "level": (0.3, 0.79, 0.8, 0.81, 0.99, 1.0, 1.2, 1.5, 1.6),
    "skin_temperature": (36.2, 36.6, 36.9, 37.2, 37.3, 37.9, 38.0, 38.6),
    "power": (200.0, 999.0, 1000.0, 1000.0, 1500.0),
}
GATEWAYS = {
    EAST: ("east", (("level-1", "level", 4.0), ("level-2", "level", 5.0), ("lane-1", "skin_temperature", 7.0))),
    WEST: ("west", (("meter-1", "power", 3.0), ("meter-2", "power", 6.0))),
}
_LAMP = {"output": "lamp"}
LOCAL_ALARMS = {  # rules of above that gateways judge, too
    EAST: (
        {"rule": "fever", "device": "lane-1", "metric": "skin_temperature", "at_least": 37.3, "per_passage": True}
        | _LAMP,
    ),
    WEST: tuple(
        {"rule": "load", "device": device, "metric": "power", "at_least": 1000.0, "for_s": 7.0} | _LAMP
        for device, _, _ in GATEWAYS[WEST][1]
    ),
}


_SEVERITIES = {severity.word: int(severity) for severity in Severity}


class PowerCut(BaseException):
    """The core's power goes at a commit of the SQL database."""


@dataclass
class Verdict:
    """What a run came to."""

    seed: int
    faults: list[Fault]
    violations: list[str] = field(default_factory=list)
    readings: int = 0
    alarms: int = 0
    crashes: int = 0
    thinned: int = 0  # readings that a gateway gave up for want of room, and told of
    simulated_s: float = 0.0
    steps: dict[str, int] = field(
        default_factory=dict
    )  # of each node's disk until its end, and commits of the database

    @property
    def is_good(self) -> bool:
        return not self.violations


@dataclass(frozen=True)
class CrashPoint:
    """The power of one node goes at one step of its disk, or at one commit of the core's database."""

    node: str
    number: int
    unsynced: Unsynced  # what becomes of what was not synced; of a commit: LOST before it, KEPT right after it
    at_commit: bool = False


def run(
    seed: int,
    faults: Sequence[Fault] | None = None,
    measure_until_s: float = FAULTS_UNTIL_S + 30,
    crash: CrashPoint | None = None,
) -> Verdict:
    """One seed, from the beginning to the verdict.

    Args:
        faults: Instead of those that the seed would draw.
        measure_until_s: When the devices have measured enough; then everything heals.
        crash: A single one, at an exact point.
    """
    rng = random.Random(seed)
    drawn = draw(rng)
    chosen = drawn if faults is None else list(faults)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix=f"sim-{seed}-") as folder, _determined(seed):
        loop = SimLoop()
        asyncio.set_event_loop(loop)
        try:
            world = World(seed, rng.randrange(1 << 30), loop, Path(folder), chosen, measure_until_s, crash)
            return loop.run_until_complete(world.live())
        finally:
            with contextlib.suppress(RuntimeError):
                loop.close()
            asyncio.set_event_loop(None)


@contextlib.contextmanager
def _determined(seed: int) -> Iterator[None]:
    """Whatever the product leaves to chance (jitter, epochs) comes from the seed; so does how long an outage must be for its
    end to be judged in pieces, which real sizes would leave to days that no run has."""
    numbers = random.Random(f"jitter {seed}")
    at_once = random.Random(f"pieces {seed}").choice([5, 40, 400])
    made = random.Random

    def seeded(given: Any = None) -> random.Random:
        return made(numbers.randrange(1 << 62) if given is None else given)

    with (
        mock.patch.multiple(alerts.engine, _AGAIN_AT_ONCE=at_once, _AGAIN_EVERY=8, _AGAIN_EACH=8 + at_once),
        mock.patch.object(random, "Random", seeded),
        mock.patch.object(secrets, "token_hex", lambda size: f"{numbers.randrange(1 << (8 * size)):0{2 * size}x}"),
    ):
        previous = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), processors=[_drop])
        try:
            yield
        finally:
            structlog.configure(**previous)


def _drop(logger: Any, method: str, event: Any) -> Any:
    raise structlog.DropEvent


class Disks:
    """Which disk the files of a folder stand on."""

    def __init__(self) -> None:
        self.of: dict[Path, Disk] = {}
        self.journals: dict[Path, list[Journal]] = {}

    def journal(self, path: Path, segment_bytes: int = SEGMENT_BYTES, **given: Any) -> Journal:
        """Open a journal on the disk that its folder stands on."""
        root = next(root for root in self.of if path.is_relative_to(root))
        journal = Journal(path, min(segment_bytes, SEGMENT_BYTES), vfs=self.of[root].name, **given)
        self.journals.setdefault(root, []).append(journal)
        return journal

    def step(self, path: Path) -> None:
        """A step that SQLite does not make: a folder renamed, a file of history written. Raises OSError."""
        root = next((root for root in self.of if path.is_relative_to(root)), None)
        if root is not None:
            try:
                self.of[root].before("name", str(path))
            except apsw.Error as error:
                raise OSError(str(error)) from error


class Node:
    """A machine: a disk, a clock, and processes that come and go."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.folder = world.folder / name
        self.folder.mkdir()
        self.clock = SimClock(world.loop)
        self.rng = random.Random(world.rng.randrange(1 << 30))
        self.is_running = False
        self.is_paused = False
        self.full_until_s = self.fails_until_s = self.slow_until_s = self.room_until_s = 0.0
        self.room_bytes = 0  # until then
        self.crash_in: int | None = None  # steps of the disk
        self.unsynced = Unsynced.KEPT
        self.back_after_s = 1.0

    def boot(self) -> None:
        """Power on."""
        disk = Disk(self._step)
        self.world.disks.of[self.folder] = disk
        self.disk = disk
        self.is_running = True
        self.start()

    def crash_at(self, point: CrashPoint) -> None:
        """Let the power go at an exact point of the first run."""
        self.crash_in, self.unsynced = point.number, point.unsynced

    def start(self) -> None:
        raise NotImplementedError

    def halt(self) -> None:
        raise NotImplementedError

    def die(self, unsynced: Unsynced, back_after_s: float) -> None:
        """Power off, and on again later."""
        if not self.is_running:
            return
        self.is_running = False
        self.world.crashes += 1
        self.crash_in = None
        self.disk.over()
        self.halt()

        def later() -> None:
            for journal in self.world.disks.journals.pop(self.folder, []):
                with contextlib.suppress(apsw.Error):
                    journal.close()
            self.disk.end(unsynced, self.rng)
            self.world.loop.call_later(back_after_s, self.boot)

        # What was cancelled needs a moment to come to its end; none of it has any effect any more.
        self.world.loop.call_later(0.001, later)

    def see_to(self) -> bool:
        """Whether the node lives; one whose power went at a step of the disk is buried here."""
        if self.is_running and self.disk.is_dead:
            self.die(self.unsynced, self.back_after_s)
        return self.is_running

    def _step(self, kind: str, path: str) -> None:
        now_s = self.world.loop.time()
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.world.loop.call_soon(self.see_to)
                raise Crash
        if now_s < self.full_until_s and kind == "write":
            raise apsw.FullError("no space left on device")
        if now_s < self.fails_until_s and kind in ("write", "sync") and self.rng.random() < 0.3:
            raise apsw.IOError("input/output error")


class ScriptSettings(gateway.driver.DriverSettings):
    """The driver of the simulated devices."""

    world: Any
    node: Any
    device: str
    metric: str
    every_s: float

    @property
    def name(self) -> str:
        return f"script {self.device}"

    def device_names(self) -> Iterator[str]:
        yield self.device


class ScriptDriver:
    """A device that measures all the time, and remembers what its gateway promised to keep."""

    def __init__(self, settings: ScriptSettings, clock: Any, events: Any) -> None:
        self._settings = settings

    async def run(self, sink: Sink) -> None:
        at, world = self._settings, self._settings.world
        rng = random.Random(world.rng.randrange(1 << 30))
        while True:
            await asyncio.sleep(at.every_s * rng.uniform(0.6, 1.0))
            if world.loop.time() > world.measure_until_s:
                continue
            reading = world.measured(at.device, at.metric, rng)
            key = (reading.device, reading.time_ms)
            world.offered[key] = reading
            while at.node.is_running:
                try:
                    await sink.keep([reading])
                except Unavailable:
                    await asyncio.sleep(1.0)
                    continue
                if not at.node.disk.is_dead:
                    world.promised.add(key)
                break


class GatewayNode(Node):
    """`gatehouse gateway`."""

    def start(self) -> None:
        site, devices = GATEWAYS[self.name]
        self._stop = asyncio.Event()
        settings = GatewaySettings.model_construct(
            site=site,
            gateway=self.name,
            broker=BrokerSettings(host=self.name, reconnect_delay_max_s=5.0),
            spool=SpoolSettings(path=self.folder / "spool"),
            uplink=UplinkSettings(resend_after_s=3.0, resend_max_s=10.0, stalled_after_s=20.0),
            drain_on_stop_s=0.0,
            outputs={"lamp": OutputSettings(file=self.folder / "lamp")},
            local_alarms=tuple(LocalAlarmSettings.model_validate(entry) for entry in LOCAL_ALARMS[self.name]),
            drivers=tuple(
                ScriptSettings(driver="script", world=self.world, node=self, device=d, metric=m, every_s=s)
                for d, m, s in devices
            ),
        )
        self._task = self.world.loop.create_task(self._run(settings))

    async def _run(self, settings: GatewaySettings) -> None:
        while self.is_running:
            self.world.starts[self.name] += 1
            try:
                await gateway.gateway.run(settings, self.clock, self._stop)
            except* (Unavailable, OSError):
                await asyncio.sleep(1.0)  # as a supervisor starts it again

    def halt(self) -> None:
        self._task.cancel()


class InfluxModel:
    """What of InfluxDB's write API the writer depends on: points by their name, and its ways to fail."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.points: dict[tuple[str, str, int], float] = {}
        self.refused: set[tuple[str, str, int]] = set()

    def post_write_with_http_info(
        self, org: str, bucket: str, body: bytes, precision: str, content_type: str
    ) -> tuple[None, int, dict[str, str]]:
        now_s, trouble = self._world.loop.time(), self._world.history_until_s
        points = []
        for line in body.decode().splitlines():
            head, fields, time_ms = line.rsplit(" ", 2)
            device = head.split("device=")[1].split(",")[0]
            metric, value = fields.split(",")[0].split("=")
            points.append(((device, metric, int(time_ms)), float(value)))
        if now_s < trouble["history-away"]:
            raise ApiException(status=503, reason="away")
        if now_s < trouble["history-hangs"]:
            self.points.update(points)  # it arrived; the answer did not
            raise urllib3.exceptions.ReadTimeoutError(None, "", "timed out")  # type: ignore[arg-type]
        if now_s < trouble["history-partial"]:
            self.points.update(points[: len(points) // 2])
            raise ApiException(status=500 if len(points) % 2 else 429, reason="half of it")
        if any(value == POISON for _, value in points):
            if len(points) == 1:
                self.refused.add(points[0][0])
            refusal = ApiException(status=400, reason="Bad Request")
            refusal.body = '{"code": "invalid", "message": "unacceptable point"}'
            raise refusal
        self.points.update(points)
        return None, 204, {}


class Pager:
    """A channel that people carry: what it took, by key."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self.name = name
        self.taken: list[tuple[str, str, str]] = []  # key, alarm, what

    def deliver(self, notice: Notice) -> None:
        if self._world.loop.time() < self._world.channel_until_s:
            raise Unavailable("no answer")
        self.taken.append((notice.key, notice.body["alarm"]["id"], notice.body["what"]))


class CoreNode(Node):
    """`gatehouse core`, its threads as tasks that take turns."""

    def __init__(self, world: World) -> None:
        super().__init__(world, CORE)
        shutil.copy(world.database_template, self.folder / "gatehouse.db")
        self.url = f"sqlite:///{self.folder}/gatehouse.db"
        self.database_until_s = 0.0
        self.cut_commit: str | None = None  # "before" or "after" the next commit of the database
        self.commits = 0
        self._cut_at: CrashPoint | None = None
        self.steady: SteadyClock | None = None
        self.session: Session | None = None

    def start(self) -> None:
        self._tasks = [self.world.loop.create_task(self._run())]

    def crash_at(self, point: CrashPoint) -> None:
        if point.at_commit:
            self._cut_at = point
        else:
            super().crash_at(point)

    def halt(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self.session is not None and self.world.broker.core is not None:
            self.world.broker.core.cut()
        self.session = None
        self.database.dispose()

    async def _run(self) -> None:
        while True:
            try:
                self._assemble()
                break
            except (Unavailable, sa.exc.OperationalError, OSError):
                if not self.see_to():
                    return
                await asyncio.sleep(1.0)
            except PowerCut:
                self.die(Unsynced.LOST, self.back_after_s)
                return
        parts: list[tuple[Callable[[], bool], float]] = [
            (self.alerts.step, 0.3),
            (self.history.step, 1.5),
            (self.completeness.step, 2.5),
            *((sender.step, 2.0) for sender in self.senders),
            (self._trim, 20.0),
        ]
        self._tasks += [self.world.loop.create_task(self._work(step, pause_s)) for step, pause_s in parts]
        self._tasks.append(self.world.loop.create_task(self._listen()))

    def _assemble(self) -> None:
        world = self.world
        self.database = open_database(self.url)
        sa.event.listen(self.database, "commit", self._commits)
        sa.event.listen(self.database, "begin", self._begins)
        self.journal = world.disks.journal(self.folder / "journal", on_damage=world.damaged.append)
        newest = self.journal.read(max(0, self.journal.last - 1))
        self.steady = SteadyClock(self.clock, newest[-1].time_ms if newest else 0)
        self.registry = SeriesRegistry.open(self.journal, world.catalogue)
        self.committer = Committer(self.journal, self.steady)
        recent, told = Recent.open(self.journal), Told.open(self.journal)
        self.vetter = Vetter(world.catalogue, self.registry, self.committer.seen(), recent, told)
        store = Store(self.database)
        program = compile_rules(world.rules, world.catalogue, self.registry)
        self.alerts = AlertWorker(self.journal, program, world.catalogue, store, self.steady, lambda: None)
        self.history = HistoryLoop(
            self.journal, world.history_writer(self.registry), Quarantine(self.database), self.steady
        )
        self.completeness = CompletenessLoop(
            self.journal,
            Completeness(self.database),
            GatewayStates(self.database),
            world.catalogue,
            self.registry,
            self.steady,
            lambda: self.vetter.gateways,
        )
        self.senders = [Sender(pager.name, pager, store, self.steady) for pager in world.pagers]

    def _begins(self, connection: sa.Connection) -> None:
        if self.world.loop.time() < self.database_until_s:
            raise sa.exc.OperationalError("", {}, Exception("database is locked"))

    def _commits(self, connection: sa.Connection) -> None:
        self.commits += 1
        if self._cut_at is not None and self._cut_at.number == self.commits:
            self.cut_commit = "after" if self._cut_at.unsynced is Unsynced.KEPT else "before"
        cut, self.cut_commit = self.cut_commit, None
        if cut == "after":
            connection.connection.commit()
        if cut is not None:
            raise PowerCut

    async def _work(self, step: Callable[[], bool], pause_s: float) -> None:
        while self.is_running:
            has_more = False
            try:
                if not self.is_paused:
                    has_more = step()
            except (Unavailable, sa.exc.OperationalError, OSError):
                await asyncio.sleep(self.rng.uniform(0.2, 1.0))
            except PowerCut:
                self.die(Unsynced.LOST, self.back_after_s)
                return
            if not self.see_to():
                return
            await asyncio.sleep(0.001 if has_more else pause_s * self.rng.uniform(0.2, 1.5))

    def _trim(self) -> bool:
        self.journal.trim_to(150_000, min(self.journal.cursors().values(), default=0))
        return False

    async def _listen(self) -> None:
        """What `Subscriber.run` does with a socket and a thread."""
        assert self.steady is not None
        settings = BrokerSettings(keep_alive_s=30)
        while self.is_running:
            link = None
            try:
                link = self.world.broker.connect_core()
                session = self.session = Session(settings, "core", self.vetter, self.committer, self.steady)
                link.write(session.hello())
                await self._serve(link, session)
            except (OSError, ProtocolError):
                pass
            if not self.is_running:
                return
            if link is not None:
                link.cut()
            self.session = None
            until_s = self.world.loop.time() + self.rng.uniform(0.2, 3.0)
            while self.is_running and self.world.loop.time() < until_s:
                with contextlib.suppress(Unavailable):
                    self.committer.commit(Group(), is_connected=False)
                if not self.see_to():
                    return
                await asyncio.sleep(0.2)

    async def _serve(self, link: CoreEnd, session: Session) -> None:
        while self.is_running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await link.arrived.wait()
            if self.is_paused:
                await asyncio.sleep(0.2)
                continue
            data = link.read(self.rng.choice((1, 50, 4000, 1_000_000)))
            while True:
                try:
                    answer = session.feed(data)
                    break
                except Unavailable:
                    data = b""
                    if not self.see_to():
                        return
                    await asyncio.sleep(0.5)
            if not self.see_to():
                return
            if answer:
                link.write(answer)


class PlainDevice:
    """Something that speaks MQTT by itself: it publishes until its broker has acknowledged, and perhaps once more."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self) -> None:
        world = self._world
        rng = random.Random(world.rng.randrange(1 << 30))
        topic = readings_topic("west", WEST)
        while world.loop.time() < world.measure_until_s:
            await asyncio.sleep(rng.uniform(2.0, 5.0))
            reading = world.measured("plain-1", "power", rng)
            key = (reading.device, reading.time_ms)
            world.offered[key] = reading
            row = {"device": "plain-1", "metric": "power", "time": reading.time_ms, "value": reading.value}
            payload = json.dumps({"readings": [row]}).encode()
            await world.broker.until_up()
            world.plain[payload] = key
            for _ in range(2 if rng.random() < 0.1 else 1):
                world.broker.publish(topic, payload, retain=False)


class World:
    """All of it."""

    def __init__(
        self,
        seed: int,
        chance: int,
        loop: SimLoop,
        folder: Path,
        faults: list[Fault],
        measure_until_s: float,
        crash: CrashPoint | None,
    ) -> None:
        self.seed = seed
        self.measure_until_s = measure_until_s
        self.crash = crash
        self.loop = loop
        self.folder = folder
        self.faults = faults
        self.rng = random.Random(chance)
        self.disks = Disks()
        self.broker = Broker(loop, random.Random(self.rng.randrange(1 << 30)))
        self.offered: dict[tuple[str, int], Reading] = {}
        self.promised: set[tuple[str, int]] = set()
        self.plain: dict[bytes, tuple[str, int]] = {}
        self.damaged: list[Any] = []
        self.crashes = 0
        self.starts: Counter[str] = Counter()  # of each gateway's program
        self.history_until_s = dict.fromkeys(("history-away", "history-partial", "history-hangs"), 0.0)
        self.channel_until_s = 0.0
        self.influx = InfluxModel(self)
        self.uses_parquet = self.rng.random() < 0.25
        self.lane_bytes = self.rng.choice(
            (LANE_BYTES, 100_000)
        )  # of the smaller ones a run has many, which are thinned
        (folder / "catalogue").mkdir()
        (folder / "rules").mkdir()
        (folder / "catalogue" / "all.yaml").write_text(CATALOGUE)
        (folder / "rules" / "all.yaml").write_text(RULES)
        self.catalogue = Catalogue.load(folder / "catalogue")
        self.rules = load_rules(folder / "rules", self.catalogue)
        self.database_template = _database_template()
        self.pagers = [Pager(self, MQTT_CHANNEL), Pager(self, "pager")]
        self.core = CoreNode(self)
        self.nodes: dict[str, Node] = {CORE: self.core, EAST: GatewayNode(self, EAST), WEST: GatewayNode(self, WEST)}
        loop.thread_delay_s = lambda call: self._thread_delay_s()

    def history_writer(self, registry: SeriesRegistry) -> HistoryWriter:
        """Half of the runs have InfluxDB, half the embedded history."""
        places = series_places(registry, self.catalogue)
        if self.uses_parquet:
            return ParquetWriter(self.core.folder / "history", places)
        settings = InfluxSettings(url="http://history", token=SecretStr("t"), org="o", bucket="b")
        writer = InfluxWriter(settings, places)
        writer._api = self.influx
        return writer

    def measured(self, device: str, metric: str, rng: random.Random) -> Reading:
        """A new reading; no two of a device have the same time."""
        time_ms = EPOCH_MS + round(self.loop.time() * 1000)
        while (device, time_ms) in self.offered:
            time_ms += 1
        value = rng.choice(VALUES[metric])
        if metric == "power" and rng.random() < 0.01:
            value = POISON
        key = f"p{len(self.offered)}" if metric == "skin_temperature" else None
        return Reading(device, metric, time_ms, value, key=key)

    async def live(self) -> Verdict:
        """Faults, healing, verdict."""
        with self._patched():
            for node in self.nodes.values():
                node.boot()
            if self.crash is not None:
                self.nodes[self.crash.node].crash_at(self.crash)
            device = self.loop.create_task(PlainDevice(self).run())
            for fault in self.faults:
                self.loop.call_at(fault.at_s, self._strike, fault)
            await asyncio.sleep(self.measure_until_s + 1)
            self._heal()
            await device
            verdict = Verdict(self.seed, self.faults)
            if not await self._settled():
                verdict.violations.append(f"not settled after {HEAL_MAX_S:.0f} s: {self._unsettled()}")
            verdict.simulated_s, verdict.crashes = self.loop.time(), self.crashes
            verdict.steps = {name: node.disk.count for name, node in self.nodes.items()}
            verdict.steps["commits"] = self.core.commits
            if verdict.is_good:  # else there is no end to be judged
                self._judge(verdict)
            for node in self.nodes.values():
                node.is_running = False
                node.disk.over()
                node.halt()
            await asyncio.sleep(0.1)
            for journals in self.disks.journals.values():
                for journal in journals:
                    journal.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            return verdict

    @contextlib.contextmanager
    def _patched(self) -> Iterator[None]:
        def make_link(settings: BrokerSettings, client_id: str, listener: Any) -> GatewayLink:
            link = GatewayLink(self.broker, settings, client_id, listener)
            node = self.nodes[client_id]
            disk = node.disk
            link.is_dead = lambda: disk.is_dead
            return link

        def uplink(*given: Any, **named: Any) -> Uplink:
            return Uplink(*given, **(named | {"make_link": make_link}))

        rename, write_file, usage = Path.rename, ingest.history.parquet._write_file, shutil.disk_usage

        def room(path: Path) -> Any:
            node = next(node for node in self.nodes.values() if path.is_relative_to(node.folder))
            return usage(path)._replace(free=node.room_bytes) if self.loop.time() < node.room_until_s else usage(path)

        def renamed(path: Path, target: Path) -> Path:
            self.disks.step(path)
            return rename(path, target)

        def written(path: Path, row_groups: Any) -> None:
            self.disks.step(path)
            write_file(path, row_groups)
            self.disks.step(path)

        with (
            mock.patch.object(gateway.gateway, "Uplink", uplink),
            mock.patch.object(gateway.lane, "Journal", self.disks.journal),
            # A lane's empty file is most of it here.
            mock.patch.multiple(
                gateway.spool, _LANE_BYTES_MIN=self.lane_bytes, _LANES_A_BUDGET=1_000_000, _WORTH_IT=1.0
            ),
            mock.patch.object(shutil, "disk_usage", room),
            mock.patch.object(Path, "rename", renamed),
            mock.patch.object(ingest.history.parquet, "_write_file", written),
            mock.patch.dict(DRIVERS, {"script": DriverKind(ScriptSettings, ScriptDriver)}),
        ):
            yield

    def _thread_delay_s(self) -> float:
        slow = any(self.loop.time() < node.slow_until_s for node in self.nodes.values())
        return self.rng.uniform(0.2, 2.0) if slow else self.rng.uniform(0.0001, 0.003)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def _strike(self, fault: Fault) -> None:
        until_s = self.loop.time() + fault.lasts_s
        trouble = self.broker.trouble
        node = self.nodes.get(fault.where)
        later = self.loop.call_later
        if fault.kind == "crash-at-write" and node is not None:
            node.crash_in = fault.number % 60
            node.unsynced = list(Unsynced)[fault.number // 60 % 3]
            node.back_after_s = fault.lasts_s
        elif fault.kind == "kill" and node is not None:
            node.die(Unsynced.KEPT, fault.lasts_s)
        elif fault.kind == "pause" and node is not None:
            node.is_paused = True
            later(fault.lasts_s, setattr, node, "is_paused", False)
        elif fault.kind in ("cut", "half-open"):
            self._cut(fault, is_silent=fault.kind == "half-open")
        elif fault.kind == "broker-crash":
            self.broker.crash(forgets_all=bool(fault.number % 2))
            later(fault.lasts_s, setattr, self.broker, "is_up", True)
        elif fault.kind in ("lose", "repeat", "reorder"):
            setattr(trouble, fault.kind, 0.3)
            later(fault.lasts_s, setattr, trouble, fault.kind, 0.0)
        elif fault.kind == "slow-network":
            trouble.delay_s = 3.0
            later(fault.lasts_s, setattr, trouble, "delay_s", 0.02)
        elif fault.kind == "disk-full" and node is not None:
            node.full_until_s = until_s
        elif fault.kind == "disk-fails" and node is not None:
            node.fails_until_s = until_s
        elif fault.kind == "disk-slow" and node is not None:
            node.slow_until_s = until_s
        elif fault.kind == "outage-fills-disk" and node is not None:
            self._cut(fault, is_silent=False)
            node.room_until_s, node.room_bytes = until_s, MARGIN_BYTES + 1000
        elif fault.kind == "disk-without-room" and node is not None:
            node.room_until_s, node.room_bytes = until_s, (MARGIN_BYTES - 1000, 1000)[fault.number % 2]
        elif fault.kind in self.history_until_s:
            self.history_until_s[fault.kind] = until_s
        elif fault.kind == "database-away":
            self.core.database_until_s = until_s
        elif fault.kind == "crash-at-commit":
            self.core.cut_commit = "after" if fault.number % 2 else "before"
            self.core.back_after_s = fault.lasts_s
        elif fault.kind == "channel-refuses":
            self.channel_until_s = until_s
        elif fault.kind == "clock-steps" and node is not None:
            year_ms = 366 * 86_400_000
            node.clock.skew_ms = (1000, -1000, 30_000, -30_000, 50 * year_ms, -50 * year_ms)[fault.number % 6]
            later(fault.lasts_s, setattr, node.clock, "skew_ms", 0)
        else:
            raise AssertionError(fault)

    def _cut(self, fault: Fault, is_silent: bool) -> None:
        """Cut a connection and the way to a new one until the fault is over, or let it go silent."""
        end = self.broker.core if fault.where == CORE else self.broker.links.get(fault.where)
        if not is_silent:
            self.broker.cut_off_until_s[fault.where] = self.loop.time() + fault.lasts_s
        if isinstance(end, GatewayLink) and is_silent:
            end.go_silent()
        elif isinstance(end, CoreEnd) and is_silent:
            end.wire.is_silent = True
        elif end is not None:
            end.cut()

    def _heal(self) -> None:
        for node in self.nodes.values():
            node.full_until_s = node.fails_until_s = node.slow_until_s = node.room_until_s = 0.0
            if self.crash is None:
                node.crash_in = None
            node.is_paused = False
            node.clock.skew_ms = 0
        self.core.cut_commit = None
        self.core.database_until_s = self.channel_until_s = 0.0
        self.history_until_s = dict.fromkeys(self.history_until_s, 0.0)
        self.broker.is_up = True
        self.broker.cut_off_until_s.clear()
        self.broker.trouble.lose = self.broker.trouble.repeat = self.broker.trouble.reorder = 0.0
        self.broker.trouble.delay_s = 0.02

    async def _settled(self) -> bool:
        calm = 0
        while self.loop.time() < self.measure_until_s + HEAL_MAX_S:
            await asyncio.sleep(5)
            calm = 0 if self._unsettled() else calm + 1
            if calm == 3:
                return True
        return False

    def _unsettled(self) -> str:
        """What still waits for something."""
        for name in (EAST, WEST):
            status = self.broker.retained.get(f"gatehouse/v1/{GATEWAYS[name][0]}/{name}/status", b"{}")
            said = json.loads(status)
            if said.get("state") != "online" or said.get("spooled") or said.get("unwritten"):
                return f"{name}: {said}"
        core = self.core
        if not core.is_running or core.session is None or not core.session.is_connected:
            return "core: not connected"
        if core.alerts.behind > 3 or core.journal.cursor("history") < core.journal.last - 30:
            return f"core: {core.alerts.behind} to judge, history at {core.journal.cursors()} of {core.journal.last}"
        with core.database.connect() as db:
            waiting = db.execute(sa.select(sa.func.count()).where(notices.c.state == "waiting")).scalar_one()
        return f"{waiting} notices wait" if waiting else ""

    # --- what must hold -------------------------------------------------------------------------------------------

    def _judge(self, verdict: Verdict) -> None:
        wrong = verdict.violations.append
        stored = self._stored(wrong)
        verdict.readings = len(stored)
        forgotten = {self.plain[payload] for _, payload in self.broker.lost if payload in self.plain}
        owed = self.promised | {key for key in self.plain.values() if key not in forgotten}
        self._judge_missing(verdict, owed - stored.keys(), stored)
        for key, reading in stored.items():
            offered = self.offered.get(key)
            if offered is None or (offered.value, offered.metric) != (reading.value, reading.metric):
                wrong(f"stored what nobody measured: {reading}")
        if self.damaged:
            wrong(f"the journal called damaged what was only unplugged: {self.damaged[:2]}")
        self._judge_alarms(verdict, stored)

    def _judge_missing(
        self, verdict: Verdict, missing: set[tuple[str, int]], stored: dict[tuple[str, int], Reading]
    ) -> None:
        """What is not there was thinned, as gaps say it: how many of each series, and from when to when."""
        wrong = verdict.violations.append
        while self.core.completeness.step():
            pass
        self.core.completeness._keep()  # as it does at its end
        names = self.core.registry.names
        with self.core.database.connect() as db:
            arrived = Counter[str]()
            for row in db.execute(sa.select(counts.days)):
                arrived[names[row.series][0]] += row.good + row.suspect + row.bad
            told: dict[str, list[Any]] = {}
            for row in db.execute(sa.select(counts.losses)):
                told.setdefault(names[row.series][0], []).append(row)
        here = Counter(device for device, _ in stored)
        never = Counter(device for device, time_ms in self.offered.keys() - stored.keys())
        gone = Counter(device for device, _ in missing)
        for device in here.keys() | told.keys() | gone.keys():
            if arrived[device] != here[device]:
                wrong(f"{arrived[device]} readings of {device} are counted, {here[device]} are there")
            thinned = sum(loss.missing for loss in told.get(device, ()))
            verdict.thinned += thinned
            # What was kept in the moment of a crash was not promised, and may be thinned nevertheless.
            if not gone[device] <= thinned <= never[device]:
                lost = sorted(key for key in missing if key[0] == device)[:3]
                wrong(f"lost of {device}: {gone[device]} like {lost}, and {thinned} are told as missing")
        for device, time_ms in missing:
            if self.offered[device, time_ms].key is not None:
                wrong(f"thinned though it is a person's: {device} at {time_ms}")
            if not any(loss.first_ms <= time_ms <= loss.last_ms for loss in told.get(device, ())):
                wrong(f"not there, and no gap says so: {device} at {time_ms}")
        if any(loss.reason != THINNED for each in told.values() for loss in each):
            wrong(f"missing for a reason that there was not: {told}")

    def _stored(self, wrong: Callable[[str], None]) -> dict[tuple[str, int], Reading]:
        """What history holds; each reading must be there once."""
        names = self.core.registry.names
        journalled: Counter[tuple[str, int]] = Counter()
        for record in self._records():
            if record.kind in (Kind.READINGS, Kind.BACKLOG):
                batch = decode_batch(record.payload)
                for series, time_ms in zip(batch.series.tolist(), batch.time_ms.tolist(), strict=True):
                    journalled[names[series][0], time_ms] += 1
        gateways = {EAST, WEST}
        twice = [key for key, count in journalled.items() if count > 1 and key[0] not in gateways]
        if twice:
            wrong(f"in the journal twice: {twice[:3]}, {len(twice)} in all")
        found: dict[tuple[str, int], Reading] = {}
        if self.uses_parquet:
            import pyarrow.parquet as pq

            for folder in (self.core.folder / "history").glob("kind=*/day=*"):
                for part in parts_of(folder):
                    for row in pq.read_table(part.path, partitioning=None).to_pylist():
                        key = row["device"], row["time_ms"]
                        if key in found and row["device"] not in gateways:
                            wrong(f"in history twice: {key}")
                        found[key] = Reading(row["device"], row["metric"], row["time_ms"], row["value"], key=row["key"])
        else:
            for (device, metric, time_ms), value in self.influx.points.items():
                found[device, time_ms] = Reading(device, metric, time_ms, value)
            for device, metric, time_ms in self.influx.refused:
                found[device, time_ms] = Reading(device, metric, time_ms, POISON)
        return {key: reading for key, reading in found.items() if key[0] not in gateways}

    def _records(self) -> Iterator[Any]:
        at = 0
        while records := self.core.journal.read(at):
            yield from records
            at = records[-1].offset

    def _judge_alarms(self, verdict: Verdict, stored: dict[tuple[str, int], Reading]) -> None:
        wrong = verdict.violations.append
        by_series: dict[tuple[str, str], list[OneReading]] = {}
        for reading in stored.values():
            key = self.offered[reading.device, reading.time_ms].key
            by_series.setdefault((reading.device, reading.metric), []).append(
                OneReading(reading.time_ms, reading.value, 0, key)
            )
        expected = occurrences(PLANS, by_series)
        with self.core.database.connect() as db:
            rows = db.execute(sa.select(alarms)).all()
            steps = db.execute(sa.select(transitions).order_by(transitions.c.alarm, transitions.c.seq)).all()
            told = db.execute(sa.select(notices)).all()
        verdict.alarms = len(rows)
        found = set()
        for row in rows:
            shown = row.document
            if row.rule == "undelivered":
                continue  # a channel was away for longer than it may be: about us, not about the field
            if row.rule == "silent":
                wrong(f"a sensor that never fell silent was called silent: {shown}")
                continue
            if shown["closed_reason"] == "retracted-by-late-data":
                continue  # time was up, and what came later said otherwise: told, and taken back
            worst = _SEVERITIES[shown["severity_max"]]
            if max(step.severity for step in steps if step.alarm == row.id) > worst:
                wrong(f"an alarm that was told as worse than it is on record: {shown}")
            found.add(Occurrence(row.rule, row.device, shown.get("key"), row.onset_ms, worst, row.closed_ms))
            amended = any(step.what == "amended" for step in steps if step.alarm == row.id)
            metric = shown["metric"]
            if not amended and row.id != alarm_id(row.rule, row.device, metric, shown.get("key"), row.onset_ms):
                wrong(f"an alarm whose id does not follow from its onset: {shown}")
        for missing in sorted(expected - found, key=str)[:3]:
            wrong(f"missed, or not as it was: {missing}")
        for extra in sorted(found - expected, key=str)[:3]:
            wrong(f"extra, or not as it was: {extra}")
        self._judge_local_alarms(wrong, stored, {row.id: row for row in rows})
        for alarm, of_alarm in itertools.groupby(steps, lambda step: step.alarm):
            numbers = [step.seq for step in of_alarm]
            if numbers != list(range(1, len(numbers) + 1)):
                wrong(f"steps of {alarm} are {numbers}")
        if len({row.key for row in told}) != len(told):
            wrong("two notices with one key")
        for pager in self.pagers:
            owed = {row.key for row in told if row.channel == pager.name}
            taken = {key for key, _, _ in pager.taken}
            if owed - taken:
                wrong(f"never told on {pager.name}: {sorted(owed - taken)[:3]}")
            if taken - owed:
                wrong(f"told and not on record: {sorted(taken - owed)[:3]}")

    def _judge_local_alarms(
        self, wrong: Callable[[str], None], stored: dict[tuple[str, int], Reading], rows: dict[str, Any]
    ) -> None:
        """What a gateway raised by itself is the core's alarm, and the core was told of it once."""
        commands = [json.loads(record.payload) for record in self._records() if record.kind is Kind.COMMAND]
        named = Counter(command["alarm"] for command in commands if command["action"] == "told-locally")
        twice = [name for name, count in named.items() if count > 1]
        if twice:
            wrong(f"told twice of what a gateway raised: {twice[:3]}")
        with self.core.database.connect() as db:
            query = sa.select(transitions.c.alarm).where(transitions.c.what == What.TOLD_LOCALLY.value)
            known = {name for alarm in db.execute(query).scalars() for name in _names(rows[alarm])}
        for gateway_name, entries in LOCAL_ALARMS.items():
            # Not from the records: old ones make room on a disk that was full.
            told = set(json.loads(self.core.journal.state("told/").get(f"told/{gateway_name}", b"[]")))
            topic = f"gatehouse/v1/{GATEWAYS[gateway_name][0]}/{gateway_name}/status"
            raised = [alarm["id"] for alarm in json.loads(self.broker.retained[topic])["local_alarms"]]
            if not told >= set(raised):
                wrong(f"{gateway_name} raised what the core was not told of: {sorted(set(raised) - told)[:3]}")
            judged = {(entry["device"], entry["rule"]) for entry in entries}
            devices = {device for device, _ in judged}
            if self.starts[gateway_name] > 1 or any(key[0] in devices and key not in stored for key in self.offered):
                continue  # it may have judged what it could not keep, and forgotten what it had judged
            if not known >= set(raised):
                wrong(f"{gateway_name} raised what is no alarm of the core: {sorted(set(raised) - known)[:3]}")
            missing = [
                row.id
                for row in rows.values()
                if (row.device, row.rule) in judged
                and row.document["closed_reason"] != "retracted-by-late-data"
                and not _names(row) & told
            ]
            if missing:
                wrong(f"{gateway_name} did not raise {missing[:3]}")


def _names(row: Any) -> set[str]:
    """The ids of an alarm: an amended one keeps its own, and its gateway knows it by its true onset."""
    shown = row.document
    return {row.id, alarm_id(row.rule, row.device, shown["metric"], shown.get("key"), row.onset_ms)}


_template: list[Path] = []


def _database_template() -> Path:
    """An empty database of this version; made once, copied for every run."""
    if not _template:
        folder = Path(tempfile.mkdtemp(prefix="sim-database-"))
        migrate(f"sqlite:///{folder}/gatehouse.db")
        with contextlib.closing(open_database(f"sqlite:///{folder}/gatehouse.db").raw_connection()) as db:
            db.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _template.append(folder / "gatehouse.db")
    return _template[0]
