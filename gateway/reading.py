"""One device of a gateway, read once: every exchange in hex and in words."""

from __future__ import annotations

from collections.abc import Callable

from gateway.bus import Bus
from gateway.drivers import DRIVERS
from gateway.events import Events
from gateway.line import open_line
from gateway.meter import Findings, LineDriver, LineDriverSettings, Meter, read_meter
from gateway.settings import GatewaySettings
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration


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
    entry, meter = meter_of(settings, device, clock)
    line = await open_line(entry.line)
    trace = Trace(meter, tell)
    try:
        found = await read_meter(Bus(line, entry.line, clock, trace.heard), meter, entry.attempts)
    finally:
        line.close()
        trace.end()
    return found


class Trace:
    """Tells bytes in hex and, once the direction changes, in words."""

    def __init__(self, meter: Meter, tell: Callable[[str], None]) -> None:
        self._meter = meter
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
        for words in self._meter.words(data) or ["no whole frame"]:
            self._tell(f"    {words}")
