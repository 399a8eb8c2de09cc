"""Reading over TLS: records that are decrypted already are invisible to `select`, and none may be left lying."""

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gatehouse.pki import BROKER, Authority
from ingest import packets
from ingest.subscriber import _is_readable, _read
from telemetry.clock import SystemClock
from telemetry.settings import TlsSettings
from telemetry.tls import client_context

Connect = Callable[[Callable[[ssl.SSLSocket], object]], ssl.SSLSocket]


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    """Our end of a connection to a broker that does what it is given, in a thread of its own."""
    authority = Authority(tmp_path, SystemClock())
    authority.create("east")
    authority.issue(BROKER, ["localhost"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / f"{BROKER}.pem")

    def connected(speak: Callable[[ssl.SSLSocket], object]) -> ssl.SSLSocket:
        ours, theirs = socket.socketpair()

        def broker() -> None:
            with server.wrap_socket(theirs, server_side=True) as link:
                speak(link)
                link.recv(1)

        threading.Thread(target=broker, daemon=True).start()
        context = client_context(TlsSettings(ca=tmp_path / "ca.crt"), "core")
        return context.wrap_socket(ours, server_hostname="localhost")

    return connected


def test_everything_that_came_is_read_though_it_is_many_records(connect: Connect) -> None:
    sent = bytes(range(256)) * 12_000  # 3 MB: more than one read takes, in records of 16 KB
    buffer = memoryview(bytearray(1_000_000))
    with connect(lambda broker: broker.sendall(sent)) as link:
        came = b""
        while len(came) < len(sent):
            assert _is_readable(link, 10)
            came += _read(link, buffer) or b""
        assert came == sent
        assert not _is_readable(link, 0) or _read(link, buffer) is None


def test_all_records_that_are_there_are_taken_at_once_and_never_more_than_fits(connect: Connect) -> None:
    topic = "gatehouse/v1/east/gw-east/readings"
    messages = [packets.publish(topic, b"%d" % n, 1 + n) for n in range(100)]  # no more than a socket holds unread
    is_said = threading.Event()

    def speak(broker: ssl.SSLSocket) -> None:
        for message in messages:
            broker.sendall(message)  # a record of its own, as Mosquitto makes them
        is_said.set()

    buffer = memoryview(bytearray(2_000))
    with connect(speak) as link:
        assert is_said.wait(10)
        found = []
        while (data := _read(link, buffer)) is not None:
            found.append(data)
        assert b"".join(found) == b"".join(messages)
        assert {len(data) for data in found[:-1]} == {2_000}
