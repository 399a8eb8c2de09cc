"""Who may do what at a real Mosquitto with the configuration that is written from the catalogue: everything, tried.

An observer with every right, added to the access list by the test alone, sees what gets through and publishes what nobody
may read. That nothing came is never a matter of waiting: Mosquitto has one thread, so what a client is to get stands in its
connection before the answer to its next SUBSCRIBE.
"""

from __future__ import annotations

import itertools
import signal
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gatehouse.access import write_broker
from gatehouse.identities import make, renew
from gatehouse.pki import Authority
from gatehouse.settings import Settings, load_settings
from ingest.packets import Connected, Message, PacketReader, Subscribed
from telemetry.clock import ManualClock, SystemClock
from telemetry.settings import TlsSettings
from telemetry.tls import client_context
from tests import district, servers

pytestmark = pytest.mark.integration

CORE, OUT, PROBE, API = "gatehouse-core", "gatehouse-core-out", "gatehouse-core-probe", "gatehouse-core-api"
GATEWAYS = {"gw-east": "east", "gw-west": "west"}
IDENTITIES = (CORE, OUT, PROBE, API, *GATEWAYS)
LEAVES = ("frames", "readings", "status", "receipt", "sampling", "probe", "other")
TOPICS = (
    *(f"gatehouse/v1/{site}/{name}/{leaf}" for name, site in GATEWAYS.items() for leaf in LEAVES),
    "gatehouse/v1/west/gw-east/frames",  # its own name in a foreign site
    "gatehouse/v1/east/gw-unknown/frames",
    "gatehouse/v1/east/alarms/a-1",
    "gatehouse/v1/west/alarms/a-1",
    "gatehouse/v1/east/live",
    "gatehouse/v1/west/live",
    "gatehouse/v1/heartbeat",
    "gatehouse/v1/probe/own",
    "gatehouse/v1/probe/unread",
    "gatehouse/v1/east/gw-east",
    "gatehouse/v2/east/gw-east/frames",
    "anything",
    "$share/x",
    "$control/dynamic-security/v1",
)
FILTERS = ("#", "+/+/+/+/+", "gatehouse/#", "gatehouse/v1/+/+/frames", "gatehouse/v1/+/+/receipt", "gatehouse/v1/#")


def may_write(identity: str, topic: str) -> bool:
    """From the promise in docs/security.md, not from the code."""
    levels = topic.split("/")
    if identity in GATEWAYS:
        own = f"gatehouse/v1/{GATEWAYS[identity]}/{identity}"
        return topic in (f"{own}/frames", f"{own}/readings", f"{own}/status")
    known = len(levels) == 5 and GATEWAYS.get(levels[3]) == levels[2] and levels[1] == "v1"
    return {
        CORE: known and levels[-1] == "receipt",
        OUT: topic == "gatehouse/v1/heartbeat"
        or "alarms" in levels
        or levels[-1] == "live"
        or (known and levels[-1] == "sampling"),
        PROBE: topic.startswith("gatehouse/v1/probe/"),
        API: False,
    }[identity]


def may_read(identity: str, topic: str) -> bool:
    levels = topic.split("/")
    if identity in GATEWAYS:
        own = f"gatehouse/v1/{GATEWAYS[identity]}/{identity}"
        return topic in (f"{own}/receipt", f"{own}/sampling")
    ours = topic.startswith("gatehouse/v1/")
    return (
        ours
        and {
            CORE: levels[-1] in ("frames", "readings", "status"),
            OUT: False,
            PROBE: topic == "gatehouse/v1/probe/own" or (len(levels) == 5 and levels[-1] == "probe"),
            API: "alarms" in levels or levels[-1] in ("live", "status"),
        }[identity]
    )


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def packet(head: int, body: bytes) -> bytes:
    assert len(body) < 16_384
    low, high = len(body) % 128, len(body) // 128
    return bytes((head, low | 0x80, high) if high else (head, low)) + body


