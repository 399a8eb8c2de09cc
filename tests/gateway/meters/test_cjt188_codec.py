"""CJ/T 188 bytes: both orders of the identifier, both layouts of the status, and what must not be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.cjt188.codec import (
    Frame,
    encode,
    encode_read,
    encode_read_address,
    encode_valve,
    frame_reader,
)
from gateway.drivers.cjt188.metering import Status, clock_text, parse_metering
from gateway.measured import Measured
from telemetry.errors import BadInput
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames, read

ANSWER = "68104433221100337881161f9000007766552c007766552c3101221105152021841316"  # published, its sum corrected


def wire(frame: Frame) -> bytes:
    """A frame as a meter sends it; written from the standard, not from the codec."""
    address = [int(frame.address[i : i + 2], 16) for i in range(12, -1, -2)]
    body = [0x68, frame.sort, *address, frame.control, len(frame.data), *frame.data]
    return bytes([*body, sum(body) % 256, 0x16])


frames = st.builds(
    Frame,
    st.sampled_from([0x10, 0x11, 0x20, 0x49]),
    st.text("0123456789", min_size=14, max_size=14),
    st.sampled_from([0x01, 0x81, 0xC1, 0x83, 0x84]),
    st.binary(max_size=100) | st.just(b"\x68\x16" * 20),
)


@given(st.lists(frames, min_size=1, max_size=4), st.lists(st.integers(1, 40), max_size=60))
def test_frames_survive_the_wire_in_any_cuts(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"\xfe\xfe\xfe".join(map(wire, sent))
    assert read(frame_reader, stream, cuts) == sent
    check_cuts(frame_reader, stream, cuts)


@given(frames)
def test_what_we_encode_is_what_the_standard_says(frame: Frame) -> None:
    assert encode(frame.sort, frame.address, frame.control, frame.data) == b"\xfe" * 4 + wire(frame)


@given(
    st.binary(max_size=400) | st.text("\x68\x10\x81\x16\x01", max_size=300).map(lambda t: t.encode("latin-1")),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_arbitrary_bytes_never_raise_and_the_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    check_cuts(frame_reader, data, cuts)
    for frame in read(frame_reader, data):
        assert isinstance(frame.value, bytes) and frame.serial in (None, *range(256))
        assert frame.identifier is None or len(frame.identifier) == 4


@given(st.sampled_from([0x10, 0x20]), st.binary(max_size=60) | st.binary(min_size=19, max_size=19))
def test_any_data_is_read_or_refused(sort: int, value: bytes) -> None:
    try:
        metering = parse_metering(sort, value)
    except BadInput:
        return
    assert len(value) in (19, 43) and metering.quantities


@pytest.mark.parametrize("seed", range(5))
def test_every_intact_frame_is_found_on_a_line_with_byte_errors(seed: int) -> None:
    sent = [wire(Frame(0x10, f"{i:014}", 0x81, b"\x90\x1f\x01" + bytes([i % 100] * (i % 40)))) for i in range(400)]
    intact, all_ = check_noisy_line(frame_reader, sent, seed)
    assert 0 < intact < all_


def test_random_bytes_hold_no_frame() -> None:
    assert false_frames(frame_reader, 1_000_000, seed=1) == 0  # 0.0004 are to be expected


def test_a_published_answer_is_read_and_the_same_with_its_wrong_sum_is_not() -> None:
    (frame,) = read(frame_reader, bytes.fromhex(ANSWER))
    assert (frame.vendor, frame.meter_number, frame.identifier, frame.is_swapped) == (
        "7833",
        "0011223344",
        "901F",
        True,
    )
    metering = parse_metering(frame.sort, frame.value)
    assert metering.quantities["current_volume"] == Measured(556677.0, "m3")
    assert metering.clock == "2015-05-11T22:01:31"
    assert read(frame_reader, bytes.fromhex(ANSWER[:-4] + "0816")) == []


@pytest.mark.parametrize(
    ("sent", "identifier", "is_swapped"),
    [
        ("901f", "901F", False),
        ("1f90", "901F", True),
        ("810a", "810A", False),
        ("0a81", "810A", True),
        ("beef", "BEEF", False),
    ],
)
def test_the_order_of_an_identifier_is_told_by_what_exists(sent: str, identifier: str, is_swapped: bool) -> None:
    frame = Frame(0x10, "00" * 7, 0x81, bytes.fromhex(sent) + b"\x07\x01")
    assert (frame.identifier, frame.is_swapped, frame.serial, frame.value) == (identifier, is_swapped, 7, b"\x01")


def test_requests_are_what_was_published() -> None:
    assert encode_read_address(0).hex() == "fefefefe68aaaaaaaaaaaaaaaa0303810a004916"
    assert encode_read(0x10, "00002020120218", "901F", 0).hex() == "fefefefe6810180212202000000103901f009716"
    swapped = encode_read(0x10, "78330011223344", "901F", 0, is_swapped=True)
    assert swapped.hex() == "fefefefe68104433221100337801031f90008016"
    assert read(frame_reader, encode_valve(0x10, "00002020120218", False, 7)) == [
        Frame(0x10, "00002020120218", 0x04, bytes.fromhex("a0170799"))
    ]


@pytest.mark.parametrize(
    ("first", "standard", "high_bits"),
    [
        (0x00, Status("open", False), Status("open", False)),
        (0x01, Status("closed", False), Status("open", False)),
        (0x03, Status("fault", False), Status("open", False)),
        (0x04, Status("open", True), Status("open", False)),
        (0x40, Status("open", False), Status("closed", False)),
        (0xE0, Status("open", False), Status("fault", True)),
    ],
)
def test_a_status_is_read_by_the_layout_of_its_vendor(first: int, standard: Status, high_bits: Status) -> None:
    value = bytes.fromhex("007766552c007766552c00000000000000") + bytes([first, 0])
    metering = parse_metering(0x10, value)
    assert metering.status_by("standard") == standard
    assert metering.status_by("high-bits") == high_bits
    assert metering.clock is None


def test_a_layout_without_units_is_refused_rather_than_read_as_nonsense() -> None:
    foreign = bytes.fromhex("15000000" + "123400" + "050000" + "18" + "00000000" + "0000" + "0000")
    assert len(foreign) == 19
    with pytest.raises(BadInput, match="unit"):
        parse_metering(0x10, foreign)
    with pytest.raises(BadInput, match="19"):
        parse_metering(0x10, foreign[:-1])


def test_filled_digits_are_not_measured() -> None:
    value = bytes.fromhex("ffffffff2c" + "10270000" + "29" + "00" * 7 + "0000")
    quantities = parse_metering(0x10, value).quantities
    assert quantities == {"current_volume": Measured(None, "m3"), "settlement_volume": Measured(27.1, "L")}


def test_a_heat_meter_says_more() -> None:
    value = "0010000005563412000534120000177856341235221100002c856500504500341200000000000000000000"
    quantities = parse_metering(0x20, bytes.fromhex(value)).quantities
    assert quantities["current_energy"] == Measured(1234.56, "kWh")
    assert quantities["flow"] == Measured(1234.5678, "m3/h")
    assert quantities["supply_temperature"] == Measured(65.85, "degC")
    assert quantities["work_time"] == Measured(1234, "h")


def test_a_clock_that_was_never_set_is_none() -> None:
    assert clock_text(bytes(7)) is None
    assert clock_text(b"\xff" * 7) is None
