"""Asks DL/T 645 meters for their items, follow-up parts included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.bus import Ask, NoAnswer
from gateway.drivers.dlt645.codec import (
    DATA_MAX,
    OVERHEAD,
    WAKE_UP,
    Frame,
    Function,
    Relay,
    encode_read,
    encode_read_next,
    encode_relay,
    frame_reader,
    is_of,
    joined,
)
from gateway.drivers.dlt645.items import values, words
from gateway.drivers.dlt645.settings import Dlt645Device, Dlt645Point, Dlt645Settings, RelaySettings
from gateway.events import Events
from gateway.measured import in_unit
from gateway.meter import Findings, LineDriver
from telemetry.clock import Clock
from telemetry.errors import BadInput

_ANSWER_MAX = DATA_MAX + OVERHEAD + len(WAKE_UP)
_SILENT_MAX = 2  # items in a row without an answer: the meter has fallen silent
_PARTS_MAX = 16  # of one item; a meter that goes on for ever is refused


class Dlt645Meter:
    """Implements `Meter`."""

    def __init__(self, device: Dlt645Device, points: Sequence[Dlt645Point]) -> None:
        self.device = device.device
        self.relay = device.relay
        self._address = device.address
        self._points: dict[str, list[Dlt645Point]] = {}
        for point in points:
            self._points.setdefault(point.item, []).append(point)

    async def read(self, ask: Ask, found: Findings) -> None:
        silent = 1  # until something is heard, the first silence is that of the meter
        for item, points in self._points.items():
            try:
                answer = await read_item(ask, self._address, item)
            except NoAnswer as error:
                silent += 1
                if silent >= _SILENT_MAX:
                    raise
                # Many meters say nothing at all where they should refuse.
                found.complaints.append(f"{item}: {error}; if that goes on, take it out of the profile")
                continue
            except BadInput as error:
                silent = 0
                found.complaints.append(error.detail)
                continue
            silent = 0
            for point in points:
                read = values(point.meaning, answer.value)
                if point.index >= len(read):
                    found.complaints.append(
                        f"{item} has {len(read)} values where '{point.metric}' is number {point.index}"
                    )
                    continue
                try:
                    found.values.append((point.metric, in_unit(read[point.index], point.unit)))
                except BadInput as error:
                    found.complaints.append(f"'{point.metric}': {error.detail}")

    def words(self, data: bytes) -> list[str]:
        reader = frame_reader()
        return [frame_words(frame) for frame in reader.feed(data) + reader.flush()]

    async def switch(self, ask: Ask, settings: RelaySettings, action: Relay, until: datetime) -> None:
        """Trip or close the relay. Raises BadInput when the meter refuses, NoAnswer when it keeps silent."""
        request = encode_relay(
            self._address, action, settings.level, settings.password.get_secret_value(), settings.operator, until
        )

        def is_answer(frame: Frame) -> bool:
            return frame.is_answer and frame.function == Function.RELAY and is_of(frame.address, self._address)

        answer = await ask(request, frame_reader(), is_answer, _ANSWER_MAX)
        if answer.is_refusal:
            raise BadInput("dlt645-refusal", answer.refusal_words)


async def read_item(ask: Ask, address: str, item: str) -> Frame:
    """An item, put together from its parts. Raises BadInput when the meter refuses, NoAnswer when it keeps silent."""
    frames: list[Frame] = []
    request = encode_read(address, item)
    while True:
        function = request_function(item, len(frames))

        def is_answer(frame: Frame, function: int = function) -> bool:
            is_about = frame.is_refusal or frame.identifier == item
            return frame.is_answer and frame.function == function and is_about and is_of(frame.address, address)

        answer = await ask(request, frame_reader(), is_answer, _ANSWER_MAX)
        if answer.is_refusal:
            raise BadInput("dlt645-refusal", f"{item} {answer.refusal_words}")
        frames.append(answer)
        if not answer.is_followed:
            return joined(frames)
        if len(frames) >= _PARTS_MAX:
            raise BadInput("bad-answer", f"{item} has more than {_PARTS_MAX} parts")
        request = encode_read_next(address, item, len(frames))


def request_function(item: str, part: int) -> Function:
    """By which function a part of an item is asked for."""
    if len(item) == 8:
        return Function.READ_NEXT if part else Function.READ
    return Function.READ_NEXT_1997 if part else Function.READ_1997


def frame_words(frame: Frame) -> str:
    """A frame in words."""
    who = f"from {frame.address}" if frame.is_answer else f"to {frame.address}"
    if frame.is_refusal:
        return f"{who}: {frame.refusal_words}"
    if frame.function == Function.READ_ADDRESS:
        return f"{who}: the address" if frame.is_answer else f"{who}: what is your address?"
    if frame.identifier is None:
        return f"{who}: control {frame.control:02X}, data {frame.data.hex() or 'none'}"
    if not frame.is_answer:
        return f"{who}: read {frame.identifier}"
    more = "; more follows" if frame.is_followed else ""
    return f"{who}: {words(frame.identifier, frame.value)}{more}"


def make_dlt645(settings: Dlt645Settings, clock: Clock, events: Events) -> LineDriver:
    meters = [Dlt645Meter(device, settings.points(device)) for device in settings.devices]
    return LineDriver(settings, meters, clock, events)