class Closed(Exception):
    """The broker has closed the connection, or refused it."""


class Client:
    """MQTT 3.1.1 with nothing hidden: a client that may be as rude as it likes."""

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext | None,
        client_id: str,
        will: str | None = None,
        user: str | None = None,
        keeps_session: bool = False,
    ) -> None:
        self.heard: list[Message] = []
        self._reader = PacketReader(100_000)
        self._answers: list[Connected | Subscribed] = []
        self._numbers = itertools.count(1)
        link = socket.create_connection(("127.0.0.1", port), 10)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._link = link if context is None else context.wrap_socket(link, server_hostname="localhost")
            flags = 0 if keeps_session else 0x02
            flags |= (0x2C if will else 0) | (0xC0 if user else 0)  # a will: QoS 1, retained
            body = text("MQTT") + bytes((4, flags)) + struct.pack(">H", 60) + text(client_id)
            body += text(will) + text("will") if will else b""
            body += text(user) + text("password") if user else b""
            self._send(packet(0x10, body))
            answer = self._answer()
            assert isinstance(answer, Connected)
            if answer.refusal:
                raise Closed(f"refused: {answer.refusal}")
        except (OSError, Closed) as error:
            link.close()
            self.close()
            raise Closed(str(error)) from error
        self.session_present = answer.session_present

    def close(self) -> None:
        """Without a word: a will is spoken."""
        if hasattr(self, "_link"):
            with suppress(OSError):
                self._link.shutdown(socket.SHUT_RDWR)
            self._link.close()

    def leave(self) -> None:
        with suppress(OSError):
            self._link.sendall(b"\xe0\x00")
        self.close()

    def subscribe(self, *filters: str, qos: int = 0) -> bytes:
        number = struct.pack(">H", next(self._numbers))
        self._send(packet(0x82, number + b"".join(text(f) + bytes((qos,)) for f in filters)))
        while not isinstance(answer := self._answer(), Subscribed):
            pass
        return answer.codes

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """QoS 0, and through: what is sent after it on any connection comes after it."""
        self._send(packet(0x30 | retain, text(topic) + payload.encode()))

    def publish_surely(self, topic: str, payload: str) -> None:
        """QoS 1; returns once the broker has it."""
        number = struct.pack(">H", next(self._numbers))
        self._send(packet(0x32, text(topic) + number + payload.encode()))
        self.subscribe("settled")  # its answer comes after the one to the message

    def settle(self) -> list[Message]:
        """What has come up to now."""
        self.subscribe("settled")
        heard, self.heard = self.heard, []
        return heard

    def _send(self, data: bytes) -> None:
        try:
            self._link.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def _answer(self) -> Connected | Subscribed:
        while not self._answers:
            try:
                data = self._link.recv(100_000)
            except OSError as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed("closed")
            received = self._reader.feed(data)
            self.heard += received.messages
            self._answers += received.others
        return self._answers.pop(0)


@dataclass
class Broker:
    settings: Settings
    pki: Path
    folder: Path
    port: int

    def context(self, name: str) -> ssl.SSLContext:
        return client_context(TlsSettings(ca=self.pki / "ca.crt", certificate=self.pki / f"{name}.pem"), name)

    def client(
        self, name: str, will: str | None = None, client_id: str | None = None, keeps_session: bool = False
    ) -> Client:
        return Client(self.port, self.context(name), client_id or name, will, keeps_session=keeps_session)

    def write(self) -> None:
        write_broker(self.settings, self.pki, self.folder, self.folder, self.port, "127.0.0.1")
        with (self.folder / "acl").open("a") as acl:
            acl.write("\nuser observer\ntopic readwrite #\ntopic readwrite $SYS/#\n")


