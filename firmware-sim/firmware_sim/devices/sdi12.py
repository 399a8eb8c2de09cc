"""An SDI-12 sensor: it is asked by its address, measures for a while, and then gives its values.

The line carries bytes, so the break that wakes a sensor cannot be seen; `misses_first` is what an adapter without one gets.
Source: SDI-12 specification 1.4, §4.4, as summed up in reference/devices.md §3.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from firmware_sim.devices.line import Answer
from firmware_sim.devices.quantities import Quantities

_ASLEEP_AFTER_MS = 100
_COMMAND = re.compile(rb"([0-9A-Za-z?])((?:M|C)C?|D[0-9]|A[0-9A-Za-z]|I|)!")
_CHARACTERS_MAX = {"M": 35, "C": 75}  # of values in one answer
_PARTS = 10
_VALUES_MAX = {"M": 9, "C": 20}
_DIGITS_MAX = 7


def checksum(said: str) -> str:
    """Three characters of six bits each, over an answer from its address on."""
    remainder = 0
    for character in said:
        remainder ^= ord(character)
        for _ in range(8):
            is_odd, remainder = remainder % 2, remainder // 2
            if is_odd:
                remainder ^= 0xA001
    return "".join(chr(64 + remainder // 64**place % 64) for place in (2, 1, 0))


def written(value: float) -> str:
    """A value with its sign, of at most seven digits."""
    for decimals in (3, 2, 1, 0):
        text = f"{value:+.{decimals}f}"
        if sum(character.isdigit() for character in text) <= _DIGITS_MAX:
            return text
    return "+9999999" if value > 0 else "-9999999"


@dataclass(slots=True)
class Sensor12:
    """Implements `Device`. Its values come in the order of `gives`; its last fields say what it does otherwise."""

    address: str
    quantities: Quantities
    gives: tuple[str, ...]
    ready_s: int = 1  # how long it says that measuring takes
    thinks_s: float = 0.01
    knows_checksum: bool = True  # those of before version 1.3 keep silent when they are asked with one
    promises_more: int = 0  # announces so many values that it will not give
    misses_first: bool = False  # sleeps through the first command after 100 ms of silence
    is_late: bool = False  # is not ready when it said it would be, but half as long after
    is_deaf: bool = False  # hears no echo: the first of its values is -9999

    _is_asked_c: bool = False
    _has_checksum: bool = False
    _parts: list[str] = field(default_factory=list)
    _ready_ms: int = 0
    _awake_ms: int = -_ASLEEP_AFTER_MS - 1

    def hear(self, burst: bytes, now_ms: int) -> Answer | None:
        found = _COMMAND.search(bytes(byte & 0x7F for byte in burst))  # the top bit is the parity's
        if found is None:
            return None
        slept = now_ms - self._awake_ms > _ASLEEP_AFTER_MS
        self._awake_ms = now_ms
        address, command = found[1].decode(), found[2].decode()
        if (self.misses_first and slept) or address not in (self.address, "?"):
            return None
        match command[:1]:
            case "":
                return self._answer("")
            case "I":
                return self._answer(f"14GHSIM   LEVEL 100{self.address}")
            case "A" if address == self.address:
                self.address = command[1]
                return self._answer("")
            case "M" | "C" if address == self.address:
                return self._start(command[0], has_checksum=command.endswith("CC") or command == "MC", now_ms=now_ms)
            case "D" if address == self.address:
                return self._give(int(command[1]), now_ms)
        return None

    def _start(self, kind: str, *, has_checksum: bool, now_ms: int) -> Answer | None:
        if has_checksum and not self.knows_checksum:
            return None
        values = self.quantities(now_ms)
        told = [written(values.get(name, 0.0)) for name in self.gives][: _VALUES_MAX[kind]]
        if self.is_deaf:
            told[:1] = ["-9999"]
        self._parts = [""]
        for value in told:
            if len(self._parts[-1]) + len(value) > _CHARACTERS_MAX[kind]:
                self._parts.append("")
            self._parts[-1] += value
        self._has_checksum = has_checksum
        self._ready_ms = now_ms + self.ready_s * (1500 if self.is_late else 1000)
        promised = len(told) + self.promises_more
        announced = f"{self.ready_s:03}{min(promised, 9)}" if kind == "M" else f"{self.ready_s:03}{promised:02}"
        answer = self._answer(announced)
        if kind == "M" and self.ready_s:
            # It calls when it is ready. (It does so here even when it was asked something else meanwhile.)
            call = Answer(f"{self.address}\r\n".encode(), None, (self._ready_ms - now_ms) / 1000)
            return Answer(answer.data, answer.checksum_at, answer.after_s, call)
        return answer

    def _give(self, part: int, now_ms: int) -> Answer:
        is_there = now_ms >= self._ready_ms and part < min(len(self._parts), _PARTS)
        return self._answer(self._parts[part] if is_there else "", is_value=True)

    def _answer(self, said: str, *, is_value: bool = False) -> Answer:
        text = self.address + said
        if is_value and self._has_checksum:
            return Answer((text + checksum(text) + "\r\n").encode(), len(text), self.thinks_s)
        return Answer((text + "\r\n").encode(), None, self.thinks_s)
