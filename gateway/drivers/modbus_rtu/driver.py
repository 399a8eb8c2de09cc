"""Asks the units of a Modbus line for the registers of their profiles."""

from __future__ import annotations

from gateway.bus import Ask
from gateway.drivers.modbus_rtu.codec import OVERHEAD, Frame, answer_reader, encode_read, request_reader
from gateway.drivers.modbus_rtu.settings import ModbusRtuSettings
from gateway.drivers.modbus_tcp.settings import ModbusDevice
from gateway.events import Events
from gateway.meter import Findings, LineDriver
from gateway.modbus.pdu import exception_words
from gateway.modbus.points import Register, Span, measure, plan, values_of, wanted
from telemetry.clock import Clock

_ILLEGAL_ADDRESS = 2


class ModbusMeter:
    """Implements `Meter`."""

    def __init__(self, device: ModbusDevice, settings: ModbusRtuSettings) -> None:
        self.device = device.device
        self._declared = device
        self._profile = settings.profile(device.profile)
        self._registers_max = min(settings.registers_max, self._profile.registers_max)
        self._spans = self._plan(settings.gap_max)

    async def read(self, ask: Ask, found: Findings) -> None:
        read: dict[Register, float | None] = {}
        try:
            for span in self._spans:
                registers = await self._registers(ask, span, found)
                if registers is not None:
                    read |= {point: measure(point, span, registers) for point in span.points}
        finally:  # what was read before a unit fell silent counts
            for point, measured in values_of(self._profile, self._declared.factors, read):
                found.add(point.metric, measured)

    def words(self, data: bytes) -> list[str]:
        for reader, is_answer in ((answer_reader(), True), (request_reader(), False)):
            frames = reader.feed(data) + reader.flush()
            if frames:
                return [frame_words(frame, is_answer) for frame in frames]
        return []

    async def _registers(self, ask: Ask, span: Span, found: Findings) -> tuple[int, ...] | None:
        unit = self._declared.unit

        def is_answer(frame: Frame) -> bool:
            is_whole = frame.exception is not None or len(frame.registers) == span.count
            return frame.unit == unit and frame.function == span.function and is_whole

        request = encode_read(unit, span.function, span.address, span.count)
        frame = await ask(request, answer_reader(), is_answer, 2 + 2 * span.count + OVERHEAD)
        if frame.exception is None:
            return frame.registers
        found.complaints.append(exception_words(frame.exception))
        if frame.exception == _ILLEGAL_ADDRESS and span.has_gaps:
            self._spans = self._plan(0)  # some units refuse registers they do not have even when nobody looks at them
        return None

    def _plan(self, gap_max: int) -> tuple[Span, ...]:
        return plan(wanted(self._profile, self._declared.factors), gap_max, self._registers_max)


def frame_words(frame: Frame, is_answer: bool) -> str:
    """A frame in words."""
    if frame.exception is not None:
        return f"from {frame.unit}: {exception_words(frame.exception)}"
    if is_answer:
        return (
            f"from {frame.unit}: function {frame.function}, registers {' '.join(f'{r:04X}' for r in frame.registers)}"
        )
    first, count = int.from_bytes(frame.pdu[1:3], "big"), int.from_bytes(frame.pdu[3:5], "big")
    return f"to {frame.unit}: function {frame.function}, {count} registers from {first} (0x{first:04X})"


def make_modbus_rtu(settings: ModbusRtuSettings, clock: Clock, events: Events) -> LineDriver:
    return LineDriver(settings, [ModbusMeter(device, settings) for device in settings.devices], clock, events)