def written(folder: Path) -> Broker:
    settings = load_settings(district.write_district(folder), {})
    make(settings, folder / "pki", ["localhost"], SystemClock())
    Authority(folder / "pki", SystemClock()).issue("observer")
    broker = Broker(settings, folder / "pki", folder / "broker", servers.free_port())
    broker.write()
    return broker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = written(tmp_path_factory.mktemp("access"))
    with servers.secure_mosquitto(made.folder, made.port):
        yield made


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def observer(broker: Broker, stack: ExitStack) -> Client:
    client = broker.client("observer")
    stack.callback(client.leave)
    client.subscribe("#")
    for message in client.settle():
        client.publish(message.topic, "", retain=True)  # nothing of another test
    client.settle()
    return client


@pytest.mark.parametrize("retain", [False, True], ids=["plain", "retained"])
@pytest.mark.parametrize("identity", IDENTITIES)
def test_everybody_writes_only_what_is_theirs(
    broker: Broker, observer: Client, stack: ExitStack, identity: str, retain: bool
) -> None:
    observer.publish("settled", "reset")
    client = broker.client(identity)
    stack.callback(client.leave)
    for topic in TOPICS:
        try:
            client.publish(topic, "tried", retain=retain)
            client.settle()
        except Closed:
            # Mosquitto leaves a client that publishes to a topic that cannot be one.
            client = broker.client(identity)
            stack.callback(client.leave)
    came = {message.topic for message in observer.settle() if message.payload == b"tried"}
    assert came == {topic for topic in TOPICS if may_write(identity, topic)}
    later = broker.client("observer", client_id="later")  # takes the place of the observer: one identity, one session
    stack.callback(later.leave)
    later.subscribe("#")
    kept = {message.topic for message in later.settle() if message.is_retained and message.payload == b"tried"}
    assert kept == (came if retain else set())
    for topic in kept:
        later.publish(topic, "", retain=True)
    later.settle()


@pytest.mark.parametrize("identity", IDENTITIES)
def test_a_last_will_says_only_what_its_client_might(
    broker: Broker, observer: Client, stack: ExitStack, identity: str
) -> None:
    for topic in TOPICS:
        with suppress(Closed):
            broker.client(identity, will=topic).close()
    # A will is spoken when Mosquitto notices the end, which is before it greets the next of the same name.
    client = broker.client(identity)
    stack.callback(client.leave)
    client.settle()
    came = {message.topic for message in observer.settle() if message.payload == b"will"}
    assert came == {topic for topic in TOPICS if may_write(identity, topic)}


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("shared", ["", "$share/group/"], ids=["own", "shared"])
def test_everybody_reads_only_what_is_theirs(
    broker: Broker, observer: Client, stack: ExitStack, identity: str, shared: str
) -> None:
    tried = [topic for topic in TOPICS if not topic.startswith("$")]
    for filters in [*((f,) for f in FILTERS), tuple(tried)]:
        client = broker.client(identity)
        client.subscribe(*(f"{shared}{f}" for f in filters))
        for topic in tried:
            observer.publish(topic, "secret")
        observer.settle()
        came = {message.topic for message in client.settle()}
        wide = {topic for topic in tried if may_read(identity, topic)}
        if filters[0] in ("#", "gatehouse/#", "gatehouse/v1/#") or filters == tuple(tried):
            assert came == wide, filters
        else:
            assert came <= wide, filters
        client.leave()


@pytest.mark.parametrize("identity", IDENTITIES)
def test_nobody_reads_what_is_retained_elsewhere_or_about_the_broker(
    broker: Broker, observer: Client, stack: ExitStack, identity: str
) -> None:
    tried = [topic for topic in TOPICS if not topic.startswith("$")]
    for topic in tried:
        observer.publish(topic, "kept", retain=True)
    observer.subscribe("$SYS/#")
    assert any(message.topic.startswith("$SYS/") for message in observer.settle()), "the observer sees it"
    client = broker.client(identity)
    stack.callback(client.leave)
    client.subscribe("#", "$SYS/#", "$SYS/broker/version", "$share/g/$SYS/#")
    assert {message.topic for message in client.settle()} == {t for t in tried if may_read(identity, t)}


