"""Register maps as data: what a model's registers mean, which are read together, and what they say then.

A profile is a list of points, or points with factors: other registers that points are multiplied by, as the ratios of the
transformers in front of a meter. The profiles of this package are found by their names; a configuration may bring its own.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from gateway.gauge import CurrentLoop, Mount, judge
from gateway.modbus.pdu import ADDRESS_MAX, REGISTER_COUNT, Function, decode_value
from telemetry.catalogue import MetricName
from telemetry.quality import Quality

_FOLDER = Path(__file__).parent / "profiles"


class Register(BaseModel):
    """Where a number stands and how it is written. Value = raw * scale + offset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    function: Literal["input", "holding"]
    address: int = Field(ge=0, le=ADDRESS_MAX)  # as on the wire, from 0; a manual's 30001 is input 0
    type: Literal["uint16", "int16", "uint32", "int32", "float32", "uint64", "int64", "float64"] = "uint16"
    word_order: Literal["high-first", "low-first"] = "high-first"
    scale: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    invalid: tuple[float, ...] = ()  # raw values that mean "no measurement"

    @property
    def register_count(self) -> int:
        return REGISTER_COUNT[self.type]

    @model_validator(mode="after")
    def _ends_within_the_address_space(self) -> Self:
        if self.address + self.register_count - 1 > ADDRESS_MAX:
            raise ValueError(f"a {self.type} at {self.address} ends past register {ADDRESS_MAX}")
        return self


class Point(Register):
    """One metric of a device."""

    metric: MetricName
    unit: str = ""  # for people: `gateway read` shows it, `gateway probe` writes it into the catalogue
    factors: tuple[str, ...] = ()
    loop: CurrentLoop | None = None  # the register is a current of 4-20 mA, in mA after scaling
    mount: Mount | None = None  # it is a distance, in metres after scaling


class Profile(BaseModel):
    """The register map of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: tuple[Point, ...]
    factors: dict[str, Register] = {}
    registers_max: int = Field(default=125, ge=2, le=125)  # of one request, where the model allows less
    note: str = ""  # where the map is from and what is known of its traps

    @model_validator(mode="before")
    @classmethod
    def _a_list_is_points(cls, data: Any) -> Any:
        return {"points": data} if isinstance(data, list | tuple) else data

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.points:
            raise ValueError("a profile has no points; give at least one")
        for metric, count in Counter(point.metric for point in self.points).items():
            if count > 1:
                raise ValueError(f"metric '{metric}' stands {count} times in one profile")
        for point in self.points:
            for factor in point.factors:
                if factor not in self.factors:
                    raise ValueError(f"'{point.metric}' names factor '{factor}', which is not declared")
        return self


@functools.cache
def known_profiles() -> Mapping[str, Profile]:
    """The profiles of this package, by the names of their files."""
    files = sorted(_FOLDER.glob("*.yaml"))
    return {file.stem: Profile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files}


@dataclass(frozen=True, slots=True)
class Span:
    """Registers read with one request, and what is wanted of them."""

    function: Function
    address: int
    count: int
    points: tuple[Register, ...]

    @property
    def has_gaps(self) -> bool:
        """Whether registers that nobody wants are read too."""
        wanted = {point.address + i for point in self.points for i in range(point.register_count)}
        return len(wanted) < self.count


def plan(points: Sequence[Register], gap_max: int, registers_max: int) -> tuple[Span, ...]:
    """The fewest requests in address order that skip at most `gap_max` registers and hold at most `registers_max`."""
    spans: list[Span] = []
    for function in (Function.HOLDING, Function.INPUT):
        members = sorted((p for p in points if Function[p.function.upper()] is function), key=lambda p: p.address)
        for point in members:
            end = point.address + point.register_count
            if spans and spans[-1].function is function:
                before = spans[-1]
                before_end = before.address + before.count
                count = max(before_end, end) - before.address
                if point.address - before_end <= gap_max and count <= registers_max:
                    spans[-1] = Span(function, before.address, count, (*before.points, point))
                    continue
            spans.append(Span(function, point.address, point.register_count, (point,)))
    return tuple(spans)


def wanted(profile: Profile, known: Mapping[str, float]) -> tuple[Register, ...]:
    """What is read of a device of this profile; factors that the configuration knows are not."""
    used = {name for point in profile.points for name in point.factors}
    return (*profile.points, *(profile.factors[name] for name in sorted(used - set(known))))


def measure(point: Register, span: Span, registers: Sequence[int]) -> float | None:
    """A point's value out of its span's registers; None when the device says that there is no measurement."""
    first = point.address - span.address
    words = registers[first : first + point.register_count]
    raw = decode_value(words, point.type, point.word_order == "low-first")
    if raw is None or raw in point.invalid:
        return None
    value = raw * point.scale + point.offset
    return value if math.isfinite(value) else None


def values_of(
    profile: Profile, known: Mapping[str, float], read: Mapping[Register, float | None]
) -> list[tuple[Point, tuple[float, Quality] | None]]:
    """Every point that was read, times its factors, with its quality; None where it or a factor was not measured."""
    values: list[tuple[Point, tuple[float, Quality] | None]] = []
    for point in profile.points:
        if point not in read:
            continue
        value = read[point]
        for name in point.factors:
            factor = known.get(name, read.get(profile.factors[name]))
            value = None if value is None or factor is None else value * factor
        values.append((point, None if value is None else judge(value, point.loop, point.mount)))
    return values
