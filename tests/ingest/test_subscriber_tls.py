"""Reading over TLS: records that are decrypted already are invisible to `select`, and none may be left lying."""

import socket
import ssl
import threading
from pathlib import Path

from gatehouse.pki import Authority
from ingest.subscriber import _is_readable, _read
from telemetry.clock import SystemClock
from telemetry.settings import TlsSettings
from telemetry.tls import client_context


def test_everything_that_came_is_read_though_it_is_many_records(tmp_path: Path) -> None:
    authority = Authority(tmp_path, SystemClock())
    authority.create("east")
    authority.issue("broker", ["localhost"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "broker.pem")
    sent = bytes(range(256)) * 12_000  # 3 MB: more than one read takes, in records of 16 KB
    ours, theirs = socket.socketpair()

    def speak() -> None:
        with server.wrap_socket(theirs, server_side=True) as link:
            link.sendall(sent)
            link.recv(1)

    speaker = threading.Thread(target=speak)
    speaker.start()
    context = client_context(TlsSettings(ca=tmp_path / "ca.crt"), "core")
    with context.wrap_socket(ours, server_hostname="localhost") as link:
        came = b""
        while len(came) < len(sent):
            assert _is_readable(link, 10)
            came += _read(link) or b""
        assert came == sent
        assert not _is_readable(link, 0) or _read(link) is None
    speaker.join()
