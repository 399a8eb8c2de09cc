"""Live events: what the broker and the database say is new, told once to every open screen.

An alarm event carries the number of its transition; a screen that was away gives the last number it has seen and gets
what it missed. Live values are not repeated: only the newest matter. A screen that reads too slowly is disconnected and
comes back by itself, so that it can hold up nobody and memory stays bounded. Whether somebody may still look is asked again
once a minute: a stream outlives no log-in, role or account by more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from api.access import User
from api.alarms import Alarms
from telemetry.clock import Clock
from telemetry.database import DATABASE_AWAY
from telemetry.settings import BrokerSettings
from telemetry.tls import Renewing
from telemetry.topics import ALARMS_FILTER, LIVE_FILTER, STATUS_FILTER

_log = structlog.get_logger("api")

_QUEUE_MAX = 500
_CLIENTS_MAX = 1000
_LOOK_EVERY_S = 1.0  # also without a word from the broker, so that a lost one heals
_HEALTH_EVERY_S = 5.0
_CORE_SILENT_S = 6.0
_ASKED_AGAIN_S = 60.0

Newest = tuple[int, float, int]


class Client:
    """One open screen."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE_MAX)


class TooManyClients(Exception):
    """No further screen can be served."""


class Events:
    """Subscribes to the broker, watches the transitions, tells the screens."""

    def __init__(self, broker: BrokerSettings, client_id: str, alarms: Alarms, clock: Clock) -> None:
        self._broker = broker
        self._alarms = alarms
        self._clock = clock
        self._clients: set[Client] = set()
        self._news = asyncio.Event()
        self._core: dict[str, Any] | None = None
        self._core_heard_s = clock.monotonic_s()
        self.newest: dict[tuple[str, str], Newest] = {}
        self.gateways: dict[str, dict[str, Any]] = {}
        self._gateway_sites: dict[str, str] = {}
        self._mqtt = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv311)
        if broker.username is not None:
            self._mqtt.username_pw_set(broker.username, broker.password.get_secret_value() if broker.password else None)
        if broker.tls is not None:
            renewing = Renewing(broker.tls, client_id)
            self._mqtt.tls_set_context(renewing.context)
            self._mqtt.on_pre_connect = renewing.renew

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()

        def on_connect(client: paho.Client, *_: Any) -> None:
            client.subscribe([(topic, 1) for topic in (ALARMS_FILTER, LIVE_FILTER, STATUS_FILTER)])

        def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
            loop.call_soon_threadsafe(self._take, message.topic, message.payload)

        self._mqtt.on_connect = on_connect
        self._mqtt.on_message = on_message
        self._mqtt.connect_async(self._broker.host, self._broker.port, self._broker.keep_alive_s)
        self._mqtt.loop_start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_alarms(), name="alarms")
                tasks.create_task(self._tell_health(), name="health")
        finally:
            self._mqtt.disconnect()
            self._mqtt.loop_stop()

    async def stream(self, user: User, last_seen: int | None, may_look: Callable[[], bool]) -> AsyncIterator[str]:
        """What one screen is sent, from where it left off, for as long as it may look."""
        if len(self._clients) >= _CLIENTS_MAX:
            raise TooManyClients
        client = Client(user)
        self._clients.add(client)
        try:
            yield "retry: 2000\n\n"
            yield self._health_event(user)
            asked_s = self._clock.monotonic_s()
            while last_seen is not None and (changed := await asyncio.to_thread(self._alarms.changed_since, last_seen)):
                for step, alarm in changed:
                    if user.sees(alarm["site"]):
                        yield _event("alarm", alarm, step)
                last_seen = changed[-1][0]
            while (event := await client.queue.get()) is not None:
                if self._clock.monotonic_s() - asked_s >= _ASKED_AGAIN_S:
                    if not await asyncio.to_thread(_may, may_look):
                        return
                    asked_s = self._clock.monotonic_s()
                yield event
        finally:
            self._clients.discard(client)

    def health(self) -> dict[str, Any]:
        """Whether everything behind the API does its work, as far as the API can see."""
        reasons = []
        if not self._mqtt.is_connected():
            reasons.append(
                {"code": "broker-away", "detail": "the API has no connection to the broker; nothing live arrives"}
            )
        elif self._clock.monotonic_s() - self._core_heard_s > _CORE_SILENT_S:
            reasons.append(
                {"code": "core-silent", "detail": "the core has not been heard; gateways keep their readings"}
            )
        elif self._core is not None:
            reasons += self._core["reasons"]
        return {"ready": not reasons, "reasons": reasons}

    def _take(self, topic: str, payload: bytes | bytearray) -> None:
        site, leaf = topic.split("/")[2], topic.rsplit("/", 1)[1]
        try:
            if leaf == "live":
                told = msgspec.json.decode(payload)
                self._core, self._core_heard_s = told["core"], self._clock.monotonic_s()
                if told["values"]:
                    for device, metric, time_ms, value, quality in told["values"]:
                        self.newest[device, metric] = (time_ms, value, quality)
                    self._tell(site, _event("live", {"time_ms": self._clock.now_ms(), "values": told["values"]}))
            elif leaf == "status":
                gateway = topic.split("/")[3]
                self.gateways[gateway] = msgspec.json.decode(payload)
                self._gateway_sites[gateway] = site
            else:
                self._news.set()
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError):
            return  # a stranger's words on our topics; the core counts them

    async def _follow_alarms(self) -> None:
        seen = await asyncio.to_thread(self._alarms.newest_step)
        while True:
            try:
                await asyncio.wait_for(self._news.wait(), _LOOK_EVERY_S)
            except TimeoutError:
                pass
            self._news.clear()
            try:
                changed = await asyncio.to_thread(self._alarms.changed_since, seen)
            except DATABASE_AWAY as error:
                _log.warning("the database does not answer; looking again", error=str(error))
                continue
            for step, alarm in changed:
                seen = max(seen, step)
                self._tell(alarm["site"], _event("alarm", alarm, step))

    async def _tell_health(self) -> None:
        while True:
            for client in list(self._clients):
                self._put(client, self._health_event(client.user))
            await asyncio.sleep(_HEALTH_EVERY_S)

    def _health_event(self, user: User) -> str:
        gateways = [
            gateway_state(gateway, state)
            for gateway, state in self.gateways.items()
            if user.sees(self._gateway_sites[gateway])
        ]
        return _event("health", {**self.health(), "gateways": gateways})

    def _tell(self, site: str, event: str) -> None:
        for client in list(self._clients):
            if client.user.sees(site):
                self._put(client, event)

    def _put(self, client: Client, event: str) -> None:
        try:
            client.queue.put_nowait(event)
        except asyncio.QueueFull:
            self._clients.discard(client)
            while not client.queue.empty():
                client.queue.get_nowait()
            client.queue.put_nowait(None)


def _may(look: Callable[[], bool]) -> bool:
    try:
        return look()
    except DATABASE_AWAY:
        return True  # nothing new is in it either; it is asked again


def gateway_state(gateway: str, state: dict[str, Any] | None) -> dict[str, Any]:
    """A gateway's own words as the screens want them."""
    state = state or {}
    online = {"online": True, "offline": False}.get(str(state.get("state")))
    return {
        "id": gateway,
        "online": online,
        "spooled": state.get("spooled"),
        "oldest_ms": state.get("oldest_ms"),
        "last_ms": state.get("last_ms"),
    }


def _event(name: str, data: dict[str, Any], number: int | None = None) -> str:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"
