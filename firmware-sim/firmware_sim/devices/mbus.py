"""An M-Bus meter with a primary and a secondary address: volume and flow, or energy and power.

Source: EN 13757-2 and -3 as summed up in reference/devices.md §1.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from firmware_sim.devices.decimals import ends_with_sum, packed
from firmware_sim.devices.line import Answer
from firmware_sim.devices.quantities import Quantities

Medium: TypeAlias = Literal["water", "electricity"]

_MEDIUM: Mapping[Medium, int] = {"water": 0x07, "electricity": 0x02}
_SHORT, _LONG, _END, _ACKNOWLEDGED = 0x10, 0x68, 0x16, b"\xe5"
_INITIALISE, _ASK = 0x40, 0x4B  # without their count bits
_COUNT_BIT, _COUNT_VALID = 0x20, 0x10
_SELECTED, _TEST, _ANSWER_DATA = 0xFD, 0xFE, 0x08
_SELECT, _VARIABLE_DATA, _APPLICATION_ERROR = 0x52, 0x72, 0x70
_BUSY = 0x08


@dataclass(frozen=True, slots=True)
class _Record:
    """A number of eight packed decimals with its VIF; `decimals` of the catalogue's unit."""

    quantity: str
    vif: int
    decimals: int


_RECORDS: Mapping[Medium, tuple[_Record, ...]] = {
    # VIF 13: 0.001 m³. 3B: 0.001 m³/h. 04: 10 Wh. 2B: 1 W. Each coded in eight decimals (DIF 0C).
    "water": (_Record("volume", 0x13, 3), _Record("flow", 0x3B, 3)),
    "electricity": (_Record("energy", 0x04, 2), _Record("power", 0x2B, 0)),
}
_EIGHT_DECIMALS = 0x0C


def find_request(burst: bytes) -> bytes | None:
    """The first whole frame among the bytes, from its control byte to before its sum."""
    for at in range(len(burst) - 4):
        if burst[at] == _SHORT:
            begin, end = at + 1, at + 3
        elif burst[at] == _LONG and burst[at + 3] == _LONG and burst[at + 1] == burst[at + 2]:
            begin, end = at + 4, at + 4 + burst[at + 1]
        else:
            continue
        if end + 1 < len(burst) and burst[end + 1] == _END and sum(burst[begin:end]) % 256 == burst[end]:
            return burst[begin:end]
    return None


@dataclass(slots=True)
class MeterMbus:
    """Implements `Device`."""

    number: str  # eight digits, by which it is selected
    quantities: Quantities
    primary: int = 0
    medium: Medium = "water"
    thinks_s: float = 0.05
    is_busy: bool = False  # answers that its application is, and no data

    _is_selected: bool = False
    _access: int = 0

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        request = find_request(burst)
        if request is None or len(request) < 2:
            return None
        control, address = request[0] & ~(_COUNT_BIT | _COUNT_VALID), request[1]
        if len(request) >= 7 and address == _SELECTED and request[2] == _SELECT:
            wanted = request[3:7][::-1].hex()
            self._is_selected = all(w in ("f", n) for w, n in zip(wanted, self.number, strict=True))
            return self._acknowledge() if self._is_selected else None
        is_mine = address in (self.primary, _TEST) or (address == _SELECTED and self._is_selected)
        if control == _INITIALISE and address == _SELECTED:
            self._is_selected = False  # and everybody else's: nobody has anything to say to that
            return None
        if not is_mine:
            return None
        if control == _INITIALISE:
            return self._acknowledge()
        return self._data(now_ms) if control == _ASK else None

    def _acknowledge(self) -> Answer:
        return Answer(_ACKNOWLEDGED, 0, self.thinks_s)

    def _data(self, now_ms: int) -> Answer:
        self._access = (self._access + 1) % 256
        head = bytes([_ANSWER_DATA, self.primary])
        if self.is_busy:
            body = head + bytes([_APPLICATION_ERROR, _BUSY])
        else:
            values = self.quantities(now_ms)
            # Manufacturer GHS: three letters of five bits each.
            maker = sum((ord(letter) - 64) << shift for letter, shift in zip("GHS", (10, 5, 0), strict=True))
            body = head + bytes([_VARIABLE_DATA]) + bytes.fromhex(self.number)[::-1] + maker.to_bytes(2, "little")
            body += bytes([1, _MEDIUM[self.medium], self._access, 0, 0, 0])
            for record in _RECORDS[self.medium]:
                if record.quantity in values:
                    number = _with_sign(values[record.quantity], record.decimals)
                    body += bytes([_EIGHT_DECIMALS, record.vif]) + number
        said = bytes([_LONG, len(body), len(body), _LONG]) + ends_with_sum(body)
        return Answer(said, len(said) - 2, self.thinks_s)


def _with_sign(value: float, decimals: int) -> bytes:
    """Eight decimals; of a negative number the first is F."""
    data = bytearray(packed(value, 4, decimals))
    if value < 0 and any(data):
        data[-1] |= 0xF0
    return bytes(data)
