"""Real processes to be measured: started, looked at from outside, and gone afterwards. Linux only (/proc)."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import district
from gatehouse.pki import BROKER, Authority
from gatehouse.ports import free_port as free_port
from telemetry.clock import SystemClock
from telemetry.errors import BadConfiguration

BROKER_IN_FLIGHT_MAX = 1000  # as in reference/measured.md; unlimited reuses packet ids past 65,535 messages
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
TICK_S = 1 / _TICKS_PER_S
"""What `cpu_s` can tell apart."""
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Server:
    """A process that listens."""

    pid: int
    port: int
    tls_port: int = 0  # the same, encrypted
    ca: Path | None = None  # who made its certificate

    def pause(self) -> None:
        """Hold it still: who connects now has done its own starting when `resume` says go."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class CoreProcess:
    """A `gatehouse core` and where it answers."""

    pid: int
    metrics_port: int
    folder: Path

    def metrics(self, *names: str) -> list[float]:
        """Counters or gauges of /metrics, each with its labels added up."""
        return metrics(self.metrics_port, *names)


def broker_program() -> str | None:
    """Where Mosquitto is; None without it."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[Server]:
    """A fresh Mosquitto without persistence and without limits on what it queues, in the clear and encrypted."""
    program = broker_program()
    if program is None:
        raise BadConfiguration("mosquitto is missing: apt-get install mosquitto mosquitto-clients")
    port, tls_port = free_port(), free_port()
    authority = Authority(folder / "pki", SystemClock())
    authority.create("bench")
    authority.issue(BROKER, ["localhost"])
    config, certificate = folder / "mosquitto.conf", folder / "pki" / f"{BROKER}.pem"
    config.write_text(
        f"allow_anonymous true\npersistence false\nset_tcp_nodelay true\nuser {getpass.getuser()}\n"
        f"max_queued_messages 0\nmax_inflight_messages {BROKER_IN_FLIGHT_MAX}\n"
        f"listener {port} 127.0.0.1\n"
        f"listener {tls_port} 127.0.0.1\ncertfile {certificate}\nkeyfile {certificate}\n"
    )
    with process([program, "-c", config], folder / "mosquitto.log") as running:
        wait_until(lambda: _listens(port) and _listens(tls_port), "mosquitto", running)
        yield Server(running.pid, port, tls_port, folder / "pki" / "ca.crt")


@dataclass(frozen=True, slots=True)
class InfluxDb:
    """An InfluxDB 2 of its own."""

    pid: int
    url: str
    token: str = "a-token-for-benches-and-nothing-else"


def influxdb_program() -> str | None:
    """Where InfluxDB 2 is: installed, or built by deploy/influxdb/build.sh; None without it."""
    cache = os.environ.get("GATEHOUSE_TOOLS") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "gatehouse"
    built = sorted(Path(cache).expanduser().glob("influxd-2*"))
    return shutil.which("influxd") or (str(built[-1]) if built else None)


@contextlib.contextmanager
def influxdb(folder: Path) -> Iterator[InfluxDb]:
    """A fresh InfluxDB that nobody has set up."""
    program = influxdb_program()
    if program is None:
        raise BadConfiguration("influxd (InfluxDB 2) is missing: deploy/influxdb/build.sh builds and caches it")
    port = free_port()
    command: list[str | Path] = [program, "--http-bind-address", f"127.0.0.1:{port}", "--reporting-disabled"]
    command += ["--log-level", "error", "--bolt-path", folder / "influx.bolt", "--engine-path", folder / "engine"]
    with process([*command, "--sqlite-path", folder / "influx.sqlite"], folder / "influxd.log") as running:
        wait_until(lambda: _listens(port), "influxd", running)
        yield InfluxDb(running.pid, f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def core(folder: Path, series_count: int, broker_port: int, **settings: Any) -> Iterator[CoreProcess]:
    """A core with Parquet history, the bench district and more `settings`; yields once it answers /metrics."""
    port = free_port()
    config = district.write_config(folder, series_count, broker_port, port, **settings)
    command: list[str | Path] = [sys.executable, "-m", "gatehouse", "core", "--config", config]
    with process(command, folder / "core.log") as running:
        wait_until(lambda: metrics(port, "gatehouse_readings_total"), "the core", running)
        yield CoreProcess(running.pid, port, folder)


@contextlib.contextmanager
def process(command: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own, ended with its children."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGCONT)
                os.killpg(running.pid, signal.SIGTERM)
            try:
                running.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()


def cpu_s(pid: int) -> float:
    """User and system seconds of a process, its children and those it has buried; by the tick of 10 ms."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(field) for field in stat[11:15])  # utime, stime, cutime, cstime
    return ticks / _TICKS_PER_S + sum(cpu_s(child) for child in _children(pid))


def memory_mb(pid: int) -> float:
    """Resident memory of one process, megabytes of 10⁶ bytes."""
    return _status_mb(pid, "VmRSS")


def memory_peak_mb(pid: int) -> float:
    """The most resident memory a process ever had."""
    return _status_mb(pid, "VmHWM")


def _status_mb(pid: int, what: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def metrics(port: int, *names: str) -> list[float]:
    """Values of /metrics, in order of `names`, their labels added up; 0 for what is not there yet."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = []
    for name in names:
        lines = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        found.append(sum(float(value) for value in lines))
    return found


def wait_until(
    condition: Callable[[], object],
    what: str,
    running: subprocess.Popen[bytes] | None = None,
    every_s: float = 0.02,
    patience_s: float = _PATIENCE_S,
) -> None:
    """Look until it is so. Raises TimeoutError, or RuntimeError when the process is gone."""
    until = time.monotonic() + patience_s
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        if running is not None and running.poll() is not None:
            raise RuntimeError(f"{what} ended by itself with code {running.returncode}")
        if time.monotonic() > until:
            raise TimeoutError(f"waited {patience_s:.0f} s in vain for {what}")
        time.sleep(every_s)


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 0.5):
        return True


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found
