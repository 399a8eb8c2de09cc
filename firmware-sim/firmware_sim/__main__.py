"""`python -m firmware_sim`: the simulated district, a field of devices for any other system, or recorded data."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from firmware_sim.broadcast import broadcast
from firmware_sim.district import District
from firmware_sim.field import FieldOfDevices
from firmware_sim.field_settings import FieldSettings
from firmware_sim.live import Endpoints, LiveDistrict
from firmware_sim.load import Broker, Null, Shape
from firmware_sim.load import load as send_load
from firmware_sim.past import build_past
from firmware_sim.publisher import Publisher
from firmware_sim.replay import DATASETS
from firmware_sim.replay import replay as play_back
from firmware_sim.replay import rows as rows_of
from firmware_sim.scenario import Scenario
from firmware_sim.story import Story
from firmware_sim.world import WorldState
from telemetry.catalogue import Catalogue
from telemetry.clock import SystemClock
from telemetry.errors import BadConfiguration, Unavailable

app = typer.Typer(no_args_is_help=True, help=__doc__, add_completion=False)

DistrictFolder = Annotated[Path, typer.Option(help="Folder with catalogue/, gateways/ and world.yaml")]
_DISTRICT = Path("gatehouse/district")


@app.command()
def run(
    scenario: Annotated[
        Path, typer.Argument(help="A scenario with its beginning and end", exists=True, dir_okay=False)
    ],
    district: DistrictFolder = _DISTRICT,
    speed: Annotated[float, typer.Option(help="Seconds of it in a second; 0: as fast as it goes", min=0)] = 1.0,
    host: Annotated[str, typer.Option(help="The broker")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port")] = 1883,
    out: Annotated[Path | None, typer.Option(help="Folder for readings.jsonl and truth.jsonl")] = None,
) -> None:
    """Publish a scenario as plain JSON to a broker, and write what was really true beside it."""
    declared = District.load(district)
    story = Story.load(scenario, declared)
    give_up = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: give_up.set())
    publisher = Publisher(host, port, f"scenario-{scenario.stem}")
    clock = SystemClock()
    publisher.start()
    try:
        sent = broadcast(
            declared,
            story,
            speed=speed,
            now_ms=clock.now_ms(),
            pace=_WallPace(clock, give_up),
            publish=lambda topic, payload: publisher.publish(topic, payload, lambda: None, give_up),
            out=out,
        )
        if not publisher.wait(10.0):
            typer.echo("the broker has not acknowledged all of it", err=True)
            raise typer.Exit(1)
        typer.echo(f"{sent:,} readings sent")
    finally:
        publisher.stop()


class _WallPace:
    """The pace of a clock on the wall, until told to give up."""

    def __init__(self, clock: SystemClock, give_up: threading.Event) -> None:
        self._clock = clock
        self._give_up = give_up

    def until(self, time_ms: int) -> bool:
        """Wait until this instant."""
        return not self._give_up.wait(max(0, time_ms - self._clock.now_ms()) / 1000)


@app.command()
def devices(
    district: DistrictFolder = _DISTRICT,
    scenario: Annotated[Path | None, typer.Option(help="Another script than scenario.yaml of the district")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world")] = 1,
    truth: Annotated[Path | None, typer.Option(help="Write what really happened to this file at the end")] = None,
) -> None:
    """Run the devices of the district at the addresses its gateway files name, until interrupted."""
    declared = District.load(district)
    script = Scenario.load(scenario or district / "scenario.yaml", declared)
    past = build_past(declared, SystemClock().now_ms(), seed)
    typer.echo(f"{len(declared.catalogue.devices)} devices; {past.reading_count:,} readings behind them. Ctrl-C ends.")
    asyncio.run(_live(declared, script, seed, past.world_state, truth))


@app.command()
def field(
    file: Annotated[Path, typer.Argument(help="What runs where (docs/simulator.md)", exists=True, dir_okay=False)],
    seconds: Annotated[float | None, typer.Option("--for", help="Seconds; until interrupted when not given")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Write who came and what was done wrong, a JSON object a line")
    ] = None,
) -> None:
    """Run meters on lines, scanners and sensors from a file, for whatever system wants to read them."""
    try:
        settings = FieldSettings.load(file)
        with truth.open("w", encoding="utf-8") if truth else contextlib.nullcontext() as told:

            def tell(what: Mapping[str, object]) -> None:
                if told is not None:
                    print(json.dumps(what), file=told, flush=True)

            asyncio.run(_field(FieldOfDevices(settings, SystemClock(), tell), seconds, tell))
    except (BadConfiguration, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


async def _field(devices: FieldOfDevices, seconds: float | None, tell: Callable[[Mapping[str, object]], None]) -> None:
    stop = _interrupted()
    async with devices.open() as said:
        typer.echo("\n".join([*said, "Ctrl-C ends."]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stop.wait()
    tell({"injected": devices.injected})


@app.command()
def replay(
    dataset: Annotated[str, typer.Argument(help=f"One of {', '.join(DATASETS)}")],
    folder: Annotated[Path, typer.Option(help="Where the data sets lie")] = Path("../shared/datasets"),
    district: DistrictFolder = _DISTRICT,
    host: Annotated[str, typer.Option(help="The broker")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port")] = 1883,
) -> None:
    """Publish recorded data as if it were measured now."""
    give_up = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: give_up.set())
    publisher = Publisher(host, port, f"replay-{dataset}")
    readings = rows_of(dataset, folder)
    publisher.start()
    try:
        catalogue = District.load(district).catalogue
        show = _every(100)
        sent = play_back(readings, catalogue, publisher, SystemClock(), give_up=give_up, progress=show)
        whole = publisher.wait(10.0)
        typer.echo(f"{sent} readings sent" + ("" if whole else "; the broker has not acknowledged all of them"))
    finally:
        publisher.stop()


@app.command()
def load(
    rate: Annotated[float, typer.Option(help="Readings a second; 0: as fast as the broker takes them")] = 1000.0,
    series: Annotated[int, typer.Option(help="How many series of the catalogue")] = 1000,
    shape: Annotated[Shape, typer.Option(help="One reading a message, or 200 as our gateways ship them")] = "single",
    seconds: Annotated[float, typer.Option(help="For how long")] = 10.0,
    district: DistrictFolder = _DISTRICT,
    host: Annotated[str, typer.Option(help="The broker")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port")] = 1883,
    username: Annotated[str | None, typer.Option()] = None,
    password: Annotated[str | None, typer.Option(envvar="GATEHOUSE_LOAD_PASSWORD")] = None,
    null: Annotated[bool, typer.Option("--null", help="To nobody: what this generator itself can do")] = False,
) -> None:
    """Load a broker with readings of a catalogue's devices, at a steady rate or as fast as it acknowledges them."""
    try:
        declared = Catalogue.load(district / "catalogue")
        sink = Null() if null else Broker(host, port, username, password)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("readings", total=rate * seconds if rate else None)
            show = partial(progress.update, task)
            done = send_load(declared, sink, shape, rate, series, seconds, progress=lambda n: show(completed=n))
    except (BadConfiguration, Unavailable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    late = f"; {done.behind_s:.1f} s behind its rate at the end" if done.behind_s > 1 else ""
    typer.echo(f"{done.readings:,} readings in {done.messages:,} messages, {done.rate:,.0f} readings/s{late}")


async def _live(declared: District, script: Scenario, seed: int, state: WorldState, truth: Path | None) -> None:
    live = LiveDistrict(declared, script, seed, state, Endpoints.declared(declared))
    await live.run(_interrupted())
    if truth is not None:
        live.write_truth(truth)


def _interrupted() -> asyncio.Event:
    """Set when somebody wants us to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    return stop


def _every(step: int) -> Callable[[int], None]:
    """Print a count now and then."""

    def show(count: int) -> None:
        if count % step == 0:
            typer.echo(f"{count} readings")

    return show


if __name__ == "__main__":
    app()
