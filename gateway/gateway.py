"""Puts the parts of one gateway together and keeps them running until told to stop.

A driver whose peer is away is run again after a growing pause; one that cannot work as configured is disabled and said
so; one that fails by a fault of ours is started again. None of them stops its neighbours. Exports are run alike.
When the configuration is read again, drivers whose entries did not change keep running; the others end or begin.
On stop, in this order: drivers end, what they read is written, the uplink says goodbye.
"""

from __future__ import annotations

import asyncio
import functools
import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from gateway.collector import Collector, GroupLimits
from gateway.derived import Derived
from gateway.driver import Driver, DriverSettings, Paced, Sink
from gateway.drivers import DRIVERS
from gateway.events import Events
from gateway.exports import EXPORTS
from gateway.local_alarms import LocalAlarms
from gateway.local_page.page import LocalPage
from gateway.outputs import Outputs, make_output
from gateway.sampling import Asked, EveryS
from gateway.settings import GatewaySettings
from gateway.spool import Spool
from gateway.uplink import Uplink
from gateway.window import WindowLimits
from telemetry.clock import Clock
from telemetry.disk import alone_in
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.reading import Reading

_DELAY_FIRST_S = 0.5
_DELAY_MAX_S = 30.0
_ROOM_EVERY_S = 1.0
_CALM_S = 30.0  # a driver that ran this long starts its back-off anew


@dataclass(frozen=True, slots=True)
class Changes:
    """Where a changed configuration comes from: it is loaded when `asked` is set."""

    asked: asyncio.Event
    load: Callable[[], GatewaySettings]


async def run(
    settings: GatewaySettings,
    clock: Clock,
    stop: asyncio.Event,
    changes: Changes | None = None,
    is_backed: Callable[[int], bool] = lambda wall_ms: True,
) -> None:
    """Run a gateway until `stop` is set. Raises Unavailable when its spool cannot be opened, or is another one's.

    Args:
        is_backed: As of `Timekeeper`.
    """
    events = Events(clock)
    tuned = settings.spool
    with alone_in(tuned.path, "spool.path: another gateway"):
        size_max = tuned.size_max_mb * 1_000_000
        spool = Spool(tuned.path, clock, size_max, settings.uplink.live_first_after_s, is_backed)
        events.started(settings.gateway, spool.epoch, spool.count)
        try:
            await _run(settings, spool.timekeeper, stop, changes, events, spool)
        finally:
            events.stopped(settings.gateway, spool.count)
            spool.close()


async def _run(
    settings: GatewaySettings,
    clock: Clock,
    stop: asyncio.Event,
    changes: Changes | None,
    events: Events,
    spool: Spool,
) -> None:
    def facts() -> Mapping[str, Any]:
        return {
            "last_ms": collector.last_ms,
            "unwritten": collector.queued,
            "drivers": {name: state.value for name, state in events.drivers.items()},
            "counters": events.counters(),
            "local_alarms": local_alarms.told(),
            "sampling": asked.every_s,
        }

    asked = Asked(clock, events, lambda every_s: drivers.pace(every_s))
    tuned = settings.uplink
    uplink = Uplink(
        clock,
        spool,
        events,
        settings.broker,
        settings.site,
        settings.gateway,
        WindowLimits(
            tuned.window_frames,
            tuned.window_kb * 1000,
            tuned.resend_after_s,
            max(tuned.resend_after_s, tuned.resend_max_s),
            tuned.stalled_after_s,
        ),
        tuned.status_every_s,
        facts,
        asked.hear,
    )
    limits = GroupLimits(settings.spool.gather_ms / 1000, queue_readings_max=settings.spool.queue_readings_max)
    outputs = Outputs({name: make_output(entry) for name, entry in settings.outputs.items()}, events)
    local_alarms = LocalAlarms(settings.local_alarms, spool, events, outputs.switch, uplink.wake)

    exports = {entry.name: EXPORTS[entry.export].make(entry, clock, events) for entry in settings.exports}

    page = None
    if settings.local_page is not None:
        about = settings.local_page, settings.site, settings.local_alarms
        page = LocalPage(*about, local_alarms, spool, uplink, events)

    def kept(readings: Sequence[Reading]) -> None:
        if page is not None:
            page.take(readings)
        uplink.wake()
        for export in exports.values():
            export.take(readings)

    collector = Collector(spool, events, local_alarms.judge, kept, local_alarms.refused, limits)
    async with asyncio.TaskGroup() as group:
        uplink_task = group.create_task(uplink.run(), name="uplink")
        collector_task = group.create_task(collector.run(), name="collector")
        thinner_task = group.create_task(keep_room(spool, events), name="thinner")
        local_tasks = [
            group.create_task(outputs.run(), name="outputs"),
            group.create_task(local_alarms.run(), name="local alarms"),
            group.create_task(asked.run(), name="sampling"),
        ]
        if page is not None:
            events.driver_added(page.name)
            local_tasks.append(group.create_task(supervise(page.name, page.run, clock, events), name=page.name))
        for name, export in exports.items():
            events.driver_added(name)
            local_tasks.append(group.create_task(supervise(name, export.run, clock, events), name=name))
        drivers = RunningDrivers(group, Derived(settings.rates, collector, clock), clock, events)
        await drivers.change(settings.drivers)
        following = None if changes is None else group.create_task(follow(changes, settings, drivers, events))
        await stop.wait()
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        await drivers.change(())
        thinner_task.cancel()
        collector.close()
        await collector_task
        for task in local_tasks:  # an output stays as it is: the alarm is not over because we are
            task.cancel()
        uplink.stop(settings.drain_on_stop_s)
        await uplink_task


