"""What ISAPI devices say about people, without I/O: events (JSON or XML) and pages of a search in, scans out.

One device says `isAbnomalTemperature: true`, another "true", both misspelt; the camera family nests its faces two levels
deep. All is read by name from wherever it stands; names of people, cards and pictures have no field here.

Source: field captures; Hikvision ISAPI, Access Control on Person: EventNotificationAlert, AcsEventCond, AcsEvent.
"""

from __future__ import annotations

import functools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from gateway.scan import Scan, first, shown, temperature_c, text, time_ms, truth
from telemetry.errors import BadInput
from telemetry.quality import Quality

PAGE_MAX = 30  # events of one page of a search, the most that devices give
_ACCESS_EVENT = 5  # major: an event of access control, such as somebody who was recognised or was not
_DEPTH_MAX = 12
# Of XML no more than devices write; `_plain` says what it is for.
_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"
_DECLARATION = re.compile(rb"""<\?xml[ \t\n]+version="1\.0"(?:[ \t\n]+encoding="(?:[Uu][Tt][Ff]-8)")?[ \t\n]*\?>""")
_NOT_PLAIN = bytes(byte for byte in range(0x20) if byte not in b"\t\n") + b"&"
_LEAF = re.compile(rf"<({_NAME})>([^<>]*)</({_NAME})>[ \t\n]*")
_TAG = re.compile(rf"""[ \t\n]*(?:</({_NAME})[ \t\n]*>|<({_NAME})((?:[ \t\n]+{_NAME}="[^"<}}]*")*)[ \t\n]*>)[ \t\n]*""")
_PLAIN_MAX = 20_000  # characters: what is remembered of messages is bounded
_ATTRIBUTE = re.compile(rf"({_NAME})=")


@dataclass(frozen=True, slots=True)
class Event:
    """What one message says. Heartbeats and door events have no scans."""

    device: str | None  # MAC address, lower case
    type: str
    scans: tuple[Scan, ...]
    serials: tuple[int | None, ...]  # of each scan, by which gaps are noticed
    thresholds_c: tuple[float | None, ...]  # of each scan, where the device tells what it judged by
    refused: tuple[BadInput, ...] = ()  # people who could not be read; their neighbours could


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a search."""

    is_last: bool
    match_count: int  # events on this page, measured or not
    event: Event
    refused: tuple[BadInput, ...]  # rows that could not be read; their neighbours could


class _Measured(msgspec.Struct):
    """The fields of one person's event, under whatever object they stand."""

    serial: Any = msgspec.field(name="serialNo", default=None)
    major: Any = None
    major_type: Any = msgspec.field(name="majorEventType", default=None)
    person: Any = msgspec.field(name="employeeNoString", default=None)
    person_number: Any = msgspec.field(name="employeeNo", default=None)
    card: Any = msgspec.field(name="cardNo", default=None)
    time: Any = None
    face_id: Any = msgspec.field(name="faceId", default=None)
    picture_id: Any = msgspec.field(name="pId", default=None)
    is_enabled: Any = msgspec.field(name="faceSnapThermometryEnabled", default=None)
    temperature: Any = msgspec.field(name="currTemperature", default=None)
    temperature_too: Any = msgspec.field(name="currentTemperature", default=None)
    unit: Any = msgspec.field(name="thermometryUnit", default=None)
    is_abnormal: Any = msgspec.field(name="isAbnomalTemperature", default=None)
    is_abnormal_right: Any = msgspec.field(name="isAbnormalTemperature", default=None)
    threshold: Any = msgspec.field(name="alarmTemperature", default=None)
    mask: Any = None


class _Attributes(msgspec.Struct):
    face_time: Any = msgspec.field(name="faceTime", default=None)


class _Capture(msgspec.Struct):
    faces: list[_Measured] | _Measured = []
    attributes: _Attributes = msgspec.field(name="targetAttrs", default_factory=_Attributes)


class _Message(msgspec.Struct):
    mac: Any = msgspec.field(name="macAddress", default=None)
    type: Any = msgspec.field(name="eventType", default=None)
    time: Any = msgspec.field(name="dateTime", default=None)
    access: _Measured | None = msgspec.field(name="AccessControllerEvent", default=None)
    captures: list[_Capture] | _Capture = msgspec.field(name="faceCapture", default_factory=list)
    temperature: _Measured | None = None  # of the cloud's messages


class _Search(msgspec.Struct):
    status: Any = msgspec.field(name="responseStatusStrg", default=None)
    rows: list[msgspec.Raw] = msgspec.field(name="InfoList", default_factory=list)


class _SearchAnswer(msgspec.Struct):
    search: _Search = msgspec.field(name="AcsEvent")


