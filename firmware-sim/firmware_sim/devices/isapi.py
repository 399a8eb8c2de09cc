"""A Hikvision terminal or thermal camera by ISAPI: Digest, an alert stream, a record that can be searched, and pushing.

What it does otherwise than one would expect is said by the fields of its habits: a camera says "true" where a terminal
says true, some cannot be searched, a reset begins to count anew. Names and pictures are sent as real ones do, for a reader
to drop.

Source: reference/devices.md §4.1; RFC 7616 for Digest; RFC 2046 for the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, TypeAlias
from xml.sax.saxutils import escape

from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.scanner import PICTURE, Push, Seen

Form: TypeAlias = Literal["terminal", "camera"]
Unmeasured: TypeAlias = Literal["left-out", "zero", "empty"]
Unit: TypeAlias = Literal["celsius", "fahrenheit", "kelvin"]

STREAM = "/ISAPI/Event/notification/alertStream"
SEARCH = "/ISAPI/AccessControl/AcsEvent"
_REALM = "DS-K1T"
_BOUNDARY = "MIME_boundary"
_BOUNDARY_LINE = f"\r\n--{_BOUNDARY}".encode()
_FACE_KNOWN, _FACE_UNKNOWN, _ACCESS_EVENT = 75, 76, 5
_RECORD_MAX = 50_000
_UNREAD_MAX = 4_000_000  # bytes of a stream that nobody fetches
_HEAD_MAX = 8_192
_NAMESPACE = "http://www.hikvision.com/ver20/XMLSchema"


@dataclass(frozen=True, slots=True)
class Habits:
    """In what models and firmware differ."""

    form: Form = "terminal"
    language: Literal["json", "xml"] = "json"
    unit: Unit = "celsius"
    unmeasured: Unmeasured = "left-out"  # how "seen and not measured" is written
    can_search: bool = True  # DS-K1T341AMF cannot, DS-K1T342MFX can
    has_pictures: bool = True
    has_lengths: bool = True  # parts of the stream without a Content-Length end at the next boundary
    page_max: int = 30
    heartbeat_s: float = 10.0
    limit_c: float = 37.3
    nonce_uses: int = 1_000  # after so many requests the log-in must be made anew


@dataclass(slots=True)
class IsapiDevice:
    """One device. `saw` makes an event; streams that are open get it, the record keeps it, `told` is what to push."""

    mac: str
    clock: MeterClock
    username: str = "gateway"
    password: str = "simulated"
    habits: Habits = Habits()
    is_mute: bool = False  # streams stay open and say nothing, not even a heartbeat
    searches: int = 0
    streams: list[asyncio.StreamWriter] = field(default_factory=list)

    _serial: int = 0
    _record: list[dict[str, Any]] = field(default_factory=list)
    _nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    _nonce_left: int = 0

    def saw(self, seen: Seen) -> Push:
        """Somebody stands in front of it. The event as it would be pushed to a server of ours."""
        self._serial += 1
        time = self._written(seen.time_ms)
        self._record.append(self._row(seen, time))
        del self._record[:-_RECORD_MAX]
        event, language = self._encoded(self._event(seen, time))
        for writer in list(self.streams):
            if not self.is_mute:
                self._say(writer, event, language)
                if self.habits.has_pictures:
                    self._say(writer, PICTURE, "image/jpeg")
        return self._push(event, language)

    def reset(self) -> None:
        """Back to the factory: nothing on record, and numbers from 1 again."""
        self._serial = 0
        self._record.clear()

    def hang_up(self) -> None:
        """End every stream, as a device does that reboots."""
        for writer in self.streams:
            writer.close()
        self.streams.clear()

    async def beat(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await asyncio.sleep(self.habits.heartbeat_s)
            beat, language = self._encoded({"eventType": "heartBeat", "eventState": "inactive", "macAddress": self.mac})
            for writer in list(self.streams):
                if not self.is_mute:
                    self._say(writer, beat, language)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one request, or a stream without an end."""
        is_stream = False
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, _ = head.split(" ", 2)
            length = re.search(r"(?i)\r\ncontent-length: *(\d{1,6})\r\n", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            path = target.partition("?")[0]
            if not self._is_known(head, method, target):
                self._challenge(writer)
            elif method == "GET" and path == STREAM:
                is_stream = True
                writer.write(
                    f"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary={_BOUNDARY}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                if not self.habits.has_lengths:
                    writer.write(_BOUNDARY_LINE)
                self.streams.append(writer)
                await reader.read()  # until the other end goes
            elif method == "POST" and path == SEARCH and self.habits.can_search:
                self._answer(writer, "200 OK", self._found(body))
            else:
                self._answer(writer, "404 Not Found", b'{"statusCode":4,"statusString":"Invalid Operation"}')
            await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks so is not answered
        finally:
            if is_stream:
                with contextlib.suppress(ValueError):
                    self.streams.remove(writer)
            writer.close()

    # What is said

    def _row(self, seen: Seen, time: str) -> dict[str, Any]:
        """As a search shows it."""
        row = {"major": _ACCESS_EVENT, "minor": _FACE_KNOWN if seen.person else _FACE_UNKNOWN, "time": time}
        return {**row, **self._measured(seen), "serialNo": self._serial, "netUser": "", "type": 0, "cardType": 1}

    def _event(self, seen: Seen, time: str) -> dict[str, Any]:
        """As the stream and a push show it."""
        head = {
            "ipAddress": "192.0.2.10",
            "portNo": 80,
            "protocol": "HTTP",
            "macAddress": self.mac,
            "channelID": 1,
            "dateTime": time,
            "activePostCount": 1,
            "eventState": "active",
        }
        if self.habits.form == "camera":
            face = {"faceId": self._serial, "pId": f"2026{self._serial:08}", **self._temperature(seen)}
            face["faceSnapThermometryEnabled"] = "true" if seen.skin_c is not None else "false"
            face["alarmTemperature"] = self._in_unit(self.habits.limit_c)
            return {
                **head,
                "eventType": "faceCapture",
                "eventDescription": "faceCapture event",
                "faceCapture": [{"targetAttrs": {"faceTime": time, "deviceName": "camera"}, "faces": [face]}],
            }
        access = {
            "deviceName": "Access Controller",
            "majorEventType": _ACCESS_EVENT,
            "subEventType": _FACE_KNOWN if seen.person else _FACE_UNKNOWN,
            "serialNo": self._serial,
            "frontSerialNo": self._serial - 1,
            **self._measured(seen),
            "RegionCoordinates": {"positionX": 412, "positionY": 371},
            "FaceRect": {"x": 0.31, "y": 0.42, "width": 0.2, "height": 0.27},
        }
        event_type = {"eventType": "AccessControllerEvent", "eventDescription": "Access Controller Event"}
        return {**head, **event_type, "AccessControllerEvent": access}

    def _measured(self, seen: Seen) -> dict[str, Any]:
        who = {"employeeNoString": seen.person, "name": f"PERSON-{seen.person}", "cardNo": ""} if seen.person else {}
        mask = {True: "yes", False: "no", None: "unknown"}[seen.wears_mask]
        return {**who, "currentVerifyMode": "face", "mask": mask, **self._temperature(seen)}

    def _temperature(self, seen: Seen) -> dict[str, Any]:
        is_camera = self.habits.form == "camera"
        if seen.skin_c is None:
            written: Mapping[Unmeasured, dict[str, Any]] = {
                "left-out": {},
                "zero": {"currTemperature": 0, "isAbnomalTemperature": False},
                "empty": {"currTemperature": "", "isAbnomalTemperature": ""},
            }
            return dict(written[self.habits.unmeasured])
        is_abnormal = seen.skin_c >= self.habits.limit_c
        return {
            "currTemperature": self._in_unit(seen.skin_c),
            "isAbnomalTemperature": str(is_abnormal).lower() if is_camera else is_abnormal,
            "thermometryUnit": self.habits.unit,
        }

    def _in_unit(self, celsius: float) -> float:
        match self.habits.unit:
            case "fahrenheit":
                return round(celsius * 1.8 + 32, 1)
            case "kelvin":
                return round(celsius + 273.15, 1)
        return round(celsius, 1)

    def _written(self, time_ms: int) -> str:
        """By its own clock, with its offset from UTC."""
        return self.clock.local(time_ms).replace(microsecond=0, tzinfo=self._zone).isoformat()

    def _instant(self, written: str) -> datetime:
        time = datetime.fromisoformat(written)
        return time if time.tzinfo is not None else time.replace(tzinfo=self._zone)

    @property
    def _zone(self) -> timezone:
        return timezone(timedelta(hours=self.clock.utc_offset_h))

    def _encoded(self, event: Mapping[str, Any]) -> tuple[bytes, str]:
        if self.habits.language == "json":
            return json.dumps(event).encode(), 'application/json; charset="UTF-8"'
        content = f'<EventNotificationAlert version="2.0" xmlns="{_NAMESPACE}">{_xml(event)}</EventNotificationAlert>'
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{content}'.encode(), 'application/xml; charset="UTF-8"'

    def _push(self, event: bytes, language: str) -> Push:
        """As httpHosts has it: a form of the event and its picture, or the event alone."""
        if not self.habits.has_pictures:
            return Push("/hik", language, event)
        parts = (("event_log", language, event), ("Picture", "image/jpeg", PICTURE))
        body = b"".join(
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n'
            f"Content-Length: {len(data)}\r\n\r\n".encode()
            + data
            + b"\r\n"
            for name, kind, data in parts
        )
        return Push("/hik", f"multipart/form-data; boundary={_BOUNDARY}", body + f"--{_BOUNDARY}--\r\n".encode())

    def _say(self, writer: asyncio.StreamWriter, body: bytes, content_type: str) -> None:
        if writer.transport.get_write_buffer_size() > _UNREAD_MAX:
            writer.transport.abort()
            return
        if self.habits.has_lengths:
            head = f"--{_BOUNDARY}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body + b"\r\n")
        else:  # the boundary behind a part is the one before the next: it was written with the one before
            writer.write(f"\r\nContent-Type: {content_type}\r\n\r\n".encode() + body + _BOUNDARY_LINE)

    # What is asked

    def _found(self, body: bytes) -> bytes:
        """A page of a search."""
        self.searches += 1
        condition = json.loads(body)["AcsEventCond"]
        begin, end = (self._instant(condition[name]) for name in ("startTime", "endTime"))
        found = [row for row in self._record if begin <= self._instant(row["time"]) <= end]
        position = int(condition["searchResultPosition"])
        page = found[position : position + min(int(condition["maxResults"]), self.habits.page_max)]
        status = "MORE" if position + len(page) < len(found) else "OK" if page else "NO MATCH"
        answer = {"searchID": condition["searchID"], "responseStatusStrg": status, "numOfMatches": len(page)}
        return json.dumps({"AcsEvent": {**answer, "totalMatches": len(found), "InfoList": page}}).encode()

    def _answer(self, writer: asyncio.StreamWriter, status: str, body: bytes, *headers: str) -> None:
        """In two chunks, as they do."""
        lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", "Transfer-Encoding: chunked", *headers]
        half = len(body) // 2
        chunks = b"".join(f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in (body[:half], body[half:]) if c)
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + chunks + b"0\r\n\r\n")

    def _challenge(self, writer: asyncio.StreamWriter) -> None:
        self._nonce, self._nonce_left = secrets.token_hex(8), self.habits.nonce_uses
        ask = f'Digest realm="{_REALM}", qop="auth", nonce="{self._nonce}", opaque="", algorithm=MD5, stale=false'
        self._answer(writer, "401 Unauthorized", b'{"statusCode":4}', f"WWW-Authenticate: {ask}")

    def _is_known(self, head: str, method: str, target: str) -> bool:
        given = re.search(r"(?i)\r\nauthorization: *Digest +(.*?)\r\n", head)
        if given is None or not self._nonce_left:
            return False
        sent = {name.lower(): quoted or bare for name, quoted, bare in _PAIR.findall(given[1])}
        if sent.get("nonce") != self._nonce or sent.get("uri") != target:
            return False
        self._nonce_left -= 1
        first = _md5(f"{self.username}:{_REALM}:{self.password}")
        second = _md5(f"{method}:{target}")
        told = f"{first}:{self._nonce}:{sent.get('nc')}:{sent.get('cnonce')}:{sent.get('qop')}:{second}"
        return secrets.compare_digest(sent.get("response", ""), _md5(told))


@contextlib.asynccontextmanager
async def isapi_port(device: IsapiDevice, host: str, port: int) -> AsyncIterator[int]:
    """The device behind a TCP port while the context lasts; 0 takes a free one."""
    server = await asyncio.start_server(device.serve, host, port, limit=_HEAD_MAX)
    beating = asyncio.create_task(device.beat(), name=f"heartbeat {device.mac}")
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        beating.cancel()
        server.close()
        device.hang_up()
        await asyncio.gather(beating, return_exceptions=True)


_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|([^",\s]+))')


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _xml(content: Mapping[str, Any]) -> str:
    """Objects as elements, lists as elements that stand again and again."""
    said = []
    for name, value in content.items():
        for each in value if isinstance(value, list) else [value]:
            inner = _xml(each) if isinstance(each, Mapping) else escape(_text(each))
            said.append(f"<{name}>{inner}</{name}>")
    return "".join(said)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
