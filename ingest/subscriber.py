"""The core's ear: one connection, one thread, one loop: read, vet, commit, acknowledge.

Acknowledgements go back on the socket their messages came from, by the thread that read them; a message of an earlier
connection can therefore never be confirmed on a later one, where its packet id may mean another message.
When the disk refuses, nothing is acknowledged and nothing more is read: the broker and the spools hold it.
"""

from __future__ import annotations

import random
import select
import socket
import threading

import msgspec

from ingest import events, packets
from ingest.committer import Committer
from ingest.packets import PacketReader, ProtocolError
from ingest.vet import Group, Vetter
from telemetry.batch import empty_batch
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.settings import BrokerSettings
from telemetry.topics import FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER

PAYLOAD_MAX = 1_000_000  # bytes; one message larger than this is refused
_READ_MAX = 1_000_000  # bytes taken from the socket at once, so that memory stays bounded
_GATHER_S = 0.003  # letting messages gather before a read makes each of them several times cheaper
_TIMEOUT_S = 10.0


class Subscriber:
    """Runs until told to stop; keeps trying while the broker is away."""

    def __init__(
        self, settings: BrokerSettings, client_id: str, vetter: Vetter, committer: Committer, clock: Clock
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._vetter = vetter
        self._committer = committer
        self._clock = clock
        self._packet_id = 0
        self._random = random.Random()  # jitter only
        self.is_connected = False

    def run(self, stop: threading.Event) -> None:
        """Read until `stop`; connection troubles are waited out, never raised."""
        delay_s, is_first = 0.2, True
        while not stop.is_set():
            try:
                with socket.create_connection((self._settings.host, self._settings.port), _TIMEOUT_S) as link:
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._session(link, stop)
                    delay_s, is_first = 0.2, True
            except (OSError, ProtocolError) as error:
                if self.is_connected:
                    delay_s, is_first = 0.2, True
                self.is_connected = False
                events.disconnected(str(error), is_first)
                is_first = False
            if not stop.is_set():
                self._pass_time(stop, delay_s * self._random.uniform(0.5, 1.0))
                delay_s = min(delay_s * 2, self._settings.reconnect_delay_max_s)

    def _session(self, link: socket.socket, stop: threading.Event) -> None:
        settings = self._settings
        password = settings.password.get_secret_value() if settings.password else None
        link.sendall(packets.connect(self._client_id, settings.keep_alive_s, settings.username, password))
        reader = PacketReader(PAYLOAD_MAX)
        heard_s = asked_s = self._clock.monotonic_s()
        while not stop.is_set():
            readable, _, _ = select.select([link], [], [], 0.2)
            now_s = self._clock.monotonic_s()
            received = packets.Received()
            if readable:
                if self.is_connected:
                    stop.wait(_GATHER_S)
                data = link.recv(_READ_MAX)
                if not data:
                    raise ProtocolError("the broker closed the connection")
                received = reader.feed(data)
                heard_s = now_s
            for packet in received.others:
                self._answered(link, packet)
            self._take(link, received.messages, stop)
            if now_s - heard_s > 1.5 * settings.keep_alive_s:
                raise ProtocolError(f"nothing heard for {now_s - heard_s:.0f} s")
            if now_s - max(heard_s, asked_s) > settings.keep_alive_s / 2:
                link.sendall(packets.PINGREQ)
                asked_s = now_s
        link.sendall(packets.DISCONNECT)
        self.is_connected = False

    def _answered(self, link: socket.socket, packet: packets.Connected | packets.Subscribed) -> None:
        if isinstance(packet, packets.Connected):
            if packet.refusal:
                why = packets.REFUSALS.get(packet.refusal, f"code {packet.refusal}")
                raise ProtocolError(f"the broker refuses the connection: {why}")
            # Always, also with a session: a broker that was restarted may have forgotten what we had subscribed to.
            link.sendall(packets.subscribe(self._next_packet_id(), [FRAMES_FILTER, READINGS_FILTER, STATUS_FILTER]))
            self.is_connected = True
            events.connected(self._settings.host, self._settings.port, packet.session_present)
        elif any(code & 0x80 for code in packet.codes):
            raise ProtocolError("the broker refuses a subscription: check its access list for this user")

    def _take(self, link: socket.socket, messages: list[packets.Message], stop: threading.Event) -> None:
        group = self._vetter.vet(messages, self._clock.now_ms())
        if not self._committed(group, stop):
            return
        self._vetter.accept(group)
        answers = [packets.acknowledge(group.packet_ids)]
        for (topic, epoch), seq in group.receipts.items():
            receipt = msgspec.json.encode({"epoch": epoch, "seq": seq, "time_ms": self._clock.now_ms()})
            answers.append(packets.publish(str(topic), receipt, self._next_packet_id()))
        answer = b"".join(answers)
        if answer:
            link.sendall(answer)

    def _committed(self, group: Group, stop: threading.Event) -> bool:
        """Try until the group is durable; False when the core is stopped before."""
        is_first = True
        while True:
            try:
                self._committer.commit(group, self.is_connected)
                return True
            except Unavailable as error:
                events.disk_refused(str(error), is_first)
                is_first = False
                if stop.wait(1.0):
                    return False

    def _pass_time(self, stop: threading.Event, seconds: float) -> None:
        """Wait, letting the journal know that time passes while nobody can be heard."""
        until_s = self._clock.monotonic_s() + seconds
        while not stop.is_set() and self._clock.monotonic_s() < until_s:
            self._committed(Group(empty_batch()), stop)
            stop.wait(0.2)

    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % 65_535 + 1
        return self._packet_id
