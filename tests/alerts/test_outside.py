"""What a channel may reach: the internet, and the networks it was allowed; whatever a name or an answer says."""

import gzip
import http.server
import ssl
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from alerts.notify.channels import WebhookSettings
from alerts.notify.chat import ChatSettings
from alerts.notify.outside import Address, Outside, client, is_reachable, post
from telemetry.errors import Unavailable
from tests.alerts.dripping import Dripping

HERE = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "198.18.0.1", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "2001:db8::1",
        "fec0::1", "::ffff:0:127.0.0.1", "64:ff9b:1::1",
    ],
)  # fmt: skip
def test_what_is_within_is_not_reached_unless_it_is_allowed(address: str) -> None:
    given = ip_address(address)
    assert not is_reachable(given, ())
    assert not is_reachable(given, (ip_network("10.9.0.0/16"),))


@pytest.mark.parametrize("address", ["8.8.8.8", "203.119.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_the_internet_is_reached(address: str) -> None:
    assert is_reachable(ip_address(address), ())


def test_a_network_is_allowed_by_name_and_nothing_beside_it() -> None:
    lan = (ip_network("10.9.0.0/16"), ip_network("fd00:1::/32"))
    assert all(is_reachable(ip_address(each), lan) for each in ("10.9.255.1", "fd00:1::7", "::ffff:10.9.0.1"))
    assert not any(is_reachable(ip_address(each), lan) for each in ("10.8.255.1", "fd00:2::7", "127.0.0.1"))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://[::1]/",
        "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/meta-data/", "http://user@10.0.0.1:8080/x", "https://0/",
    ],
)  # fmt: skip
def test_a_channel_that_can_never_be_reached_is_refused_when_it_is_declared(url: str) -> None:
    with pytest.raises(ValidationError, match="allow_networks"):
        WebhookSettings.model_validate({"url": url})
    with pytest.raises(ValidationError, match="allow_networks"):
        ChatSettings.model_validate({"type": "wecom", "url": url})
    allowed = ["0.0.0.0/0", "::/0"]
    assert WebhookSettings.model_validate({"url": url, "allow_networks": allowed})


@pytest.mark.parametrize("url", ["http://hooks..example/x", f"https://{'a' * 64}.example/x"])
def test_a_host_that_no_name_can_be_is_refused_when_it_is_declared(url: str) -> None:
    with pytest.raises(ValidationError, match="cannot be the name of a host"):
        WebhookSettings.model_validate({"url": url})
    with pytest.raises(ValidationError, match="cannot be the name of a host"):
        ChatSettings.model_validate({"type": "wecom", "url": url})


class Server:
    """On the loopback; answers what it is told, and knows whom it was asked as."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (204, {}, b"")
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(self.headers["Host"])
                self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, body = outer.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def names(*answers: Sequence[str]) -> Any:
    """A resolver of a name server that says something else each time."""
    left = [[ip_address(each) for each in answer] for answer in answers]

    def resolved(host: str, port: int) -> Sequence[Address]:
        return left.pop(0)

    return resolved


def test_a_name_is_resolved_once_and_what_was_looked_at_is_connected_to(server: Server) -> None:
    # Whoever asks again, between the look and the connection, would find another address, or nobody left to answer.
    with client(5, HERE, names(["127.0.0.1"])) as outside:
        assert post(outside, f"http://hook.example:{server.port}/x", {}).status_code == 204
    assert server.asked == [f"hook.example:{server.port}"]


def test_a_name_that_leads_inside_is_not_followed_and_neither_is_what_it_means_next(server: Server) -> None:
    with client(5, (), names(["127.0.0.1"], ["10.0.0.1", "::1"])) as outside:
        for _ in range(2):
            with pytest.raises(Unavailable, match="allow_networks"):
                post(outside, f"http://hook.example:{server.port}/x", {})
    assert server.asked == []


def test_of_several_addresses_only_those_outside_are_tried(server: Server) -> None:
    allowed = (ip_network("127.0.0.1/32"), ip_network("127.0.0.9/32"))
    with client(5, allowed, names(["127.0.0.5", "127.0.0.9", "127.0.0.1"])) as outside:
        assert post(outside, f"http://hook.example:{server.port}/x", {}).status_code == 204


def test_an_address_that_answers_nothing_keeps_nobody_from_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    # A network that drops what goes by IPv6 is common, and names have such an address first.
    asked: list[str] = []

    def handle(_: Any, request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if len(asked) == 1:
            raise httpx.ConnectTimeout("nothing came back", request=request)
        return httpx.Response(204)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
    with httpx.Client(transport=Outside((), names(["2606:4700::1111", "203.119.0.1"]))) as outside:
        assert outside.post("https://hook.example/x").status_code == 204
    assert asked == ["2606:4700::1111", "203.119.0.1"]


def test_a_redirect_is_an_answer_and_nothing_more(server: Server) -> None:
    server.answer = (307, {"Location": f"http://127.0.0.1:{server.port}/inside"}, b"")
    with client(5, HERE) as outside:
        assert post(outside, f"http://127.0.0.1:{server.port}/", {}).status_code == 307
    assert len(server.asked) == 1


def test_no_proxy_of_the_environment_stands_between(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with client(5, HERE) as outside:
        assert post(outside, f"http://127.0.0.1:{server.port}/", {}).status_code == 204


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_of_an_answer_without_end_only_the_beginning_is_taken_and_nothing_is_unpacked(
    server: Server, encoding: str
) -> None:
    endless = b"\0" * 20_000_000
    body = gzip.compress(endless) if encoding else endless
    server.answer = (200, {"Content-Encoding": encoding} if encoding else {}, body)
    with client(5, HERE) as outside:
        found = post(outside, f"http://127.0.0.1:{server.port}/", {})
    assert len(found.content) <= 64 * 1024
    assert found.content == body[: len(found.content)]


@pytest.mark.parametrize(
    ("begin", "drip", "status"),
    [
        (b"", b"H", None),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a", None),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", 200),  # the length of a chunk
    ],
)
def test_a_server_that_answers_a_byte_at_a_time_is_left_in_the_end(
    begin: bytes, drip: bytes, status: int | None
) -> None:
    server = Dripping(begin, drip)
    took: list[object] = []

    def ask() -> None:
        with client(0.2, HERE) as outside:
            try:
                took.append(post(outside, f"http://127.0.0.1:{server.port}/", {}).status_code)
            except httpx.TimeoutException:
                took.append(None)

    assert server.is_left_by(ask)
    assert took == [status]


def test_a_connection_that_is_kept_has_the_whole_time_again_for_the_next_request(server: Server) -> None:
    with client(5, HERE) as outside:
        for _ in range(3):
            assert post(outside, f"http://127.0.0.1:{server.port}/", {}).status_code == 204


def test_a_certificate_is_for_the_name_not_for_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[httpx.URL, Any, str]] = []

    def handle(_: Any, request: httpx.Request) -> httpx.Response:
        asked.append((request.url, request.extensions.get("sni_hostname"), request.headers["Host"]))
        return httpx.Response(204)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
    with httpx.Client(transport=Outside((), names(["203.119.0.1"]))) as outside:
        outside.post("https://hook.example/x")
    assert asked == [(httpx.URL("https://203.119.0.1/x"), "hook.example", "hook.example")]
