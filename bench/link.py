"""A bare connection to the broker: makes sessions, publishes in bulk, listens. Nothing of it is measured."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence

from ingest import packets

WINDOW = 4000  # messages on their way to the broker without its acknowledgement
_CHUNK = 500  # messages in one write
_PATIENCE_S = 60.0


class Link:
    """One MQTT connection with a persistent session, by hand."""

    def __init__(self, port: int, client_id: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = packets.PacketReader(1_000_000)
        self.socket.sendall(packets.connect(client_id, 0, None, None))
        assert self._take_exactly(4)[3] == 0, "the broker refuses the connection"

    def subscribe(self, filters: Sequence[str]) -> None:
        """Returns once the broker has answered."""
        self.socket.sendall(packets.subscribe(1, filters))
        answer = self._take_exactly(4 + len(filters))
        assert not any(code & 0x80 for code in answer[4:]), "the broker refuses the subscription"

    def publish_all(self, stream: Iterable[bytes]) -> int:
        """Send PUBLISH packets of QoS 1 as fast as the broker acknowledges them; how many it has."""
        sent, answered, cut = 0, 0, b""
        waiting = iter(stream)
        until_s = time.monotonic() + _PATIENCE_S
        is_over = False
        while not is_over or answered < sent:
            if not is_over and sent - answered < WINDOW:
                chunk = list(itertools.islice(waiting, _CHUNK))
                is_over = not chunk
                sent += len(chunk)
                if is_over and answered == sent:
                    break
                self.socket.sendall(b"".join(chunk))
            if select.select([self.socket], [], [], 0 if not is_over and sent - answered < WINDOW else 1.0)[0]:
                # Every answer is a PUBACK of four bytes.
                cut = cut[len(cut) // 4 * 4 :] + self.socket.recv(65_536)
                answered += len(cut) // 4
                until_s = time.monotonic() + _PATIENCE_S
            assert time.monotonic() < until_s, f"the broker stopped acknowledging at {answered:,} of {sent:,}"
        return answered

    def messages(self) -> list[packets.Message]:
        """What has arrived, acknowledged."""
        found = self._reader.feed(self.socket.recv(1_000_000)).messages
        self.socket.sendall(packets.acknowledge(message.packet_id for message in found if message.packet_id))
        return found

    def close(self) -> None:
        """Say goodbye; the session stays with the broker."""
        with contextlib.suppress(OSError):
            self.socket.sendall(packets.DISCONNECT)
        self.socket.close()

    def _take_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part, "the broker closed the connection"
            data += part
        return data


@contextlib.contextmanager
def link(port: int, client_id: str) -> Iterator[Link]:
    """A connection for a while."""
    made = Link(port, client_id)
    try:
        yield made
    finally:
        made.close()


def leave_session(port: int, client_id: str, filters: Sequence[str]) -> None:
    """Make a persistent session whose owner is away."""
    with link(port, client_id) as made:
        made.subscribe(filters)


def fill(port: int, stream: Iterable[bytes]) -> int:
    """Publish everything; how many messages the broker has acknowledged."""
    with link(port, "bench-generator") as made:
        return made.publish_all(stream)
