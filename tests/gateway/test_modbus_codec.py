"""Modbus TCP bytes: published frames, arbitrary cuts, noise, truncation."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.modbus_tcp.codec import (
    Answer,
    Refusal,
    Response,
    ResponseReader,
    encode_read,
    encode_write_coil,
)
from gateway.modbus.pdu import Function, decode_value

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "modbus.json"


def wire(response: Response) -> bytes:
    """A response as a device sends it; written from the standard, not from the codec."""
    if isinstance(response, Refusal):
        pdu = bytes([response.function + 0x80, response.code])
    else:
        count = len(response.registers)
        pdu = struct.pack(f">BB{count}H", response.function, 2 * count, *response.registers)
    return struct.pack(">HHHB", response.transaction, 0, len(pdu) + 1, response.unit) + pdu


words = st.integers(0, 0xFFFF)
octets = st.integers(0, 255)
answers = st.builds(
    Answer,
    words,
    octets,
    st.sampled_from([3, 4]),
    st.tuples(st.sampled_from([1, 2, 3, 124, 125]), words).map(
        lambda t: tuple((t[1] + i) % 65_536 for i in range(t[0]))
    ),
)
refusals = st.builds(Refusal, words, octets, st.sampled_from([3, 4]), octets)
responses = st.lists(answers | refusals, min_size=1, max_size=4)


@given(responses, st.lists(st.integers(1, 40), max_size=60))
def test_any_cut_of_the_stream_gives_the_same_responses(sent: list[Response], cuts: list[int]) -> None:
    stream = b"".join(map(wire, sent))
    reader = ResponseReader()
    received: list[Response] = []
    for cut in cuts:
        received += reader.feed(stream[:cut])
        stream = stream[cut:]
    received += reader.feed(stream)
    assert received == sent
    assert reader.noise_bytes == 0


@given(responses)
def test_every_byte_alone_gives_the_same_responses_and_none_early(sent: list[Response]) -> None:
    reader = ResponseReader()
    for response in sent:
        data = wire(response)
        for byte in data[:-1]:
            assert reader.feed(bytes([byte])) == []
        assert reader.feed(data[-1:]) == [response]


# Bytes above the registers a length can name: they can begin nothing, wherever they stand.
@given(st.lists(st.integers(0xFE, 0xFF), min_size=1, max_size=50).map(bytes), responses)
def test_noise_before_and_between_responses_costs_no_response(noise: bytes, sent: list[Response]) -> None:
    reader = ResponseReader()
    received = reader.feed(noise + noise.join(map(wire, sent)))
    assert received == sent
    assert reader.noise_bytes == len(noise) * len(sent)


@given(st.binary(max_size=600), st.lists(st.integers(1, 40), max_size=30))
def test_arbitrary_bytes_never_raise_and_the_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    whole, pieces = ResponseReader(), ResponseReader()
    expected = whole.feed(data)
    received: list[Response] = []
    for cut in cuts:
        received += pieces.feed(data[:cut])
        data = data[cut:]
    assert received + pieces.feed(data) == expected
    assert pieces.noise_bytes == whole.noise_bytes


def test_lengths_that_contradict_each_other_are_noise() -> None:
    good = wire(Answer(1, 1, 4, (7, 8)))
    wrong_byte_count = good[:8] + b"\x02" + good[9:]
    reader = ResponseReader()
    assert reader.feed(wrong_byte_count + good) == [Answer(1, 1, 4, (7, 8))]
    assert reader.noise_bytes == len(wrong_byte_count)


def test_a_truncated_response_is_waited_for_and_forgotten_by_a_reset() -> None:
    first, second = Answer(1, 1, 4, (0x4366, 0x3334)), Answer(2, 1, 4, (1, 2))
    reader = ResponseReader()
    assert reader.feed(wire(first)[:-1]) == []
    reader.reset()
    assert reader.feed(wire(second)) == [second]


def test_a_read_goes_out_as_the_standard_says() -> None:
    assert encode_read(0x1234, 17, Function.HOLDING, 0x006B, 3).hex() == "1234000000061103" + "006b0003"


def test_an_exception_comes_with_words() -> None:
    [refusal] = ResponseReader().feed(bytes.fromhex("000100000003118302"))
    assert isinstance(refusal, Refusal)
    assert (refusal.unit, refusal.function, refusal.code) == (17, 3, 2)
    assert "illegal data address" in refusal.words
    assert "does not know" in Refusal(1, 1, 3, 99).words


@pytest.mark.parametrize(
    ("registers", "type_", "low_first", "value"),
    [
        ((0x4366, 0x3334), "float32", False, pytest.approx(230.2)),
        ((0x3334, 0x4366), "float32", True, pytest.approx(230.2)),
        ((0x7FC0, 0), "float32", False, None),  # NaN
        ((0x7F80, 0), "float32", False, None),  # infinity
        ((0xFFFF,), "int16", False, -1),
        ((0xFFFF,), "uint16", False, 65535),
        ((0xFFFF, 0xFFFE), "int32", False, -2),
        ((0x0001, 0x0000), "uint32", False, 65536),
        ((0x0001, 0x0000), "uint32", True, 1),
    ],
)
def test_registers_become_values(registers: tuple[int, ...], type_: str, low_first: bool, value: float | None) -> None:
    assert decode_value(registers, type_, low_first) == value


def vectors() -> list[Any]:
    return json.loads(VECTORS.read_text()) if VECTORS.exists() else []


@pytest.mark.skipif(not VECTORS.exists(), reason=f"{VECTORS} is not in this checkout")
def test_published_read_requests_and_responses() -> None:
    """The vectors are serial frames: unit, data unit, two bytes of check sum. The data unit is the same on TCP."""
    checked = 0
    for vector in vectors():
        frame, decoded = bytes.fromhex(vector["hex"])[:-2], vector["decoded"]
        name = vector["name"]
        if not vector["checksum_ok"] or frame[1] not in (3, 4, 0x90):
            continue
        if name.endswith("_req"):
            function = Function(frame[1])
            address, count = struct.unpack(">HH", frame[2:])
            assert encode_read(9, frame[0], function, address, count)[6:] == frame, name
        else:
            [response] = ResponseReader().feed(struct.pack(">HHH", 9, 0, len(frame)) + frame)
            assert response.unit == frame[0], name
            if isinstance(response, Refusal):
                assert response.code == decoded["exception"] and response.function + 0x80 == decoded["fc"], name
            elif "registers" in decoded:
                assert list(response.registers) == decoded["registers"], name
            elif "float32_be" in decoded:
                assert decode_value(response.registers, "float32", False) == pytest.approx(decoded["float32_be"]), name
            else:
                assert decode_value(response.registers, "int16", False) == decoded["value"], name
        checked += 1
    assert checked >= 12


def test_a_coil_is_written_as_the_standard_shows_and_its_answer_repeats_the_request() -> None:
    request = encode_write_coil(1, 0x11, 0xAC, True)  # Application Protocol V1.1b3, §6.5
    assert request.hex() == "000100000006110500acff00"
    assert encode_write_coil(1, 0x11, 0xAC, False)[-2:] == b"\0\0"
    for cut in range(len(request)):
        reader = ResponseReader()
        (answer,) = [*reader.feed(request[:cut]), *reader.feed(request[cut:])]
        assert answer == Answer(1, 0x11, 5, (0xAC, 0xFF00)) and reader.noise_bytes == 0
