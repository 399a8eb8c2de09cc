"""Real servers for integration tests: each on a port of its own, each gone when the test is over.

A test that needs one asks for its fixture; where the program is missing the test skips and says how to get it, unless
GATEHOUSE_NO_SKIP is set, as CI does: then it fails.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatehouse.ports import free_port as free_port
from telemetry.database import open_database

ROOT = Path(__file__).parent.parent


def missing(what: str, how: str) -> None:
    """Skip, saying how to get it. Where skipping is not allowed `conftest` makes a failure of it."""
    pytest.skip(f"{what} is missing: {how}")


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0, what: str = "it") -> None:
    """Poll a real process; fails when nothing happens for much longer than it could take."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        with contextlib.suppress(OSError, AssertionError, LookupError):
            if condition():
                return
        time.sleep(0.05)
    pytest.fail(f"waited {timeout_s:.0f} s in vain for {what}")


def listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 0.5):
        return True


def answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=1) as answer:
        return bool(answer.status == 200)


@contextlib.contextmanager
def process(
    command: Sequence[str | Path], log: Path, *, user: str | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A program of its own, killed with its children when the test is over; `user`: not as who we are."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env={**os.environ, **environment},
            start_new_session=True,
            user=user,
        )
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGTERM)
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()


def gatehouse(*arguments: str | Path) -> list[str | Path]:
    """The command line of our own program."""
    return [sys.executable, "-m", "gatehouse", *arguments]


def mosquitto_program() -> str | None:
    """Where Mosquitto is."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def influxd_program() -> str | None:
    """Where InfluxDB 2 is: installed, or built by deploy/influxdb/build.sh."""
    tools = Path(
        os.environ.get("GATEHOUSE_TOOLS")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatehouse"
    )
    built = sorted(tools.glob("influxd-2*"))
    return shutil.which("influxd") or (str(built[-1]) if built else None)


def influxd_command(program: str, folder: Path, port: int) -> list[str | Path]:
    """A server of its own below `folder`."""
    command: list[str | Path] = [program, "--http-bind-address", f"127.0.0.1:{port}", "--reporting-disabled"]
    command += ["--log-level", "error", "--bolt-path", folder / "influx.bolt", "--engine-path", folder / "engine"]
    return [*command, "--sqlite-path", folder / "influx.sqlite"]


def set_up_influxdb(url: str) -> str:
    """Make the first organisation and bucket, both `gatehouse`; an all-access token."""
    token = "integration-test-token-of-no-worth"
    body = f'{{"username":"test","password":"test-password","org":"gatehouse","bucket":"gatehouse","token":"{token}"}}'
    request = urllib.request.Request(f"{url}/api/v2/setup", body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201
    return token


@contextlib.contextmanager
def mosquitto(folder: Path, port: int | None = None) -> Iterator[int]:
    """A real broker; its port."""
    program = mosquitto_program()
    if program is None:
        missing("mosquitto", "apt-get install mosquitto")
        raise AssertionError
    port = port or free_port()
    config = folder / f"mosquitto-{port}.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 1000\n"
    )
    with process([program, "-c", config], folder / "mosquitto.log"):
        wait_until(lambda: listens(port), what="mosquitto")
        yield port


@contextlib.contextmanager
def secure_mosquitto(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real broker with the configuration that `gatehouse broker-config` wrote into `folder`."""
    program = mosquitto_program()
    if program is None:
        missing("mosquitto", "apt-get install mosquitto")
        raise AssertionError
    command: list[str | Path] = [program, "-c", folder / "mosquitto.conf"]
    if os.geteuid() == 0:
        # It would become another user, who may not read what only its owner may.
        (folder / "as-root.conf").write_text((folder / "mosquitto.conf").read_text() + "user root\n")
        command = [program, "-c", folder / "as-root.conf"]
    with process(command, folder / "mosquitto.log") as running:
        wait_until(lambda: listens(port), what="mosquitto")
        yield running


@contextlib.contextmanager
def influxdb(folder: Path) -> Iterator[tuple[str, str]]:
    """A real InfluxDB 2; its URL and an all-access token."""
    program = influxd_program()
    if program is None:
        missing("influxd (InfluxDB 2)", "run deploy/influxdb/build.sh, which builds and caches it")
        raise AssertionError
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with process(influxd_command(program, folder, port), folder / "influxd.log"):
        wait_until(lambda: answers(f"{url}/health"), what="influxd")
        yield url, set_up_influxdb(url)


def postgresql_programs() -> Path | None:
    """Where PostgreSQL's programs are: Debian keeps them apart from the others, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextlib.contextmanager
def postgresql() -> Iterator[sa.URL]:
    """A real PostgreSQL of its own, reached by a socket in its folder alone; the URL of a database that is always there.

    It refuses to run as root, and then runs as the user whom its package made. Nothing is synced: it does not outlive a test.
    """
    programs = postgresql_programs()
    if programs is None:
        missing("PostgreSQL", "apt-get install postgresql")
        raise AssertionError
    user = "postgres" if os.geteuid() == 0 else None
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="pg-", dir=memory if memory.is_dir() else None) as made:
        folder = Path(made)
        if user is not None:
            shutil.chown(folder, user)
        make: list[str | Path] = [programs / "initdb", "-D", folder / "data", "-U", "test", "-A", "trust", "--no-sync"]
        make += ["-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder)
        options = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "full_page_writes": "off"}
        options |= {"synchronous_commit": "off", "max_connections": 200, "shared_buffers": "32MB"}
        command: list[str | Path] = [programs / "postgres", "-D", folder / "data"]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        url = sa.URL.create("postgresql", username="test", database="postgres", query={"host": made})
        with process(command, folder / "postgresql.log", user=user) as running:
            engine = open_database(url.render_as_string(hide_password=False))

            def is_up() -> bool:
                try:
                    with engine.connect():
                        return True
                except sa.exc.OperationalError:
                    return False

            wait_until(is_up, what="PostgreSQL")
            engine.dispose()
            yield url
            running.send_signal(signal.SIGQUIT)  # at once, whoever is still connected


def database_of(server: sa.URL, template: str | None = None) -> sa.URL:
    """A new database of a server, empty or a copy of another."""
    name = f"d{secrets.token_hex(8)}"
    engine = open_database(server.render_as_string(hide_password=False))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        copied = f" TEMPLATE {template} STRATEGY file_copy" if template else ""
        db.exec_driver_sql(f"CREATE DATABASE {name}{copied}")
    engine.dispose()
    return server.set(database=name)
