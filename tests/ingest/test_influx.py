"""What becomes of readings when InfluxDB misbehaves: each row of the table in `ingest/history/influx.py`.

The server here is a real one on the loopback that answers as it is told to; what it stores it parses by itself. Where
InfluxDB can be brought to misbehave, `test_influx_real.py` has the same against the real one.
"""

import contextlib
import json
import random
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from gatehouse.migrate import migrate
from ingest.history import influx
from ingest.history.history import Curve, Refused, SeriesPlace, StoreAway
from ingest.history.influx import InfluxWriter
from ingest.history.influx_rollups import HourRoller
from ingest.history.loop import CURSOR, HistoryLoop, pause_s
from ingest.history.quarantine import Quarantine
from ingest.history.settings import InfluxSettings
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.errors import Unavailable
from telemetry.journal import Journal, Kind, Record
from tests.servers import free_port

SERIES = [
    SeriesPlace("mh-1", "level", "drain-level", "mh-1", "east"),
    SeriesPlace("meter", "energy", "room-meter", "room", "west"),
    SeriesPlace("meter", "power", "room-meter", "room", "west"),
]
Lines = list[str]
Answer = tuple[int, dict[str, str], bytes]
OLD_MS = 1000  # what is before this is before the server's retention
HANG: Answer = (0, {}, b"")
RESET: Answer = (-1, {}, b"")


def said(code: str, message: str) -> bytes:
    return json.dumps({"code": code, "message": message}).encode()


class Server:
    """Stores lines by their text. `judge` may answer instead: (status, headers, body), and stores what it wants to."""

    def __init__(self) -> None:
        self.judge: Callable[[Lines], Answer | None] = lambda lines: None
        self.stored: dict[str, str] = {}  # point -> line
        self.requests: list[int] = []  # lines of each
        self._release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                lines = self.rfile.read(int(self.headers["Content-Length"])).decode().splitlines()
                server.requests.append(len(lines))
                answer = server.judge(lines)
                if answer is None:
                    server.keep(lines)
                    answer = (204, {}, b"")
                status, headers, body = answer
                if answer is HANG:
                    server._release.wait(30)
                    self.close_connection = True
                    return
                if answer is RESET:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.connection.close()
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A connection that was reset on purpose."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def keep(self, lines: Lines) -> None:
        for line in lines:
            name, _, time_ms = line.rsplit(" ", 2)
            metric = line.rsplit(" ", 2)[1].split("=")[0]
            self.stored[f"{name} {metric} {time_ms}"] = line

    @property
    def values(self) -> list[float]:
        return sorted(float(line.rsplit(" ", 2)[1].split(",")[0].split("=")[1]) for line in self.stored.values())

    def close(self) -> None:
        self._release.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def settings(port: int, **given: object) -> InfluxSettings:
    return InfluxSettings.model_validate({"url": f"http://127.0.0.1:{port}", "token": SecretStr("t"), **given})


def readings(count: int, series: int = 0, first_ms: int = 2000) -> ReadingBatch:
    return ReadingBatch(
        np.full(count, series, np.uint32),
        np.arange(first_ms, first_ms + count, dtype=np.int64),
        np.arange(count, dtype=np.float64),
        np.zeros(count, np.uint8),
    )


def write(server: Server, batch: ReadingBatch) -> list[Refused]:
    return sorted(InfluxWriter(settings(server.port), SERIES).write(batch, 1, 1))


def away(server: Server, answer: Answer) -> StoreAway:
    server.judge = lambda lines: answer
    with pytest.raises(StoreAway) as caught:
        write(server, readings(3))
    assert not server.stored
    return caught.value


def test_what_is_taken_is_stored(server: Server) -> None:
    assert write(server, readings(1000)) == []
    assert server.values == list(range(1000))
    assert server.requests == [1000]


