"""A driver's own session with a broker: messages in, acknowledged by hand when they are on the gateway's disk.

One object is one connection; it never reconnects, so no acknowledgement can meet the wrong message. The broker keeps the
session: what a device published with QoS 1 while we were away comes when we are back. What waits here is bounded in
bytes; beyond it paho's thread stops reading the socket, and the broker holds the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from telemetry.errors import Unavailable
from telemetry.settings import BrokerSettings
from telemetry.tls import context_for, why

_ANSWER_TIMEOUT_S = 5.0
_WAITING_MAX_BYTES = 8_000_000
_TAKEN_MAX = 200  # messages handed over at once
_MESSAGE_OVERHEAD_BYTES = 500  # small ones must not be free
_KEPT_COMES_WITHIN_S = 10.0  # of a connection: what the broker held for us comes first


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came."""

    topic: str
    payload: bytes
    qos: int
    number: int  # the broker's, within this connection
    is_retained: bool
    is_kept: bool = False  # it may be from when we were away, of whatever day that was


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says when we are gone."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class Subscription:
    """A connection, made by `open` and over after `close` or an Unavailable."""

    def __init__(
        self, broker: BrokerSettings, client_id: str, topics: Sequence[str], will: Will | None, keeps_session: bool
    ) -> None:
        self._broker = broker
        self._client_id = client_id
        self._topics = topics
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._waiting: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._lost: str | None = None
        self._room = threading.Condition()
        self._waiting_bytes = 0
        self._is_over = False
        self._kept_until_s = -math.inf  # on the monotonic clock
        client = self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=not keeps_session,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = 5.0
        client.suppress_exceptions = False
        client.max_queued_messages_set(2000)
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password.get_secret_value() if broker.password else None)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message

    @classmethod
    async def open(
        cls,
        broker: BrokerSettings,
        client_id: str,
        topics: Sequence[str],
        will: Will | None = None,
        *,
        keeps_session: bool = True,
    ) -> Self:
        """Connect and subscribe with QoS 1, to nothing when there are no topics.

        Args:
            keeps_session: Whether the broker keeps what comes while we are away.

        Raises Unavailable.
        """
        context = context_for(broker, client_id)
        self = cls(broker, client_id, topics, will, keeps_session)
        if context is not None:
            self._client.tls_set_context(context)
        try:
            await asyncio.to_thread(self._client.connect, broker.host, broker.port, broker.keep_alive_s)
        except (OSError, ValueError) as error:
            self._let_go()
            said = why(error) if isinstance(error, OSError) else str(error)
            raise Unavailable(f"connecting to {broker.host}:{broker.port}: {said}") from error
        self._client.loop_start()
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await self._answered
        except TimeoutError as error:
            await self.abort()
            raise Unavailable(f"{broker.host}:{broker.port} does not answer as an MQTT broker does") from error
        except BaseException:
            await self.abort()
            raise
        return self

    async def messages(self) -> Sequence[Message]:
        """What has come, at least one message. Raises Unavailable when the connection is over."""
        while not self._waiting:
            if self._lost is not None:
                raise Unavailable(f"the connection to the broker is lost: {self._lost}")
            self._changed.clear()
            await self._changed.wait()
        taken = [self._waiting.popleft() for _ in range(min(_TAKEN_MAX, len(self._waiting)))]
        with self._room:
            self._waiting_bytes -= sum(_size(message) for message in taken)
            self._room.notify_all()
        return taken

    async def lost(self) -> NoReturn:
        """Raise Unavailable when the connection is over; for those who only publish."""
        while True:
            for message in await self.messages():
                self.acknowledge(message)

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that it may forget a message."""
        if message.qos:
            self._client.ack(message.number, message.qos)

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> Callable[[], bool]:
        """Hand a message over; what is returned says whether the broker has it by now. Raises Unavailable."""
        try:
            info = self._client.publish(topic, payload, qos, retain)
        except ValueError as error:
            raise Unavailable(f"the broker takes too little: {error}") from error
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Unavailable(f"the broker does not take our messages: {info.rc}")
        return info.is_published

    async def close(self) -> None:
        """Say goodbye; the broker sends no last will."""
        self._client.disconnect()
        await self.abort()

    async def abort(self) -> None:
        """Drop the connection."""
        with self._room:
            self._is_over = True
            self._room.notify_all()
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        await asyncio.to_thread(self._client.loop_stop)
        self._let_go()

    def _let_go(self) -> None:
        """Undo the circle between us and paho's client, which closes its own sockets when nobody holds it any more."""
        client = self._client
        client.on_connect = client.on_subscribe = client.on_disconnect = client.on_message = None

    # paho's thread from here on

    def _on_connect(
        self, client: Client, _userdata: Any, flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if flags.session_present:
            self._kept_until_s = time.monotonic() + _KEPT_COMES_WITHIN_S
        if reason.is_failure:
            self._report(self._end, f"the broker refuses the connection: {reason}")
        elif self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        else:
            self._report(self._accept)

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            topics = ", ".join(self._topics)
            self._report(self._end, f"the broker refuses a subscription to {topics}: check its access list")
        else:
            self._report(self._accept)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._report(self._end, str(reason))

    def _on_message(self, _client: Client, _userdata: Any, sent: MQTTMessage) -> None:
        is_kept = sent.retain or time.monotonic() < self._kept_until_s
        message = Message(sent.topic, bytes(sent.payload), sent.qos, sent.mid, sent.retain, is_kept)
        size = _size(message)
        with self._room:
            while self._waiting_bytes and self._waiting_bytes + size > _WAITING_MAX_BYTES and not self._is_over:
                self._room.wait()
            self._waiting_bytes += size
        self._report(self._take, message)

    def _report(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; nobody wants to know any more
            self._loop.call_soon_threadsafe(call, *arguments)

    # the event loop's thread again

    def _accept(self) -> None:
        if not self._answered.done():
            self._answered.set_result(None)

    def _take(self, message: Message) -> None:
        # What a kept session held may come before the answer to our subscription, and fill the room that there is.
        self._accept()
        self._waiting.append(message)
        self._changed.set()

    def _end(self, why: str) -> None:
        self._lost = why
        self._changed.set()
        if not self._answered.done():
            self._answered.set_exception(Unavailable(why))


def _size(message: Message) -> int:
    return len(message.payload) + _MESSAGE_OVERHEAD_BYTES
