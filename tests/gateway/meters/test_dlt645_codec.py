"""DL/T 645 bytes: both editions, noise, cuts, and what the data means."""

from __future__ import annotations

from datetime import datetime

import pytest
from dlt645.protocol.protocol import DLT645Protocol
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.dlt645.codec import (
    ANYBODY,
    Frame,
    Function,
    Relay,
    encode,
    encode_read,
    encode_read_next,
    encode_relay,
    frame_reader,
    is_of,
    joined,
)
from gateway.drivers.dlt645.items import item_of, text_of, values, words
from telemetry.errors import BadInput
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames, read


def wire(frame: Frame) -> bytes:
    """A frame as a meter sends it; written from the standard, not from the codec."""
    address = [int(frame.address[i : i + 2], 16) for i in range(10, -1, -2)]
    body = [0x68, *address, 0x68, frame.control, len(frame.data), *[(byte + 0x33) % 256 for byte in frame.data]]
    return bytes([*body, sum(body) % 256, 0x16])


frames = st.builds(
    Frame,
    st.text("0123456789", min_size=12, max_size=12),
    st.sampled_from([0x91, 0xD1, 0x81, 0xC1, 0xB1, 0x93, 0x11, 0x01]),
    st.binary(max_size=200) | st.sampled_from([b"\x35" * 20, bytes([0xE3]) * 8]),  # 68 and 16 on the wire
)