def decode_event(data: bytes, zone: ZoneInfo, now_ms: int) -> Event:
    """Read one event, JSON or XML.

    Args:
        zone: Of a time without one; devices of this family do send theirs.
        now_ms: The gateway's time, for a device whose clock was never set.

    Raises BadInput when there is nothing in it that could be read.
    """
    try:
        if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            message = msgspec.convert(_xml(data), _Message)
        else:
            message = msgspec.json.decode(data, type=_Message)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput("broken-event", f"not an event of this family: {shown(error)}") from error
    mac = text("macAddress", message.mac)
    event_type = text("eventType", message.type) or ""
    measured: list[tuple[_Measured, object]] = []
    if message.access is not None:
        measured.append((message.access, first(message.time, message.access.time)))
    captures = message.captures if isinstance(message.captures, list) else [message.captures]
    for capture in captures:
        faces = capture.faces if isinstance(capture.faces, list) else [capture.faces]
        measured += [(face, first(capture.attributes.face_time, message.time)) for face in faces]
    if message.temperature is not None:
        measured.append((message.temperature, message.time))
    return _event(None if mac is None else mac.lower(), event_type, measured, zone, now_ms)


def encode_search(search: str, position: int, start: str, end: str) -> bytes:
    """The body of POST /ISAPI/AccessControl/AcsEvent?format=json.

    Args:
        search: The same for all pages of one search.
        position: Events already read.
        start: ISO 8601 with an offset; `end` too.
    """
    condition = {
        "searchID": search,
        "searchResultPosition": position,
        "maxResults": PAGE_MAX,
        "major": _ACCESS_EVENT,
        "minor": 0,
        "startTime": start,
        "endTime": end,
    }
    return msgspec.json.encode({"AcsEventCond": condition})


def decode_page(data: bytes, zone: ZoneInfo, now_ms: int) -> Page:
    """Read one page of a search. Raises BadInput when it is none; a row that cannot be read costs only itself."""
    try:
        search = msgspec.json.decode(data, type=_SearchAnswer).search
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput("broken-page", f"not an answer to a search: {shown(error)}") from error
    scans: list[Scan] = []
    serials: list[int | None] = []
    thresholds: list[float | None] = []
    refused: list[BadInput] = []
    for raw in search.rows:
        try:
            row = msgspec.json.decode(raw, type=_Measured)
            event = _event(None, "", [(row, row.time)], zone, now_ms)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            refused.append(BadInput("broken-event", f"not a row of a search: {shown(error)}"))
        except BadInput as error:
            refused.append(error)
        else:
            scans += event.scans
            serials += event.serials
            thresholds += event.thresholds_c
    event = Event(None, "AcsEvent", tuple(scans), tuple(serials), tuple(thresholds))
    return Page(str(search.status).upper() != "MORE", len(search.rows), event, tuple(refused))


def _event(
    device: str | None, event_type: str, measured: list[tuple[_Measured, object]], zone: ZoneInfo, now_ms: int
) -> Event:
    scans, serials, thresholds, refused = [], [], [], []
    for number, (fields, sent_time) in enumerate(measured):
        major = _whole(first(fields.major_type, fields.major))
        if major not in (None, _ACCESS_EVENT):
            continue  # doors, tampering, operations: nobody was measured
        serial = _whole(fields.serial)
        try:
            scans.append(_scan(device or "", serial, number, fields, sent_time, zone, now_ms))
        except BadInput as error:
            refused.append(error)
        else:
            serials.append(serial)
            thresholds.append(_threshold_c(fields))
    if refused and not scans:
        raise refused[0]
    return Event(device, event_type, tuple(scans), tuple(serials), tuple(thresholds), tuple(refused))


def _scan(
    device: str, serial: int | None, number: int, fields: _Measured, sent_time: object, zone: ZoneInfo, now_ms: int
) -> Scan:
    measured_ms, quality = time_ms(sent_time, zone, now_ms)
    person = first(fields.person, fields.person_number, fields.card)
    which = first(serial, fields.picture_id, fields.face_id)
    if which is None and number:
        which = f"face {number}"  # cameras that number nobody tell several people at once
    is_off = truth(fields.is_enabled) is False
    sent = None if is_off else first(fields.temperature, fields.temperature_too)
    return Scan(
        device=device,
        # The stream and the search write one time differently; a clock that was never set has only its words.
        event=f"{shown(which)}/{measured_ms if quality is Quality.GOOD or sent_time is None else shown(sent_time)}",
        person=None if str(person).strip() == "0" else text("employeeNoString", person),
        time_ms=measured_ms,
        quality=quality,
        temperature_c=temperature_c("currTemperature", sent, fields.unit),
        is_abnormal=truth(first(fields.is_abnormal, fields.is_abnormal_right)),
        wears_mask=truth(fields.mask),
    )


