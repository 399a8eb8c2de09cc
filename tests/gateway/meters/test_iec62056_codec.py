"""IEC 62056-21 bytes: a handshake, readouts, check bytes that look like something else."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.iec62056.codec import (
    DataSet,
    Heard,
    Identification,
    Message,
    encode_command,
    encode_opening,
    encode_option,
    message_reader,
)
from gateway.drivers.iec62056.registers import short_code
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames, read

READOUT = "F.F(00)\r\n0.0.0(12345678)\r\n1.8.0(001234.56*kWh)\r\n2.8.0(000000.00*kWh)\r\n32.7.0(230.1*V)\r\n!\r\n"


def wire(heard: Heard) -> bytes:
    """A message as a meter sends it; written from the standard, not from the codec."""
    if isinstance(heard, Identification):
        return f"/{heard.manufacturer}{heard.baud_letter}{heard.text}\r\n".encode()
    inner = (heard.command + "\x02" if heard.command else "").encode() + heard.body.encode() + b"\x03"
    check = functools.reduce(lambda a, b: a ^ b, inner)
    return (b"\x01" if heard.command else b"\x02") + inner + bytes([check])


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=16)
identifications = st.builds(
    Identification, st.sampled_from(["LGZ", "ISK", "Abc"]), st.sampled_from("0123456"), printable
)
messages = st.builds(
    Message, st.sampled_from(["", "R1", "P0", "W5"]), st.text("0123456789.()*kWh!/\r\n ", max_size=200)
)


@given(st.lists(identifications | messages, min_size=1, max_size=4), st.lists(st.integers(1, 40), max_size=60))
def test_messages_survive_the_wire_in_any_cuts(sent: list[Heard], cuts: list[int]) -> None:
    stream = b"\xff".join(map(wire, sent))
    assert read(message_reader, stream, cuts) == sent
    check_cuts(message_reader, stream, cuts)


@given(
    st.binary(max_size=400) | st.text("\x01\x02\x03/R1(A\r\n", max_size=300).map(lambda t: t.encode("latin-1")),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_arbitrary_bytes_never_raise_and_the_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    check_cuts(message_reader, data, cuts)
    for heard in read(message_reader, data):
        assert isinstance(heard, Identification) or isinstance(heard.data_sets, tuple)


@pytest.mark.parametrize("seed", range(5))
def test_every_intact_readout_is_found_on_a_line_with_byte_errors(seed: int) -> None:
    # A check of one byte lets one error of 256 pass: a readout so damaged would be found, and rightly so.
    sent = [wire(Message("", f"1.8.0({i:09.2f}*kWh)\r\n!\r\n")) for i in range(300)]
    intact, all_ = check_noisy_line(message_reader, sent, seed, error_rate=0.01)
    assert 0 < intact < all_


def test_random_bytes_hold_no_readout() -> None:
    assert false_frames(message_reader, 1_000_000, seed=1) <= 2  # 0.1 are to be expected


def test_a_readout_becomes_data_sets() -> None:
    (message,) = read(message_reader, wire(Message("", READOUT)))
    assert isinstance(message, Message)
    assert message.data_sets[2] == DataSet("1.8.0", "001234.56", "kWh")
    assert [d.number for d in message.data_sets] == [0.0, 12345678.0, 1234.56, 0.0, 230.1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1.8.0()", [None]),
        ("1.8.0(------*kWh)", [None]),
        ("C.1(abc)", [None]),
        ("1.8.1(000001.5)(000002.5)", [1.5, 2.5]),
        ("2.7(-01.50*kW)", [-1.5]),
        ("1.8.0(0012", []),
        ("1.8.0(1e5*kWh)", [None]),
        pytest.param(f"1.8.0({'9' * 400}*kWh)", [None], id="beyond all numbers"),
    ],
)
def test_what_is_no_number_is_not_measured(line: str, expected: list[float | None]) -> None:
    assert [d.number for d in Message("", line).data_sets] == expected


def test_a_check_byte_that_looks_like_an_acknowledgement_is_read_by_its_place() -> None:
    captured = bytes.fromhex("02303030303030333428303031353131343230313434290306")
    (message,) = read(message_reader, captured)
    assert message == Message("", "00000034(001511420144)")


def test_requests_are_what_the_standard_says() -> None:
    assert encode_opening() == b"/?!\r\n" and encode_opening("12345678") == b"/?12345678!\r\n"
    assert encode_option("5") == b"\x06050\r\n" and encode_option("5", is_programming=True) == b"\x06051\r\n"
    assert encode_command("R1", "00000000()").hex() == "01523102303030303030303028290363"
    assert read(message_reader, bytes.fromhex("0142300371")) == [Message("B0", "")]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("1-0:1.8.0*255", "1.8.0"),
        ("1.8.0", "1.8.0"),
        ("1.8.1&01", "1.8.1&01"),  # as it stood at the end of a month, and not as it stands
        ("1-0:1.8.0*12", "1.8.0*12"),
        ("F.F", "F.F"),
        ("2.7", "2.7"),
    ],
)
def test_a_code_is_found_within_what_makers_write(address: str, code: str) -> None:
    assert short_code(address) == code