def test_lines_that_are_named_are_quarantined_each_with_its_reason_and_the_rest_is_sent_at_once(server: Server) -> None:
    def judge(lines: Lines) -> Answer | None:
        bad = [line for line in lines if " level=7 " in line or " level=500 " in line]
        why = "\n".join(f"unable to parse '{line}': number {i} of them" for i, line in enumerate(bad))
        return (400, {}, said("invalid", why)) if bad else None

    server.judge = judge
    refused = write(server, readings(1000))
    assert [(each.row, each.why) for each in refused] == [(7, "number 0 of them"), (500, "number 1 of them")]
    assert refused[0].excerpt == "drain-level,device=mh-1,place=mh-1,site=east level=7 2007"
    assert server.values == [v for v in range(1000) if v not in (7, 500)]
    assert server.requests == [1000, 998]


@pytest.mark.parametrize("status", [400, 422])
def test_where_no_line_is_named_it_is_found_by_halves(server: Server, status: int) -> None:
    bad = {0, 63, 64, 99}
    server.judge = lambda lines: (
        (status, {}, said("invalid", "something is wrong"))
        if any(f" level={number} " in line for line in lines for number in bad)
        else None
    )
    refused = write(server, readings(100))
    assert {each.row for each in refused} == bad
    assert {each.why for each in refused} == {"something is wrong"}
    assert server.values == [v for v in range(100) if v not in bad]


def test_what_is_older_than_the_bucket_keeps_is_quarantined_in_few_requests(server: Server) -> None:
    def judge(lines: Lines) -> Answer | None:
        old = [line for line in lines if int(line.rsplit(" ", 1)[1]) < OLD_MS]
        server.keep([line for line in lines if line not in old])  # as InfluxDB does
        why = f"partial write: dropped {len(old)} points outside retention policy of duration 24h0m0s - oldest point …"
        return (422, {}, said("unprocessable entity", why)) if old else None

    server.judge = judge
    batch = readings(3000, first_ms=OLD_MS - 800)
    mixed = np.random.default_rng(1).permutation(3000)
    batch = ReadingBatch(batch.series, batch.time_ms[mixed], batch.value[mixed], batch.quality)
    refused = write(server, batch)
    assert [each.row for each in refused] == np.flatnonzero(batch.time_ms < OLD_MS).tolist()
    assert server.values == list(range(800, 3000))
    assert server.requests == [3000, 800, 2200]


def test_a_type_conflict_costs_only_the_readings_of_that_field(server: Server) -> None:
    def judge(lines: Lines) -> Answer | None:
        wrong = [line for line in lines if " power=" in line]
        server.keep([line for line in lines if line not in wrong])
        why = (
            'partial write: field type conflict: input field "power" on measurement "room-meter" is type float, '
            f"already exists as type integer dropped={len(wrong)}"
        )
        return (422, {}, said("unprocessable entity", why)) if wrong else None

    server.judge = judge
    batch = readings(900)
    series = (np.arange(900) % 3).astype(np.uint32)
    refused = write(server, ReadingBatch(series, batch.time_ms, batch.value, batch.quality))
    assert [each.row for each in refused] == np.flatnonzero(series == 2).tolist()
    assert "already exists as type integer" in refused[0].why
    assert server.values == np.flatnonzero(series != 2).tolist()
    assert server.requests == [900, 600, 300]


def test_a_request_that_is_too_large_is_halved_and_the_next_ones_are_small_from_the_start(server: Server) -> None:
    server.judge = lambda lines: (413, {}, said("request too large", "too large")) if len(lines) > 300 else None
    writer = InfluxWriter(settings(server.port), SERIES)
    assert writer.write(readings(1000), 1, 1) == []
    assert server.values == list(range(1000))
    assert server.requests == [1000, 500, 250, 250, 500, 250, 250]
    server.requests.clear()
    assert writer.write(readings(1000), 2, 2) == []
    assert server.requests == [250] * 4


def test_rollups_that_are_too_large_for_a_request_are_halved(server: Server) -> None:
    server.judge = lambda lines: (413, {}, b"<html>a proxy takes a megabyte</html>") if len(lines) > 10 else None
    roller = HourRoller(settings(server.port), SERIES)
    minutes = np.arange(60, dtype=np.int64) * 60_000
    curve = Curve(minutes, np.arange(60.0), np.zeros(60, np.uint8))
    with mock.patch.object(roller._reader, "readings", lambda *_: {("meter", "energy"): curve}):
        roller.roll_up([(1, 0)])
        assert len(server.stored) == 60 + 4 + 1
        server.requests.clear()
        roller.roll_up([(1, 0)])
        assert max(server.requests) <= 10


