"""One MQTT connection, as thin as paho allows. It never reconnects: a new one is made, and nothing of an old leaks in.

paho runs in a thread of its own; what it reports is handed to the event loop in the order it happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from telemetry.errors import Unavailable
from telemetry.settings import BrokerSettings
from telemetry.tls import context_for, when_closed, why

_ANSWER_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 2.0
_QUEUED_MAX = 2000  # never reached: the window is far smaller; a bound all the same


class Listener(Protocol):
    """Who wants to know, on the event loop's thread."""

    def link_message(self, payload: bytes) -> None: ...

    def link_sampling(self, payload: bytes) -> None: ...

    def link_taken(self, message_id: int) -> None: ...

    def link_lost(self, why: str) -> None: ...


class Link(Protocol):
    """A connection to the broker, as the uplink needs it; simulations bring their own."""

    async def open(self, receipts: str, sampling: str, will_topic: str, will: bytes) -> bool:
        """Connect and subscribe; True when the broker kept our session. Raises Unavailable saying what is wrong.

        A broker that does not let us hear of sampling is put up with: an access list may be older than we are.
        """
        ...

    def publish(self, topic: str, payload: bytes, retain: bool) -> int | None:
        """Hand a message over, QoS 1; its id, or None when the connection is over."""

    async def close(self) -> None:
        """Say goodbye (no last will), after what was published has been handed over, if the broker still listens."""

    async def abort(self) -> None:
        """Drop the connection without a word."""


class PahoLink:
    """Implements `Link`. A connection to the broker: made by `open`, over after `link_lost` or `close`."""

    def __init__(self, settings: BrokerSettings, client_id: str, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener
        self._client_id = client_id
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[bool] = self._loop.create_future()
        self._over = asyncio.Event()
        self._session_present = False
        client = self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = 5.0
        client.max_inflight_messages_set(_QUEUED_MAX)
        client.max_queued_messages_set(_QUEUED_MAX)
        client.suppress_exceptions = False
        if settings.username is not None:
            client.username_pw_set(
                settings.username, settings.password.get_secret_value() if settings.password else None
            )
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._receipts = self._sampling = ""

    async def open(self, receipts: str, sampling: str, will_topic: str, will: bytes) -> bool:
        settings = self._settings
        # Subscribed anew every time: a broker that says it kept our session may still have forgotten it.
        self._receipts, self._sampling = receipts, sampling
        self._client.will_set(will_topic, will, qos=1, retain=True)
        if (context := context_for(settings, self._client_id)) is not None:
            self._client.tls_set_context(context)
        try:
            await asyncio.to_thread(self._client.connect, settings.host, settings.port, settings.keep_alive_s)
        except OSError as error:
            raise Unavailable(f"connecting to {settings.host}:{settings.port}: {why(error)}") from error
        except ValueError as error:
            raise Unavailable(f"connecting to {settings.host}:{settings.port}: {error}") from error
        self._client.loop_start()
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                return await self._answered
        except TimeoutError as error:
            await self.abort()
            raise Unavailable(f"{settings.host}:{settings.port} does not answer as an MQTT broker does") from error
        except BaseException:
            await self.abort()
            raise

    def publish(self, topic: str, payload: bytes, retain: bool) -> int | None:
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    async def close(self) -> None:
        self._client.disconnect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._over.wait()
        await self.abort()

    async def abort(self) -> None:
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            # Without this, paho's thread would go on as long as something waits to be acknowledged.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        await asyncio.to_thread(self._client.loop_stop)

    # paho's thread from here on

    def _on_connect(
        self, client: Client, _userdata: Any, flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._report(self._refuse, f"the broker refuses the connection: {reason}")
        else:
            self._session_present = flags.session_present
            client.subscribe([(self._receipts, 1), (self._sampling, 1)])

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if reasons[0].is_failure:
            self._report(self._refuse, f"the broker refuses our receipts on {self._receipts}: check its access list")
        else:
            self._report(self._accept, self._session_present)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._report(self._end, str(reason))

    def _on_publish(
        self, _client: Client, _userdata: Any, mid: int, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._report(self._listener.link_taken, mid)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        is_sampling = message.topic == self._sampling
        self._report(self._listener.link_sampling if is_sampling else self._listener.link_message, message.payload)

    def _report(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; nobody wants to know any more
            self._loop.call_soon_threadsafe(call, *arguments)

    # the event loop's thread again

    def _accept(self, session_present: bool) -> None:
        if not self._answered.done():
            self._answered.set_result(session_present)

    def _refuse(self, why: str) -> None:
        if not self._answered.done():
            self._answered.set_exception(Unavailable(why))

    def _end(self, why: str) -> None:
        self._over.set()
        if not self._answered.done():
            self._refuse(f"the broker closed the connection: {why}{when_closed(self._settings, self._client_id)}")
        self._listener.link_lost(why)
