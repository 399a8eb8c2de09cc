"""What leaves on the wire, and when."""

import socket
import threading
from pathlib import Path

import msgspec
import pytest

from ingest import packets
from ingest.committer import Committer
from ingest.group import Group
from ingest.packets import PacketReader, ProtocolError
from ingest.subscriber import Session, Subscriber, _gather
from ingest.vet import Vetter
from telemetry.clock import ManualClock
from telemetry.errors import Unavailable
from telemetry.journal import Journal
from telemetry.settings import BrokerSettings
from tests import district
from tests.ingest.test_vet import EAST, frame


class Disk(Committer):
    """Refuses as often as it is told."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal, ManualClock())
        self.refusals = 0
        self.stop_at_refusal = threading.Event()

    def commit(self, group: Group, is_connected: bool) -> None:
        if self.refusals:
            self.refusals -= 1
            self.stop_at_refusal.set()
            raise Unavailable("no space left on device")
        super().commit(group, is_connected)


class Patience(threading.Event):
    """Does not really wait."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(Journal(tmp_path / "journal"))


@pytest.fixture
def session(tmp_path: Path, disk: Disk) -> Session:
    catalogue, registry, _ = district.load(tmp_path)
    return Session(BrokerSettings(), "core", Vetter(catalogue, registry, {}), disk, ManualClock())


def sent(*messages: tuple[str, bytes]) -> bytes:
    """Messages as a broker sends them, with packet ids 1, 2, …"""
    return b"".join(packets.publish(topic, payload, i) for i, (topic, payload) in enumerate(messages, 1))


def test_nothing_is_acknowledged_before_it_is_durable_however_long_the_disk_refuses(
    session: Session, disk: Disk
) -> None:
    disk.refusals = 3
    data = sent((f"{EAST}/frames", frame(1)), (f"{EAST}/readings", b"rubbish"))
    for attempt in range(3):
        with pytest.raises(Unavailable):
            session.feed(b"" if attempt else data)
    answer = session.feed(b"")
    assert answer.startswith(packets.acknowledge([1, 2]))
    (receipt,) = PacketReader(1000).feed(answer[8:]).messages
    assert receipt.topic == f"{EAST}/receipt"
    assert msgspec.json.decode(receipt.payload or b"") == {"epoch": "epoch", "seq": 1, "time_ms": 1_700_000_000_000}
    assert session.feed(b"") == b""  # and once


def test_a_core_that_is_stopped_while_the_disk_refuses_acknowledges_nothing(tmp_path: Path, disk: Disk) -> None:
    catalogue, registry, _ = district.load(tmp_path / "again")
    subscriber = Subscriber(BrokerSettings(), "core", Vetter(catalogue, registry, {}), disk, ManualClock())
    disk.refusals = 99
    ours, brokers = socket.socketpair()
    stop = Patience()
    with ours, brokers:
        brokers.sendall(sent((f"{EAST}/frames", frame(1))))
        disk.stop_at_refusal = stop
        subscriber._serve(ours, stop)
        greeting = packets.connect("core", BrokerSettings().keep_alive_s, None, None)
        assert brokers.recv(4096) == greeting + packets.DISCONNECT  # no acknowledgement between
    assert subscriber.refused == "no space left on device"
    disk.refusals = 0
    assert subscriber._patiently(lambda: b"", lambda: b"", Patience()) == b"" and subscriber.refused is None


def test_the_core_subscribes_again_even_when_the_broker_says_it_remembers(session: Session) -> None:
    assert session.feed(b"\x20\x02\x01\x00")[0] == 0x82
    assert not session.is_connected  # what is published now may pass us by
    session.feed(b"\x90\x05\x00\x01\x01\x01\x01")
    assert session.is_connected


def test_a_disk_that_refuses_just_then_costs_no_subscription(session: Session, disk: Disk) -> None:
    disk.refusals = 1
    with pytest.raises(Unavailable):
        session.feed(b"\x20\x02\x01\x00" + sent((f"{EAST}/frames", frame(1))))
    assert session.feed(b"")[0] == 0x82


@pytest.mark.parametrize(
    ("answer", "said"), [(b"\x20\x02\x00\x05", "may not connect"), (b"\x90\x05\x00\x01\x01\x80\x01", "access list")]
)
def test_what_the_broker_refuses_is_said(session: Session, answer: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        session.feed(answer)


def test_a_broker_that_says_nothing_is_asked_and_then_left(tmp_path: Path, disk: Disk) -> None:
    catalogue, registry, _ = district.load(tmp_path / "again")
    clock = ManualClock()
    session = Session(BrokerSettings(keep_alive_s=20), "core", Vetter(catalogue, registry, {}), disk, clock)
    assert session.feed(b"") == b""
    clock.advance(11)
    assert session.feed(b"") == packets.PINGREQ
    assert session.feed(b"") == b""
    clock.advance(20)
    with pytest.raises(ProtocolError, match="nothing heard for 31 s"):
        session.feed(b"")


@pytest.mark.parametrize(
    ("comes", "waits"), [([0], 1), ([5, 0, 5], 2), ([5, 5, 0], 3), ([5] * 9, 6), ([5, 20_000, 5], 2)]
)
def test_messages_gather_while_more_keeps_coming_but_neither_for_long_nor_many(comes: list[int], waits: int) -> None:
    ours, brokers = socket.socketpair()

    class Waits(threading.Event):
        count = 0

        def wait(self, timeout: float | None = None) -> bool:
            brokers.sendall(bytes(comes[self.count]))
            self.count += 1
            return False

    stop = Waits()
    with ours, brokers:
        brokers.sendall(b"first")
        _gather(ours, stop)
        assert stop.count == waits