@given(st.lists(frames, min_size=1, max_size=4), st.lists(st.integers(1, 40), max_size=60))
def test_frames_survive_the_wire_in_any_cuts(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"\xfe\xfe".join(map(wire, sent))
    assert read(frame_reader, stream, cuts) == sent
    check_cuts(frame_reader, stream, cuts)


@given(frames)
def test_what_we_encode_is_what_the_standard_says(frame: Frame) -> None:
    assert encode(frame.address, frame.control, frame.data) == b"\xfe" * 4 + wire(frame)


@given(
    st.binary(max_size=400) | st.text("\x68\x16\x33\xfe\x11", max_size=300).map(lambda t: t.encode("latin-1")),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_arbitrary_bytes_never_raise_and_the_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    check_cuts(frame_reader, data, cuts)
    for frame in read(frame_reader, data):
        assert frame.identifier is None or len(frame.identifier) in (4, 8)
        assert isinstance(frame.refusal_words, str) and isinstance(frame.value, bytes)


@pytest.mark.parametrize("seed", range(5))
def test_every_intact_frame_is_found_on_a_line_with_byte_errors(seed: int) -> None:
    sent = [wire(Frame(f"{i:012}", 0x91, bytes([0, 0, 1, 0]) + bytes([i % 100] * (i % 40)))) for i in range(400)]
    intact, all_ = check_noisy_line(frame_reader, sent, seed)
    assert 0 < intact < all_


def test_random_bytes_hold_no_frame() -> None:
    assert false_frames(frame_reader, 1_000_000, seed=1) == 0  # 0.0002 are to be expected


def test_a_length_that_swallows_the_next_frame_costs_only_its_own() -> None:
    good = wire(Frame("000000000161", 0x91, b"\0\0\1\0\x26\0\0\0"))
    broken = good[:9] + b"\xc0" + good[10:]
    reader = frame_reader()
    assert reader.feed(broken + good) == []  # it may still be a long one
    assert [frame.address for frame in reader.flush()] == ["000000000161"]
    assert reader.noise_bytes == len(broken)


def test_the_worked_frame_of_the_standard_is_read() -> None:
    (frame,) = read(frame_reader, bytes.fromhex("6861010000000068910833333433593333338a16"))
    assert (frame.address, frame.identifier, frame.is_answer) == ("000000000161", "00010000", True)
    assert words(frame.identifier, frame.value) == "forward active energy 0.26 kWh"


def test_a_request_is_what_was_published() -> None:
    assert encode_read("000000000161", "00010000").hex() == "fefefefe68610100000000681104333334331416"
    assert encode_read("010003635927", "B611").hex() == "fefefefe6827596303000168010244e9e716"
    assert encode_read("", "9010").hex() == "fefefefe68aaaaaaaaaaaa68010243c3d516"


@pytest.mark.parametrize(
    ("identifier", "data", "expected"),
    [
        ("00010000", "76170300", [317.76]),
        ("00010000", "99999999", [999999.99]),  # no sign: the register holds six digits before the point
        ("00000000", "76170380", [-317.76]),
        ("00000000", "000000c5", [-450000.0]),  # the sign is one bit; what is left of its digit counts
        ("0001FF00", "76170300" + "10000000" + "ffffffff", [317.76, 0.1, None]),
        ("02010100", "0110", [100.1]),
        ("02020100", "345681", [-15.634]),
        ("02030000", "452381", [-1.2345]),
        ("02060000", "0010", [1.0]),
        ("02800002", "9849", [49.98]),
        ("02010100", "ffff", [None]),
        ("02010100", "1a23", [None]),
        ("02020100", "ffffff", [None]),
        ("9010", "79261400", [1426.79]),
        ("B611", "2302", [223]),
        ("B621", "9904", [4.99]),
        ("02010100", "01", []),
    ],
)
def test_data_becomes_values(identifier: str, data: str, expected: list[float | None]) -> None:
    item = item_of(identifier)
    assert item is not None
    assert [v.value for v in values(item, bytes.fromhex(data))] == expected


def test_what_is_no_quantity_is_told_as_it_is() -> None:
    assert item_of("04000401") is None
    assert text_of("04000401", bytes.fromhex("610100000000")) == "000000000161"
    assert words("C032", bytes.fromhex("610100000000")) == "meter number = 000000000161"
    assert text_of("04000101", bytes.fromhex("04261126")) == "2026-11-26"
    assert text_of("04000102", bytes.fromhex("563412")) == "12:34:56"
    assert text_of("04000102", bytes.fromhex("ffffff")) is None
    assert words("04000501", b"\x01\x02") == "04000501 = 0201"
    assert words("02010100", b"\xff\xff") == "voltage not measured"


def test_what_follows_is_put_together() -> None:
    first = Frame("000000000161", 0xB1, b"\x00\xff\x01\x00" + b"\x01" * 8)
    second = Frame("000000000161", 0xB2, b"\x00\xff\x01\x00" + b"\x02" * 8 + b"\x01")
    third = Frame("000000000161", 0x92, b"\x00\xff\x01\x00" + b"\x03" * 4 + b"\x02")
    assert first.is_followed and second.is_followed and not third.is_followed
    whole = joined([first, second, third])
    assert whole.value == b"\x01" * 8 + b"\x02" * 8 + b"\x03" * 4
    assert not whole.is_followed
    with pytest.raises(BadInput, match="out of turn"):
        joined([first, third])
    assert read(frame_reader, encode_read_next("000000000161", "0001FF00", 2)) == [
        Frame("000000000161", Function.READ_NEXT, b"\x00\xff\x01\x00\x02")
    ]


@pytest.mark.parametrize(
    ("control", "code", "expected"),
    [(0xD1, 2, "no such data"), (0xD1, 4, "password"), (0xC1, 2, "no such data"), (0xD1, 0, "does not know")],
)
def test_a_refusal_has_words(control: int, code: int, expected: str) -> None:
    frame = Frame("000000000161", control, bytes([code]))
    assert frame.is_refusal and expected in frame.refusal_words


@pytest.mark.parametrize(
    ("address", "asked", "expected"),
    [
        ("000000000161", "000000000161", True),
        ("000000000161", "000000000162", False),
        ("000000000161", "61", True),
        ("000000000161", "0161", True),
        ("000000000161", "0261", False),
        ("000000000161", ANYBODY, True),
        (ANYBODY, "000000000161", True),  # captured: some meters of 1997
    ],
)
def test_an_answer_is_taken_from_whom_was_asked(address: str, asked: str, expected: bool) -> None:
    assert is_of(address, asked) is expected


def test_a_relay_command_is_laid_out_as_the_standard_says() -> None:
    (frame,) = read(
        frame_reader,
        encode_relay("000000000161", Relay.TRIP, 2, "123456", "00000001", datetime(2026, 11, 26, 18, 30, 5)),
    )
    assert frame.control == 0x1C
    assert frame.data.hex() == "02" + "563412" + "01000000" + "1a00" + "053018261126"


@given(frames)
def test_the_dlt645_package_and_we_understand_each_other(frame: Frame) -> None:
    address = bytes.fromhex(frame.address)[::-1]
    theirs = bytes(DLT645Protocol.build_frame(address, frame.control, frame.data))
    assert theirs == encode(frame.address, frame.control, frame.data)
    back = DLT645Protocol.deserialize(encode(frame.address, frame.control, frame.data))
    assert back is not None
    assert (bytes(back.addr), back.ctrl_code, bytes(back.data)) == (address, frame.control, frame.data)
