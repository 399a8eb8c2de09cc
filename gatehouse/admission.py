"""At start the core tries at the broker what must be forbidden, and says what is open.

It comes as an identity of its own that may do next to nothing (`gatehouse.access`). Nothing here waits for silence: each
attempt is followed by a message that must come back, and what had got through would stand before it. The same message
shows that the broker delivers at all, so that a broker that is merely deaf does not pass for a closed one.
"""

from __future__ import annotations

import queue
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gatehouse.identities import server_identities
from gatehouse.settings import Settings
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.settings import BrokerSettings
from telemetry.tls import client_context, context_for, expiries, when_closed, why
from telemetry.topics import PROBE_FILTER, PROBE_OWN, PROBE_UNREAD, probe_topic

_ANSWER_TIMEOUT_S = 5.0
_TALK_MAX_S = 15.0  # of other things, before what was asked for comes
_PLAIN_PORT = 1883  # where a broker listens without TLS when nobody has told it otherwise
_WIDE = ("#", "+/+/+/+", "$SYS/#", "$share/probe/#")


class _Closed(Exception):
    """The broker refuses us, or has ended the connection."""


def check_transport(settings: Settings, names: Sequence[str], clock: Clock) -> None:
    """Refuse to start without TLS unless told to, and with files that cannot work. Raises BadConfiguration.

    Args:
        names: The identities of this process.
    """
    if settings.insecure:
        return
    broker = settings.broker
    if broker.tls is None:
        raise BadConfiguration(
            "broker.tls is not set: everything on the way to the broker could be read and forged. Run `gatehouse pki make` "
            "and `gatehouse broker-config` (docs/security.md), or set 'insecure: true' where nobody else can reach the broker"
        )
    if broker.tls.certificate is None:
        raise BadConfiguration("broker.tls.certificate is not set: give the file that `gatehouse pki make` has made")
    for name in names:
        client_context(broker.tls, name)
        for expiry in expiries(broker, name, clock.now_ms()):
            raise BadConfiguration(f"{expiry}; or set this machine's clock")


def admit(settings: Settings, catalogue: Catalogue) -> None:
    """Raises BadConfiguration saying what is open at the broker, Unavailable when it cannot be tried now."""
    found = openings(settings.broker, server_identities(settings.client_id)[2], catalogue)
    if found:
        raise BadConfiguration(
            "the broker allows what must be forbidden: "
            + "; ".join(found)
            + ". Give it the configuration that `gatehouse broker-config` writes, or set 'insecure: true'"
        )


def openings(broker: BrokerSettings, name: str, catalogue: Catalogue) -> list[str]:
    """What is open, in words; nothing when all is as it must be.

    Args:
        name: The identity that tries.

    Raises Unavailable.
    """
    with _visit(broker, name) as visitor:
        visitor.subscribe(PROBE_OWN)
        if not visitor.settled():
            raise Unavailable(
                f"'{name}' does not get what it may read at the broker: run `gatehouse broker-config` anew"
            )
    found = []
    for wide in _WIDE:
        if heard := _heard(broker, name, wide):
            found.append(f"a subscription to '{wide}' is told what it may not read, such as {heard}")
    if catalogue.gateways:
        foreign = probe_topic(catalogue.gateways[0].site, catalogue.gateways[0].id)
        if _writes(broker, name, foreign, retain=False):
            found.append(f"anybody may publish among a gateway's topics ({foreign})")
        if _writes(broker, name, foreign, retain=True):
            found.append(f"anybody may leave retained messages among a gateway's topics ({foreign})")
    if _takes_over(broker, name):
        found.append("a client id is not tied to its certificate, so that anybody can end the session of another")
    assert broker.tls is not None
    if _lets_in(broker.host, broker.port, client_context(broker.tls.model_copy(update={"certificate": None}), name)):
        found.append("it lets in who has no certificate")
    if broker.port != _PLAIN_PORT and _is_open_without_tls(broker, name):
        found.append(f"anybody may publish without TLS on port {_PLAIN_PORT}")
    return found


