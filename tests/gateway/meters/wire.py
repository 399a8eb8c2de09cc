"""A half-duplex serial line on virtual time, with devices on it. Nothing here imports a codec of the gateway."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.bus import Bus
from gateway.events import Events
from tests.gateway.support import ListSink
from tests.sim.loop import SimClock, SimLoop


@dataclass(slots=True)
class Answer:
    """What a device says, and how long it thinks."""

    data: bytes
    delay_s: float = 0.05


Device = Callable[[bytes], "Answer | None"]
"""What a device does with a request that it heard."""


class Wire:
    """Implements the gateway's `Line`. Bytes take their time, answers that overlap spoil each other."""

    def __init__(
        self, devices: Sequence[Device], baud: int = 2400, bits: int = 11, echoes: bool = False, seed: int = 1
    ) -> None:
        self.devices = list(devices)
        self.requests: list[tuple[float, bytes]] = []
        self.bauds: list[int] = []
        self.error_rate = 0.0
        self.glitch = b""  # what is heard when a request is over
        self._byte_s = bits / baud
        self._echoes = echoes
        self._rng = random.Random(seed)
        self._came: asyncio.Queue[bytes] = asyncio.Queue()
        self._free_s = 0.0

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        start_s = max(loop.time(), self._free_s)
        end_s = start_s + len(data) * self._byte_s
        self._free_s = end_s
        self.requests.append((start_s, data))
        if self._echoes:
            self._send(data, start_s)
        loop.call_at(end_s, self._heard, data)

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
        self.bauds.append(baud)
        self._byte_s = 11 / baud
        return True

    def close(self) -> None:
        pass

    def _heard(self, request: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        if self.glitch:
            self._came.put_nowait(self.glitch)
        answers = [answer for device in self.devices if (answer := device(request)) is not None]
        if len(answers) > 1:
            length = max(len(answer.data) for answer in answers)
            mixed = bytes(self._rng.randrange(256) for _ in range(length))
            answers = [Answer(mixed, min(answer.delay_s for answer in answers))]
        for answer in answers:
            data = bytes(
                self._rng.randrange(256) if self._rng.random() < self.error_rate else byte for byte in answer.data
            )
            self._send(data, now_s + answer.delay_s)

    def _send(self, data: bytes, start_s: float) -> None:
        """Bytes as they arrive, eight at a time as a serial chip hands them over."""
        loop = asyncio.get_running_loop()
        for at in range(0, len(data), 8):
            part = data[at : at + 8]
            loop.call_at(start_s + (at + len(part)) * self._byte_s, self._came.put_nowait, part)
        self._free_s = max(self._free_s, start_s + len(data) * self._byte_s)


@dataclass(slots=True)
class Ran:
    """What came of a run."""

    sink: ListSink
    events: Events
    elapsed_s: float
    raised: Exception | None = None


def on_virtual_time(work: Callable[[SimClock], Any]) -> Any:
    """The result of a coroutine on a loop whose time is virtual."""
    loop = SimLoop()
    try:
        return loop.run_until_complete(work(SimClock(loop)))
    finally:
        loop.close()


def poll(make: Callable[[Any, Any, Events], Any], settings: Any, wire: Wire, for_s: float) -> Ran:
    """Run a driver on a wire for so long."""

    async def work(clock: SimClock) -> Ran:
        events, sink = Events(clock), ListSink()
        driver = make(settings, clock, events)
        bus = Bus(wire, settings.line, clock, lambda _is_sent, _data: None)
        task = asyncio.create_task(driver.poll(bus, sink))
        await asyncio.wait([task], timeout=for_s)
        raised = task.exception() if task.done() else None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert raised is None or isinstance(raised, Exception)
        return Ran(sink, events, asyncio.get_running_loop().time(), raised)

    ran = on_virtual_time(work)
    assert isinstance(ran, Ran)
    return ran
