"""DL/T 698.45 bytes and answers."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.dlt698.apdu import Result, encode_get, measure, parse_response
from gateway.drivers.dlt698.codec import AddressSort, Frame, encode, frame_reader
from gateway.measured import Measured
from telemetry.errors import BadInput
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames, read


def slow_crc(data: bytes) -> int:
    """CRC-16/X-25 bit by bit."""
    value = 0xFFFF
    for byte in data:
        for bit in range(8):
            is_set = (value ^ byte >> bit) & 1
            value = value >> 1 ^ (0x8408 if is_set else 0)
    return value ^ 0xFFFF


def wire(frame: Frame) -> bytes:
    """A frame as a meter sends it; written from the standard, not from the codec."""
    address = bytes.fromhex(frame.address)[::-1]
    apdu = bytes((b + 0x33) % 256 for b in frame.apdu) if frame.control & 8 else frame.apdu
    format_ = frame.sort * 64 + frame.logical * 16 + len(address) - 1
    head = struct.pack("<HBB", 9 + len(address) + len(apdu), frame.control, format_) + address + bytes([frame.client])
    body = head + slow_crc(head).to_bytes(2, "little") + apdu
    return b"\x68" + body + slow_crc(body).to_bytes(2, "little") + b"\x16"


frames = st.builds(
    Frame,
    st.sampled_from([0x43, 0xC3, 0x81, 0xCB, 0xE3]),
    st.sampled_from(AddressSort),
    st.integers(0, 3),
    st.integers(1, 16).flatmap(lambda n: st.binary(min_size=n, max_size=n)).map(lambda b: b.hex().upper()),
    st.integers(0, 255),
    st.binary(max_size=200) | st.just(b"\x68\x16" * 30),
)


@given(st.lists(frames, min_size=1, max_size=3), st.lists(st.integers(1, 40), max_size=60))
def test_frames_survive_the_wire_in_any_cuts(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"\xfe\xfe".join(map(wire, sent))
    assert read(frame_reader, stream, cuts) == sent
    check_cuts(frame_reader, stream, cuts)


@given(
    st.binary(max_size=400) | st.text("\x68\x05\x00\xc3\x16", max_size=300).map(lambda t: t.encode("latin-1")),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_arbitrary_bytes_never_raise_and_the_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    check_cuts(frame_reader, data, cuts)


@given(st.sampled_from([1, 2, 3, 4]), st.binary(max_size=80))
def test_any_answer_is_read_or_refused(choice: int, data: bytes) -> None:
    with contextlib.suppress(BadInput):
        for result in parse_response(bytes([0x85, choice]) + data)[1]:
            assert isinstance(result.words, str) and isinstance(list(result.objects()), list)


@pytest.mark.parametrize("seed", range(5))
def test_every_intact_frame_is_found_on_a_line_with_byte_errors(seed: int) -> None:
    sent = [wire(Frame(0xC3, AddressSort.SINGLE, 0, f"{i:012}", 0x10, bytes([i % 256] * (i % 60)))) for i in range(400)]
    intact, all_ = check_noisy_line(frame_reader, sent, seed)
    assert 0 < intact < all_


def test_random_bytes_hold_no_frame() -> None:
    assert false_frames(frame_reader, 1_000_000, seed=1) == 0


def test_a_wrong_length_does_not_make_the_reader_wait() -> None:
    good = wire(Frame(0xC3, AddressSort.SINGLE, 0, "000000000001", 0x10, b"\x85\x01"))
    broken = good[:1] + b"\xff\x01" + good[3:]
    assert len(frame_reader().feed(broken + good)) == 1


def test_requests_are_what_was_captured() -> None:
    assert encode("000000000003", encode_get(0, ["F1010200"])).hex() == (
        "fefefefe6817004305030000000000109dc1050100f1010200002d5616"
    )
    wildcard = encode("AA" * 16, encode_get(1, ["40000200"]))
    assert wildcard.hex() == "fefefefe682100434f" + "aa" * 16 + "10cc1c05010140000200007d1b16"
    assert encode_get(2, ["00100200", "20000200"]).hex() == "050202020010020020000200" + "00"


@pytest.mark.parametrize(
    ("apdu", "expected"),
    [
        ("850100f10102000116010000", Result("F1010200", 1)),
        ("8501000010020001010206000000640600000000", Result("00100200", [100, 0])),
        ("850100200002000009", Result("20000200", None, 9)),
        ("85010020000200010103120898000012089a" + "00", None),
        ("850100400002000" + "11c07ea0b1a11223300" + "00", Result("40000200", "2026-11-26T17:34:51")),
        ("85010040000200011c07ff0b1a112233", Result("40000200", "2047-11-26T17:34:51")),
        ("85010040000200011cffffffffffffff", Result("40000200", None)),
        ("850100400102000109060000000000010000", Result("40010200", b"\0\0\0\0\0\1")),
        ("8501002001020001010105fffffc18", Result("20010200", [-1000])),
        ("85010020040200010f80", Result("20040200", -128)),
        # Filled to the highest number of their type: not measured.
        ("8501002000020001010212ffff1208fd", Result("20000200", [None, 2301])),
        ("85010000100200010102" + "06ffffffff" + "060000ffff", Result("00100200", [None, 65535])),
        ("850100001002000115ffffffffffffffff", Result("00100200", None)),
    ],
)
def test_an_answer_is_read(apdu: str, expected: Result | None) -> None:
    _, (result,) = parse_response(bytes.fromhex(apdu))
    assert expected is None or result == expected


def test_a_list_is_answered_one_by_one_and_a_refusal_costs_only_its_own() -> None:
    piid, results = parse_response(
        bytes.fromhex("850205" + "02" + "0010020001010106000186a0" + "200002000004" + "0000")
    )
    assert (piid, [r.error for r in results]) == (5, [0, 4])
    assert results[0].words == "forward active energy 1000 kWh"
    assert "no such object" in results[1].words


@pytest.mark.parametrize(
    ("oad", "value", "expected"),
    [
        ("00100200", [60501, None], [Measured(605.01, "kWh"), Measured(None, "kWh")]),
        ("20000200", [2301, None], [Measured(230.1, "V"), Measured(None, "V")]),
        ("20010200", [-1500], [Measured(-1.5, "A")]),
        ("40010200", b"\0", []),
        ("20000200", "text", []),
        ("20000200", True, []),
    ],
)
def test_a_value_becomes_quantities(oad: str, value: object, expected: list[Measured]) -> None:
    assert measure(oad, value) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "apdu", ["8501", "050100", "85010000100200", "8501000010020001" + "01ff", "85030050040200" + "ff"]
)
def test_what_is_no_whole_answer_is_refused(apdu: str) -> None:
    with pytest.raises(BadInput, match="dlt698"):
        parse_response(bytes.fromhex(apdu))