@pytest.mark.parametrize(
    ("body", "is_told", "is_sent_again"),
    [
        (said("unprocessable entity", "partial write: points beyond retention policy dropped=3"), False, False),
        (said("unprocessable entity", 'partial write: field type conflict: input field "power_low"'), True, False),
        (b"<html>a proxy does not like it</html>", False, True),
    ],
    ids=["too old", "of another type", "a proxy"],
)
def test_rollups_that_are_refused_are_told_of_unless_they_are_too_old(
    server: Server, body: bytes, is_told: bool, is_sent_again: bool
) -> None:
    server.judge = lambda lines: (422, {}, body)
    roller = HourRoller(settings(server.port), SERIES)
    with mock.patch("ingest.history.influx_rollups.events.history_untidy") as told:
        with pytest.raises(StoreAway) if is_sent_again else contextlib.nullcontext():
            roller.mark(3_600_000)
        assert told.called == is_told


def test_a_single_line_that_is_too_large_is_refused(server: Server) -> None:
    server.judge = lambda lines: (413, {}, said("request too large", "too large"))
    assert [each.row for each in write(server, readings(2))] == [0, 1]


def test_no_request_is_larger_than_it_should_be(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(influx, "BYTES_MAX", 10_000)
    monkeypatch.setattr(influx, "LINES_MAX", 700)
    assert write(server, readings(1500)) == []
    assert server.values == list(range(1500))
    assert max(server.requests) * 58 <= 10_000


@pytest.mark.parametrize(
    ("status", "what"), [(401, "history.token"), (403, "history.token"), (404, "`gatehouse init`")]
)
def test_what_only_an_administrator_can_mend_says_what_to_do_and_is_tried_slowly(
    server: Server, status: int, what: str
) -> None:
    error = away(server, (status, {}, said("unauthorized", "no")))
    assert what in str(error)
    assert error.needs
    chance = random.Random(1)
    assert all(30 <= pause_s(error, 0.5, chance) <= 60 for _ in range(100))


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_is_left_alone_as_long_as_it_asks(server: Server, status: int) -> None:
    assert away(server, (status, {"Retry-After": "17"}, said("unavailable", "busy"))).retry_after_s == 17
    clock = ManualClock()
    until = datetime.fromtimestamp(clock.now_ms() / 1000 + 90, UTC)
    server.judge = lambda lines: (status, {"Retry-After": format_datetime(until, usegmt=True)}, b"")
    with pytest.raises(StoreAway) as caught:
        InfluxWriter(settings(server.port), SERIES, clock).write(readings(1), 1, 1)
    assert caught.value.retry_after_s == 90
    assert away(server, (status, {"Retry-After": "soon"}, b"")).retry_after_s == 0
    assert 17 < pause_s(StoreAway("x", retry_after_s=17), 0.5, random.Random(1)) < 18
    assert pause_s(StoreAway("x", retry_after_s=10**9), 0.5, random.Random(1)) < 601


@pytest.mark.parametrize("status", [301, 500, 502, 504])
def test_errors_of_the_server_are_waited_for(server: Server, status: int) -> None:
    assert not away(server, (status, {}, b"<html>bad gateway</html>")).needs


@pytest.mark.parametrize("body", [b"<html>blocked by policy</html>", b""])
@pytest.mark.parametrize("status", [400, 422])
def test_what_a_proxy_thinks_throws_no_reading_away(server: Server, status: int, body: bytes) -> None:
    away(server, (status, {}, body))
    assert server.requests == [3]


@pytest.mark.parametrize("status", [200, 202])
def test_whoever_says_yes_to_anything_is_not_influxdb(server: Server, status: int) -> None:
    error = away(server, (status, {}, b"<html>welcome to the guests' network</html>"))
    assert "history.url" in error.needs


def test_a_connection_that_is_reset_or_hangs_is_waited_for(server: Server) -> None:
    away(server, RESET)
    server.judge = lambda lines: HANG
    with pytest.raises(StoreAway, match="timed out"):
        InfluxWriter(settings(server.port, timeout_ms=200), SERIES).write(readings(1), 1, 1)


def test_no_server_no_name_and_no_trust_are_waited_for(tmp_path: Path, server: Server) -> None:
    with pytest.raises(StoreAway):
        InfluxWriter(settings(free_port()), SERIES).write(readings(1), 1, 1)
    with pytest.raises(StoreAway):
        InfluxWriter(settings(0, url="http://influxdb.invalid:8086"), SERIES).write(readings(1), 1, 1)
    with pytest.raises(StoreAway):  # it does not speak TLS at all
        InfluxWriter(settings(0, url=f"https://127.0.0.1:{server.port}"), SERIES).write(readings(1), 1, 1)


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ssl.SSLError):
                context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=greet)
    thread.start()
    with pytest.raises(StoreAway, match="certificate"):
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        InfluxWriter(settings(0, url=url), SERIES).write(readings(1), 1, 1)
    thread.join()
    listener.close()


