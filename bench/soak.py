"""Does everything that runs for years stay as it is, hour after hour?

A broker, a core with its journal fsynced and Parquet history, an API and a gateway share the machine with everybody who has
to do with them: gateways that send frames of 200 readings, at half of what `steady` asks for; devices that publish by
themselves; scanners that push to a gateway; levels that change, fevers; screens that follow, people who look at lists and
curves. Twice a minute each process is looked at from outside: resident memory (VmRSS), open files, threads. A line is laid
through the second half of the run. At the end, which ^C may bring sooner, the core must have taken every
reading.

Non-goals: the most that the machine can do (`steady`, `drain`); months of housekeeping (`make years`); a browser's own
memory (`screens`). A run that is shorter than an hour says little: what grows by a megabyte an hour is lost in what comes
and goes.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from bench import district, processes
from bench.feeding import Offered, feed
from bench.report import Cell, Goal, Report, Table
from bench.service import COOKIE, Beside, Client, Service, listening, load, running

GOAL_SLOPE_MB = 1.0
_PUSH_EVERY_S = 1.0
_PLAIN = 400  # level sensors that publish by themselves
_PUSHED = 10  # that push to the gateway


@dataclass(frozen=True, slots=True)
class Look:
    """One process at one moment."""

    at_s: float
    memory_mb: float
    open_files: int
    threads: int


def run(
    rate: float = 75_000,
    seconds: float = 7_200.0,
    series: int = 10_000,
    change_share: float = 0.000_01,
    plain_per_s: float = 200.0,
    fevers_per_s: float = 0.1,
    screens: int = 10,
    requests_per_s: float = 5.0,
    look_every_s: float = 30.0,
) -> Report:
    """Offer `rate` readings a second in frames, and all else beside it, for `seconds`.

    Args:
        series: In frames.
        change_share: Of those readings, how many change a level.
        requests_per_s: Of lists and curves, one after the other.
    """
    report = Report(
        "soak",
        "does everything stay as it is, hour after hour?",
        {
            "rate": rate,
            "seconds": seconds,
            "series": series,
            "change_share": change_share,
            "plain_per_s": plain_per_s,
            "fevers_per_s": fevers_per_s,
            "screens": screens,
            "requests_per_s": requests_per_s,
        },
    )
    # Each kind of sender behind gateways of its own.
    own = district.GATEWAY_SERIES_MAX
    first_plain = -(-series // own) * own
    first_pushed = first_plain + own
    with (
        running(first_pushed + _PUSHED) as service,
        _gateway(service, first_pushed) as (gateway_pid, push_port),
        Beside(service, [Client() for _ in range(screens)]),
        _asking(service, requests_per_s) as asked,
        _pushing(push_port) as pushed,
        load(service.broker_port, plain_per_s, _PLAIN, fevers_per_s, first_plain) as plain,
    ):
        pids = {"core": service.core.pid, "API": service.api_pid, "gateway": gateway_pid}
        looks: dict[str, list[Look]] = {name: [] for name in pids}
        fed = Offered()

        def look(at_s: float) -> None:
            for name, pid in pids.items():
                looks[name].append(_look(pid, at_s))

        with contextlib.suppress(KeyboardInterrupt):
            feed(service.broker_port, rate, seconds, series, change_share, look, look_every_s, fed)
        plain.stop()
        pushed.stop()
        offered = fed.count + plain.reading_count + plain.fever_count + pushed.count
        # What gateways say of themselves is taken as readings, too.
        processes.wait_until(
            lambda: service.core.metrics("gatehouse_readings_total")[0] >= offered, "the last readings"
        )
        refused = service.core.metrics("gatehouse_rejected_total")[0]
        (told,) = service.core.metrics("gatehouse_alarm_transitions_total")
    assert refused == 0, f"{refused:,.0f} readings were refused"
    rows = [_row(name, found) for name, found in looks.items()]
    columns = ("process", "MB first", "MB half-way", "MB last", "most MB", "MB/h, second half", "open files", "threads")
    hours = looks["core"][-1].at_s / 3600
    title = f"{offered:,} readings in {hours:.2g} h, {told:,.0f} alarm transitions, {asked.count:,} requests"
    report.tables.append(Table(title, columns, rows))
    for name, found in looks.items():
        slope = _slope(found)
        if slope is not None:
            what = f"memory of {name}, MB/h over the second half"
            report.goals.append(Goal(what, f"< {GOAL_SLOPE_MB:g}", slope, slope < GOAL_SLOPE_MB))
        first, last = found[len(found) // 4].open_files, found[-1].open_files
        report.goals.append(
            Goal(f"open files of {name} more than after a quarter", "≤ 8", last - first, last - first <= 8)
        )
        report.samples[f"{name}, MB"] = [round(look.memory_mb, 2) for look in found]
    report.samples["at_s"] = [round(look.at_s, 1) for look in looks["core"]]
    if asked.failed:
        report.notes.append(f"{asked.failed:,} requests were not answered with 200")
    report.notes.append("the core took every reading that was offered and refused none")
    return report


def _row(name: str, found: list[Look]) -> list[Cell]:
    half, memory = found[len(found) // 2], [look.memory_mb for look in found]
    files, threads = f"{found[0].open_files}, {found[-1].open_files}", f"{found[0].threads}, {found[-1].threads}"
    return [name, memory[0], half.memory_mb, memory[-1], max(memory), _slope(found), files, threads]


def _slope(found: list[Look]) -> float | None:
    """MB an hour over the second half; None of a run that is too short to have one."""
    half = found[len(found) // 2 :]
    if len(half) < 10:
        return None
    return float(np.polyfit([look.at_s for look in half], [look.memory_mb for look in half], 1)[0]) * 3600


def _look(pid: int, at_s: float) -> Look:
    files, threads = (len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("fd", "task"))
    return Look(at_s, processes.memory_mb(pid), files, threads)


# --- who has to do with it ---------------------------------------------------------------------------------------------


class _Doing:
    """Something that is done again and again, in a thread of its own."""

    def __init__(self, every_s: float, client: httpx.Client) -> None:
        self.count = self.failed = 0
        self._every_s = every_s
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def do(self, client: httpx.Client, number: int) -> bool:
        """Whether it went as it should."""
        raise NotImplementedError

    def stop(self) -> None:
        """No more; returns when the last is done."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with self._client:
            while not self._stop.wait(self._every_s):
                try:
                    is_good = self.do(self._client, self.count + self.failed)
                except httpx.HTTPError:
                    is_good = False
                self.count += is_good
                self.failed += not is_good

    def __enter__(self) -> _Doing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Asking(_Doing):
    """People who look at lists and curves."""

    def do(self, client: httpx.Client, number: int) -> bool:
        now_ms = time.time_ns() // 1_000_000
        device = district.device(number % 100)
        curve = (
            f"/api/v1/readings?device={device}&metric={district.METRIC}&start={now_ms - 3_600_000}&end={now_ms}"
            "&aggregate=mean&every=10000"
        )
        lists = ("/api/v1/alarms?limit=100", f"/api/v1/devices?site={district.SITE}&limit=100", curve)
        return client.get(lists[number % len(lists)]).status_code == 200


