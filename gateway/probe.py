"""Finds who is on a line, protocol by protocol.

Where a protocol can ask anybody, one question finds a line's only device. Where several answer, their bytes collide; then the
question is narrowed digit by digit until one answers alone. Who is hidden by another's answer in full is not found: ask
again with that one away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.bus import Ask, Bus, NoAnswer
from gateway.drivers.cjt188 import codec as cjt188
from gateway.drivers.dlt645 import codec as dlt645
from gateway.drivers.dlt698 import codec as dlt698
from gateway.drivers.iec62056 import codec as iec62056
from gateway.drivers.mbus import codec as mbus
from gateway.drivers.mbus.driver import read_telegrams
from gateway.drivers.mbus.records import MEDIA
from gateway.drivers.modbus_rtu import codec as modbus_rtu
from gateway.framing import FrameReader
from gateway.modbus.pdu import Function
from telemetry.errors import BadInput

_ADDRESS_DIGITS = 12
_METER_NUMBER_1997 = "C032"
_ENERGY_1997 = "9010"
_SECONDARY_DIGITS = 8
_GLITCH_BYTES = 3  # what lines make by themselves; answers that collide have at least a frame's bytes


@dataclass(frozen=True, slots=True)
class Found:
    """One device: the fields of its entry under `devices:`, and what it said of itself."""

    name: str  # what it can be called until somebody knows better
    fields: Mapping[str, Any]
    words: str


@dataclass(frozen=True, slots=True)
class Step:
    """How far a search is (0 to 1), and what came of the last question."""

    share: float
    found: tuple[Found, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came when anybody was asked: whole frames, and whether there was more than them."""

    frames: list[Any] = field(default_factory=list)
    is_garbled: bool = False

    @property
    def is_several(self) -> bool:
        return self.is_garbled or len(self.frames) > 1


Search = Callable[[Bus, int, int], AsyncIterator[Step]]


async def _hear(bus: Bus, request: bytes, reader: FrameReader[Any]) -> Heard:
    data = await bus.listen(request)
    frames = reader.feed(data) + reader.flush()
    return Heard(frames, reader.noise_bytes > _GLITCH_BYTES)


async def find_dlt645(bus: Bus, _first: int, _last: int) -> AsyncIterator[Step]:
    """Meters of 2007 by their question for an address, then those of 1997 by their energy, asked of anybody."""
    known: set[str] = set()
    async for step in _narrow_dlt645(bus, "", is_old=False, low=0.0, high=0.5, known=known):
        yield step
    async for step in _narrow_dlt645(bus, "", is_old=True, low=0.5, high=1.0, known=known):
        yield step


async def _narrow_dlt645(
    bus: Bus, low_digits: str, is_old: bool, low: float, high: float, known: set[str]
) -> AsyncIterator[Step]:
    """Whose addresses end in these digits."""
    request = (
        dlt645.encode_read(low_digits, _ENERGY_1997)
        if is_old
        else dlt645.encode(low_digits, dlt645.Function.READ_ADDRESS)
    )
    heard = await _hear(bus, request, dlt645.frame_reader())
    found: list[Found] = []
    for frame in heard.frames:
        address = frame.address
        if not frame.is_answer or (is_old and frame.is_refusal):
            continue
        if address == dlt645.ANYBODY:  # some of 1997 repeat the wildcard; their number is most often their address
            address = await _number_1997(bus, low_digits)
        if address not in known and not (heard.is_several and len(low_digits) < _ADDRESS_DIGITS):
            known.add(address)
            profile = "energy-1997" if is_old else "energy"
            words = f"DL/T 645-{1997 if is_old else 2007} meter {address}"
            found.append(Found(f"meter-{address}", {"address": address, "profile": profile}, words))
    trouble = ""
    if heard.is_several and len(low_digits) == _ADDRESS_DIGITS:
        trouble = f"two meters seem to have the address {low_digits}"
    yield Step(high, tuple(found), trouble)
    if not heard.is_several or len(low_digits) == _ADDRESS_DIGITS:
        return
    width = (high - low) / 100
    for pair in range(100):
        start = low + pair * width
        async for step in _narrow_dlt645(bus, f"{pair:02}{low_digits}", is_old, start, start + width, known):
            yield step


async def _number_1997(bus: Bus, low_digits: str) -> str:
    heard = await _hear(bus, dlt645.encode_read(low_digits, _METER_NUMBER_1997), dlt645.frame_reader())
    numbers = [frame.value[::-1].hex() for frame in heard.frames if frame.identifier == _METER_NUMBER_1997]
    return numbers[0].upper() if numbers and len(numbers[0]) == _ADDRESS_DIGITS else dlt645.ANYBODY


async def find_modbus_rtu(bus: Bus, first: int, last: int) -> AsyncIterator[Step]:
    """Units that answer the question for a register, were it with a refusal."""
    for unit in range(max(1, first), min(last, modbus_rtu.UNIT_MAX) + 1):
        request = modbus_rtu.encode_read(unit, Function.HOLDING, 0, 1)

        def is_answer(frame: modbus_rtu.Frame, unit: int = unit) -> bool:
            return frame.unit == unit and frame.function == Function.HOLDING

        found: tuple[Found, ...] = ()
        try:
            frame = await bus.ask(request, modbus_rtu.answer_reader(), is_answer, 7)
            words = f"Modbus unit {unit}" + (", which refuses register 0" if frame.exception is not None else "")
            found = (Found(f"unit-{unit}", {"unit": unit, "profile": "CHOOSE-ONE"}, words),)
        except NoAnswer:
            pass
        yield Step((unit - first + 1) / (last - first + 1), found)


