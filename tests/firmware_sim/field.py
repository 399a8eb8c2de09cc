"""The gateway's drivers against simulated devices: on virtual time, over TCP, and over a pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from firmware_sim.devices.faults import Fault, MeterClock, Misbehaving, with_faults
from firmware_sim.devices.line import Device, SerialLine, Talker, Wire
from firmware_sim.devices.quantities import Quantities
from pydantic import TypeAdapter

from gateway.bus import Bus
from gateway.drivers import DRIVERS
from gateway.events import Events
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Unavailable
from tests.gateway.meters.wire import on_virtual_time
from tests.gateway.support import ListSink, until
from tests.sim.loop import EPOCH_MS, SimClock

_FAULTS: TypeAdapter[tuple[Fault, ...]] = TypeAdapter(tuple[Fault, ...])


def faults(*declared: dict[str, Any]) -> tuple[Fault, ...]:
    return _FAULTS.validate_python(declared)


def steady(**values: float) -> Quantities:
    return lambda _now_ms: values


def counting(start: float, per_hour: float, **others: float) -> Quantities:
    """Energy that goes on from the moment the simulated world begins."""
    return lambda now_ms: {"energy": start + per_hour * (now_ms - EPOCH_MS) / 3_600_000, **others}


def misbehaving(
    make: Callable[[Quantities, MeterClock], Device], quantities: Quantities, *declared: dict[str, Any]
) -> Misbehaving:
    """A device with faults, on the clock of the simulated world."""
    wrong = faults(*declared)
    device = make(with_faults(quantities, wrong, EPOCH_MS), MeterClock(EPOCH_MS, wrong))
    return Misbehaving(device, wrong, EPOCH_MS, seed=11)


CLOCK = MeterClock(EPOCH_MS)


class MasterEnd:
    """The gateway's `Line` at the end of a simulated one, without a port in between."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        self._came: asyncio.Queue[bytes] = asyncio.Queue()
        line.listeners.append(self._came.put_nowait)

    async def write(self, data: bytes) -> None:
        self._line.send(data)

    async def read(self, timeout_s: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_s):
                data = await self._came.get()
        except TimeoutError:
            return b""
        while not self._came.empty():
            data += self._came.get_nowait()
        return data

    def set_baud(self, baud: int) -> bool:
        return False

    def close(self) -> None:
        pass


@dataclass(slots=True)
class Outcome:
    """What the gateway made of it."""

    sink: ListSink
    events: Events
    line: SerialLine

    @property
    def counters(self) -> Mapping[str, int]:
        return self.events.counters()

    def values(self, device: str, metric: str) -> list[float]:
        return [r.value for r in self.sink.readings if (r.device, r.metric) == (device, metric)]

    def newest(self, device: str) -> dict[str, float]:
        return {r.metric: r.value for r in self.sink.readings if r.device == device}


def polled(
    driver: str,
    peers: Sequence[Device],
    *,
    for_s: float = 100.0,
    wire: Wire | None = None,
    seed: int = 1,
    **settings: Any,
) -> Outcome:
    """A driver on a line on virtual time, for so long."""
    wire = wire or Wire()
    declared = {"driver": driver, "line": {"port": "/dev/unused", "baud": wire.baud}, "every_s": 10, **settings}
    kind = DRIVERS[driver]
    checked: Any = kind.settings.model_validate(declared)

    async def work(clock: SimClock) -> Outcome:
        events, sink, line = Events(clock), ListSink(), SerialLine(wire, peers, clock, seed)
        bus = Bus(MasterEnd(line), checked.line, clock, lambda _is_sent, _data: None)
        made: Any = kind.make(checked, clock, events)
        task = asyncio.create_task(made.poll(bus, sink))
        await asyncio.wait([task], timeout=for_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return Outcome(sink, events, line)

    outcome = on_virtual_time(work)
    assert isinstance(outcome, Outcome)
    return outcome


def listened(
    driver: str,
    peers: Sequence[Device] = (),
    talkers: Sequence[Talker] = (),
    *,
    for_s: float = 100.0,
    wire: Wire | None = None,
    seed: int = 1,
    **settings: Any,
) -> Outcome:
    """A driver that opens its line itself, on virtual time, for so long."""
    wire = wire or Wire(1200, 10)
    kind = DRIVERS[driver]
    line_settings = {"port": "/dev/unused", "baud": wire.baud}
    checked: Any = kind.settings.model_validate({"driver": driver, "line": line_settings, **settings})

    async def work(clock: SimClock) -> Outcome:
        events, sink, line = Events(clock), ListSink(), SerialLine(wire, peers, clock, seed)

        async def open_line(_settings: Any) -> MasterEnd:
            return MasterEnd(line)

        async def run() -> None:
            while True:  # as the gateway does
                with contextlib.suppress(Unavailable):
                    await made.run(sink)
                await asyncio.sleep(1)

        made: Any = kind.make(checked, clock, events)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inspect.getmodule(type(made)), "open_line", open_line)
            tasks = [asyncio.create_task(run()), *(asyncio.create_task(line.speaks_up(each)) for each in talkers)]
            await asyncio.wait(tasks, timeout=for_s)
            for task in tasks:
                assert not task.done(), task.exception()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Outcome(sink, events, line)

    outcome = on_virtual_time(work)
    assert isinstance(outcome, Outcome)
    return outcome


async def ran(driver: str, count: int, clock: Clock | None = None, **settings: Any) -> ListSink:
    """A driver on real sockets or ports, until it has so many readings."""
    kind = DRIVERS[driver]
    clock = clock or SystemClock()
    declared: Any = kind.settings.model_validate({"driver": driver, **settings})
    sink = ListSink()
    made: Any = kind.make(declared, clock, Events(clock))

    async def again_and_again() -> None:
        """As the gateway runs it: a port that somebody else is just letting go of is tried again."""
        while True:
            with contextlib.suppress(Unavailable):
                await made.run(sink)
            await asyncio.sleep(0)

    task = asyncio.create_task(again_and_again())
    try:
        await until(lambda: task.done() or len(sink.readings) >= count, f"{count} readings")
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return sink
