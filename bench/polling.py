"""What does it cost a gateway to poll many meters over many lines?

Meters by DL/T 645 behind TCP serial servers, which another process plays: they take the time of 9,600 baud and think for 20
ms. The gateway's own drivers poll them at their rhythm; CPU is this process' own, from after the first round on. Every
reading that comes is compared with what its meter says.

Non-goals: spool and uplink (`bench small_gateway`); real RS-485.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from bench.report import Goal, Report, Table
from gateway.drivers.dlt645.codec import WAKE_UP, encode
from gateway.drivers.dlt645.driver import make_dlt645
from gateway.drivers.dlt645.settings import Dlt645Settings
from gateway.events import Events
from telemetry.clock import SystemClock
from telemetry.reading import Reading

GOAL_SHARE = 0.25
_BYTE_S = 11 / 9600
_THINK_S = 0.02


class _Counts:
    """Implements `Sink`: counts, and checks what it is told."""

    def __init__(self) -> None:
        self.count = 0

    async def offer(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            assert reading.value == _energy(reading.device.removeprefix("m")), reading
            self.count += 1

    async def keep(self, readings: Sequence[Reading]) -> None:
        await self.offer(readings)


def run(lines: int = 50, meters: int = 20, every_s: float = 10.0, seconds: float = 30.0) -> Report:
    """`lines` lines of `meters` meters each, every one asked every `every_s`."""
    report = Report(
        "polling",
        "what does it cost to poll many meters over many lines?",
        {"lines": lines, "meters": meters, "every_s": every_s, "seconds": seconds},
    )
    with _meters(lines) as ports:
        readings, share = asyncio.run(_polled(ports, meters, every_s, seconds))
    due = lines * meters * seconds / every_s
    columns = ("polling", "meters", "readings/s", "of those due", "share of one core")
    report.tables.append(
        Table("one gateway", columns, [[lines, lines * meters, readings / seconds, readings / due, share]])
    )
    report.goals += [
        Goal("share of one core", f"≤ {GOAL_SHARE}", share, share <= GOAL_SHARE),
        Goal("readings of those due", "≥ 0.99", readings / due, readings / due >= 0.99),
    ]
    return report


async def _polled(ports: Sequence[int], meters: int, every_s: float, seconds: float) -> tuple[int, float]:
    clock, sink = SystemClock(), _Counts()
    events = Events(clock)
    tasks = []
    for number, port in enumerate(ports):
        devices = [{"device": f"m{number:06}{i:06}", "address": f"{number:06}{i:06}"} for i in range(meters)]
        declared = {"host": "127.0.0.1", "tcp_port": port, "baud": 9600, "quiet_ms": 50}
        settings = Dlt645Settings.model_validate(
            {"driver": "dlt645", "line": declared, "every_s": every_s, "devices": devices}
        )
        tasks.append(asyncio.create_task(make_dlt645(settings, clock, events).run(sink)))
    await asyncio.sleep(every_s + 1)
    before, cpu_s, start_s = sink.count, time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu_s) / (time.monotonic() - start_s)
    for task in tasks:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sink.count - before, share


def _energy(address: str) -> float:
    """What the meter with this address says."""
    return int(address) % 1_000_000 / 100


@contextlib.contextmanager
def _meters(lines: int) -> Iterator[list[int]]:
    """So many serial servers in a process of their own; their ports."""
    peer = subprocess.Popen([sys.executable, "-m", "bench.polling", str(lines)], stdout=subprocess.PIPE, text=True)
    assert peer.stdout is not None
    try:
        yield [int(port) for port in peer.stdout.readline().split()]
    finally:
        peer.terminate()
        peer.wait(10)
        peer.stdout.close()


async def _serve(lines: int) -> None:
    async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readexactly(len(WAKE_UP) + 16)
                address = request[10:4:-1].hex()
                energy = bytes.fromhex(f"{int(address) % 1_000_000:08}")[::-1]
                answer = encode(address, 0x91, bytes.fromhex("00000100") + energy)
                await asyncio.sleep((len(request) + len(answer)) * _BYTE_S + _THINK_S)
                writer.write(answer)
        writer.close()

    servers = [await asyncio.start_server(line, "127.0.0.1", 0) for _ in range(lines)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
