"""Reports to an environmental authority's centre over TCP, and answers its requests.

Reports of minutes and hours are sent one after the other, each again until it is answered; after `resends_max` the connection
is made anew, and the report is still the first in line. One that is not answered on the next connection either goes behind
those that wait: a centre may never take it, for what only it knows. After `_TURNS_MAX` such turns, before each of which the
centre took others, it is dropped and counted. Reports of now are sent once: the next one says more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.events import Events
from gateway.export import Outbox
from gateway.exports.hj212.report import Report, Reporter
from gateway.exports.hj212.settings import Hj212ExportSettings
from gateway.hj212.codec import Command, Packet, encode, is_number, packet_reader
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable
from telemetry.reading import Reading

_TICK_S = 0.5
_READ_BYTES = 4096
_CONNECT_WITHIN_S = 10.0
_CONNECTIONS_A_TURN = 2
_TURNS_MAX = 3


@dataclass(slots=True)
class _Waiting:
    """A report that the centre has not taken yet."""

    report: Report
    connections: int = 0  # of this turn, on which it was not answered
    turns: int = 0  # without an answer, before which the centre took others
    taken_before: int = 0  # how many the centre had taken at the end of the last turn


class Hj212Export:
    """Implements `Export`."""

    def __init__(self, settings: Hj212ExportSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._reporter = Reporter(settings, clock.now_ms())
        self._outbox: Outbox[_Waiting] = Outbox(settings.name, settings.kept_max, events)
        self._in_hand: list[_Waiting] = []  # taken from the outbox, not answered yet: they outlive a connection
        self._taken = 0  # reports that the centre has answered
        self._answered: dict[str, asyncio.Event] = {}  # number of a packet -> set when its answer came

    def take(self, readings: Sequence[Reading]) -> None:
        now_ms = self._clock.now_ms()
        for reading in readings:
            self._reporter.take(reading, now_ms)
        self._collect()

    async def run(self) -> None:
        settings = self._settings
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                reader, writer = await asyncio.open_connection(settings.host, settings.port)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"connecting to {settings.host}:{settings.port}: {error or 'no answer'}") from error
        self._events.available(settings.name)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(reader, writer), name=f"{settings.name} listening")
                group.create_task(self._deliver(writer), name=f"{settings.name} delivering")
                group.create_task(self._tell(writer), name=f"{settings.name} telling")
        except* OSError as errors:
            raise Unavailable(f"connection to {settings.host} lost: {errors.exceptions[0]}") from None
        except* Unavailable as errors:
            raise errors.exceptions[0] from None
        finally:
            writer.close()

    def _collect(self) -> None:
        """Put the reports of spans that are over in line, whether or not somebody can be told."""
        for report in self._reporter.of_spans(self._clock.now_ms()):
            self._outbox.put(_Waiting(report))

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        """Tell what is now, and that we live."""
        settings = self._settings
        beaten_s = self._clock.monotonic_s()
        while True:
            self._collect()
            if (report := self._reporter.of_now(self._clock.now_ms())) is not None:
                writer.write(b"".join(map(encode, report.packets)))
            now_s = self._clock.monotonic_s()
            if settings.heartbeat_every_s and now_s - beaten_s >= settings.heartbeat_every_s:
                beaten_s = now_s
                writer.write(encode(self._reporter.heartbeat(self._clock.now_ms())))
            await writer.drain()
            await asyncio.sleep(_TICK_S)

    async def _deliver(self, writer: asyncio.StreamWriter) -> None:
        while True:
            if not self._in_hand:
                self._in_hand += await self._outbox.take()
            while self._in_hand:
                first = self._in_hand[0]
                try:
                    for packet in first.report.packets:
                        await self._until_answered(writer, packet)
                except Unavailable:
                    self._not_taken(first)
                    raise
                self._taken += 1
                del self._in_hand[0]

    def _not_taken(self, first: _Waiting) -> None:
        """The first in line was not answered on this connection: it may be its fault, or that of all."""
        first.connections += 1
        if first.connections < _CONNECTIONS_A_TURN:
            return
        del self._in_hand[0]
        first.connections = 0
        first.turns += self._taken > first.taken_before
        first.taken_before = self._taken
        if first.turns >= _TURNS_MAX:
            self._events.export_dropped(self._settings.name)
        else:
            self._outbox.put(first)

    async def _until_answered(self, writer: asyncio.StreamWriter, packet: Packet) -> None:
        answered = self._answered[packet.number] = asyncio.Event()
        try:
            for _ in range(1 + self._settings.resends_max):
                writer.write(encode(packet))
                await writer.drain()
                try:
                    async with asyncio.timeout(self._settings.answer_within_s):
                        await answered.wait()
                        return
                except TimeoutError:
                    continue
        finally:
            del self._answered[packet.number]
        raise Unavailable(f"{self._settings.host} does not answer report {packet.number}")

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets = packet_reader()
        while data := await reader.read(_READ_BYTES):
            noise_before = packets.noise_bytes
            for packet in packets.feed(data):
                if packet.command in (str(int(Command.DATA_ANSWER)), str(int(Command.NOTIFY_ANSWER))):
                    if packet.number in self._answered:
                        self._answered[packet.number].set()
                else:
                    self._answer(writer, packet)
            if packets.noise_bytes > noise_before:
                self._events.noise_skipped(self._settings.name, packets.noise_bytes - noise_before)
            await writer.drain()
        raise Unavailable(f"{self._settings.host} closed the connection")

    def _answer(self, writer: asyncio.StreamWriter, request: Packet) -> None:
        if not is_number(request.number):  # to which nothing can be answered that the protocol knows
            error = BadInput("bad-number", "a request whose QN is no time to the millisecond")
            self._events.message_refused(self._settings.name, error)
            return
        for packet in self._reporter.answer(request, self._clock.now_ms()):
            writer.write(encode(packet))
