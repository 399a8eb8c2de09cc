"""What leaves on the wire, and when: a broker's end of a socket pair looks on."""

import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ingest import packets
from ingest.committer import Committer
from ingest.packets import Message, PacketReader, ProtocolError
from ingest.subscriber import Subscriber
from ingest.vet import Group, Vetter
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from telemetry.journal import Journal
from telemetry.settings import BrokerSettings
from tests import district
from tests.ingest.test_vet import EAST, frame


class Disk(Committer):
    """Looks at the wire at the moment of each commit, and refuses as often as it is told."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal, ManualClock())
        self.refusals = 0
        self.wire: socket.socket | None = None
        self.sent_before_commit: list[bool] = []

    def commit(self, group: Group, is_connected: bool) -> None:
        assert self.wire is not None
        self.sent_before_commit.append(bool(select.select([self.wire], [], [], 0)[0]))
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("no space left on device")
        super().commit(group, is_connected)


class Patience(threading.Event):
    """Does not really wait."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Subscriber, Disk, socket.socket, socket.socket]]:
    catalogue, registry, _ = district.load(tmp_path)
    disk = Disk(Journal(tmp_path / "journal.db"))
    subscriber = Subscriber(BrokerSettings(), "core", Vetter(catalogue, registry, {}), disk, ManualClock())
    ours, brokers = socket.socketpair()
    disk.wire = brokers
    yield subscriber, disk, ours, brokers
    ours.close()
    brokers.close()


def test_nothing_is_acknowledged_before_it_is_durable_however_long_the_disk_refuses(
    ends: tuple[Subscriber, Disk, socket.socket, socket.socket],
) -> None:
    subscriber, disk, ours, brokers = ends
    disk.refusals = 3
    messages = [Message(f"{EAST}/frames", frame(1), 7, False), Message(f"{EAST}/readings", b"rubbish", 8, False)]
    subscriber._take(ours, messages, Patience())
    assert disk.sent_before_commit == [False] * 4
    data = brokers.recv(4096)
    assert data.startswith(packets.acknowledge([7, 8]))
    (receipt,) = PacketReader(1000).feed(data[8:]).messages
    assert receipt.topic == f"{EAST}/receipt"
    assert msgspec.json.decode(receipt.payload or b"") == {"epoch": "epoch", "seq": 1, "time_ms": 1_700_000_000_000}


def test_a_core_that_is_stopped_while_the_disk_refuses_acknowledges_nothing(
    ends: tuple[Subscriber, Disk, socket.socket, socket.socket],
) -> None:
    subscriber, disk, ours, brokers = ends
    disk.refusals = 99
    stop = Patience()
    stop.set()
    subscriber._take(ours, [Message(f"{EAST}/frames", frame(1), 7, False)], stop)
    assert not select.select([brokers], [], [], 0)[0]


def test_the_core_subscribes_again_even_when_the_broker_says_it_remembers(
    ends: tuple[Subscriber, Disk, socket.socket, socket.socket],
) -> None:
    subscriber, _, ours, brokers = ends
    subscriber._answered(ours, packets.Connected(session_present=True, refusal=0))
    assert brokers.recv(4096)[0] == 0x82
    assert subscriber.is_connected


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (packets.Connected(session_present=False, refusal=5), "may not connect"),
        (packets.Subscribed(b"\x01\x80\x01"), "access list"),
    ],
)
def test_what_the_broker_refuses_is_said(
    ends: tuple[Subscriber, Disk, socket.socket, socket.socket], answer: packets.Connected, said: str
) -> None:
    subscriber, _, ours, _ = ends
    with pytest.raises(ProtocolError, match=said):
        subscriber._answered(ours, answer)
