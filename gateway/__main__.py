"""`python -m gateway --config FILE [--check]`."""

from __future__ import annotations

import asyncio
import functools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gateway import gateway
from gateway.settings import GatewaySettings, load_settings
from gateway.timekeeping import is_backed
from telemetry.clock import SystemClock
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.logs import configure_logs
from telemetry.memory import keep_what_stands
from telemetry.tls import client_context

_EX_CONFIG = 78  # sysexits.h: starting again will not help
_EX_UNAVAILABLE = 69  # starting again may
_OBJECTS_BETWEEN = 5_000  # each exchange over a network leaves a ring of objects, and a small box has no room for many


def main(
    config: Annotated[Path, typer.Option(help="The gateway's YAML file.")],
    check: Annotated[bool, typer.Option("--check", help="Only check the file and the environment.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every attempt.")] = False,
) -> None:
    """Read devices, keep what they say on disk, ship it to the core."""
    configure_logs(verbose)
    try:
        settings = load_settings(config)
        if settings.broker.tls is not None:
            # An expired certificate is no reason to read nothing: the spool keeps it until there is another.
            client_context(settings.broker.tls, settings.gateway)
    except BadConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_EX_CONFIG) from error
    if check:
        typer.echo(f"{config}: well; {len(settings.drivers)} drivers, spool {settings.spool.path}")
        return
    keep_what_stands(_OBJECTS_BETWEEN)
    try:
        asyncio.run(run_until_signalled(settings, functools.partial(load_settings, config)))
    except BadConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_EX_CONFIG) from error
    except Unavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_EX_UNAVAILABLE) from error


async def run_until_signalled(settings: GatewaySettings, load: Callable[[], GatewaySettings]) -> None:
    """Run until SIGTERM or SIGINT; on SIGHUP load the settings anew and take up their drivers."""
    stop, changes = asyncio.Event(), gateway.Changes(asyncio.Event(), load)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, changes.asked.set)
    await gateway.run(settings, SystemClock(), stop, changes, is_backed)


if __name__ == "__main__":
    typer.run(main)
