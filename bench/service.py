"""A district's service as people and devices know it, real processes all of it, and those who make it work.

A broker, a core and an API with somebody logged in; plain readings at a rate with fevers among them; event streams as
screens read them. Nothing of what is made here is measured: who measures takes care that it is not in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from bench import district, link, processes, stream
from ingest import packets
from telemetry.topics import readings_topic

COOKIE = "gatehouse_session"
_PASSWORD = "a password for benches and nothing else"
_STEP_S = 0.005
_EVENT_ID = re.compile(rb"^id: (\d+)", re.MULTILINE)
_LENGTH = re.compile(rb"(?:\r\n|\A)[0-9a-f]+\r\n")
_ALARM = re.compile(rb'"id":"([0-9a-f]{20})"')


@dataclass(slots=True)
class Service:
    """Everything that runs, and a session in it."""

    broker_port: int
    core: processes.CoreProcess
    api_pid: int
    url: str
    token: str
    port: int


@dataclass(slots=True)
class Client:
    """One event stream, as a screen reads it."""

    alarms: set[bytes] = field(default_factory=set)
    last_id: bytes = b""
    event_count: int = 0
    tail: bytes = b""

    def take(self, data: bytes) -> None:
        """What has arrived, wherever it is cut. An event ends with an empty line; how long each piece is stands between."""
        whole, _, self.tail = (self.tail + data).rpartition(b"\n\n")
        if not whole:
            return
        whole = _LENGTH.sub(b"", whole)
        self.event_count += whole.count(b"\nevent: ") + whole.startswith(b"event: ")
        self.alarms.update(_ALARM.findall(whole))
        if ids := _EVENT_ID.findall(whole):
            self.last_id = ids[-1]


# --- event streams ----------------------------------------------------------------------------------------------------


async def connect(service: Service, found: list[Client]) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open all of them, each from where it left off."""
    opened = []
    for number, client in enumerate(found):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        last = b"Last-Event-ID: " + client.last_id + b"\r\n" if client.last_id else b""
        head = f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nCookie: {COOKIE}={service.token}\r\n"
        writer.write(head.encode() + last + b"\r\n")
        opened.append((reader, writer))
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    return opened


async def read_stream(reader: asyncio.StreamReader, client: Client) -> None:
    """Until it ends or somebody cancels."""
    while data := await reader.read(65_536):
        client.take(data)


class Beside:
    """Event streams that are read beside, in a thread of their own."""

    def __init__(self, service: Service, clients: list[Client]) -> None:
        self._service = service
        self._clients = clients
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        opened = await connect(self._service, self._clients)
        tasks = [
            asyncio.create_task(read_stream(r, client)) for (r, _), client in zip(opened, self._clients, strict=True)
        ]
        await asyncio.to_thread(self._stop.wait)
        for task in tasks:
            task.cancel()
        for _, writer in opened:
            writer.close()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


# --- what runs --------------------------------------------------------------------------------------------------------


class Load:
    """Plain readings at a rate and fevers beside them, each with a temperature of its own.

    Args:
        first: The first of the `series` level sensors that are read.
    """

    def __init__(self, port: int, rate: float, series: int, fevers_per_s: float, first: int = 0) -> None:
        self.due_ms: dict[str, float] = {}  # temperature as shown -> when it was to be published, epoch
        self.reading_count = self.fever_count = 0
        self._given = (port, rate, series, fevers_per_s, first)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more; returns when the last is sent."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        port, rate, series, fevers_per_s, first = self._given
        ids = itertools.cycle(range(1, 65_536))
        topics = [readings_topic(district.SITE, district.gateway(first + number)) for number in range(series)]
        fever_topic = readings_topic(district.SITE, district.gateway(0))
        value = np.random.default_rng(1).uniform(0.25, 0.75, 4096).round(3).tolist()
        with link.link(port, f"bench-{id(self)}") as out:
            begin_s, begin_ms = time.monotonic(), time.time() * 1000
            readings = fevers = 0
            while not self._stop.wait(_STEP_S):
                passed_s, lot = time.monotonic() - begin_s, []
                while readings < rate * passed_s:
                    number, due_ms = readings % series, int(begin_ms + 1000 * readings / rate)
                    payload = stream.reading_json(first + number, due_ms, value[readings % 4096])
                    lot.append(packets.publish(topics[number], payload, next(ids)))
                    readings += 1
                while fevers < fevers_per_s * passed_s:
                    due, shown = begin_ms + 1000 * fevers / fevers_per_s, f"{38 + fevers % 600 / 100:.2f}"
                    payload = stream.plain_json(
                        district.SCANNER, district.SCANNER_METRIC, int(due), float(shown), f"{id(self)}-{fevers}"
                    )
                    lot.append(packets.publish(fever_topic, payload, next(ids)))
                    self.due_ms.setdefault(shown, due)
                    fevers += 1
                if lot:
                    out.socket.sendall(b"".join(lot))
                self.reading_count, self.fever_count = readings, fevers
                out.socket.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while out.socket.recv(65_536):
                        pass
                out.socket.setblocking(True)


@contextlib.contextmanager
def load(port: int, rate: float, series: int, fevers_per_s: float, first: int = 0) -> Iterator[Load]:
    """Plain readings for a while."""
    made = Load(port, rate, series, fevers_per_s, first)
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def running(series: int) -> Iterator[Service]:
    """A broker, a core and an API, and somebody logged in."""
    with TemporaryDirectory() as name, processes.broker(Path(name)) as broker:
        folder, port = Path(name), processes.free_port()
        with processes.core(folder, series, broker.port, api={"port": port}) as core:
            config = folder / "gatehouse.yaml"
            gatehouse = [sys.executable, "-m", "gatehouse"]
            add = [*gatehouse, "user", "add", "bench", "--role", "administrator", "--config", str(config)]
            environment = {**os.environ, "GATEHOUSE_PASSWORD": _PASSWORD}
            subprocess.run(add, env=environment, check=True, capture_output=True)
            with processes.process([*gatehouse, "api", "--config", config], folder / "api.log") as running:
                processes.wait_until(listening(port), "the API", running)
                url = f"http://127.0.0.1:{port}"
                body = {"name": "bench", "password": _PASSWORD}
                token = httpx.post(f"{url}/api/v1/session", json=body, timeout=30).cookies[COOKIE]
                yield Service(broker.port, core, running.pid, url, token, port)


def listening(port: int) -> Callable[[], bool]:
    """Whether anybody takes connections there; raises OSError as long as nobody does."""

    def is_open() -> bool:
        with socket.create_connection(("127.0.0.1", port), 0.5):
            return True

    return is_open
