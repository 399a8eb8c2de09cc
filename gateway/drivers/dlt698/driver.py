"""Asks DL/T 698.45 meters for all their objects at once."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.bus import Ask
from gateway.drivers.dlt698.apdu import encode_get, measure, parse_response
from gateway.drivers.dlt698.codec import Frame, encode, frame_reader
from gateway.drivers.dlt698.settings import Dlt698Device, Dlt698Point, Dlt698Settings
from gateway.events import Events
from gateway.measured import in_unit
from gateway.meter import Findings, LineDriver
from telemetry.clock import Clock
from telemetry.errors import BadInput

_ANSWER_BYTES = 512  # of the longest that a meter sends in one part
_AT_ONCE_MAX = 8  # objects of one request, so that the answer stays in one part
_PIID_MAX = 0x3F


class Dlt698Meter:
    """Implements `Meter`."""

    def __init__(self, device: Dlt698Device, points: Sequence[Dlt698Point]) -> None:
        self.device = device.device
        self._address = device.address
        self._points = points
        self._oads = list(dict.fromkeys(point.object for point in points))
        self._piid = 0

    async def read(self, ask: Ask, found: Findings) -> None:
        for start in range(0, len(self._oads), _AT_ONCE_MAX):
            await self._read(ask, self._oads[start : start + _AT_ONCE_MAX], found)

    async def _read(self, ask: Ask, oads: Sequence[str], found: Findings) -> None:
        self._piid = self._piid % _PIID_MAX + 1
        piid = self._piid

        def is_answer(frame: Frame) -> bool:
            # The two highest bits of the number are the meter's own.
            is_numbered = len(frame.apdu) > 2 and frame.apdu[2] & _PIID_MAX == piid
            return frame.is_answer and is_numbered and frame.address == self._address

        answer = await ask(encode(self._address, encode_get(piid, oads)), frame_reader(), is_answer, _ANSWER_BYTES)
        if answer.is_part:
            raise BadInput("dlt698-parts", "the meter answers in parts, which is not read here; use fewer points")
        results = {result.oad: result for result in parse_response(answer.apdu)[1]}
        for point in self._points:
            if point.object not in oads:
                continue
            result = results.get(point.object)
            if result is None or result.error:
                found.complaints.append(f"'{point.metric}': {result.words if result else 'not in the answer'}")
                continue
            read = measure(point.object, result.value)
            if point.index >= len(read):
                found.complaints.append(f"'{point.metric}': {len(read)} values where number {point.index} is wanted")
                continue
            try:
                found.values.append((point.metric, in_unit(read[point.index], point.unit)))
            except BadInput as error:
                found.complaints.append(f"'{point.metric}': {error.detail}")

    def words(self, data: bytes) -> list[str]:
        reader = frame_reader()
        return [line for frame in reader.feed(data) + reader.flush() for line in frame_words(frame)]


def frame_words(frame: Frame) -> list[str]:
    """A frame in words, a line for each object."""
    if not frame.is_answer:
        return [f"to {frame.address}: {frame.apdu.hex()}"]
    try:
        _, results = parse_response(frame.apdu)
    except BadInput as error:
        return [f"from {frame.address}: {error.detail}"]
    return [f"from {frame.address}: {result.words}" for result in results]


def make_dlt698(settings: Dlt698Settings, clock: Clock, events: Events) -> LineDriver:
    meters = [Dlt698Meter(device, settings.points(device)) for device in settings.devices]
    return LineDriver(settings, meters, clock, events)