class RunningDrivers:
    """The drivers of a gateway, each a task of its own, by their names."""

    def __init__(self, group: asyncio.TaskGroup, sink: Sink, clock: Clock, events: Events) -> None:
        self._group = group
        self._sink = sink
        self._clock = clock
        self._events = events
        self._running: dict[str, tuple[DriverSettings, Driver, asyncio.Task[None]]] = {}
        self._every_s: EveryS = {}

    def pace(self, every_s: EveryS) -> None:
        """Read these devices at least so often, all others in their own rhythm; so do drivers that begin later."""
        self._every_s = every_s
        for _, driver, _ in self._running.values():
            if isinstance(driver, Paced):
                driver.pace(every_s)

    async def change(self, entries: Sequence[DriverSettings]) -> tuple[list[str], list[str]]:
        """Run these and no others; those that run with the same settings go on. The names of what ended and began.

        What ends has ended before anything begins: the new one may need its port.
        """
        wanted = {entry.name: entry for entry in entries}
        ended = [name for name, (entry, *_) in self._running.items() if wanted.get(name) != entry]
        tasks = [self._running.pop(name)[2] for name in ended]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for name in ended:
            self._events.driver_removed(name)
        begun = [name for name in wanted if name not in self._running]
        for name in begun:
            self._events.driver_added(name)
            driver = DRIVERS[wanted[name].driver].make(wanted[name], self._clock, self._events)
            work = supervise(name, functools.partial(driver.run, self._sink), self._clock, self._events)
            self._running[name] = wanted[name], driver, self._group.create_task(work, name=name)
            if isinstance(driver, Paced):
                driver.pace(self._every_s)
        return ended, begun


async def follow(changes: Changes, settings: GatewaySettings, drivers: RunningDrivers, events: Events) -> None:
    """Take up changed drivers whenever asked, until cancelled. A file that is wrong changes nothing."""
    while True:
        await changes.asked.wait()
        changes.asked.clear()
        try:
            changed = changes.load()
        except BadConfiguration as error:
            events.configuration_refused(str(error))
            continue
        ended, begun = await drivers.change(changed.drivers)
        is_rest_new = changed.model_copy(update={"drivers": settings.drivers}) != settings
        events.configuration_taken(ended, begun, is_rest_new)


async def keep_room(spool: Spool, events: Events) -> None:
    """Thin the spool whenever its budget is nearly used up, in a thread of its own, until cancelled."""
    stopping = threading.Event()
    with ThreadPoolExecutor(1, "spool-thinner") as thinner:
        try:
            while True:
                thinned = None
                try:
                    thinned = await asyncio.get_running_loop().run_in_executor(
                        thinner, spool.make_room, stopping.is_set
                    )
                except Unavailable as error:
                    events.unavailable("spool (thinning)", str(error))
                else:
                    events.available("spool (thinning)")
                if thinned is None:
                    await asyncio.sleep(_ROOM_EVERY_S)
                else:
                    events.lane_thinned(thinned)
        finally:
            stopping.set()


async def supervise(name: str, run: Callable[[], Awaitable[None]], clock: Clock, events: Events) -> None:
    """Run one driver or export for as long as the gateway runs, whatever happens to it."""
    jitter = random.Random()
    delay_s = _DELAY_FIRST_S
    while True:
        started_s = clock.monotonic_s()
        try:
            await run()
            raise AssertionError(f"{name} ended without being told to")
        except Unavailable as error:
            events.unavailable(name, str(error))
        except BadConfiguration as error:
            events.driver_disabled(name, str(error))
            return
        except Exception as error:  # the one place: a fault in one driver must not silence the others
            events.driver_crashed(name, error)
        if clock.monotonic_s() - started_s > _CALM_S:
            delay_s = _DELAY_FIRST_S
        await asyncio.sleep(delay_s * jitter.uniform(0.5, 1.0))
        delay_s = min(2 * delay_s, _DELAY_MAX_S)
