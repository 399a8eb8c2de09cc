import math

import pytest
from firmware_sim.modbus import (
    NotModbusError,
    RegisterType,
    Request,
    RequestReader,
    WordOrder,
    decode,
    encode,
    reply,
)
from hypothesis import given
from hypothesis import strategies as st

READ_TWO_AT_12 = bytes.fromhex("000100000006 07 04 000C 0002")


def only(data: bytes) -> Request:
    (request,) = RequestReader().feed(data)
    return request


def test_a_read_is_answered_byte_for_byte() -> None:
    # 230.2 as in the manual of the Eastron SDM120: 43 66 33 34 (32-bit, high word first).
    registers = {4: {12: 0x4366, 13: 0x3334}}
    assert reply(only(READ_TWO_AT_12), registers) == bytes.fromhex("000100000007 07 04 04 43663334")


def test_an_address_past_the_last_register_is_refused() -> None:
    assert reply(only(READ_TWO_AT_12), {4: {0: 1}}) == bytes.fromhex("000100000003 07 84 02")


def test_a_gap_between_registers_reads_as_zero() -> None:
    assert reply(only(READ_TWO_AT_12), {4: {12: 5, 72: 9}})[-4:] == bytes.fromhex("0005 0000")


def test_a_function_the_meter_does_not_have_is_refused() -> None:
    assert reply(only(READ_TWO_AT_12), {3: {12: 1}}) == bytes.fromhex("000100000003 07 84 01")


@pytest.mark.parametrize("count", ["0000", "007E", "FFFF"])
def test_a_count_outside_1_to_125_is_refused(count: str) -> None:
    request = only(bytes.fromhex(f"000100000006 07 04 000C {count}"))
    assert reply(request, {4: {12: 1}}) == bytes.fromhex("000100000003 07 84 03")


@given(st.lists(st.integers(1, 20), max_size=12))
def test_it_does_not_matter_how_the_stream_is_cut(cuts: list[int]) -> None:
    stream, reader, found = READ_TWO_AT_12 * 3, RequestReader(), list[Request]()
    for cut in cuts:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found + reader.feed(stream) == [only(READ_TWO_AT_12)] * 3


def test_what_is_not_modbus_is_told_at_once() -> None:
    with pytest.raises(NotModbusError):
        RequestReader().feed(b"GET / HTTP/1.1\r\n")


INTEGERS: dict[RegisterType, tuple[int, int]] = {
    "uint16": (0, 65_535),
    "int16": (-32_768, 32_767),
    "uint32": (0, 2**32 - 1),
    "int32": (-(2**31), 2**31 - 1),
}


@given(st.sampled_from(sorted(INTEGERS)), st.sampled_from(["high-first", "low-first"]), st.data())
def test_integers_survive_their_registers(kind: RegisterType, order: WordOrder, data: st.DataObject) -> None:
    low, high = INTEGERS[kind]
    value = data.draw(st.one_of(st.sampled_from([low, high, 0]), st.integers(low, high)))
    assert decode(encode(value, kind, order), kind, order) == value


@given(st.sampled_from(["high-first", "low-first"]), st.floats(width=32, allow_nan=False))
def test_floats_survive_their_registers(order: WordOrder, value: float) -> None:
    assert math.isclose(decode(encode(value, "float32", order), "float32", order), value, rel_tol=0)


def test_the_low_word_can_come_first() -> None:
    assert encode(0x0001_0002, "uint32", "low-first") == (2, 1)


def test_a_value_too_large_for_its_register_stays_at_the_top() -> None:
    assert encode(70_000, "uint16", "high-first") == (65_535,)
