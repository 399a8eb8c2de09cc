"""Payloads of a client that means harm and has a gateway's certificate: what they claim, nest, pack and count.

All of them are within what a broker passes on. They are published among readings of the innocent: by
`tests/ingest/test_hostile_payloads.py` straight into a core, by `tests/integration/test_hostile_mqtt.py` over a real broker.
"""

from __future__ import annotations

import gzip
import json
import struct
from array import array
from typing import Any

import cbor2

from telemetry import frames

GATEWAY, DEVICE, METRIC = "gw-west", "meter", "power"
PASSED_MAX = 1_900_000  # bytes of a payload that the broker of `gatehouse broker-config` still passes on
_HUGE = cbor2.dumps(1 << 40_000)  # an integer of 12,042 digits, which Python does not print
_PAST = 1 << 63  # no database keeps it


def _claims(head: int, count: int) -> bytes:
    """A CBOR item that says it has `count` parts, and has three bytes."""
    return bytes((head | 27,)) + struct.pack(">Q", count) + b"abc"


def columns(
    now_ms: int, *, keys: Any = None, gaps: Any = (), value: float = 1.0, time_ms: int | None = None, count: int = 1
) -> bytes:
    """The readings of a frame."""
    return frames.encode_columns(
        f"{DEVICE}/{METRIC}",
        array("H", [0] * count),
        array("q", [now_ms if time_ms is None else time_ms] * count),
        array("d", [value] * count),
        array("B", [0] * count),
        keys or {},
        gaps,
    )


def frame(columns: bytes, epoch: str = "hostile", **items: bytes) -> bytes:
    """A frame whose items may be anything, as encoded."""
    header = {"version": b"\x02", "gateway": cbor2.dumps(GATEWAY), "epoch": cbor2.dumps(epoch)}
    header |= {"seq": b"\x01", "base": b"\x01", "is_backlog": b"\xf4", "behind": b"\x00"}
    assert items.keys() <= header.keys()
    return b"\x8e" + b"".join((header | items).values()) + columns


def _table(names: str) -> bytes:
    return frames.encode_columns(names, *_none(), {}, [])


def _as_json(**more: Any) -> bytes:
    whole = {"version": 2, "gateway": GATEWAY, "epoch": "json", "seq": 1, "base": 1, "names": f"{DEVICE}/{METRIC}"}
    return json.dumps(whole | {"index": [0], "time_ms": [1], "value": [1.0]} | more).encode()


def _reading(**more: Any) -> bytes:
    return json.dumps({"device": DEVICE, "metric": METRIC, "value": 1} | more).encode()


def _local(**more: Any) -> dict[str, Any]:
    alarm = {"id": "a1", "rule": "heater", "device": DEVICE, "metric": METRIC, "onset_ms": 1, "raised_ms": 1}
    return {"state": "online", "local_alarms": [alarm | more]}


def _decided(columns: bytes, **more: Any) -> bytes:
    decision: dict[str, Any] = {"id": "abcdef012345", "rule": "heater", "device": DEVICE, "metric": METRIC, "key": "k"}
    decision |= {"onset_ms": 1, "guard": "g", "decided_ms": 1, "disposition": "admit"}
    parts = frame(columns)
    at = len(b"\x8e") + len(parts) - 1 - len(columns)
    return b"\x8f" + parts[1:at] + cbor2.dumps([json.dumps(decision | more)]) + columns


