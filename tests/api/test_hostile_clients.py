"""The API as it is served, and clients that mean harm: slow, huge, malformed, packed. It answers others and does not grow."""

import gzip
import resource
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from gatehouse.api import server_config
from gatehouse.settings import ApiSettings
from tests.api.test_app import World
from tests.servers import free_port, listens, wait_until

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

pytestmark = pytest.mark.integration


@pytest.fixture
def port(world: World) -> Iterator[int]:
    """The application as `gatehouse api` serves it."""
    found = free_port()
    config = server_config(world.client.app, ApiSettings(port=found))  # type: ignore[arg-type]
    config.lifespan = "off"  # the world has begun it already
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: listens(found), what="the API")
    yield found
    server.should_exit = True
    thread.join()


def said(port: int, *parts: bytes, patience_s: float = 2.0) -> bytes:
    """All that is answered to these bytes, until the server has enough or nothing comes for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as there:
        try:
            for part in parts:
                there.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        there.settimeout(patience_s)
        found = b""
        try:
            while chunk := there.recv(65_536):
                found += chunk
                if b"\r\n\r\n" in found and b"keep-alive" not in found.lower():
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return found


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def ask(port: int, *more: bytes, body: bytes = b"", method: bytes = b"POST", path: bytes = b"/api/v1/session") -> int:
    head = method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"".join(m + b"\r\n" for m in more)
    return status(said(port, head + b"\r\n", body, patience_s=30.0))


def is_well(port: int) -> bool:
    return ask(port, method=b"GET", path=b"/health/live") == 200


def test_what_is_malformed_is_refused_and_others_are_answered(port: int) -> None:
    for junk in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,  # TLS, to a port that speaks none
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n" * 1000,
        b"\0" * 1000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e9\r\n\r\n",
        b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n X: folded\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        assert status(said(port, junk)) in (0, 200, 400, 401, 404, 411, 413, 422), junk[:60]
    assert is_well(port)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 90_000,
        b'{"a":' * 18_000,
        b'{"name":"' + b"x" * 90_000 + b'"}',
        b"\xff\xfe" * 1000,
        b'{"name":"a\\ud800","password":"x"}',
        b'{"name":"a\\u0000","password":"x"}',
        b"[1e999]",
        b"9" * 90_000,
        b'{"name":' + b"1" * 5_000 + b"}",
        b"null",
        b"",
    ],
)
def test_a_body_that_is_no_request_is_refused(port: int, body: bytes) -> None:
    length = b"Content-Length: " + str(len(body)).encode()
    assert ask(port, b"Content-Type: application/json", length, body=body) in (400, 422)
    assert is_well(port)


def test_what_is_huge_is_refused_before_it_is_read(port: int) -> None:
    assert ask(port, b"Content-Length: 1000000000000") == 413
    assert ask(port, b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n" * 1000) == 411
    assert ask(port, b"X-Long: " + b"x" * 500_000) in (0, 400, 431)
    assert ask(port, *[b"X-%d: x" % n for n in range(30_000)]) in (0, 400, 431)
    assert ask(port, method=b"GET", path=b"/" + b"x" * 500_000) in (0, 400, 414)
    assert is_well(port)


def test_what_is_packed_is_not_unpacked(port: int) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 100_000
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    length = b"Content-Length: " + str(len(bomb)).encode()
    for encoding in (b"gzip", b"deflate", b"br", b"gzip, gzip"):
        more = (b"Content-Type: application/json", b"Content-Encoding: " + encoding, length)
        assert ask(port, *more, body=bomb) in (400, 415, 422)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 40_000
    assert is_well(port)


def test_those_who_say_nothing_or_one_byte_at_a_time_hold_up_nobody_and_nothing_grows(port: int) -> None:
    held: list[socket.socket] = []
    try:
        for number in range(300):
            there = socket.create_connection(("127.0.0.1", port), timeout=10)
            held.append(there)
            kind = number % 3
            if kind:
                there.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\n")
            if kind == 2:
                there.sendall(b"Content-Type: application/json\r\nContent-Length: 90000\r\n\r\n[")
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(20):
            for there in held[2::3]:
                there.sendall(b" ")
            assert is_well(port)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 20_000
    finally:
        for there in held:
            there.close()
    assert is_well(port)


def test_many_one_after_the_other_are_all_answered(port: int) -> None:
    assert {ask(port, method=b"GET", path=b"/api/v1/session") for _ in range(200)} == {401}
    assert is_well(port)
