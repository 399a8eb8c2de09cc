"""The centre that HJ 212 stations dial in to; a packet that wants an answer gets it when its readings are on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.dial_in import DialIn
from gateway.driver import Sink
from gateway.drivers.hj212.settings import FactorQuantity, Hj212Settings, Hj212Station
from gateway.events import Events
from gateway.hj212.codec import (
    Command,
    FactorValue,
    Packet,
    check_password,
    encode,
    factor_values,
    is_number,
    packet_reader,
)
from gateway.repeats import KeptOnce
from gateway.scan import EARLIEST_MS, shown
from telemetry.clock import Clock
from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.reading import Reading

_QUALITY = {"N": Quality.GOOD, "S": Quality.SUSPECT, "T": Quality.SUSPECT}  # others: maintenance, fault, no line
_REPORTS = (Command.REAL_TIME, Command.MINUTES, Command.HOUR, Command.DAY)


class Hj212Driver:
    """Implements `Driver`. `port` is where it really listens, once it does."""

    def __init__(self, settings: Hj212Settings, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._events = events
        self._stations = {station.station: station for station in settings.devices}
        self._zone = ZoneInfo(settings.zone)
        self._kept = KeptOnce(events, settings.remembered_max)
        self._dial_in = DialIn(settings, events)

    @property
    def port(self) -> int:
        return self._dial_in.port

    async def run(self, sink: Sink) -> None:
        async def take(packet: Packet) -> bytes:
            return await self._take(packet, sink)

        await self._dial_in.run(packet_reader, lambda: take)

    async def _take(self, packet: Packet, sink: Sink) -> bytes:
        """The answer, or nothing."""
        station = self._stations.get(packet.station)
        if station is None:
            raise BadInput("unknown-station", f"no station '{shown(packet.station)}' is declared at this gateway")
        check_password(packet, station.password)
        self._events.available(station.device)
        if packet.command in [str(int(report)) for report in _REPORTS]:
            await self._kept.keep(sink, station.device, _identity(packet), self._readings(station, packet))
        if not packet.wants_answer or not is_number(packet.number):
            return b""  # to what is no number nothing can be answered that the protocol knows
        answer = Packet(packet.number, "91", str(int(Command.DATA_ANSWER)), packet.password, packet.station, 4, ())
        return encode(answer)

    def _readings(self, station: Hj212Station, packet: Packet) -> tuple[Reading, ...]:
        time_ms, of_time = self._time(packet)
        values = {(value.factor, value.aspect): value for value in factor_values(packet)}
        readings = []
        for quantity in station.quantities:
            value = values.get((quantity.factor, quantity.aspect))
            if quantity.command != packet.command or value is None:
                continue
            reading = self._reading(station.device, quantity, value, time_ms)
            if reading is None:
                self._events.value_invalid(station.device, quantity.metric)
            else:
                quality = max(reading.quality, of_time)
                readings.append(Reading(reading.device, reading.metric, time_ms, reading.value, quality))
        return tuple(readings)

    def _reading(self, device: str, quantity: FactorQuantity, value: FactorValue, time_ms: int) -> Reading | None:
        measured = None if value.value is None else quantity.measure(value.value)
        if measured is None:
            return None
        of_flag = Quality.GOOD if value.flag is None else _QUALITY.get(value.flag.upper(), Quality.BAD)
        return Reading(device, quantity.metric, time_ms, measured[0], max(measured[1], of_flag))

    def _time(self, packet: Packet) -> tuple[int, Quality]:
        said = packet.item("DataTime") or ""
        try:
            # `strptime` takes fewer digits, and then reads another time.
            time = datetime.strptime(said if len(said) == 14 else "", "%Y%m%d%H%M%S").replace(tzinfo=self._zone)
            time_ms = round(time.timestamp() * 1000)
        except (ValueError, OverflowError):
            time_ms = 0
        return (time_ms, Quality.GOOD) if time_ms >= EARLIEST_MS else (self._clock.now_ms(), Quality.SUSPECT)


def _identity(packet: Packet) -> Hashable | None:
    """What makes two packets the same: the number alone does not, where a station's clock was never set."""
    said = hashlib.sha256(repr(packet.data).encode()).digest()
    return (packet.station, packet.number, packet.command, packet.packets, said) if packet.number else None