class _Pushing(_Doing):
    """A scanner that hands its passages to the gateway."""

    def do(self, client: httpx.Client, number: int) -> bool:
        told = {
            "serial": f"S{number % _PUSHED}",
            "passage": f"p{number}",
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{number % 1000:03}Z",
            "temperature": 0.5,
        }
        return client.post("/push", json=told).status_code == 200


def _asking(service: Service, per_s: float) -> _Doing:
    return _Asking(1 / per_s, httpx.Client(base_url=service.url, cookies={COOKIE: service.token}, timeout=60))


def _pushing(port: int) -> _Doing:
    return _Pushing(_PUSH_EVERY_S, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))


@contextlib.contextmanager
def _gateway(service: Service, first: int) -> Iterator[tuple[int, int]]:
    """`gatehouse gateway` with scanners that push to it: (its process, the port to push to)."""
    folder, port = service.core.folder / "gateway", processes.free_port()
    folder.mkdir()
    config = folder / "gateway.yaml"
    devices = [{"device": district.device(first + number), "serial": f"S{number}"} for number in range(_PUSHED)]
    push = {
        "driver": "http-push",
        "host": "127.0.0.1",
        "port": port,
        "devices": devices,
        "fields": {"temperature": district.METRIC},
    }
    settings = {
        "site": district.SITE,
        "gateway": district.gateway(first),
        "broker": {"host": "127.0.0.1", "port": service.broker_port},
        "spool": {"path": str(folder / "spool")},
        "drivers": [push],
    }
    config.write_text(json.dumps(settings))
    command: list[str | Path] = [sys.executable, "-m", "gatehouse", "gateway", "--config", config]
    with processes.process(command, folder / "gateway.log") as made:
        processes.wait_until(listening(port), "the gateway", made)
        yield made.pid, port
