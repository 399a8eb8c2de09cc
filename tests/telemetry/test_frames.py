import math
import struct
from array import array

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import frames
from telemetry.errors import BadInput
from telemetry.reading import encode_readings

READINGS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
        st.integers(0, 255),
        st.none() | st.text(max_size=10),
    ),
    min_size=1,
    max_size=50,
)
NAMES = "\n".join(f"device-{i}/level" for i in range(5))


def payload(**changes: object) -> bytes:
    """A good frame with some of its fourteen items changed."""
    items: dict[str, object] = {
        "version": 2,
        "gateway": "gw",
        "epoch": "e",
        "seq": 1,
        "base": 1,
        "is_backlog": False,
        "behind": 0,
        "names": "d/m",
        "index": cbor2.CBORTag(69, b"\0\0"),
        "time_ms": cbor2.CBORTag(79, bytes(8)),
        "value": cbor2.CBORTag(86, bytes(8)),
        "quality": cbor2.CBORTag(64, b"\0"),
        "keys": {},
        "gaps": [],
    }
    return cbor2.dumps(list((items | changes).values()))


@given(READINGS)
def test_a_frame_comes_back_bit_for_bit(rows: list[tuple[int, int, float, int, str | None]]) -> None:
    index, time_ms = array("H", (row[0] for row in rows)), array("q", (row[1] for row in rows))
    value, quality = array("d", (row[2] for row in rows)), array("B", (row[3] for row in rows))
    keys = {i: row[4] for i, row in enumerate(rows) if row[4] is not None}
    gaps = [frames.Gap(4, -5, 6, 7, "thinned")]
    columns = frames.encode_columns(NAMES, index, time_ms, value, quality, keys, gaps)
    frame = frames.decode(frames.encode("gw-1", "abc", 7, 3, columns, is_backlog=True, behind=9))
    assert (frame.is_backlog, frame.behind) == (True, 9)
    assert (frame.gateway, frame.epoch, frame.seq, frame.base, frame.names) == ("gw-1", "abc", 7, 3, NAMES)
    assert bytes(frame.index) == index.tobytes()
    assert bytes(frame.time_ms) == time_ms.tobytes()
    assert bytes(frame.value) == value.tobytes()
    assert bytes(frame.quality) == quality.tobytes()
    assert frame.keys == keys
    assert frame.gaps == gaps


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_fail_in_any_other_way(data: bytes) -> None:
    for candidate in (data, b"\x8e" + data, b"{" + data):
        try:
            frames.decode(candidate)
        except BadInput:
            pass
        frames.header(candidate)


@given(st.integers(0, 200), st.integers(0, 255))
def test_no_changed_byte_of_a_good_frame_does_either(position: int, byte: int) -> None:
    data = bytearray(payload())
    data[position % len(data)] = byte
    try:
        frames.decode(bytes(data))
    except BadInput:
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 3}, "update it"),
        ({"is_backlog": 1}, "'is_backlog' must be bool"),
        ({"behind": -1}, "not negative"),
        ({"seq": "1"}, "'seq' must be int"),
        ({"seq": True}, "'seq' must be int"),
        ({"base": 2}, "base"),
        ({"seq": 0, "base": 0}, "count from 1"),
        ({"epoch": ""}, "epoch"),
        ({"index": [0]}, "typed array with tag 69"),
        ({"value": cbor2.CBORTag(85, bytes(4))}, "typed array with tag 86"),
        ({"value": cbor2.CBORTag(86, bytes(7))}, "cut short"),
        ({"quality": cbor2.CBORTag(64, b"\0\0")}, "differ in length"),
        ({"index": cbor2.CBORTag(69, b""), "time_ms": cbor2.CBORTag(79, b"")}, "differ in length"),
        ({"index": cbor2.CBORTag(69, bytes(2 * 65_537))}, "at most 65536"),
        ({"keys": {5: "p"}}, "keys"),
        ({"keys": {0: 1}}, "keys"),
        ({"keys": {0: "x" * 101}}, "keys"),
        ({"gaps": [[0, 1, 2]]}, "gaps"),
        ({"gaps": [[1, 1, 2, 3, "thinned"]]}, "a gap is"),
        ({"gaps": [[0, 2, 1, 3, "thinned"]]}, "a gap is"),
        ({"gaps": [[0, 1, 2, 0, "thinned"]]}, "a gap is"),
    ],
)
def test_a_wrong_frame_is_refused_with_what_is_wrong(changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        frames.decode(payload(**changes))
    assert refused.value.reason == "bad-frame"


def test_a_frame_may_say_no_more_than_how_far_its_gateway_has_come() -> None:
    frame = frames.decode(frames.encode("gw", "e", 4, 2, encode_readings([]), behind=3))
    assert (len(frame), frame.seq, frame.behind) == (0, 4, 3)


def test_a_nested_bomb_is_refused() -> None:
    with pytest.raises(BadInput):
        frames.decode(b"\x81" * 100_000)


def test_the_same_frame_as_json() -> None:
    body = {"version": 2, "gateway": "gw", "epoch": "e", "seq": 4, "base": 2, "names": "d/m",
            "index": [0, 0], "time_ms": [5, 6], "value": [1.5, -2.0], "keys": {1: "p"}}  # fmt: skip
    frame = frames.decode(msgspec.json.encode(body))
    assert list(frame.value) == [1.5, -2.0]
    assert list(frame.quality) == [0, 0]
    assert frame.keys == {1: "p"}
    with pytest.raises(BadInput, match="not a JSON frame"):
        frames.decode(msgspec.json.encode(body | {"index": [70_000, 0]}))


def test_a_frame_that_cannot_be_read_can_still_be_numbered() -> None:
    assert frames.header(payload(value=cbor2.CBORTag(86, bytes(7)), seq=9)) == frames.Header("gw", "e", 9, 1)
    assert frames.header(payload(version=3)) is None  # a later version's frame must wait for a later core
    assert frames.header(b"\xff") is None


def test_nan_is_carried_as_it_is() -> None:
    nan = struct.unpack("<d", b"\x01\x00\x00\x00\x00\x00\xf8\x7f")[0]
    columns = frames.encode_columns("d/m", array("H", [0]), array("q", [0]), array("d", [nan]), array("B", [0]), {})
    frame = frames.decode(frames.encode("gw", "e", 1, 1, columns))
    assert math.isnan(frame.value[0])
    assert bytes(frame.value) == struct.pack("<d", nan)


def test_a_frame_may_hold_gaps_alone() -> None:
    nothing = (array("H"), array("q"), array("d"), array("B"))
    gap = frames.Gap(0, 5, 9, 3, "refused")
    frame = frames.decode(frames.encode("gw", "e", 1, 1, frames.encode_columns("d/m", *nothing, {}, [gap])))
    assert (len(frame), frame.gaps) == (0, [gap])


def test_a_frame_may_hold_decisions_alone_and_one_without_is_as_ever() -> None:
    nothing = (array("H"), array("q"), array("d"), array("B"))
    decided = frames.encode("gw", "e", 1, 1, frames.encode_columns("", *nothing, {}, (), ["{}", "[]"]))
    assert frames.decode(decided).decisions == ["{}", "[]"]
    assert decided[:1] == b"\x8f"
    plain = frames.encode_columns("d/m", array("H", [0]), array("q", [0]), array("d", [1.0]), array("B", [0]), {})
    assert frames.encode("gw", "e", 1, 1, plain)[:1] == b"\x8e"
    items = cbor2.loads(decided)
    items[7] = [1]
    with pytest.raises(BadInput, match="texts"):
        frames.decode(cbor2.dumps(items))