def published(now_ms: int) -> list[tuple[str, str, bytes]]:
    """(what it is, last level of its topic, payload), all of `GATEWAY`; none of it holds a reading that counts."""
    well = columns(now_ms)
    gap = [0, now_ms - 5, now_ms, 3, "thinned"]
    nested = b'{"readings":' * 20_000
    found = [
        (f"{claimed} {name}", "frames", lead + _claims(head, count))
        for name, head in (("bytes", 0x40), ("text", 0x60), ("list", 0x80), ("map", 0xA0))
        for claimed, count in (("2^24", 1 << 24), ("2^32", 1 << 32), ("2^63", (1 << 63) - 1), ("2^64", (1 << 64) - 1))
        for lead in (b"", b"\x8e\x02")
    ]
    found += [
        ("nested lists", "frames", b"\x81" * PASSED_MAX),
        ("nested lists within the limit", "frames", b"\x81" * 900_000),
        ("nested tags", "frames", b"\xc1" * 900_000),
        ("lists without end", "frames", b"\x9f" * 900_000),
        ("a list that holds itself", "frames", b"\xd8\x1c\x8e" + b"\xd8\x1d\x00" * 14),
        ("references that double", "frames", _doubling()),
        ("an instant at the end of time", "frames", b"\x81\xc1\xfb" + struct.pack(">d", 1e300)),
        ("a decimal of any size", "frames", b"\x81\xc4\x82\x1b" + struct.pack(">Q", 1 << 62) + b"\x01"),
        ("a big float", "frames", b"\x81\xc5\x82\x1b" + struct.pack(">Q", 1 << 62) + b"\x01"),
        ("a fraction over nothing", "frames", b"\x81\xd8\x1e\x82\x01\x00"),
        ("a pattern that never ends", "frames", cbor2.dumps([cbor2.CBORTag(35, "(" * 5000)])),
        ("letters", "frames", cbor2.dumps([cbor2.CBORTag(36, "Content-Type: multipart/mixed;" * 5000)])),
        ("a mail in place of a frame", "frames", b"\xd8\x24\x60"),
        *(
            (f"a frame of '{gateway[:9]}'", "frames", frame(well, gateway=cbor2.dumps(gateway)))
            for gateway in ("gw-east", "gw-nope", "", "g" * 500_000)
        ),
        ("a frame of nobody, as JSON", "frames", _as_json(gateway="gw-nope")),
        ("more names than a row can point at", "frames", frame(_table("level-1/level" + "\n" * 70_000), "table")),
        ("gzip of zeros", "frames", gzip.compress(b"\0" * 200_000_000)),
        ("gzip of readings", "readings", gzip.compress(_reading() * 1_000_000)),
        ("a megabyte of nothing", "frames", b"\0" * 1_000_000),
        ("as much as passes", "frames", frame(columns(now_ms, count=90_000), "big")),
        ("as much as passes, plain", "readings", b" " * PASSED_MAX),
        ("nothing", "frames", b""),
        ("nothing, plain", "readings", b""),
        ("no status", "status", b""),
        ("more readings than a frame may hold", "frames", frame(columns(now_ms, count=65_537), "many")),
        *(
            ("huge " + item, "frames", frame(well, item, **{item: _HUGE}))
            for item in ("version", "seq", "base", "behind")
        ),
        *(
            ("past " + item, "frames", frame(well, item, **{item: cbor2.dumps(_PAST)}))
            for item in ("seq", "base", "behind")
        ),
        (
            "as far ahead as can be said",
            "frames",
            frame(well, "ahead", seq=cbor2.dumps((1 << 62) - 1), base=cbor2.dumps((1 << 62) - 1)),
        ),
        (
            "behind as far as can be said",
            "frames",
            frame(columns(now_ms, value=float("nan")), "behind", behind=cbor2.dumps((1 << 62) - 1)),
        ),
        ("keys of any number", "frames", frame(columns(now_ms, keys={1 << 70: "k"}), "keys")),
        ("keys of no text", "frames", frame(columns(now_ms, keys={0: {"a": 1}}), "keys2")),
        *(
            (
                f"a gap of {name}",
                "frames",
                frame(columns(now_ms, gaps=[[*gap[:at], value, *gap[at + 1 :]]], value=float("nan")), name),
            )
            for at, name in ((0, "line"), (1, "first"), (2, "last"), (3, "missing"))
            for value in (_PAST, -_PAST - 1, (1 << 63) - 1, 1 << 70)
        ),
        (
            "100,000 gaps",
            "frames",
            frame(columns(now_ms, gaps=[[0, 1, 2, 3, "x"]] * 100_000, value=float("nan")), "gaps"),
        ),
        ("times at both ends", "frames", frame(columns(now_ms, time_ms=(1 << 63) - 1), "late")),
        ("times before all", "frames", frame(columns(now_ms, time_ms=-(1 << 63)), "early")),
        (
            "names without end",
            "frames",
            frame(frames.encode_columns("\n" * 500_000, *_none(), {}, [frames.Gap(0, 1, 2, 3, "x")]), "names"),
        ),
        ("a surrogate", "readings", b'{"device":"\\ud800","metric":"power","value":1}'),
        ("a nought", "readings", _reading(device="\0")),
        ("nested objects", "readings", nested),
        ("nested lists, plain", "readings", b'{"readings":' + b"[" * 400_000),
        ("a number of a megabyte", "readings", b'{"device":"meter","metric":"power","value":' + b"9" * 900_000 + b"}"),
        ("an exponent", "readings", b'{"device":"meter","metric":"power","value":1e999999999}'),
        (
            "100,000 strangers",
            "readings",
            b'{"readings":['
            + b",".join(b'{"device":"d%d","metric":"m","value":1,"time":1}' % n for n in range(20_000))
            + b"]}",
        ),
        (
            "100,000 different mistakes",
            "readings",
            b'{"readings":[' + b",".join(b'{"device":%d}' % n for n in range(60_000)) + b"]}",
        ),
        ("a key of a megabyte", "readings", _reading(key="k" * 900_000)),
        *(
            (f"a time of {time}", "readings", _reading(time=time))
            for time in (
                _PAST,
                -_PAST,
                1 << 64,
                "9999-12-31T23:59:59Z",
                "0001-01-01T00:00:00+14:00",
                "2026-12-31T23:59:60Z",
                "1969-12-31T23:59:59Z",
            )
        ),
        *(
            (f"{name} of {value}", "status", json.dumps({"state": "online", name: value}).encode())
            for name in ("spooled", "oldest_ms", "behind")
            for value in (_PAST, -_PAST, (1 << 64) - 1, 1 << 70, -1, 1e300)
        ),
        ("a status that is nested", "status", b'{"state":"online","x":' + b"[" * 500_000),
        ("lanes of any name", "status", json.dumps({"state": "online", "lanes": ["\0/#", "a/b", "\ud800"]}).encode()),
        ("too many lanes", "status", json.dumps({"state": "online", "lanes": [str(n) for n in range(200)]}).encode()),
        *(
            (f"a local alarm at {value}", "status", json.dumps(_local(id=f"a{at}", **{name: value})).encode())
            for at, (name, value) in enumerate(
                (n, v) for n in ("onset_ms", "raised_ms", "cleared_ms") for v in (_PAST, -_PAST, (1 << 64) - 1, 1 << 70)
            )
        ),
        (
            "10,000 local alarms",
            "status",
            json.dumps(
                {"state": "online", "local_alarms": [_local(id=f"b{n}")["local_alarms"][0] for n in range(5_000)]}
            ).encode(),
        ),
        *(
            (f"a decision at {value}", "frames", _decided(well, **{name: value}))
            for name in ("onset_ms", "decided_ms", "asked_ms", "measured_ms")
            for value in (_PAST, -_PAST, (1 << 64) - 1, 1 << 70)
        ),
        (
            "decisions without end",
            "frames",
            b"\x8f" + frame(well)[1 : -len(well)] + cbor2.dumps(["x"] * 100_000) + well,
        ),
        (
            "a frame as JSON, huge",
            "frames",
            b'{"version":2,"gateway":"gw-west","epoch":"j","seq":'
            + b"9" * 5000
            + b',"base":1,"names":"","index":[],"time_ms":[],"value":[]}',
        ),
        (
            "a frame as JSON, past",
            "frames",
            b'{"version":2,"gateway":"gw-west","epoch":"j","seq":1,"base":1,"names":"meter/power","index":[70000],"time_ms":[18446744073709551615],"value":[1]}',
        ),
    ]
    return found


def _none() -> tuple[array[int], array[int], array[float], array[int]]:
    return array("H"), array("q"), array("d"), array("B")


def _doubling() -> bytes:
    """Shared references, each twice the one before: 2^24 leaves in a hundred bytes, if anybody should walk them."""
    inner = b"\xd8\x1c\x82\x00\x00"
    for number in range(24):
        inner = b"\xd8\x1c\x82" + inner + b"\xd8\x1d" + bytes((23 - number,))
    return b"\x8e\x02" + inner + b"\x00" * 12
