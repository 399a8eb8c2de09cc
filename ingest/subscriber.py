"""The core's ear: one connection, one thread, one loop: read, vet, commit, acknowledge.

Acknowledgements go back on the socket their messages came from, by the thread that read them; a message of an earlier
connection can therefore never be confirmed on a later one, where its packet id may mean another message.
When the disk refuses, nothing is acknowledged and nothing more is read: the broker and the spools hold it.
"""

from __future__ import annotations

import fcntl
import random
import select
import socket
import ssl
import sys
import termios
import threading
from collections.abc import Callable
from functools import partial

import msgspec

from ingest import events, packets
from ingest.committer import Committer
from ingest.group import Group
from ingest.packets import PacketReader, ProtocolError
from ingest.vet import Vetter
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.settings import BrokerSettings
from telemetry.tls import context_for, why
from telemetry.topics import FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER

PAYLOAD_MAX = 1_000_000  # bytes; one message larger than this is refused
_READ_MAX = 1_000_000  # bytes taken from the socket at once, so that memory stays bounded
_GATHER_S = 0.003  # letting messages gather before a read makes each of them several times cheaper
_GATHERS_MAX = 6  # so often while more keeps coming; what follows a group costs the same however small it is
_ENOUGH_BYTES = 16_384  # no need to wait for more: it costs little each already
_TIMEOUT_S = 10.0
_DISK_RETRY_S = 1.0


