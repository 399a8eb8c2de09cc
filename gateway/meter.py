"""Meters on a line, whatever they speak: polled in turn, each in its rhythm, the dead ever more rarely."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, Self, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, model_validator

from gateway.bus import Ask, Bus, NoAnswer
from gateway.driver import DriverSettings, Sink, each_asked_once
from gateway.events import Events
from gateway.line import LineSettings, open_line
from gateway.schedule import Schedule, Turns
from telemetry.catalogue import MetricName, Name
from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable
from telemetry.quality import Quality
from telemetry.reading import Reading

_SILENT_ROUNDS_MAX = 2  # of every meter on a line: then the line itself is doubtful, and opened anew


@dataclass(slots=True)
class Findings:
    """What came of asking one meter."""

    values: list[tuple[str, float | None]] = field(default_factory=list)  # by metric; None: not measured
    qualities: dict[str, Quality] = field(default_factory=dict)  # by metric, where it may be other than good
    complaints: list[str] = field(default_factory=list)  # what it refused, or said wrongly
    silence: str = ""  # why the rest is missing; empty when it was heard to the end
    line_lost: Unavailable | None = None  # the line went away meanwhile: what was found until then counts

    def add(self, metric: str, measured: tuple[float, Quality] | None) -> None:
        """A value whose quality is known, or None for one that was not measured."""
        value, self.qualities[metric] = measured or (None, Quality.GOOD)
        self.values.append((metric, value))


class Meter(Protocol):
    """One device on a line."""

    @property
    def device(self) -> str: ...

    async def read(self, ask: Ask, found: Findings) -> None:
        """Ask for all that is wanted. Raises NoAnswer: what was found until then counts."""

    def words(self, data: bytes) -> list[str]:
        """The frames in bytes of either direction, in words."""


class LineDriverSettings(DriverSettings):
    """What every driver of a line can be told."""

    line: LineSettings
    every_s: PositiveFloat = 60.0
    backoff_max_s: PositiveFloat = 900.0  # how rarely a meter that does not answer is asked
    attempts: int = Field(default=3, ge=1, le=10)  # at one question, of a meter that answered the last time

    @property
    def name(self) -> str:
        return f"{self.driver} {self.line.name}"

    def line_name(self) -> str | None:
        return self.line.name


def _not_a_number(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError(f"write it in quotes: without them YAML takes it for the number {value}")
    return value


Digits = Annotated[str, BeforeValidator(_not_a_number)]
"""Digits that are a name, such as an address: leading zeros count, and YAML would take them for octal."""


class MeterPoint(BaseModel):
    """One metric of a meter; what it is read from depends on the protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: MetricName
    unit: str = ""  # that of the catalogue, which the value is brought to; as the meter says it when empty


class MeterDevice(BaseModel):
    """One meter; how it is addressed depends on the protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Name
    profile: str


P = TypeVar("P", bound=MeterPoint)
D = TypeVar("D", bound=MeterDevice)


class MeterSettings(LineDriverSettings, Generic[P, D]):
    """Meters of one protocol on one line, and the profiles of what is read of them."""

    profiles: dict[str, tuple[P, ...]] = Field(default={})
    devices: tuple[D, ...] = Field(min_length=1)

    @classmethod
    def known_profiles(cls) -> Mapping[str, tuple[P, ...]]:
        """The profiles that need no declaration."""
        raise NotImplementedError

    def points(self, device: D) -> tuple[P, ...]:
        """What is read of a device: by a profile of the configuration's own, else by a known one."""
        return self.profiles.get(device.profile) or self.known_profiles()[device.profile]

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((d.device, point.metric) for d in self.devices for point in self.points(d))

    @model_validator(mode="after")
    def _profiles_fit(self) -> Self:
        for name, points in self.profiles.items():
            if not points:
                raise ValueError(f"profile '{name}' has no points")
            for metric, count in Counter(point.metric for point in points).items():
                if count > 1:
                    raise ValueError(f"profile '{name}' has metric '{metric}' {count} times")
        known = {**self.known_profiles(), **self.profiles}
        for device in self.devices:
            if device.profile not in known:
                there_are = ", ".join(known)
                raise ValueError(f"device '{device.device}' names profile '{device.profile}'; there are: {there_are}")
        each_asked_once(self.devices)
        return self


