"""One device of a gateway, read once: every exchange in hex and in words."""

from __future__ import annotations

from collections.abc import Callable

from gateway.bus import Bus, NoAnswer
from gateway.drivers import DRIVERS
from gateway.drivers.modbus_rtu.codec import Frame
from gateway.drivers.modbus_rtu.driver import frame_words
from gateway.drivers.modbus_tcp.codec import HEADER_BYTES, Answer, ResponseReader
from gateway.drivers.modbus_tcp.driver import Session, unit_plan
from gateway.drivers.modbus_tcp.settings import ModbusTcpSettings
from gateway.events import Events
from gateway.line import open_line
from gateway.meter import Findings, LineDriver, LineDriverSettings, Meter, read_meter
from gateway.modbus.points import Register, measure, values_of
from gateway.settings import GatewaySettings
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration, BadInput

_REQUEST_BYTES = HEADER_BYTES + 5  # of a read; the length in its header counts from the unit on


def meter_of(settings: GatewaySettings, device: str, clock: Clock) -> tuple[LineDriverSettings, Meter]:
    """The line of a device, and the device on it. Raises BadConfiguration when no driver of a line reads it."""
    entry = next((driver for driver in settings.drivers if device in driver.device_names()), None)
    if entry is None:
        known = ", ".join(name for driver in _on_lines(settings) for name in driver.device_names())
        raise BadConfiguration(f"no driver of this gateway reads '{device}'; on lines there are: {known or 'none'}")
    if not isinstance(entry, LineDriverSettings):
        raise BadConfiguration(f"'{device}' is read by {entry.name}, which is no line that can be asked from here")
    driver = DRIVERS[entry.driver].make(entry, clock, Events(clock))
    assert isinstance(driver, LineDriver)
    return entry, next(meter for meter in driver.meters if meter.device == device)


def _on_lines(settings: GatewaySettings) -> list[LineDriverSettings]:
    return [driver for driver in settings.drivers if isinstance(driver, LineDriverSettings)]


async def read_device(settings: GatewaySettings, device: str, clock: Clock, tell: Callable[[str], None]) -> Findings:
    """Read a device once and tell what went over the line. Raises BadConfiguration, or Unavailable when there is no line."""
    for driver in settings.drivers:
        if isinstance(driver, ModbusTcpSettings) and device in driver.device_names():
            return await read_unit(driver, device, Events(clock), Trace(_modbus_words, tell))
    entry, meter = meter_of(settings, device, clock)
    line = await open_line(entry.line)
    trace = Trace(meter.words, tell)
    try:
        found = await read_meter(Bus(line, entry.line, clock, trace.heard), meter, entry.attempts)
    finally:
        line.close()
        trace.end()
    if found.line_lost is not None:
        raise found.line_lost
    return found


async def read_unit(settings: ModbusTcpSettings, device: str, events: Events, trace: Trace) -> Findings:
    """The same for a unit of Modbus TCP."""
    (declared,) = (one for one in settings.devices if one.device == device)
    found, read = Findings(), dict[Register, float | None]()
    session = await Session.connect(settings, events, trace.heard)
    try:
        for span in unit_plan(settings, declared, settings.gap_max):
            registers = await session.read(declared.unit, span)
            read |= {point: measure(point, span, registers) for point in span.points}
    except NoAnswer as error:
        found.silence = str(error)
    except BadInput as error:
        found.complaints.append(error.detail)
    finally:
        session.close()
        trace.end()
    for point, measured in values_of(settings.profile(declared.profile), declared.factors, read):
        found.add(point.metric, measured)
    return found


def _modbus_words(data: bytes) -> list[str]:
    """A request, or the answers, of Modbus TCP: a header of seven bytes, then what the serial line has too."""
    responses = ResponseReader().feed(data)
    if not responses:
        if len(data) != _REQUEST_BYTES or data[HEADER_BYTES - 2] != _REQUEST_BYTES - HEADER_BYTES + 1:
            return []  # an answer that was cut off, or none
        return [frame_words(Frame(data[HEADER_BYTES - 1], data[HEADER_BYTES:]), is_answer=False)]
    told = []
    for response in responses:
        registers = " ".join(f"{r:04X}" for r in response.registers) if isinstance(response, Answer) else ""
        said = f"registers {registers}" if isinstance(response, Answer) else response.words
        told.append(f"from {response.unit}: {said}")
    return told


class Trace:
    """Tells bytes in hex and, once the direction changes, in words."""

    def __init__(self, words: Callable[[bytes], list[str]], tell: Callable[[str], None]) -> None:
        self._words = words
        self._tell = tell
        self._came = b""

    def heard(self, is_sent: bool, data: bytes) -> None:
        if not is_sent:
            self._came += data
            return
        self.end()
        self._say("→", data)

    def end(self) -> None:
        """What came since the last request is all there is."""
        if self._came:
            self._say("←", self._came)
        self._came = b""

    def _say(self, arrow: str, data: bytes) -> None:
        self._tell(f"{arrow} {data.hex(' ')}")
        for words in self._words(data) or ["no whole frame"]:
            self._tell(f"    {words}")
