"""A Modbus unit of a known model, on a serial line or behind TCP: a meter, a level sensor, a rain gauge, a pulse counter.

Sources: reference/devices.md §1.4 (Eastron, CHINT) and §3.1 (level sensors), read from the vendors' documents.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from firmware_sim.devices.line import Answer
from firmware_sim.devices.quantities import Quantities
from firmware_sim.modbus import (
    ILLEGAL_ADDRESS,
    READ_HOLDING,
    READ_INPUT,
    RegisterType,
    Request,
    answer,
    encode,
)

_REQUEST_BYTES = 8  # of a read, with its CRC
_WORD = 0xFFFF


@dataclass(frozen=True, slots=True)
class Register:
    """Where a quantity stands; `times` brings the unit of the catalogue to that of the register."""

    address: int
    kind: RegisterType = "uint16"
    times: float = 1.0
    no_echo: int | None = None  # what stands there when the sensor hears nothing
    wraps: bool = False  # a counter that begins again after its highest value


@dataclass(frozen=True, slots=True)
class Model:
    """A register map. `fixed` words are there whatever is measured; `last` is the highest address that exists."""

    function: int
    registers: Mapping[str, Register]
    last: int
    fixed: Mapping[int, int] = field(default_factory=dict)
    is_even_only: bool = False  # an odd address or count is refused

    def words(self, values: Mapping[str, float], *, is_deaf: bool) -> dict[int, int]:
        """The words by address."""
        words = {self.last: 0, **self.fixed}
        for name, register in self.registers.items():
            if is_deaf and register.no_echo is not None:
                raw = float(register.no_echo)
            else:
                raw = values.get(name, 0.0) * register.times
            if register.wraps:
                raw = round(raw) % (2**16 if register.kind == "uint16" else 2**32)
            for number, word in enumerate(encode(raw, register.kind, "high-first")):
                words[register.address + number] = word
        return words


def _floats(**registers: tuple[int, float]) -> Mapping[str, Register]:
    return {name: Register(address, "float32", times) for name, (address, times) in registers.items()}


_SDM = _floats(
    voltage=(0x00, 1),
    current=(0x06, 1),
    power=(0x0C, 1),
    reactive_power=(0x18, 1),
    power_factor=(0x1E, 1),
    frequency=(0x46, 1),
    energy=(0x48, 1),
    energy_reverse=(0x4A, 1),
)
_SDM_THREE = _floats(
    voltage_a=(0x00, 1),
    voltage_b=(0x02, 1),
    voltage_c=(0x04, 1),
    current_a=(0x06, 1),
    current_b=(0x08, 1),
    current_c=(0x0A, 1),
    power_a=(0x0C, 1),
    power_b=(0x0E, 1),
    power_c=(0x10, 1),
    power=(0x34, 1),
    reactive_power=(0x3C, 1),
    power_factor=(0x3E, 1),
    frequency=(0x46, 1),
    energy=(0x48, 1),
    energy_reverse=(0x4A, 1),
    neutral_current=(0xE0, 1),
)


def _chint(ct: int, vt: float) -> Model:
    """A DTSU666 behind transformers: it shows the secondary side, and says the ratios beside it."""
    registers = _floats(
        voltage_a=(0x2006, 10 / vt),
        voltage_b=(0x2008, 10 / vt),
        voltage_c=(0x200A, 10 / vt),
        current_a=(0x200C, 1000 / ct),
        current_b=(0x200E, 1000 / ct),
        current_c=(0x2010, 1000 / ct),
        power=(0x2012, 10 / ct / vt),
        reactive_power=(0x201A, 10 / ct / vt),
        power_factor=(0x202A, 1000),
        frequency=(0x2044, 100),
        energy=(0x101E, 1 / ct / vt),
        energy_reverse=(0x1028, 1 / ct / vt),
    )
    return Model(READ_HOLDING, registers, 0x2051, {0x0006: ct, 0x0007: round(10 * vt)})


MODELS: Mapping[str, Model] = {
    "sdm120": Model(READ_INPUT, _SDM, 0x15F, is_even_only=True),
    "sdm630": Model(READ_INPUT, _SDM_THREE, 0x18D, is_even_only=True),
    "dtsu666": _chint(ct=1, vt=1.0),
    "dtsu666-ct-20": _chint(ct=20, vt=1.0),
    "sen0676-radar": Model(
        READ_HOLDING,
        {
            "distance": Register(0x0001, times=1000, no_echo=0),
            "level": Register(0x0003, "int16", times=1000, no_echo=_WORD >> 1),
        },
        0x0005,
    ),
    "qdy30a-pressure": Model(
        READ_HOLDING,
        {"level": Register(0x0004, "int16", times=1000)},
        0x0006,
        {0x0000: 1, 0x0001: 3, 0x0002: 17, 0x0003: 1, 0x0006: 5000},
    ),
    "ultrasonic-level": Model(READ_HOLDING, {"distance": Register(0x0000, times=1000, no_echo=_WORD)}, 0x0001),
    "rain-gauge": Model(READ_HOLDING, {"rain_total": Register(0x0000, times=10, wraps=True)}, 0x0000),
    "pulse-counter": Model(READ_HOLDING, {"volume": Register(0x0000, "uint32", times=100, wraps=True)}, 0x0001),
}


def crc16(data: bytes) -> bytes:
    """The check of a frame on a serial line, low byte first. Source: Modbus over serial line V1.02, appendix B."""
    value = _WORD
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


def find_request(burst: bytes, unit: int) -> Request | None:
    """The first whole request of a read to this unit among the bytes."""
    for at in range(len(burst) - _REQUEST_BYTES + 1):
        frame = burst[at : at + _REQUEST_BYTES]
        if frame[0] == unit and frame[1] < 0x80 and crc16(frame[:-2]) == frame[-2:]:
            return Request(0, unit, frame[1], frame[2:-2])
    return None


@dataclass(slots=True)
class ModbusUnit:
    """Implements `Device`."""

    unit: int
    model: Model
    quantities: Quantities
    thinks_s: float = 0.02
    is_deaf: bool = False  # a level sensor without an echo: foam, a spider's web, nothing within its reach

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        request = find_request(burst, self.unit)
        if request is None:
            return None
        body = bytes([self.unit]) + self.pdu(request, now_ms)
        return Answer(body + crc16(body), len(body), self.thinks_s)

    def pdu(self, request: Request, now_ms: int) -> bytes:
        """The answer without what a carrier puts around it."""
        span = request.span
        if self.model.is_even_only and span is not None and (span[0] % 2 or span[1] % 2):
            return struct.pack("BB", request.function | 0x80, ILLEGAL_ADDRESS)
        words = self.model.words(self.quantities(now_ms), is_deaf=self.is_deaf)
        return answer(request, {self.model.function: words})