@pytest.mark.parametrize(
    ("identity", "foreign"), [(one, other) for one in IDENTITIES for other in IDENTITIES if one != other]
)
def test_nobody_takes_over_the_session_of_another(
    broker: Broker, stack: ExitStack, identity: str, foreign: str
) -> None:
    broker.client(identity).leave()  # forgets what it had itself
    theirs = broker.client(foreign, keeps_session=True)
    stack.callback(theirs.leave)
    theirs.subscribe("gatehouse/v1/+/+/receipt", qos=1)
    rude = broker.client(identity, client_id=foreign, keeps_session=True)
    stack.callback(rude.leave)
    assert not rude.session_present
    theirs.settle()  # it lives


def refused(broker: Broker, context: ssl.SSLContext | None, user: str | None = None) -> str:
    with pytest.raises(Closed) as caught:
        Client(broker.port, context, "stranger", user=user)
    return str(caught.value)


def test_a_stranger_is_refused(broker: Broker, tmp_path: Path) -> None:
    anonymous = client_context(TlsSettings(ca=broker.pki / "ca.crt"), "stranger")
    refused(broker, anonymous)
    refused(broker, anonymous, user="gw-east")
    refused(broker, None)
    refused(broker, broker.context("broker"))  # a server's certificate is nobody's
    foreign = Authority(tmp_path / "foreign", SystemClock())
    foreign.create("elsewhere")
    foreign.issue("gw-east")
    refused(
        broker,
        client_context(TlsSettings(ca=broker.pki / "ca.crt", certificate=tmp_path / "foreign" / "gw-east.pem"), ""),
    )
    # One that the authority signed for a name which the catalogue does not have may connect and do nothing.
    Authority(broker.pki, SystemClock()).issue("gw-nobody")
    nobody = broker.client("gw-nobody")
    nobody.subscribe("#")
    assert nobody.settle() == []
    nobody.leave()


def test_an_expired_certificate_is_refused_until_it_is_renewed(broker: Broker) -> None:
    past = ManualClock(SystemClock().now_ms() - 3 * 365 * 86_400_000)
    Authority(broker.pki, past).issue("gw-expired")
    refused(broker, broker.context("gw-expired"))
    assert renew(broker.pki, [], SystemClock()) == [f"{broker.pki / 'gw-expired'}.pem: copy it to where it is used"]
    broker.client("gw-expired").leave()


