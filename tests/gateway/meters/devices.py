"""Small meters for tests, written from the standards. Nothing here imports the gateway."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping

from tests.gateway.meters.wire import Answer, Device


def frame_645(address: str, control: int, data: bytes = b"") -> bytes:
    wire_address = bytes.fromhex(address)[::-1]
    body = b"\x68" + wire_address + b"\x68" + bytes([control, len(data)]) + bytes((b + 0x33) % 256 for b in data)
    return b"\xfe\xfe" + body + bytes([sum(body) % 256, 0x16])


def meter_645(address: str, items: Mapping[str, bytes], delay_s: float = 0.05, parts_of: int = 200) -> Device:
    """A meter that has these items (2007 or 1997), sends at most `parts_of` bytes of data at once, and hears wildcards."""

    def hear(request: bytes) -> Answer | None:
        request = request.lstrip(b"\xfe")
        if len(request) < 12 or request[0] != 0x68 or sum(request[:-2]) % 256 != request[-2]:
            return None
        asked = request[6:0:-1].hex()
        if any(want not in ("a", got) for want, got in zip(asked, address, strict=True)):
            return None
        control, data = request[8], bytes((b - 0x33) % 256 for b in request[10:-2])
        if control == 0x13:
            return Answer(frame_645(address, 0x93, bytes.fromhex(address)[::-1]), delay_s)
        width = 4 if control in (0x11, 0x12) else 2
        if control == 0x1C:
            is_allowed = data[1:4] == b"\x56\x34\x12"
            said = frame_645(address, 0x9C) if is_allowed else frame_645(address, 0xDC, b"\x04")
            return Answer(said, delay_s)
        identifier = data[:width][::-1].hex().upper()
        if identifier not in items:
            return Answer(frame_645(address, control | 0xC0, b"\x02"), delay_s)
        part = data[width] if control == 0x12 else 0
        value = items[identifier]
        rest = value[(part + 1) * parts_of :]
        answer = control | 0x80 | (0x20 if rest else 0)
        number = bytes([part]) if control == 0x12 else b""
        body = data[:width] + value[part * parts_of : (part + 1) * parts_of] + number
        return Answer(frame_645(address, answer, body), delay_s)

    return hear


def meter_188(address: str, data: bytes, sort: int = 0x10, is_swapped: bool = False) -> Device:
    """A water meter that has this to say behind 901F."""

    def hear(request: bytes) -> Answer | None:
        request = request.lstrip(b"\xfe")
        if sum(request[:-2]) % 256 != request[-2] or request[8:1:-1].hex().upper() not in (address, "AA" * 7):
            return None
        identifier = b"\x1f\x90" if is_swapped else b"\x90\x1f"
        if request[9] == 0x03:
            said = bytes([request[9] | 0x80, 3]) + request[11:14]
        elif request[11:13] != identifier:
            return None
        else:
            said = bytes([0x81, 3 + len(data)]) + request[11:14] + data
        body = bytes([0x68, sort]) + bytes.fromhex(address)[::-1] + said
        return Answer(b"\xfe\xfe\xfe" + body + bytes([sum(body) % 256, 0x16]), 0.3)

    return hear


def meter_mbus(primary: int, number: str, telegrams: list[bytes]) -> Device:
    """A meter with telegrams to be asked for one after the other; it repeats one when the count bit does not change."""
    state = {"at": 0, "bit": -1, "is_selected": False}

    def hear(request: bytes) -> Answer | None:
        if request[0] == 0x68:
            wanted = request[10:6:-1].hex()
            state["is_selected"] = all(w in ("f", n) for w, n in zip(wanted, number, strict=True))
            return Answer(b"\xe5", 0.02) if state["is_selected"] else None
        control, address = request[1], request[2]
        if address != primary and not (address == 0xFD and state["is_selected"]) and address != 0xFE:
            return None
        if control == 0x40:
            state.update(at=0, bit=-1)
            return Answer(b"\xe5", 0.02)
        if state["bit"] not in (-1, control & 0x20):
            state["at"] = (state["at"] + 1) % len(telegrams)
        state["bit"] = control & 0x20
        body = bytes([0x08, primary]) + telegrams[state["at"]]
        return Answer(bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) % 256, 0x16]), 0.05)

    return hear


def crc(data: bytes, polynomial: int, last: int) -> int:
    """A reflected CRC of 16 bits, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
    return value ^ last


def unit_modbus(unit: int, registers: Mapping[int, int], delay_s: float = 0.02) -> Device:
    """A unit that has these registers, for both functions, and refuses to read any other."""

    def hear(request: bytes) -> Answer | None:
        if (
            len(request) != 8
            or request[0] != unit
            or crc(request[:6], 0xA001, 0) != int.from_bytes(request[6:], "little")
        ):
            return None
        function, first, count = struct.unpack(">BHH", request[1:6])
        wanted = [registers.get(first + i) for i in range(count)]
        if None in wanted:
            body = bytes([unit, function | 0x80, 2])
        else:
            body = struct.pack(f">BBB{count}H", unit, function, 2 * count, *(w or 0 for w in wanted))
        return Answer(body + crc(body, 0xA001, 0).to_bytes(2, "little"), delay_s)

    return hear


def meter_698(address: str, objects: Mapping[str, bytes]) -> Device:
    """A meter that has these objects, each with its data as it is sent."""

    def hear(request: bytes) -> Answer | None:
        request = request.lstrip(b"\xfe")
        if request[10:4:-1].hex() != address or crc(request[1:-3], 0x8408, 0xFFFF) != int.from_bytes(
            request[-3:-1], "little"
        ):
            return None
        apdu = request[14:-3]
        oads = [apdu[3:7]] if apdu[1] == 1 else [apdu[4 + 4 * i : 8 + 4 * i] for i in range(apdu[3])]
        said = bytes([0x85, apdu[1], apdu[2]]) + (bytes([len(oads)]) if apdu[1] == 2 else b"")
        for oad in oads:
            data = objects.get(oad.hex().upper())
            said += oad + (b"\x00\x04" if data is None else b"\x01" + data)
        said += b"\0\0"
        head = struct.pack("<HBB", 15 + len(said), 0xC3, 5) + bytes.fromhex(address)[::-1] + b"\x10"
        body = head + crc(head, 0x8408, 0xFFFF).to_bytes(2, "little") + said
        return Answer(b"\x68" + body + crc(body, 0x8408, 0xFFFF).to_bytes(2, "little") + b"\x16", 0.1)

    return hear


def meter_iec(address: str, readout: str, bauds: Callable[[], list[int]] = list) -> Device:
    """A meter that answers an opening, and then an option, with its readout. `bauds` says which rates were set."""
    state = {"is_open": False}

    def hear(request: bytes) -> Answer | None:
        if request.startswith(b"/?"):
            state["is_open"] = request in (b"/?!\r\n", f"/?{address}!\r\n".encode())
            return Answer(b"/ISK5MT174-0001\r\n", 0.3) if state["is_open"] else None
        if not state["is_open"] or request[:2] != b"\x060":
            return None
        state["is_open"] = False
        inner = readout.encode() + b"\x03"
        return Answer(b"\x02" + inner + bytes([functools.reduce(lambda a, b: a ^ b, inner)]), 0.4)

    return hear


def dead(_request: bytes) -> None:
    """A meter that is not there."""