def self_signed(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


def test_half_written_and_written_again_makes_the_same_points(server: Server) -> None:
    def half(lines: Lines) -> Answer | None:
        server.keep(lines[: len(lines) // 2])
        return (500, {}, said("internal error", "crashed on the way"))

    server.judge = half
    writer = InfluxWriter(settings(server.port), SERIES)
    batch = readings(100)
    with pytest.raises(StoreAway):
        writer.write(batch, 1, 1)
    assert len(server.stored) == 50
    server.judge = lambda lines: None
    assert writer.write(batch, 1, 1) == []
    assert server.values == list(range(100))


# --- the loop around it -------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> sa.Engine:
    migrate(f"sqlite:///{tmp_path}/g.db")
    return open_database(f"sqlite:///{tmp_path}/g.db")


def record(values: ReadingBatch) -> Record:
    return Record(Kind.READINGS, 1, encode_batch(values))


def test_the_cursor_moves_only_after_a_yes(tmp_path: Path, server: Server, database: sa.Engine) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append([record(readings(10))])
    loop = HistoryLoop(journal, InfluxWriter(settings(server.port), SERIES), Quarantine(database), ManualClock())
    for answer in ((500, {}, b""), (401, {}, b""), (503, {}, b""), RESET):
        server.judge = lambda lines, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(Unavailable):
            loop.step(is_stopping=True)
        assert journal.cursor(CURSOR) == 0
        assert loop.trouble is not None
    server.judge = lambda lines: None
    loop.step(is_stopping=True)
    assert journal.cursor(CURSOR) == 1
    assert loop.trouble is None
    assert server.values == list(range(10))


def test_refused_readings_stand_in_quarantine_once_however_often_they_are_replayed(
    tmp_path: Path, server: Server, database: sa.Engine
) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append([record(readings(3)), Record(Kind.TICK, 2, b"connected"), record(readings(5, first_ms=5000))])

    def judge(lines: Lines) -> Answer | None:
        bad = [line for line in lines if line.endswith((" 2001", " 5004"))]
        why = "\n".join(f"unable to parse '{line}': bad" for line in bad)
        return (400, {}, said("invalid", why)) if bad else None

    server.judge = judge
    quarantine = Quarantine(database)
    for cursor in (0, 0, 1):  # as it stood when the core died, each time a little further
        journal.set_cursor(CURSOR, cursor)
        loop = HistoryLoop(journal, InfluxWriter(settings(server.port), SERIES), quarantine, ManualClock())
        loop.step(is_stopping=True)
    assert quarantine.counts() == {"refused-by-history": 2}
    assert [entry.excerpt[-5:] for entry in quarantine.newest(10)] == [" 5004", " 2001"]
    assert {entry.detail for entry in quarantine.newest(10)} == {"bad"}
    assert len(server.stored) == 6