def test_the_broker_is_believed_only_by_its_name_and_its_authority(broker: Broker, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", SystemClock())
    other.create("elsewhere")
    assert "certificate verify failed" in refused(
        broker, client_context(TlsSettings(ca=tmp_path / "other" / "ca.crt"), "x")
    )
    context = broker.context("gw-east")
    with (
        socket.create_connection(("127.0.0.1", broker.port), 10) as link,
        pytest.raises(ssl.SSLCertVerificationError, match="mismatch"),
    ):
        context.wrap_socket(link, server_hostname="other.site")


def test_a_revoked_certificate_loses_its_rights_with_a_reload_and_its_connection_with_a_restart(
    tmp_path: Path, stack: ExitStack
) -> None:
    broker = written(tmp_path)
    lost = broker.context("gw-east")
    with servers.secure_mosquitto(broker.folder, broker.port) as running:
        observer = broker.client("observer")
        observer.subscribe("#")
        live = Client(broker.port, lost, "gw-east")
        stack.callback(live.leave)
        live.publish("gatehouse/v1/east/gw-east/frames", "before")
        live.settle()
        assert [message.payload for message in observer.settle()] == [b"before"]
        Authority(broker.pki, SystemClock()).revoke("gw-east")
        broker.write()
        if (broker.folder / "as-root.conf").exists():
            (broker.folder / "as-root.conf").write_text((broker.folder / "mosquitto.conf").read_text() + "user root\n")
        running.send_signal(signal.SIGHUP)
        servers.wait_until(
            lambda: "Reloading config" in (broker.folder / "mosquitto.log").read_text(), what="the reload"
        )
        observer.settle()  # handled after the signal
        with suppress(Closed):
            live.publish("gatehouse/v1/east/gw-east/frames", "after")
            live.settle()
        assert observer.settle() == []
        observer.leave()
    with servers.secure_mosquitto(broker.folder, broker.port):
        refused(broker, lost)
        # The gateway itself comes back with a new one.
        make(broker.settings, broker.pki, ["localhost"], SystemClock())
        broker.client("gw-east").leave()


def test_the_command_that_revokes_ends_the_session_that_stands_and_nobody_elses_readings_are_lost(
    tmp_path: Path, stack: ExitStack
) -> None:
    broker = written(tmp_path)
    lost = broker.context("gw-east")
    with servers.secure_mosquitto(broker.folder, broker.port) as running:
        core = broker.client(CORE, keeps_session=True)
        core.subscribe("gatehouse/v1/+/+/frames", qos=1)
        stolen = Client(broker.port, lost, "gw-east", keeps_session=True)
        innocent = broker.client("gw-west", keeps_session=True)
        for client in (core, stolen, innocent):
            stack.callback(client.leave)
        innocent.publish_surely("gatehouse/v1/west/gw-west/frames", "before")
        core.leave()  # what comes now waits for it, over the restart
        innocent.publish_surely("gatehouse/v1/west/gw-west/frames", "waiting")
        command: list[str | Path] = [
            "pki",
            "revoke",
            "gw-east",
            "--pki",
            broker.pki,
            "--config",
            tmp_path / "gatehouse.yaml",
        ]
        # What restarts a service, by hand: end it here, begin it below.
        command += ["--broker", broker.folder, "--restart", f"kill {running.pid}"]
        said = subprocess.run(servers.gatehouse(*command), check=True, capture_output=True, text=True).stdout
        assert "the session is over" in said
        running.wait(20)
        with pytest.raises(Closed):
            stolen.publish("gatehouse/v1/east/gw-east/frames", "stolen")
            stolen.settle()
    with servers.secure_mosquitto(broker.folder, broker.port):
        refused(broker, lost)
        again = broker.client("gw-west", keeps_session=True)
        stack.callback(again.leave)
        assert again.session_present
        again.publish_surely("gatehouse/v1/west/gw-west/frames", "after")
        core = broker.client(CORE, keeps_session=True)
        stack.callback(core.leave)
        assert core.session_present
        payloads = [message.payload for message in core.settle()]
        assert set(payloads) >= {b"waiting", b"after"} and b"stolen" not in payloads


def test_with_the_authoritys_key_lost_everybody_works_on_until_there_is_a_new_one(tmp_path: Path) -> None:
    broker = written(tmp_path)
    (broker.pki / "ca.pem").unlink()
    broker.write()  # the broker's folder needs no key of the authority
    old = broker.context("gw-east")
    with servers.secure_mosquitto(broker.folder, broker.port):
        broker.client("gw-east").leave()
    broker.pki.rename(tmp_path / "pki-lost")
    make(broker.settings, broker.pki, ["localhost"], SystemClock())
    Authority(broker.pki, SystemClock()).issue("observer")
    broker.write()
    with servers.secure_mosquitto(broker.folder, broker.port):
        refused(broker, old)
        broker.client("gw-east").leave()


def test_a_renewed_certificate_works_beside_the_old_one(tmp_path: Path) -> None:
    broker = written(tmp_path)
    old = broker.context("gw-east")
    renew(broker.pki, ["gw-east", "broker"], SystemClock())
    broker.write()
    with servers.secure_mosquitto(broker.folder, broker.port):
        Client(broker.port, old, "gw-east").leave()
        broker.client("gw-east").leave()