class _Visitor:
    """One connection, with what it was told in the order it came."""

    def __init__(self, client: paho.Client) -> None:
        self._client = client
        # Bounded: an open broker may tell a great deal, and what comes first is enough.
        self._events: queue.Queue[tuple[str, bytes] | None] = queue.Queue(1000)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._report(("", b"subscribed"))
        client.on_message = lambda _client, _data, message: self._report((message.topic, bytes(message.payload)))
        client.on_disconnect = lambda *_: self._report(None)

    def connect(self, host: str, port: int) -> None:
        """Raises _Closed when refused, OSError when there is nobody."""
        self._client.connect(host, port)
        self._client.loop_start()
        self._until(lambda event: event == ("", b"connected"))

    def subscribe(self, wanted: str) -> None:
        """Ask for a topic; to be refused is an answer too."""
        self._client.subscribe(wanted, qos=0)
        self._until(lambda event: event == ("", b"subscribed"))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=0, retain=retain)

    def settled(self) -> list[str]:
        """The topics heard up to a message of our own, with that; nothing when it does not come back."""
        token = secrets.token_bytes(8)
        self.publish(PROBE_OWN, token)
        try:
            return self._until(lambda event: event == (PROBE_OWN, token))
        except _Closed:
            return []

    def _until(self, is_it: Callable[[tuple[str, bytes]], bool]) -> list[str]:
        heard: list[str] = []
        until_s = time.monotonic() + _TALK_MAX_S
        while time.monotonic() < until_s:
            try:
                event = self._events.get(timeout=_ANSWER_TIMEOUT_S)
            except queue.Empty:
                raise _Closed("it does not answer") from None
            if event is None:
                raise _Closed("it ended the connection")
            if event[0]:
                heard.append(event[0])
            if is_it(event):
                return heard
        # Not refused: who is told so much may be told what it must not.
        raise Unavailable("the broker talks without end, so that nobody can try what it lets pass")

    def _on_connect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._report(None if reason.is_failure else ("", b"connected"))

    def _report(self, event: tuple[str, bytes] | None) -> None:
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)


@contextmanager
def _connected(host: str, port: int, client_id: str, context: ssl.SSLContext | None) -> Iterator[_Visitor]:
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv311, reconnect_on_failure=False
    )
    client.connect_timeout = _ANSWER_TIMEOUT_S
    if context is not None:
        client.tls_set_context(context)
    visitor = _Visitor(client)
    try:
        visitor.connect(host, port)
        yield visitor
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def _visit(broker: BrokerSettings, name: str, client_id: str | None = None) -> Iterator[_Visitor]:
    """As the identity that tries. Raises Unavailable."""
    try:
        with _connected(broker.host, broker.port, client_id or name, context_for(broker, name)) as visitor:
            yield visitor
    except OSError as error:
        raise Unavailable(f"connecting to {broker.host}:{broker.port} as '{name}': {why(error)}") from error
    except _Closed as error:
        raise Unavailable(f"the broker refuses '{name}': {error}{when_closed(broker, name)}") from error


def _heard(broker: BrokerSettings, name: str, wide: str) -> str:
    """A topic that came by a subscription and should not have."""
    with _visit(broker, name) as visitor:
        visitor.subscribe(PROBE_OWN)
        try:
            visitor.subscribe(wide)
        except _Closed:
            return ""  # as strict as can be
        visitor.publish(PROBE_UNREAD, b"tried")
        return next((topic for topic in visitor.settled() if topic != PROBE_OWN), "")


def _writes(broker: BrokerSettings, name: str, topic: str, *, retain: bool) -> bool:
    with _visit(broker, name) as visitor:
        visitor.subscribe(PROBE_OWN)
        visitor.subscribe(PROBE_FILTER)
        visitor.publish(topic, b"tried", retain=retain)
        is_open = topic in visitor.settled()
        if is_open and retain:
            visitor.publish(topic, b"", retain=True)
            visitor.settled()
    return is_open


def _takes_over(broker: BrokerSettings, name: str) -> bool:
    """Whether one certificate can be two clients at once."""
    with _visit(broker, name) as first:
        first.subscribe(PROBE_OWN)
        try:
            with _visit(broker, name, f"{name}-else") as second:
                second.subscribe(PROBE_OWN)
                return bool(first.settled())
        except Unavailable:
            return False  # the second is refused, which will do


def _is_open_without_tls(broker: BrokerSettings, name: str) -> bool:
    """Whether who speaks no TLS takes part. Another broker on the same machine is none of our business."""
    with _visit(broker, name) as visitor:
        visitor.subscribe(PROBE_OWN)
        try:
            with _connected(broker.host, _PLAIN_PORT, "gatehouse-nobody", None) as stranger:
                stranger.publish(PROBE_OWN, b"tried")
                stranger.subscribe(PROBE_OWN)  # answered after what was published
                return len(visitor.settled()) > 1
        except (OSError, _Closed):
            return False


def _lets_in(host: str, port: int, context: ssl.SSLContext | None) -> bool:
    try:
        with _connected(host, port, "gatehouse-nobody", context) as visitor:
            visitor.subscribe(PROBE_OWN)  # with TLS 1.3 a refusal comes only after the greeting
            return True
    except (OSError, _Closed):
        return False
