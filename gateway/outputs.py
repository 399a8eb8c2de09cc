"""Lamps and relays: each output is written until it stands as it should, and again from time to time.

An output that fails is tried again after a growing pause and counted; nothing waits for it. What is written is always
the present wish: an output that was away missed nothing that still matters.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gateway.drivers.modbus_tcp.codec import Refusal, ResponseReader, encode_write_coil
from gateway.events import Events
from gateway.modbus.pdu import COIL_OFF, COIL_ON, Function
from gateway.settings import CoilSettings, OutputSettings
from telemetry.errors import Unavailable

_DELAY_FIRST_S = 0.5
_DELAY_MAX_S = 30.0
_AGAIN_S = 30.0  # a relay that lost its power in between forgot how it stood
_TIMEOUT_S = 5.0


class Output(Protocol):
    """Something that is on or off."""

    async def write(self, is_on: bool) -> None:
        """Raises Unavailable when it could not be done."""


class FileOutput:
    """A file that holds the state, as the kernel offers for its pins."""

    def __init__(self, path: Path, on: str, off: str) -> None:
        self._path = path
        self._text = {True: on, False: off}

    async def write(self, is_on: bool) -> None:
        try:
            await asyncio.to_thread(self._path.write_text, self._text[is_on], "utf-8")
        except OSError as error:
            raise Unavailable(f"writing {self._path}: {error}") from error


class CoilOutput:
    """A coil of a Modbus TCP unit. A connection for each write: many relays allow one at a time."""

    def __init__(self, settings: CoilSettings) -> None:
        self._settings = settings
        self._transaction = 0

    async def write(self, is_on: bool) -> None:
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._write(is_on)
        except TimeoutError as error:
            raise Unavailable(f"{where}: no answer within {_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise Unavailable(f"{where}: {error}") from error

    async def _write(self, is_on: bool) -> None:
        settings = self._settings
        self._transaction = self._transaction % 0xFFFF + 1
        reader, writer = await asyncio.open_connection(settings.host, settings.port)
        try:
            writer.write(encode_write_coil(self._transaction, settings.unit, settings.coil, is_on))
            await writer.drain()
            responses = ResponseReader()
            while data := await reader.read(256):
                for response in responses.feed(data):
                    if (response.transaction, response.unit) != (self._transaction, settings.unit):
                        continue
                    if isinstance(response, Refusal):
                        raise Unavailable(f"unit {settings.unit}: {response.words}")
                    if response.function == Function.WRITE_COIL:
                        if response.registers != (settings.coil, COIL_ON if is_on else COIL_OFF):
                            raise Unavailable(f"unit {settings.unit}: answered as if something else had been switched")
                        return
            raise Unavailable(f"{settings.host}:{settings.port} closed the connection without an answer")
        finally:
            writer.close()


class Outputs:
    """All outputs of a gateway, each in a task of its own. For the event loop's thread."""

    def __init__(self, outputs: Mapping[str, Output], events: Events) -> None:
        self._outputs = outputs
        self._events = events
        self._is_on = dict.fromkeys(outputs, False)
        self._changed = {name: asyncio.Event() for name in outputs}

    def switch(self, name: str, is_on: bool) -> None:
        """From now on this output shall be on, or off."""
        self._is_on[name] = is_on
        self._changed[name].set()

    async def run(self) -> None:
        """Keep every output as it shall be, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, output in self._outputs.items():
                group.create_task(self._keep(name, output), name=f"output {name}")

    async def _keep(self, name: str, output: Output) -> None:
        delay_s = _DELAY_FIRST_S
        while True:
            self._changed[name].clear()
            try:
                await output.write(self._is_on[name])
            except Unavailable as error:
                self._events.output_failed(name, str(error))
                wait_s, delay_s = delay_s, min(2 * delay_s, _DELAY_MAX_S)
            else:
                self._events.available(f"output {name}")
                wait_s, delay_s = _AGAIN_S, _DELAY_FIRST_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed[name].wait()


def make_output(settings: OutputSettings) -> Output:
    """The output that an entry under `outputs:` describes."""
    if settings.modbus is not None:
        return CoilOutput(settings.modbus)
    assert settings.file is not None
    return FileOutput(settings.file, settings.on, settings.off)