class Session:
    """One connection without its socket: what the broker sent goes in, what it is to be sent comes out.

    Messages stay in hand until they are durable; while the disk refuses, nothing is acknowledged.
    """

    def __init__(
        self, settings: BrokerSettings, client_id: str, vetter: Vetter, committer: Committer, clock: Clock
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._vetter = vetter
        self._committer = committer
        self._clock = clock
        self._reader = PacketReader(PAYLOAD_MAX)
        self._waiting: list[packets.Message] = []
        self._answers: list[bytes] = []  # kept over a commit that the disk refuses
        self._packet_id = 0
        self._heard_s = self._asked_s = clock.monotonic_s()
        self._is_remembered = False
        self.is_connected = False

    def hello(self) -> bytes:
        """The first thing to send."""
        settings = self._settings
        password = settings.password.get_secret_value() if settings.password else None
        return packets.connect(self._client_id, settings.keep_alive_s, settings.username, password)

    def feed(self, data: bytes) -> bytes:
        """Take what was read, if anything was; return what to send. Raises ProtocolError: the connection is over.

        Raises Unavailable when the disk refuses: feed nothing more, and call again with nothing until it takes it.
        """
        now_s = self._clock.monotonic_s()
        if data:
            received = self._reader.feed(data)
            self._heard_s = now_s
            self._answers += [self._answered(packet) for packet in received.others]
            self._waiting += received.messages
        self._answers.append(self._committed())
        keep_alive_s = self._settings.keep_alive_s
        if now_s - self._heard_s > 1.5 * keep_alive_s:
            raise ProtocolError(f"nothing heard for {now_s - self._heard_s:.0f} s")
        if now_s - max(self._heard_s, self._asked_s) > keep_alive_s / 2:
            self._answers.append(packets.PINGREQ)
            self._asked_s = now_s
        answer, self._answers = b"".join(self._answers), []
        return answer

    def _answered(self, packet: packets.Connected | packets.Subscribed) -> bytes:
        if isinstance(packet, packets.Subscribed):
            if any(code & 0x80 for code in packet.codes):
                raise ProtocolError("the broker refuses a subscription: check its access list for this user")
            # Not before: a broker that holds no session of ours passes nothing on until then.
            self.is_connected = True
            events.connected(self._settings.host, self._settings.port, self._is_remembered)
            return b""
        if packet.refusal:
            why = packets.REFUSALS.get(packet.refusal, f"code {packet.refusal}")
            raise ProtocolError(f"the broker refuses the connection: {why}")
        self._is_remembered = packet.session_present
        # Always, also with a session: a broker that was restarted may have forgotten what we had subscribed to.
        return packets.subscribe(self._next_packet_id(), [FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER])

    def _committed(self) -> bytes:
        """Make what is in hand durable; only then its acknowledgements and receipts leave."""
        group = self._vetter.vet(self._waiting, self._clock.now_ms())
        self._committer.commit(group, self.is_connected)
        self._vetter.accept(group)
        self._waiting = []
        answers = [packets.acknowledge(group.packet_ids)]
        for (topic, epoch), seq in group.receipts.items():
            receipt = msgspec.json.encode({"epoch": epoch, "seq": seq, "time_ms": self._clock.now_ms()})
            answers.append(packets.publish(str(topic), receipt, self._next_packet_id()))
        return b"".join(answers)

    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % 65_535 + 1
        return self._packet_id


class Subscriber:
    """Runs until told to stop; keeps trying while the broker is away.

    Args:
        admit: Called before the first connection, until it does not raise Unavailable; other errors end the run.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        vetter: Vetter,
        committer: Committer,
        clock: Clock,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._admit = admit
        self._is_admitted = False
        self._committer = committer
        self._make_session = partial(Session, settings, client_id, vetter, committer, clock)
        self._clock = clock
        self._random = random.Random()  # jitter only
        self._session: Session | None = None
        self.refused: str | None = None  # why nothing can be made durable just now

    @property
    def is_connected(self) -> bool:
        """Whether the broker talks to us now."""
        return self._session is not None and self._session.is_connected

    def run(self, stop: threading.Event) -> None:
        """Read until `stop`; connection troubles are waited out, never raised. Raises what `admit` does not wait out."""
        delay_s, is_first = 0.2, True
        while not stop.is_set():
            try:
                if not self._is_admitted:
                    self._admit()
                    self._is_admitted = True
                with self._connection() as link:
                    self._serve(link, stop)
                    delay_s, is_first = 0.2, True
            except (OSError, ProtocolError, Unavailable) as error:
                if self.is_connected:
                    delay_s, is_first = 0.2, True
                self._session = None
                events.disconnected(why(error) if isinstance(error, OSError) else str(error), is_first)
                is_first = False
            if not stop.is_set():
                self._pass_time(stop, delay_s * self._random.uniform(0.5, 1.0))
                delay_s = min(delay_s * 2, self._settings.reconnect_delay_max_s)

    def _connection(self) -> socket.socket:
        """A connection to the broker, encrypted where the settings say so. Raises OSError or Unavailable."""
        context = context_for(self._settings, self._client_id)
        link = socket.create_connection((self._settings.host, self._settings.port), _TIMEOUT_S)
        try:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return link if context is None else context.wrap_socket(link, server_hostname=self._settings.host)
        except BaseException:
            link.close()
            raise

    def _serve(self, link: socket.socket, stop: threading.Event) -> None:
        session = self._session = self._make_session()
        link.sendall(session.hello())
        buffer = memoryview(bytearray(_READ_MAX))
        while not stop.is_set():
            data: bytes | None = None
            if _is_readable(link, 0.2):
                if session.is_connected:
                    _gather(link, stop)
                data = _read(link, buffer)
                if data == b"":
                    raise ProtocolError("the broker closed the connection")
            answer = self._patiently(partial(session.feed, data or b""), partial(session.feed, b""), stop)
            if answer:
                link.sendall(answer)
        link.sendall(packets.DISCONNECT)
        self._session = None

    def _patiently(self, first: Callable[[], bytes], again: Callable[[], bytes], stop: threading.Event) -> bytes:
        """Try until the group is durable; nothing when the core is stopped before."""
        attempt, is_first = first, True
        while True:
            try:
                answer = attempt()
            except Unavailable as error:
                events.disk_refused(str(error), is_first)
                attempt, is_first, self.refused = again, False, str(error)
                if stop.wait(_DISK_RETRY_S):
                    return b""
            else:
                self.refused = None
                return answer

    def _pass_time(self, stop: threading.Event, seconds: float) -> None:
        """Wait, letting the journal know that time passes while nobody can be heard."""

        def tick() -> bytes:
            self._committer.commit(Group(), is_connected=False)
            return b""

        until_s = self._clock.monotonic_s() + seconds
        while not stop.is_set() and self._clock.monotonic_s() < until_s:
            self._patiently(tick, tick, stop)
            stop.wait(0.2)


def _gather(link: socket.socket, stop: threading.Event) -> None:
    """Wait for more until the input runs dry: a broker that waits for our answers is not kept waiting for nothing."""
    there = _bytes_there(link)
    for _ in range(_GATHERS_MAX):
        stop.wait(_GATHER_S)
        before, there = there, _bytes_there(link)
        if there == before or there >= _ENOUGH_BYTES:
            return


def _bytes_there(link: socket.socket) -> int:
    """What has come and was not read; with TLS, before decryption."""
    return int.from_bytes(fcntl.ioctl(link, termios.FIONREAD, bytes(4)), sys.byteorder)


def _is_readable(link: socket.socket, timeout_s: float) -> bool:
    """Whether there is something to read. What TLS has decrypted already, `select` cannot see."""
    if isinstance(link, ssl.SSLSocket) and link.pending():
        return True
    return bool(select.select([link], [], [], timeout_s)[0])


def _read(link: socket.socket, buffer: memoryview) -> bytes | None:
    """What has come, at most as much as fits: empty at the end, None where TLS has only part of a record.

    TLS gives one record at a time, of which a broker makes one for each message; all that are there are taken, because
    messages are cheap in groups only.
    """
    if not isinstance(link, ssl.SSLSocket):
        return bytes(buffer[: link.recv_into(buffer)])
    count = 0
    link.settimeout(0)
    try:
        while count < len(buffer) and (more := link.recv_into(buffer[count:])):
            count += more
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        if not count:
            return None
    finally:
        link.settimeout(_TIMEOUT_S)
    return bytes(buffer[:count])
