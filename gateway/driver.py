"""The seam between drivers and the gateway. To write a driver, read this file and copy `drivers/modbus_tcp`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict

from telemetry.reading import Reading


class Sink(Protocol):
    """Where a driver puts its readings. Both methods block while the gateway's queue is full."""

    async def offer(self, readings: Sequence[Reading]) -> None:
        """Hand readings over and go on: for devices that are asked again anyway."""

    async def keep(self, readings: Sequence[Reading]) -> None:
        """Return when the readings are durable: for devices that forget what we acknowledge.

        Raises Unavailable when they were refused (the spool is full): the device must keep them.
        """


class Driver(Protocol):
    """A source of readings. One instance per entry under `drivers:`; it survives its own outages."""

    async def run(self, sink: Sink) -> None:
        """Read until cancelled. Raises Unavailable (run again after a pause) or BadConfiguration (disabled)."""


@runtime_checkable
class Paced(Protocol):
    """A driver that asks devices in a rhythm, and can do so more often for a while."""

    def pace(self, every_s: Mapping[str, float]) -> None:
        """Ask these devices at least so often [s], and all others in their own rhythm; other names are none of its."""


class DriverSettings(BaseModel):
    """What every driver's entry has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: str  # its name in `DRIVERS`, by which these settings were chosen

    @property
    def name(self) -> str:
        """What logs and the status call this driver."""
        raise NotImplementedError

    def device_names(self) -> Iterator[str]:
        """The devices it reads; no two drivers may read the same."""
        raise NotImplementedError

    def series(self) -> Iterator[tuple[str, str]]:
        """(device, metric) of all that it reads."""
        raise NotImplementedError

    def placed(self, _folder: Path) -> Self:
        """The same, with the paths in it taken from the configuration file's folder on; most have none."""
        return self

    def claims(self) -> Iterator[tuple[str, str]]:
        """(field, what it names) of what it needs for itself, besides its line: no two entries may name the same."""
        return iter(())

    def line_name(self) -> str | None:
        """The serial line that it needs for itself: who asks there alone hears no answers to others."""
        return None


def each_asked_once(devices: Iterable[BaseModel]) -> None:
    """Raises ValueError where two devices differ in nothing but their name: one of them would have the other's readings."""
    known: list[tuple[str, dict[str, Any]]] = []
    for entry in devices:
        told = entry.model_dump()
        name = told.pop("device")
        if other := next((other for other, asked in known if asked == told), None):
            raise ValueError(f"'{name}' is asked for the same as '{other}': give it an address of its own")
        known.append((name, told))
