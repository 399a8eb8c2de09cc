"""`gatehouse gateway read | probe | relay`: what a person does at the meters, with the gateway's own drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from gateway.bus import Ask, Bus
from gateway.drivers import DRIVERS
from gateway.drivers.dlt645.codec import Relay
from gateway.drivers.dlt645.driver import Dlt645Meter
from gateway.line import LineSettings, open_line
from gateway.meter import MeterPoint, MeterSettings
from gateway.modbus.points import Point, known_profiles
from gateway.probe import SEARCHES, Found, driver_of
from gateway.reading import meter_of, read_device
from gateway.settings import GatewaySettings
from telemetry.clock import SystemClock
from telemetry.errors import BadConfiguration

_RELAY_VALID = timedelta(minutes=5)  # by the meter's clock, which may be off
_RELAY_ACTIONS = {"trip": Relay.TRIP, "permit": Relay.CLOSE_PERMITTED, "close": Relay.CLOSE}


def read(settings: GatewaySettings, device: str, console: Console) -> bool:
    """Show one exchange. Whether the device said all that was wanted."""
    found = asyncio.run(read_device(settings, device, SystemClock(), lambda line: console.print(line, highlight=False)))
    table = Table("metric", "value")
    for metric, value in found.values:
        table.add_row(metric, "not measured" if value is None else f"{value:.10g}")
    console.print(table)
    for complaint in [*found.complaints, *([found.silence] if found.silence else [])]:
        console.print(complaint, highlight=False)
    return bool(found.values) and not found.complaints and not found.silence


def probe(search: str, line: Mapping[str, Any], first: int, last: int, console: Console) -> list[Found]:
    """Find who is on a line, with a progress bar. Raises BadConfiguration or Unavailable."""
    settings = line_settings(search, line)

    async def work() -> list[Found]:
        opened = await open_line(settings)
        found: list[Found] = []
        try:
            with Progress(console=console, transient=True) as progress:
                task = progress.add_task(f"{search} on {settings.name}", total=1.0)
                bus = Bus(opened, settings, SystemClock(), lambda _is_sent, _data: None)
                async for step in SEARCHES[search](bus, first, last):
                    progress.update(task, completed=step.share)
                    for one in step.found:
                        progress.console.print(f"found: {one.words}", highlight=False)
                    if step.trouble:
                        progress.console.print(step.trouble, highlight=False)
                    found += step.found
        finally:
            opened.close()
        return found

    return asyncio.run(work())


def line_settings(search: str, line: Mapping[str, Any]) -> LineSettings:
    """A line with what is usual for the protocol. Raises BadConfiguration."""
    kind = DRIVERS[driver_of(search)].settings.model_fields["line"].annotation
    assert isinstance(kind, type) and issubclass(kind, LineSettings)
    try:
        return kind.model_validate({name: value for name, value in line.items() if value is not None})
    except ValueError as error:
        raise BadConfiguration(f"the line cannot be: {error}") from error


def write_found(
    folder: Path, search: str, line: LineSettings, found: Sequence[Found], place: str, gateway: str
) -> tuple[Path, Path]:
    """Write what was found as an entry under `drivers:` and as a file of a catalogue."""
    driver = driver_of(search)
    entry = {
        "driver": driver,
        "line": line.model_dump(exclude_defaults=True, exclude_none=True),
        "devices": [{"device": one.name, **one.fields} for one in found],
    }
    profiles = sorted({str(one.fields["profile"]) for one in found})
    kinds = {profile: f"{driver}-{profile}".lower() for profile in profiles}
    devices = [
        {
            "id": one.name,
            "kind": kinds[str(one.fields["profile"])],
            "place": place,
            "gateway": gateway,
            "name": one.words,
        }
        for one in found
    ]
    catalogue = {
        "kinds": [{"id": kind, "name": kind, "metrics": _metrics(driver, profile)} for profile, kind in kinds.items()],
        "devices": devices,
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "drivers.yaml", folder / "catalogue.yaml"
    for file, content in zip(files, ({"drivers": [entry]}, catalogue), strict=True):
        file.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return files


def _metrics(driver: str, profile: str) -> list[dict[str, Any]]:
    """What a profile measures, for a kind of the catalogue."""
    settings = DRIVERS[driver].settings
    points: Sequence[MeterPoint | Point] = ()
    if issubclass(settings, MeterSettings):
        points = settings.known_profiles().get(profile, ())
    elif profile in known_profiles():
        points = known_profiles()[profile].points
    return [
        {
            "id": point.metric,
            "name": point.metric.replace("_", " "),
            "unit": point.unit or "1",
            "decimals": 3,
            **({"counter": True} if point.unit in ("kWh", "m3") else {}),
        }
        for point in points
    ] or [{"id": "value", "name": "value", "unit": "1"}]


def relay(settings: GatewaySettings, device: str, action: str) -> None:
    """Switch a meter's relay. Raises BadConfiguration where its entry does not allow it, BadInput where it refuses."""
    entry, meter = meter_of(settings, device, SystemClock())
    allowed = meter.relay if isinstance(meter, Dlt645Meter) else None
    if not isinstance(meter, Dlt645Meter) or allowed is None:
        raise BadConfiguration(f"'{device}' has no 'relay' in its entry, so it is not switched from here")

    async def work() -> None:
        line = await open_line(entry.line)
        try:
            bus = Bus(line, entry.line, SystemClock(), lambda _is_sent, _data: None)
            until = datetime.now().astimezone() + _RELAY_VALID  # meters keep local time
            await meter.switch(Ask(bus, 1), allowed, _RELAY_ACTIONS[action], until)
        finally:
            line.close()

    asyncio.run(work())