def read_profiles(file: Path, point: type[P]) -> Mapping[str, tuple[P, ...]]:
    """The profiles of a driver's own file."""
    declared = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {name: tuple(map(point.model_validate, points)) for name, points in declared.items()}


_random = random.Random()


def _jitter() -> float:
    return _random.uniform(0.7, 1.0)


class LineDriver:
    """Implements `Driver` for meters of one protocol on one line."""

    def __init__(
        self,
        settings: LineDriverSettings,
        meters: Sequence[Meter],
        clock: Clock,
        events: Events,
        jitter: Callable[[], float] = _jitter,
    ) -> None:
        self.meters = tuple(meters)
        self._settings = settings
        self._clock = clock
        self._events = events
        self._schedule = Schedule(len(meters), settings.every_s, settings.backoff_max_s, clock.monotonic_s(), jitter)
        self._turns = Turns([meter.device for meter in meters], self._schedule, clock)

    def pace(self, every_s: Mapping[str, float]) -> None:
        """Implements `Paced`."""
        self._turns.pace(every_s)

    async def run(self, sink: Sink) -> None:
        line = await open_line(self._settings.line)
        try:
            self._events.available(self._settings.name)
            await self.poll(Bus(line, self._settings.line, self._clock, lambda _is_sent, _data: None), sink)
        finally:
            line.close()

    async def poll(self, bus: Bus, sink: Sink) -> None:
        """Ask the meters in turn until cancelled. Raises Unavailable when nobody at all answers."""
        silent = 0
        while True:
            number = await self._turns.next()
            noise_before = bus.noise_bytes
            is_heard = await self._ask(bus, number, sink)
            if bus.noise_bytes > noise_before:
                self._events.noise_skipped(self._settings.name, bus.noise_bytes - noise_before)
            silent = 0 if is_heard else silent + 1
            if silent >= _SILENT_ROUNDS_MAX * len(self.meters):
                raise Unavailable(f"none of {len(self.meters)} meters answered, {_SILENT_ROUNDS_MAX} times")

    async def _ask(self, bus: Bus, number: int, sink: Sink) -> bool:
        """Whether the meter said anything."""
        meter = self.meters[number]
        attempts = 1 if self._schedule.is_failing(number) else self._settings.attempts
        found = await read_meter(bus, meter, attempts)
        now_s = self._clock.monotonic_s()
        for complaint in found.complaints:
            self._events.answer_refused(meter.device, complaint)
        if found.silence or found.line_lost is not None:
            # Perhaps the line went away because of this meter: its neighbours come first when it is back.
            self._events.unavailable(meter.device, found.silence or str(found.line_lost))
            self._schedule.failed(number, now_s)
        else:
            self._events.available(meter.device)
            self._schedule.answered(number, now_s)
        time_ms = self._clock.now_ms()
        readings = [
            Reading(meter.device, metric, time_ms, value, found.qualities.get(metric, Quality.GOOD))
            for metric, value in found.values
            if value is not None
        ]
        for metric, value in found.values:
            if value is None:
                self._events.value_invalid(meter.device, metric)
        if readings:
            await sink.offer(readings)
        if found.line_lost is not None:
            raise found.line_lost
        return not found.silence or bool(found.values)


async def read_meter(bus: Bus, meter: Meter, attempts: int) -> Findings:
    """One meter, once."""
    found = Findings()
    try:
        await meter.read(Ask(bus, attempts), found)
    except NoAnswer as error:
        found.silence = str(error)
    except Unavailable as error:
        found.line_lost = error
    except BadInput as error:
        found.complaints.append(error.detail)
    return found
