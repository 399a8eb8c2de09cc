"""Modbus RTU bytes: published frames, noise, and pymodbus as an independent reader."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from gateway.drivers.modbus_rtu.codec import (
    Frame,
    answer_reader,
    crc,
    encode,
    encode_read,
    request_reader,
)
from gateway.modbus.pdu import Function
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames, read


def slow_crc(data: bytes) -> int:
    """CRC-16/MODBUS bit by bit."""
    value = 0xFFFF
    for byte in data:
        for bit in range(8):
            value = value >> 1 ^ (0xA001 if (value ^ byte >> bit) & 1 else 0)
    return value


def wire(frame: Frame) -> bytes:
    body = bytes([frame.unit]) + frame.pdu
    return body + struct.pack("<H", slow_crc(body))


units = st.integers(0, 247)
words = st.integers(0, 0xFFFF)
reads = st.lists(words, min_size=1, max_size=125).map(lambda r: struct.pack(f">BB{len(r)}H", 3, 2 * len(r), *r))
echoes = st.tuples(st.sampled_from([5, 6, 15, 16]), words, words).map(lambda t: struct.pack(">BHH", *t))
refusals = st.tuples(st.sampled_from([0x83, 0x84, 0x90]), st.sampled_from([1, 2, 3, 4, 11])).map(bytes)
answers = st.builds(Frame, units, reads | echoes | refusals)
asked = st.tuples(st.sampled_from([3, 4, 5, 6]), words, words).map(lambda t: struct.pack(">BHH", *t))
writes = st.lists(words, min_size=1, max_size=123).map(
    lambda r: struct.pack(f">BHHB{len(r)}H", 16, 7, len(r), 2 * len(r), *r)
)
requests = st.builds(Frame, units, asked | writes)


@given(st.lists(answers, min_size=1, max_size=4), st.lists(st.integers(1, 40), max_size=60))
def test_answers_survive_the_wire_in_any_cuts(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(map(wire, sent))
    assert read(answer_reader, stream, cuts) == sent
    check_cuts(answer_reader, stream, cuts)


@given(st.lists(requests, min_size=1, max_size=4), st.lists(st.integers(1, 40), max_size=60))
def test_requests_survive_the_wire_in_any_cuts(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(map(wire, sent))
    assert read(request_reader, stream, cuts) == sent
    check_cuts(request_reader, stream, cuts)


@given(
    st.binary(max_size=400) | st.text("\x01\x03\x04\x83\x02", max_size=300).map(lambda t: t.encode("latin-1")),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_arbitrary_bytes_never_raise_and_the_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    check_cuts(answer_reader, data, cuts)
    check_cuts(request_reader, data, cuts)


@given(st.binary(max_size=300))
def test_the_sum_is_the_standards(data: bytes) -> None:
    assert crc(data) == slow_crc(data)


@pytest.mark.parametrize("seed", range(5))
def test_every_intact_frame_is_found_on_a_line_with_byte_errors(seed: int) -> None:
    sent = [wire(Frame(1 + i % 32, struct.pack(">BB4H", 4, 8, i, i, i, i))) for i in range(400)]
    intact, all_ = check_noisy_line(answer_reader, sent, seed)
    assert 0 < intact < all_


def test_random_bytes_hold_no_more_answers_than_a_sum_of_16_bits_lets_pass() -> None:
    assert false_frames(answer_reader, 1_000_000, seed=1) <= 3  # 0.3 are to be expected


def test_published_frames_are_read() -> None:
    (answer,) = read(answer_reader, bytes.fromhex("010404436633341b38"))
    assert (answer.unit, answer.function, answer.registers) == (1, 4, (0x4366, 0x3334))
    (refusal,) = read(answer_reader, bytes.fromhex("0190018dc0"))
    assert (refusal.function, refusal.exception) == (16, 1)
    assert encode_read(1, Function.INPUT, 0, 2).hex() == "01040000000271cb"
    assert read(request_reader, bytes.fromhex("011000140002044270000067d5")) == []  # misprinted by its maker


@given(requests)
def test_pymodbus_finds_what_we_send(frame: Frame) -> None:
    used, unit, _, pdu = FramerRTU(_Lengths(len(frame.pdu) + 3)).decode(encode(frame.unit, frame.pdu))
    assert (used, unit, pdu) == (len(frame.pdu) + 3, frame.unit, frame.pdu)
    assert FramerRTU.compute_CRC(encode(frame.unit, frame.pdu)[:-2]).to_bytes(2, "big") == struct.pack(
        "<H", crc(bytes([frame.unit]) + frame.pdu)
    )


class _Lengths:
    """What pymodbus' framer asks its decoder: here only the length of the frame at hand."""

    def __init__(self, size: int) -> None:
        self._size = size

    def lookupPduClass(self, _data: bytes) -> _Lengths:  # noqa: N802
        return self

    def calculateRtuFrameSize(self, _data: bytes) -> int:  # noqa: N802
        return self._size