def _threshold_c(fields: _Measured) -> float | None:
    try:
        return temperature_c("alarmTemperature", fields.threshold, fields.unit)
    except BadInput:
        return None


def _whole(sent: object) -> int | None:
    words = str(sent).strip()
    return int(words) if words.isascii() and words.isdigit() and len(words) < 16 else None


def _xml(data: bytes) -> dict[str, Any]:
    """An XML event as the JSON of the same event would be."""
    if (
        b"<!" in data and b"<!" in data.replace(b"<!--", b"")
    ) or b"\0" in data:  # a zero: not in an encoding in which "<!" can be seen
        raise BadInput("broken-event", "an event needs no document type and no entities")
    if (plain := _plain(data)) is not None:
        return plain
    try:
        root = ElementTree.fromstring(data)  # noqa: S314  (without a DTD there is nothing to expand)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadInput("broken-event", f"not XML: {error}") from error
    content = _content(root, 0)
    return content if isinstance(content, dict) else {}


def _plain(data: bytes) -> dict[str, Any] | None:
    """The same of what devices of this family do send: elements in elements, without attributes but the root's.

    None for everything else: entities, comments, prefixes, other encodings, and whatever is not well-formed. Nothing is taken
    here that a parser would refuse, or read otherwise.
    """
    if len(data.translate(None, _NOT_PLAIN)) < len(data):
        return None
    try:
        begun = _DECLARATION.match(data)
        said = data[begun.end() if begun else 0 :].decode("utf-8")
    except UnicodeDecodeError:
        return None
    pieces = _LEAF.split(said)
    names = pieces[1::4]
    if "\ufffe" in said or "\uffff" in said or names != pieces[3::4] or len(said) > _PLAIN_MAX:
        return None
    shape = _shape(tuple(pieces[::4]), tuple(names))
    return None if shape is None else _filled(shape, [text or None for text in pieces[2::4]])


@functools.lru_cache(64)  # a device says the same elements each time
def _shape(between: Sequence[str], names: Sequence[str]) -> dict[str, Any] | None:
    """The content of a root with numbers for texts; None where it is none that `_plain` takes.

    Args:
        between: What stands before each element of text alone, and behind the last one.
        names: Of these elements.
    """
    within: list[tuple[str, dict[str, Any]]] = []  # the elements that are open, and what stood before each in its own
    here: dict[str, Any] = {}  # what the root stands in
    for at, tags in enumerate(between):
        end = 0
        while end < len(tags):
            tag = _TAG.match(tags, end)  # here or nowhere: to search on would look at the same blanks again and again
            if tag is None:
                return None
            closed, opened, attributes = tag.groups("")
            end = tag.end()
            if opened:
                if attributes and (within or not _are_plain(attributes)):
                    return None
                within.append((opened, here))
                here = {}
            elif not within or within[-1][0] != closed or not here:
                return None  # where there is no element in it, its text is its content
            else:
                _put(within[-1][1], closed, here)
                here = within.pop()[1]
        if at < len(names):
            if len(within) > _DEPTH_MAX:
                return None
            _put(here, names[at], at)
    content = next(iter(here.values()), None)
    return content if not within and len(here) == 1 and isinstance(content, dict) else None


def _are_plain(attributes: str) -> bool:
    names = _ATTRIBUTE.findall(attributes)
    return len(names) == len(set(names)) and "w3.org" not in attributes  # a namespace of XML's own has rules of its own


def _filled(shape: dict[str, Any], texts: Sequence[str | None]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, what in shape.items():
        if what.__class__ is int:
            content[name] = texts[what]
        elif isinstance(what, dict):
            content[name] = _filled(what, texts)
        else:
            content[name] = [_filled(each, texts) if isinstance(each, dict) else texts[each] for each in what]
    return content


def _put(content: dict[str, Any], name: str, value: object) -> None:
    if name not in content:
        content[name] = value
    elif isinstance(content[name], list):
        content[name].append(value)
    else:
        content[name] = [content[name], value]


def _content(element: ElementTree.Element, depth: int) -> dict[str, Any] | str | None:
    if depth > _DEPTH_MAX:
        raise BadInput("broken-event", f"an event nests no deeper than {_DEPTH_MAX} levels")
    if not len(element):
        return element.text
    content: dict[str, Any] = {}
    for child in element:
        name = child.tag.rpartition("}")[2]
        _put(content, name, _content(child, depth + 1) if len(child) else child.text)
    return content
