"""A face terminal of the mqtt/face family: records over MQTT, sent again until they are acknowledged, or posted over HTTP.

Numbers are written as text, the time is local and has no zone, and firmware does not agree on spellings. A terminal that was
off the net sends what it kept, marked as not live.

Source: reference/devices.md §4.2.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.scanner import PICTURE, Push, Seen
from telemetry.clock import Clock

Spelling: TypeAlias = Literal["rec-push", "verify-push"]

AGAIN_S = 10.0
HEARTBEAT_S = 30.0
_LIVE_MS = 10_000
_MEMORY_MAX = 10_000
_PICTURE = "data:image/jpeg;base64," + base64.b64encode(PICTURE).decode()


@dataclass(frozen=True, slots=True)
class Habits:
    """In what models and firmware differ."""

    spelling: Spelling = "rec-push"
    writes_slashes: bool = False  # 2026/11/23 08:00:00, as older firmware does
    misspells_name: bool = False  # persionName
    has_temperature: bool = True
    resumes: bool = True  # ResumefromBreakpoint: sends again what was not acknowledged
    again_s: float = AGAIN_S
    heartbeat_s: float = HEARTBEAT_S


@dataclass(slots=True)
class FaceTerminal:
    """One terminal. `saw` makes a record; `face_mqtt` carries it."""

    id: str
    clock: MeterClock
    habits: Habits = Habits()
    sent: int = 0  # messages, those that were sent again included
    open: OrderedDict[str, Seen] = field(default_factory=OrderedDict)  # records that nobody has acknowledged
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    _number: int = 0

    def saw(self, seen: Seen) -> None:
        """Somebody stands in front of it."""
        self._number += 1
        if len(self.open) == _MEMORY_MAX:
            self.open.popitem(last=False)
        self.open[str(self._number)] = seen
        self.changed.set()

    def message(self, record: str, now_ms: int) -> bytes:
        """A record as it is published."""
        return json.dumps(
            {"operator": self._operator(), "info": self._info(record, self.open[record], now_ms)}
        ).encode()

    def posted(self, record: str, now_ms: int) -> Push:
        """A record as the family's HTTP twin posts it; it is taken off the list."""
        seen = self.open.pop(record)
        info = self._info(record, seen, now_ms)
        info |= {
            "DeviceID": info.pop("facesluiceId"),
            "CreateTime": f"{self.clock.local(seen.time_ms):%Y-%m-%dT%H:%M:%S}",
        }
        info["Similarity1"] = float(info.pop("similarity1"))
        del info["time"], info["pic"]
        body = {"operator": "VerifyPush", "info": info, "SanpPic": _PICTURE}
        return Push("/Subscribe/Verify", "application/json", json.dumps(body).encode())

    def heartbeat(self, now_ms: int) -> bytes:
        """A sign of life; its id stands inside."""
        time = self._written(now_ms)
        return json.dumps({"operator": "HeartBeat", "info": {"facesluiceId": self.id, "time": time}}).encode()

    def basic(self, operator: Literal["Online", "Offline"], now_ms: int) -> bytes:
        """What it says when it comes, and what the broker says when it is gone."""
        info = {"facesluiceId": self.id, "facesluiceName": "gate", "time": self._written(now_ms), "ip": "192.0.2.11"}
        return json.dumps({"operator": operator, "info": info}).encode()

    def hear(self, payload: bytes) -> None:
        """A command of the server's. Only acknowledgements mean anything here."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(payload)
            if said["operator"] == "PushAck" and self.open.pop(str(said["info"]["SnapOrRecordID"]), None) is not None:
                self.changed.set()

    def _operator(self) -> str:
        return "RecPush" if self.habits.spelling == "rec-push" else "VerifyPush"

    def _info(self, record: str, seen: Seen, now_ms: int) -> dict[str, Any]:
        name = "persionName" if self.habits.misspells_name else "personName"
        info: dict[str, Any] = {
            "customId": seen.person,
            "personId": seen.person or "0",
            "RecordID": record,
            "VerifyStatus": "1" if seen.person else "3",
            "PersonType": "0",
            "similarity1": "92.4" if seen.person else "0.0",
            "Sendintime": int(now_ms - seen.time_ms < _LIVE_MS),
            name: f"PERSON-{seen.person}" if seen.person else "",
            "facesluiceId": self.id,
            "idCard": " ",
            "telnum": " ",
            "time": self._written(seen.time_ms),
            "isNoMask": {True: "0", False: "1", None: "0"}[seen.wears_mask],
            "PushType": 0,
            "targetPosInScene": [412, 371, 633, 640],
            "pic": _PICTURE,
        }
        if self.habits.has_temperature and seen.skin_c is not None:
            info["temperature"] = f"{seen.skin_c:.1f}"
        return info

    def _written(self, time_ms: int) -> str:
        day = "%Y/%m/%d" if self.habits.writes_slashes else "%Y-%m-%d"
        return self.clock.local(time_ms).strftime(f"{day} %H:%M:%S")


@contextlib.asynccontextmanager
async def face_mqtt(
    terminal: FaceTerminal,
    clock: Clock,
    host: str,
    port: int,
    username: str | None = None,
    password: str | None = None,
) -> AsyncIterator[None]:
    """The terminal at a broker while the context lasts; a broker that is away is tried again."""
    loop = asyncio.get_running_loop()
    client = Client(CallbackAPIVersion.VERSION2, f"face-{terminal.id}", protocol=MQTTProtocolVersion.MQTTv311)
    if username is not None:
        client.username_pw_set(username, password)
    client.reconnect_delay_set(1, 5)
    client.will_set("mqtt/face/basic", terminal.basic("Offline", clock.now_ms()), 1)

    def connected(client: Client, *_: Any) -> None:
        client.subscribe(f"mqtt/face/{terminal.id}", 1)
        client.publish("mqtt/face/basic", terminal.basic("Online", clock.now_ms()), 1)

    def heard(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(terminal.hear, bytes(message.payload))

    client.on_connect, client.on_message = connected, heard
    client.connect_async(host, port)
    client.loop_start()
    tasks = [
        asyncio.create_task(_records(terminal, client, clock)),
        asyncio.create_task(_beats(terminal, client, clock)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
        client.on_connect = client.on_message = None


async def _records(terminal: FaceTerminal, client: Client, clock: Clock) -> None:
    """Publish each record, and again while nobody acknowledges it."""
    loop = asyncio.get_running_loop()
    due_s: dict[str, float] = {}
    while True:
        terminal.changed.clear()
        due_s = {record: at for record, at in due_s.items() if record in terminal.open}
        for record in list(terminal.open):
            if client.is_connected() and due_s.get(record, 0.0) <= loop.time():
                client.publish(f"mqtt/face/{terminal.id}/Rec", terminal.message(record, clock.now_ms()), 1)
                terminal.sent += 1
                due_s[record] = loop.time() + terminal.habits.again_s
                if not terminal.habits.resumes:
                    del terminal.open[record]
        wait_s = min([1.0, *(max(0.01, at - loop.time()) for at in due_s.values())])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await terminal.changed.wait()


async def _beats(terminal: FaceTerminal, client: Client, clock: Clock) -> None:
    while True:
        if client.is_connected():
            client.publish("mqtt/face/heartbeat", terminal.heartbeat(clock.now_ms()), 0)
        await asyncio.sleep(terminal.habits.heartbeat_s)
