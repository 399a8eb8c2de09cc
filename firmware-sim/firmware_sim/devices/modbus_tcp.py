"""Modbus TCP: units behind a converter, or one device with a port of its own, and what such converters do wrong.

Source: Modbus Messaging on TCP/IP V1.0b; exceptions 0A and 0B of a gateway: Modbus Application Protocol V1.1b3, 7. What
converters do besides: reference/devices.md §1.4, §1.6.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from firmware_sim.devices.faults import Misdeeds
from firmware_sim.devices.line import Answer
from firmware_sim.devices.modbus_unit import ModbusUnit
from firmware_sim.modbus import NotModbusError, Request, RequestReader
from telemetry.clock import Clock

_READ_BYTES = 4096
_NOBODY = 0x0B  # "gateway target device failed to respond"


@dataclass(frozen=True, slots=True)
class Habits:
    """What a converter does otherwise than it should; shares are of the answers."""

    says_nobody: bool = False  # an exception for a unit that is silent, where others leave the master to wait
    waits_for_nobody_s: float = 1.0  # how long it tries before it says so
    wrong_number_share: float = 0.0  # under a transaction number that was not asked with
    wrong_unit_share: float = 0.0  # under the number of another unit
    split_share: float = 0.0  # in two pieces, half a second apart
    noise_share: float = 0.0  # behind bytes of something else, as after a restart
    closes_after: int | None = None  # answers, and then it lets the connection go


class Converter:
    """The units behind one port. `injected` counts what it did."""

    def __init__(
        self, units: Sequence[tuple[ModbusUnit, Misdeeds]], habits: Habits, clock: Clock, seed: int = 1
    ) -> None:
        self.injected: Counter[str] = Counter()
        self._units = {unit.unit: (unit, misdeeds) for unit, misdeeds in units}
        self._habits = habits
        self._clock = clock
        self._rng = random.Random(seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side lets it go. Late answers do not hold up the next ones."""
        requests, said, left = RequestReader(), 0, self._habits.closes_after
        async with asyncio.TaskGroup() as group:
            while data := await reader.read(_READ_BYTES):
                try:
                    asked = requests.feed(data)
                except NotModbusError:
                    return
                for request in asked:
                    if (answer := self._answer(request)) is None:
                        continue
                    group.create_task(self._say(writer, answer), name=f"answer of unit {request.unit}")
                    said += 1
                    if said == left:
                        self.injected["closed"] += 1
                        return

    def _answer(self, request: Request) -> Answer | None:
        now_ms = self._clock.now_ms()
        unit, misdeeds = self._units.get(request.unit, (None, None))
        answer = None
        if unit is not None and misdeeds is not None:
            adu = self._adu(request, unit.pdu(request, now_ms))
            answer = misdeeds.done_to(Answer(adu, None, unit.thinks_s), now_ms)
        if answer is None and self._habits.says_nobody:
            self.injected["said-nobody"] += 1
            nobody = self._adu(request, bytes([request.function | 0x80, _NOBODY]))
            return Answer(nobody, None, self._habits.waits_for_nobody_s)
        return answer

    def _adu(self, request: Request, pdu: bytes) -> bytes:
        number, unit, habits = request.transaction, request.unit, self._habits
        if self._happens("wrong-number", habits.wrong_number_share):
            number = (number + self._rng.randrange(1, 0xFFFF)) % 0x1_0000
        if self._happens("wrong-unit", habits.wrong_unit_share):
            unit = unit % 247 + 1
        noise = self._rng.randbytes(self._rng.randrange(1, 12)) if self._happens("noise", habits.noise_share) else b""
        return noise + struct.pack(">HHHB", number, 0, 1 + len(pdu), unit) + pdu

    async def _say(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        await asyncio.sleep(answer.after_s)
        with contextlib.suppress(OSError):
            if len(answer.data) > 1 and self._happens("split", self._habits.split_share):
                at = self._rng.randrange(1, len(answer.data))
                writer.write(answer.data[:at])
                await asyncio.sleep(0.5)
                writer.write(answer.data[at:])
            else:
                writer.write(answer.data)
            await writer.drain()

    def _happens(self, name: str, share: float) -> bool:
        if not share or self._rng.random() >= share:
            return False
        self.injected[name] += 1
        return True


async def _served(converter: Converter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await converter.serve(reader, writer)
    except* OSError:
        pass  # the master is gone


@contextlib.asynccontextmanager
async def converter_port(converter: Converter, host: str, port: int) -> AsyncIterator[int]:
    """The converter behind a TCP port while the context lasts; 0 takes a free one."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            # Only the closing of the port cancels it, and asyncio's own server complains of a task that was.
            with contextlib.suppress(asyncio.CancelledError):
                await _served(converter, reader, writer)
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        tasks = list(connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