async def find_mbus(bus: Bus, first: int, last: int) -> AsyncIterator[Step]:
    """Primary addresses that acknowledge."""
    for address in range(max(0, first), min(last, mbus.PRIMARY_MAX) + 1):
        found: tuple[Found, ...] = ()
        try:
            found = (await _identified(bus, address, None),)
        except (NoAnswer, BadInput):
            pass
        yield Step((address - first + 1) / (last - first + 1), found)


async def find_mbus_secondary(bus: Bus, _first: int, _last: int) -> AsyncIterator[Step]:
    """Meters by the digits of their numbers, whatever their primary addresses: those never set are all 0."""
    async for step in _narrow_mbus(bus, "", 0.0, 1.0):
        yield step


async def _narrow_mbus(bus: Bus, digits: str, low: float, high: float) -> AsyncIterator[Step]:
    wanted = digits.ljust(_SECONDARY_DIGITS, "F")
    if not await bus.listen(mbus.encode_select(wanted)):  # acknowledgements that collide are a byte of anything
        yield Step(high)
        return
    heard = await _hear(bus, mbus.encode_short(mbus.Control.ASK, mbus.BY_SECONDARY_ADDRESS), mbus.frame_reader())
    if len(heard.frames) == 1 and not heard.is_garbled:
        number = heard.frames[0].data[3::-1].hex().upper()
        try:
            yield Step(high, (await _identified(bus, None, number),))
        except (NoAnswer, BadInput) as error:
            yield Step(high, (), f"meter {number}: {error}")
        return
    if not heard.is_several:
        yield Step(high)
        return
    if len(digits) == _SECONDARY_DIGITS:
        yield Step(high, (), f"two meters seem to have the number {digits}")
        return
    width = (high - low) / 10
    for digit in range(10):
        start = low + digit * width
        async for step in _narrow_mbus(bus, f"{digits}{digit}", start, start + width):
            yield step


async def _identified(bus: Bus, primary: int | None, secondary: str | None) -> Found:
    (telegram, *_) = await read_telegrams(Ask(bus, 1), primary, secondary)
    fields = {"primary": primary} if secondary is None else {"secondary": secondary}
    name = f"mbus-{primary}" if secondary is None else f"mbus-{secondary.lower()}"
    who = telegram.identity
    if who is None:
        return Found(name, {**fields, "profile": "water"}, "M-Bus meter that does not say who it is")
    words = f"M-Bus meter {who.number} {who.manufacturer}, {who.medium_words}"
    profiles = {"heat": "heat", "electricity": "electricity"}
    return Found(name, {**fields, "profile": profiles.get(MEDIA.get(who.medium, ""), "water")}, words)


async def find_cjt188(bus: Bus, _first: int, _last: int) -> AsyncIterator[Step]:
    """The only meter on a line: nothing narrows the question here."""
    heard = await _hear(bus, cjt188.encode_read_address(1), cjt188.frame_reader())
    if heard.is_several:
        yield Step(
            1.0, (), "several meters answered at once, and CJ/T 188 cannot tell them apart: connect one at a time"
        )
        return
    found = tuple(
        Found(
            f"water-{frame.meter_number}",
            {
                "address": frame.address,
                "sort": frame.sort,
                "identifier_order": "1f-90" if frame.is_swapped else "90-1f",
                "profile": "heat" if 0x20 <= frame.sort <= 0x2F else "water",
            },
            f"CJ/T 188 meter {frame.meter_number} of vendor {frame.vendor}, sort {frame.sort:02X}",
        )
        for frame in heard.frames
        if frame.is_answer and not frame.is_refusal
    )
    yield Step(1.0, found)


async def find_dlt698(bus: Bus, _first: int, _last: int) -> AsyncIterator[Step]:
    """The only meter on a line."""
    request = dlt698.encode("AA" * 6, bytes.fromhex("0501014001020000"))
    heard = await _hear(bus, request, dlt698.frame_reader())
    if heard.is_several:
        yield Step(1.0, (), "several meters answered at once: connect one at a time, or look for them by dlt645")
        return
    addresses = [f.address for f in heard.frames if f.is_answer and f.address.isdecimal()]
    found = (Found(f"meter-{a}", {"address": a, "profile": "energy"}, f"DL/T 698.45 meter {a}") for a in addresses)
    yield Step(1.0, tuple(found))


async def find_iec62056(bus: Bus, _first: int, _last: int) -> AsyncIterator[Step]:
    """The only meter on a line, or in front of a head."""
    heard = await _hear(bus, iec62056.encode_opening(), iec62056.message_reader())
    yield Step(
        1.0,
        tuple(
            Found(
                "meter-1", {"profile": "energy"}, f"IEC 62056-21 meter {one.manufacturer} {one.text}, {one.baud} baud"
            )
            for one in heard.frames
            if isinstance(one, iec62056.Identification)
        ),
    )


SEARCHES: Mapping[str, Search] = {
    "dlt645": find_dlt645,
    "modbus-rtu": find_modbus_rtu,
    "mbus": find_mbus,
    "mbus-secondary": find_mbus_secondary,
    "cjt188": find_cjt188,
    "dlt698": find_dlt698,
    "iec62056": find_iec62056,
}


def driver_of(search: str) -> str:
    """The driver that reads what a search finds."""
    return search.removesuffix("-secondary")
