"""Each codec of the gateway's drivers: messages that it reads well, and the way to put bytes to it.

A codec may raise BadInput and nothing else. A reader of a stream must besides say the same of bytes however they are cut and
whatever follows them: it cannot have looked past their end. And what it holds back is bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import cbor2
from firmware_sim.devices import isapi
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.isapi import IsapiDevice
from firmware_sim.devices.scanner import Seen

from bench.codecs import CODECS as METERS
from gateway import multipart
from gateway.answer import AnswerReader
from gateway.digest import Digest, parse_challenges
from gateway.drivers.dahua import codec as dahua
from gateway.drivers.face_http.wecom import decode_report
from gateway.drivers.face_mqtt import codec as face
from gateway.drivers.hikvision import codec as hikvision
from gateway.drivers.http_push.push import decode_push
from gateway.drivers.level_uart import codec as level
from gateway.drivers.lorawan.decoders import DECODERS, decode_payload
from gateway.drivers.lorawan.uplink import decode_uplink
from gateway.drivers.mbus.records import parse_wireless
from gateway.drivers.modbus_tcp.codec import ResponseReader
from gateway.drivers.sdi12 import codec as sdi12
from gateway.drivers.senml.codec import decode_array, decode_pack
from gateway.drivers.zkteco import codec as zkteco
from gateway.request import parse_head
from gateway.sparkplug import payload as sparkplug
from telemetry.errors import BadInput
from tests.gateway import field_cases
from tests.vectors.vector import FOLDER as VECTORS

NOW_MS = 1_795_392_000_000
ZONE = ZoneInfo("Asia/Shanghai")
HELD_MAX = 300_000  # bytes that a reader may wait with: the longest frame there is, and the longest part of a stream


class Overread(AssertionError):
    """What a reader says of some bytes depends on what follows them, or on how they were cut."""


@dataclass(frozen=True, slots=True)
class Target:
    """One codec. `put` raises anything but BadInput only when something is wrong."""

    name: str
    seeds: Sequence[bytes]
    put: Callable[[bytes], object]


def targets() -> list[Target]:
    """All of them."""
    return [*_meters(), *_streams(), *_messages()]


def stream(reader: Callable[[], Any], quantities: Callable[[Any], object]) -> Callable[[bytes], None]:
    """How a reader of a stream is tried."""

    def put(data: bytes) -> None:
        whole = reader()
        found = whole.feed(data)
        if len(whole._buffer) > HELD_MAX:
            raise Overread(f"{len(whole._buffer)} bytes are held back")
        cut = len(data) * 2 // 5
        pieces = reader()
        if pieces.feed(data[:cut]) + pieces.feed(data[cut:]) != found:
            raise Overread(f"cut at {cut} it is read otherwise")
        if reader().feed(data + b"\x16\x68\r\n\x00\xff")[: len(found)] != found:
            raise Overread("what follows makes a difference")
        for each in found + (whole.flush() if hasattr(whole, "flush") else []):
            try:
                quantities(each)
            except BadInput:
                pass

    return put


def _meters() -> list[Target]:
    return [
        Target(
            codec.name,
            [codec.answer(n) + codec.answer(n + 1)[: n % 40] for n in range(0, 10**9, 17_171_717)],
            stream(codec.reader, codec.quantities),
        )
        for codec in METERS
    ]


def _nothing(_: object) -> None:
    pass


def _streams() -> list[Target]:
    parts = b"".join(
        b"--MIME\r\nContent-Type: " + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body + b"\r\n"
        for kind, body in (
            (b"application/json", b'{"a":1}'),
            (b"image/jpeg", b"\xff\xd8\r\n--MIM"),
            (b"text/xml", b"<a/>"),
        )
    )
    open_parts = b"--MIME\r\nContent-Type: text/plain\r\n\r\nCode=AccessControl;data={}\r\n"
    open_parts += b"--MIME\r\nContent-Type: a\r\n\r\nb\r\n--MIME--"
    answers = b"".join(b"\0\x01\0\0\0\x07\x01\x03\x04" + bytes([n, 2, 3, 4]) for n in range(3))
    urm = level.encode_urm(level.UrmFrame(0x11, 2, b"\x01\x02"))
    distances = b"".join(bytes([0xFF, n, 0x10, (0xFF + n + 0x10) & 0xFF]) for n in (7, 8, 9))
    head = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="x", qop="auth", nonce="1"\r\n'
    http = [
        head + b"Content-Length: 3\r\n\r\nabc",
        head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ]
    lines = [b"0+3.14OqZ\r\n", b"a0023\r\n", b"0\r\n", b"013ACME    PRESS 1.0SN12345\r\n", b"1+1-2.5+3.0003\r\n"]
    text = re.compile(r"R(\d{4})")
    return [
        Target("Modbus TCP", [answers, b"\0\x02\0\0\0\x03\x01\x83\x02" + answers], stream(ResponseReader, _nothing)),
        Target("level sensors, automatic", [distances], stream(level.auto_reader, _nothing)),
        Target("level sensors, asked", [urm * 2, urm[1:] + urm], stream(level.urm_reader, _nothing)),
        Target("level sensors, text", [b"R1234\rR0300\r", b"R12"], stream(lambda: level.text_reader(text), _nothing)),
        Target("SDI-12", [*lines, b"".join(lines)], stream(sdi12.line_reader, _sdi12)),
        Target("multipart", [parts, open_parts], stream(lambda: multipart.MultipartReader(b"MIME", 1_000), _nothing)),
        Target("HTTP answers", http, _http_answer),
    ]


def _sdi12(line: str) -> None:
    for read in (sdi12.decode_acknowledgement, sdi12.decode_announcement, sdi12.decode_values, sdi12.decode_identity):
        try:
            read(line)
        except BadInput:
            pass


def _http_answer(data: bytes) -> None:
    def body(pieces: Sequence[bytes]) -> tuple[bytes, str]:
        reader, said = AnswerReader(), b""
        try:
            for piece in pieces:
                said += reader.feed(piece)
        except BadInput as error:
            return said, error.reason
        return said, "complete" if reader.is_complete else "open"

    if body([data])[0] != b"" and len(body([data])[0]) > len(data):
        raise Overread("an answer is longer than what came")
    cut = len(data) * 2 // 5
    whole, pieces = body([data]), body([data[:cut], data[cut:]])
    # With an error the pieces before it may be out already; without one both must agree.
    if pieces != whole and whole[1] in ("complete", "open") and pieces[1] in ("complete", "open"):
        raise Overread(f"cut at {cut} it is read otherwise")


def refusing(read: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """How a reader of whole messages is tried."""

    def put(data: bytes) -> object:
        try:
            return read(data)
        except BadInput:
            return None

    return put


def _cases(protocol: str) -> list[bytes]:
    payloads = (json.loads(file.read_text(encoding="utf-8"))["payload"] for file in field_cases.files(protocol))
    return [payload.encode() if isinstance(payload, str) else json.dumps(payload).encode() for payload in payloads]


def _events(language: Any) -> list[bytes]:
    events = []
    for form in ("terminal", "camera"):
        habits = isapi.Habits(form=form, language=language, has_pictures=False)
        device = IsapiDevice("a4:d5:c2:24:dd:74", MeterClock(NOW_MS), habits=habits)
        events += [device.saw(Seen(NOW_MS, "17", skin_c, True)).body for skin_c in (36.5, 38.1, None)]
    return events


def _vectors(file: str, kind: str) -> list[bytes]:
    path = VECTORS / file
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [bytes.fromhex(v["hex"]) for v in found if v.get("hex") and kind in v["protocol"]]


def _messages() -> list[Target]:
    event = json.loads(_events("json")[0])
    row = {**event["AccessControllerEvent"], "major": 5, "time": "2026-11-23T08:00:00+08:00"}
    page = json.dumps({"AcsEvent": {"responseStatusStrg": "MORE", "InfoList": [row, row, row]}}).encode()
    dahua_event = (
        b'Code=AccessControl;action=Pulse;index=0;data={"UserID":"7","bManTemperature":true,"stuManTemperatureInfo":'
        b'{"fCurrentTemperature":36.5,"emTemperatureUnit":0,"bIsOverTemperature":false},"emMask":1,"UTC":1795392000}'
    )
    wecom = b'{"temperature_data":[{"open_userid":"a","user_type":1,"temperature":"36.7","timestamp":1795392000,"status":0}]}'
    push = b'{"device":"s1","serial":"S1","passage":"17","time":"2026-11-23T08:00:00.123+08:00","temperature":36.5}'
    records = [
        {"bn": "urn:dev:x:", "bt": 1.795e9, "bu": "Cel", "n": "t", "v": 20.5},
        {"n": "u", "v": 3, "t": -5, "s": 1},
    ]
    labels = [{-2: "urn:", -3: 1.795e9, 0: "t", 2: 20.5, 1: "Cel"}, {0: "b", 4: True}, {0: "x", 2: 1, 6: -5}]
    array = cbor2.dumps([cbor2.CBORTag(85, bytes(8)), cbor2.CBORTag(69, bytes(4))])
    metric = sparkplug.Metric("level", 3, NOW_MS, 10, value=1.25)
    node = sparkplug.encode(sparkplug.Payload(NOW_MS, (metric, sparkplug.Metric("name", None, None, 12, value="é")), 7))
    payloads = [
        bytes.fromhex(each) for each in ("0367d7000468670175640782c40b", "01755c03671001046871", "0183e80301020304")
    ]
    digest = b'Digest realm="DS-K1T", qop="auth,auth-int", nonce="a,b\\"c", opaque="", algorithm=MD5, stale=false'
    request = b"POST /push?SN=1&table=rtlog HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    wireless = _vectors("mbus.json", "M-Bus") or [bytes.fromhex("1e449315785634123303 7a2a0020255bb8a2")]
    now = NOW_MS
    read: Mapping[str, tuple[Sequence[bytes], Callable[[bytes], object]]] = {
        "Hikvision, JSON": (
            [*_events("json"), *_cases("hikvision")],
            lambda data: hikvision.decode_event(data, ZONE, now),
        ),
        "Hikvision, XML": (_events("xml"), lambda data: hikvision.decode_event(data, ZONE, now)),
        "Hikvision, search": ([page], lambda data: hikvision.decode_page(data, ZONE, now)),
        "mqtt/face": (_cases("face_terminal"), lambda data: face.decode(data, ZONE, now)),
        "WeCom": ([wecom], lambda data: decode_report(data, "t", now)),
        "ZKTeco, access": (_cases("zkteco_rtlog"), lambda data: zkteco.decode_rtlog(data, "S1", ZONE, now)),
        "ZKTeco, attendance": (_cases("zkteco_attlog"), lambda data: zkteco.decode_attlog(data, "S1", ZONE, now)),
        "Dahua": ([dahua_event, b"Heartbeat"], lambda data: dahua.decode_event(data, ZONE, now)),
        "HTTP push": ([push], lambda data: decode_push(data, {"S1": "s1"}, {"temperature": "skin_temperature"}, now)),
        "HTTP requests": ([request], lambda data: parse_head(data, 100_000)),
        "Digest": ([digest, b"Basic realm=x, " + digest], _digest),
        "LoRaWAN, servers": (_cases("lorawan"), lambda data: decode_uplink(data, now)),
        "LoRaWAN, sensors": (payloads, _sensor),
        "wireless M-Bus": (wireless, parse_wireless),
        "SenML, JSON": ([json.dumps(records).encode()], lambda data: decode_pack(data, now / 1000)),
        "SenML, CBOR": ([cbor2.dumps(labels)], lambda data: decode_pack(data, now / 1000)),
        "typed arrays": ([array, cbor2.dumps(cbor2.CBORTag(85, bytes(8)))], decode_array),
        "Sparkplug": ([node], _sparkplug),
    }
    return [Target(name, seeds, refusing(codec)) for name, (seeds, codec) in read.items()]


def _digest(data: bytes) -> str:
    challenge = parse_challenges(data.decode("latin-1").split("\n"))
    return Digest(challenge, "gateway", "secret").authorization("GET", "/ISAPI")


def _sensor(data: bytes) -> None:
    for decoder in DECODERS.values():
        for port in decoder.ports[:1] or (1,):
            try:
                decode_payload(decoder, port, data)
            except BadInput:
                pass


def _sparkplug(data: bytes) -> object:
    said = sparkplug.decode(data)
    return [sparkplug.number(sparkplug.signed(metric.value, metric.datatype)) for metric in said.metrics]
