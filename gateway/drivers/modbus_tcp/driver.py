"""Polls the units of one Modbus TCP connection, one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gateway.bus import NoAnswer
from gateway.driver import Sink
from gateway.drivers.modbus_tcp.codec import Answer, Refusal, ResponseReader, encode_read
from gateway.drivers.modbus_tcp.settings import ModbusDevice, ModbusTcpSettings
from gateway.events import Events
from gateway.modbus.points import Register, Span, measure, plan, values_of, wanted
from gateway.schedule import Schedule, Turns
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable
from telemetry.reading import Reading

_ILLEGAL_ADDRESS = 2
_NOBODY_THERE = (10, 11)  # the converter's way of saying what a timeout says
_UNANSWERED_MAX = 5  # requests in a row without any answer: the connection itself is doubtful
_READ_BYTES = 4096


class Refused(BadInput):
    """A unit answered with an exception."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__("modbus-exception", refusal.words)
        self.code = refusal.code


class ModbusTcpDriver:
    """Implements `Driver`."""

    def __init__(self, settings: ModbusTcpSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._plans = [self._plan(number, settings.gap_max) for number in range(len(settings.devices))]
        self._schedule = Schedule(len(settings.devices), settings.every_s, settings.backoff_max_s, clock.monotonic_s())
        self._turns = Turns([device.device for device in settings.devices], self._schedule, clock)

    def pace(self, every_s: Mapping[str, float]) -> None:
        """Implements `Paced`."""
        self._turns.pace(every_s)

    async def run(self, sink: Sink) -> None:
        session = await Session.connect(self._settings, self._events)
        try:
            self._events.available(self._settings.name)
            while True:
                await self._poll(session, await self._turns.next(), sink)
        finally:
            session.close()

    async def _poll(self, session: Session, number: int, sink: Sink) -> None:
        device = self._settings.devices[number]
        profile = self._settings.profile(device.profile)
        read: dict[Register, float | None] = {}
        time_ms = 0
        is_heard = True
        lost: Unavailable | None = None
        for span in self._plans[number]:
            try:
                registers = await session.read(device.unit, span)
            except NoAnswer as error:
                self._events.unavailable(device.device, str(error))
                is_heard = False
                break
            except Unavailable as error:
                # Some converters hang up where nobody has a unit's number: its neighbours come first when we are back.
                self._events.unavailable(device.device, str(error))
                is_heard, lost = False, error
                break
            except BadInput as error:
                self._events.answer_refused(device.device, error.detail)
                if isinstance(error, Refused) and error.code == _ILLEGAL_ADDRESS and span.has_gaps:
                    # Some units refuse registers they do not have even when nobody looks at them.
                    self._plans[number] = self._plan(number, 0)
                    break
                continue
            time_ms = self._clock.now_ms()
            read |= {point: measure(point, span, registers) for point in span.points}
        if is_heard:
            self._events.available(device.device)
            self._schedule.answered(number, self._clock.monotonic_s())
        else:
            self._schedule.failed(number, self._clock.monotonic_s())
        readings: list[Reading] = []
        for point, measured in values_of(profile, device.factors, read):
            if measured is None:
                self._events.value_invalid(device.device, point.metric)
            else:
                readings.append(Reading(device.device, point.metric, time_ms, *measured))
        if readings:
            await sink.offer(readings)
        if lost is not None:
            raise lost

    def _plan(self, number: int, gap_max: int) -> tuple[Span, ...]:
        return unit_plan(self._settings, self._settings.devices[number], gap_max)


def unit_plan(settings: ModbusTcpSettings, device: ModbusDevice, gap_max: int) -> tuple[Span, ...]:
    """What is asked of a unit."""
    profile = settings.profile(device.profile)
    registers_max = min(settings.registers_max, profile.registers_max)
    return plan(wanted(profile, device.factors), gap_max, registers_max)


def _unheard(_is_sent: bool, _data: bytes) -> None:
    pass


class Session:
    """One connection. Every request waits for its answer; late answers to earlier ones are told by their number."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        settings: ModbusTcpSettings,
        events: Events,
        heard: Callable[[bool, bytes], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._settings = settings
        self._events = events
        self._heard = heard
        self._responses = ResponseReader()
        self._transaction = 0
        self._unanswered = 0

    @classmethod
    async def connect(
        cls, settings: ModbusTcpSettings, events: Events, heard: Callable[[bool, bytes], None] = _unheard
    ) -> Session:
        """`heard` is told what goes out (True) and comes in. Raises Unavailable."""
        try:
            async with asyncio.timeout(max(settings.timeout_s, 5.0)):
                reader, writer = await asyncio.open_connection(settings.host, settings.port)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"connecting to {settings.host}:{settings.port}: {error or 'no answer'}") from error
        return cls(reader, writer, settings, events, heard)

    async def read(self, unit: int, span: Span) -> tuple[int, ...]:
        """The registers of a span. Raises NoAnswer, BadInput (an exception or nonsense), or Unavailable (reconnect)."""
        self._transaction = self._transaction % 0xFFFF + 1
        noise_before = self._responses.noise_bytes
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                request = encode_read(self._transaction, unit, span.function, span.address, span.count)
                self._heard(True, request)
                self._writer.write(request)
                await self._writer.drain()
                response = await self._response(unit, span)
        except TimeoutError as error:
            self._responses.reset()
            self._unanswered += 1
            if self._unanswered >= _UNANSWERED_MAX:
                raise Unavailable(f"{self._unanswered} requests in a row without an answer") from error
            raise NoAnswer(f"unit {unit} did not answer within {self._settings.timeout_s:g} s") from error
        except OSError as error:
            raise Unavailable(f"connection lost: {error}") from error
        finally:
            if self._responses.noise_bytes > noise_before:
                self._events.noise_skipped(self._settings.name, self._responses.noise_bytes - noise_before)
        self._unanswered = 0
        if isinstance(response, Refusal):
            if response.code in _NOBODY_THERE:
                raise NoAnswer(f"unit {unit}: {response.words}")
            raise Refused(response)
        if response.function != span.function or len(response.registers) != span.count:
            asked = f"{span.count} registers by function {span.function}"
            got = f"{len(response.registers)} by function {response.function}"
            raise BadInput("bad-answer", f"unit {unit} was asked for {asked} and answered with {got}")
        return response.registers

    def close(self) -> None:
        self._writer.close()

    async def _response(self, unit: int, span: Span) -> Answer | Refusal:
        while True:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise Unavailable("the other side closed the connection")
            self._heard(False, data)
            for response in self._responses.feed(data):
                if (response.transaction, response.unit) == (self._transaction, unit):
                    return response
