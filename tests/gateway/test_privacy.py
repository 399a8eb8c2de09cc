"""What must not leave a driver: people are planted in every protocol of scanners, and the spool's files searched for them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from gateway.collector import Collector, GroupLimits
from gateway.driver import Driver
from gateway.drivers.dahua.codec import decode_event as decode_dahua
from gateway.drivers.face_http.driver import FaceHttpDriver
from gateway.drivers.face_http.settings import FaceHttpSettings
from gateway.drivers.face_mqtt.codec import decode as decode_face
from gateway.drivers.hikvision.codec import decode_event as decode_hikvision
from gateway.drivers.hikvision_listen.driver import HikvisionListenDriver
from gateway.drivers.hikvision_listen.settings import HikvisionListenSettings
from gateway.drivers.http_push.driver import HttpPushDriver
from gateway.drivers.http_push.settings import HttpPushSettings
from gateway.drivers.zkteco.codec import decode_attlog, decode_rtlog
from gateway.drivers.zkteco.driver import ZktecoDriver
from gateway.drivers.zkteco.settings import ZktecoSettings
from gateway.events import Events
from gateway.scan import Passages, Scan, ScanSettings
from gateway.spool import Spool
from telemetry.clock import SystemClock
from telemetry.errors import BadInput
from telemetry.quality import Quality
from tests.gateway.support import ignore, until

KEY = "9dd4e461268c8034f5c8564e155c67a6"
NAME, PERSON, CARD, ID_CARD, PHONE = (
    "ZHANG-PLANTED",
    "EMP-PLANTED-4711",
    "CARD-PLANTED-1",
    "11010119900101PLANTED",
    "138PLANTED00",
)
PICTURE = base64.b64encode(b"\xff\xd8PLANTED-PICTURE" * 2000).decode()
PLANTED = (NAME, PERSON, CARD, ID_CARD, PHONE, "PLANTED", PICTURE[:40], "\\xff\\xd8PLANTED", KEY)

FACE = {
    "operator": "VerifyPush",
    "info": {
        "DeviceID": 1,
        "RecordID": 1,
        "PersonID": PERSON,
        "Name": NAME,
        "IdCard": ID_CARD,
        "Telnum": PHONE,
        "MjCardNo": CARD,
        "CreateTime": "2026-11-22T10:00:00",
        "Temperature": 37.7,
        "pic": PICTURE,
    },
    "SanpPic": PICTURE,
}
HIKVISION = {
    "macAddress": "a4:d5:c2:24:dd:74",
    "dateTime": "2026-11-22T10:00:00+08:00",
    "eventType": "AccessControllerEvent",
    "AccessControllerEvent": {
        "majorEventType": 5,
        "serialNo": 1,
        "name": NAME,
        "employeeNoString": PERSON,
        "cardNo": CARD,
        "currTemperature": 37.7,
        "pictureURL": f"http://192.168.1.64/{NAME}.jpeg",
    },
}
ZKTECO = f"time=2026-11-22 10:00:00\tpin={PERSON}\tcardno={CARD}\tname={NAME}\tindex=1\ttemperature=37.7\r\n"
PUSH = {
    "serial": "1",
    "time": "2026-11-22T10:00:00+08:00",
    "temperature": 37.7,
    "name": NAME,
    "pic": PICTURE,
    "tel": PHONE,
}


def form() -> bytes:
    return (
        b"--B\r\nContent-Type: application/json\r\n\r\n"
        + json.dumps(HIKVISION).encode()
        + b"\r\n--B\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8PLANTED-PICTURE\r\n--B--\r\n"
    )


def face(clock: SystemClock, events: Events) -> Driver:
    settings = {"driver": "face-http", "port": 0, "site_key": KEY, "devices": [{"device": "gate", "id": "1"}]}
    return FaceHttpDriver(FaceHttpSettings.model_validate(settings), clock, events)


def hikvision(clock: SystemClock, events: Events) -> Driver:
    devices = [{"device": "gate", "mac": "a4:d5:c2:24:dd:74"}]
    settings = {"driver": "hikvision-listen", "port": 0, "site_key": KEY, "devices": devices}
    return HikvisionListenDriver(HikvisionListenSettings.model_validate(settings), clock, events)


def zkteco(clock: SystemClock, events: Events) -> Driver:
    settings = {"driver": "zkteco", "port": 0, "site_key": KEY, "devices": [{"device": "gate", "serial": "S1"}]}
    return ZktecoDriver(ZktecoSettings.model_validate(settings), clock, events)


def push(clock: SystemClock, events: Events) -> Driver:
    settings = {"driver": "http-push", "port": 0, "devices": [{"device": "gate", "serial": "1"}]}
    fields = {"temperature": "skin_temperature"}
    return HttpPushDriver(HttpPushSettings.model_validate({**settings, "fields": fields}), clock, events)


async def posted(port: int, path: str, content_type: str, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    return answer


CASES: dict[str, tuple[Callable[[SystemClock, Events], Any], str, str, bytes]] = {
    "face": (face, "/Subscribe/Verify", "application/json", json.dumps(FACE).encode()),
    "hikvision": (hikvision, "/", "multipart/form-data; boundary=B", form()),
    "zkteco": (zkteco, "/iclock/cdata?SN=S1&table=rtlog", "text/plain", ZKTECO.encode()),
    "push": (push, "/push", "application/json", json.dumps(PUSH).encode()),
}


def spooled(folder: Path, make: Callable[[SystemClock, Events], Any], act: Callable[[int], Awaitable[Any]]) -> bytes:
    """Everything that is in the spool's files after a driver was pushed something."""

    async def run() -> None:
        clock = SystemClock()
        events = Events(clock)
        spool = Spool(folder / "spool", clock)
        collector = Collector(spool, events, ignore, ignore, ignore, GroupLimits())
        driver = make(clock, events)
        writing = asyncio.create_task(collector.run())
        task = asyncio.create_task(driver.run(collector))
        await until(lambda: driver.port != 0, "listening")
        await act(driver.port)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        collector.close()
        await writing
        assert spool.count == 1, "the passage itself must be there"
        spool.close()

    asyncio.run(run())
    return b"".join(file.read_bytes() for file in sorted((folder / "spool").rglob("*")) if file.is_file())


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_a_person_is_on_the_spool_or_in_the_log(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, path, content_type, body = CASES[name]
    assert NAME.encode() in body, "the test plants what it looks for"
    found = spooled(tmp_path, make, lambda port: posted(port, path, content_type, body))
    assert b"skin_temperature" in found
    printed = "".join(capfd.readouterr())
    for planted in PLANTED:
        assert planted.encode() not in found, planted
        assert planted not in printed, planted


@pytest.mark.parametrize("name", CASES)
def test_a_broken_push_does_not_print_a_person_either(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A temperature that is none makes an error; the error must not quote the rest of the event."""
    make, path, content_type, body = CASES[name]
    broken = body.replace(b"37.7", b'"hot"' if content_type != "text/plain" else b"hot")
    assert broken != body

    async def act(port: int) -> None:
        answer = await posted(port, path, content_type, broken)
        assert not any(planted.encode() in answer for planted in PLANTED)
        await posted(port, path, content_type, body)

    spooled(tmp_path, make, act)
    printed = "".join(capfd.readouterr())
    assert "hot" in printed
    assert not any(planted in printed for planted in PLANTED)


def test_rows_and_events_that_cannot_be_read_are_not_quoted() -> None:
    now, zone = 1, ZoneInfo("UTC")
    rows = (
        decode_rtlog(f"pin={PERSON}\tname={NAME}".encode(), "S", zone, now),
        decode_attlog(NAME.encode(), "S", zone, now),
    )
    refused = [error for found in rows for error in found.refused]
    with pytest.raises(BadInput) as caught:
        decode_dahua(f"Code={NAME};UserID={PERSON}".encode(), zone, now)
    for decode in (decode_hikvision, decode_face):
        with pytest.raises(BadInput) as broken:
            decode(
                json.dumps({"info": NAME, "operator": {"name": NAME}, "AccessControllerEvent": NAME}).encode(),
                zone,
                now,
            )
        refused.append(broken.value)
    assert len(refused) == 4
    assert not any(planted in str(error) for planted in PLANTED for error in (*refused, caught.value))


def test_a_dahua_event_gives_its_person_to_the_hash_alone() -> None:
    data = {"UserID": PERSON, "CardName": NAME, "CardNo": CARD, "ManTemperatureInfo": {"CurrentTemperature": 37.7}}
    event = decode_dahua(
        b"Code=AccessControl;action=Pulse;index=0;data=" + json.dumps(data).encode(), ZoneInfo("UTC"), 1
    )
    assert event.scan is not None
    readings = Passages(ScanSettings.model_validate({"site_key": KEY})).readings(event.scan, "gate")
    assert readings and "PLANTED" not in repr(readings)


def scan(person: str | None, time_ms: int, event: str = "1") -> Scan:
    return Scan("1", event, person, time_ms, Quality.GOOD, 36.5)


def keys(site_key: str, *scans: Scan) -> list[str | None]:
    passages = Passages(ScanSettings.model_validate({"site_key": site_key}))
    return [passages.readings(one, "gate")[0].key for one in scans]


def test_a_key_is_the_same_for_a_passage_and_never_for_a_person() -> None:
    day_ms = 86_400_000
    first, again, next_day, other = keys(
        KEY, scan(PERSON, 0), scan(PERSON, 200_000), scan(PERSON, day_ms), scan("x", 0)
    )
    assert first == again
    assert len({first, next_day, other}) == 3
    assert keys(KEY, scan(PERSON, 0)) == [first], "a back-fill after a restart is the same passage"
    assert keys("another-key-of-16", scan(PERSON, 0)) != [first]


def test_a_stranger_is_told_by_the_event() -> None:
    one, same, other = keys(KEY, scan(None, 0, "1"), scan(None, 0, "1"), scan(None, 0, "2"))
    assert one == same != other


@pytest.mark.parametrize(
    "key",
    [
        "<openssl rand -hex 32>",
        "0123456789abcdef0123456789abcdef",
        "change-me-change-me",
        "a" * 32,
        "My Site-Key 20260101",
        "12121212121212121",
    ],
)
def test_a_sample_of_a_key_does_not_start_and_is_refused_by_name(key: str) -> None:
    with pytest.raises(ValidationError, match=r"site_key[\s\S]*openssl rand -hex 32"):
        ScanSettings.model_validate({"site_key": key})
