"""M-Bus bytes and records: real telegrams, noise, and pyMeterBus as an independent reader."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import meterbus
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.mbus.codec import (
    Acknowledgement,
    Frame,
    acknowledgement_reader,
    encode_long,
    encode_select,
    encode_short,
    frame_reader,
)
from gateway.drivers.mbus.records import Kind, Record, parse_records, parse_telegram, parse_wireless
from telemetry.errors import BadInput
from tests.gateway.meters.streams import check_cuts, check_noisy_line, false_frames, read
from tests.vectors.vector import FOLDER

VECTORS = FOLDER / "mbus.json"
HEADER = bytes.fromhex("785634122423 0107 13000000")  # 12345678, IIC, water


def wire(frame: Frame) -> bytes:
    """A frame as a meter sends it; written from the standard, not from the codec."""
    if frame.application is None:
        return bytes([0x10, frame.control, frame.address, (frame.control + frame.address) % 256, 0x16])
    body = [frame.control, frame.address, frame.application, *frame.data]
    return bytes([0x68, len(body), len(body), 0x68, *body, sum(body) % 256, 0x16])


octets = st.integers(0, 255)
long_frames = st.builds(Frame, octets, octets, octets, st.binary(max_size=252) | st.just(b"\x68\x16\x10" * 30))
short_frames = st.builds(Frame, st.sampled_from([0x40, 0x5B, 0x7B]), octets)


@given(st.lists(long_frames | short_frames, min_size=1, max_size=4), st.lists(st.integers(1, 40), max_size=60))
def test_frames_survive_the_wire_in_any_cuts(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"\xff\x00".join(map(wire, sent))
    assert read(frame_reader, stream, cuts) == sent
    check_cuts(frame_reader, stream, cuts)


@given(long_frames)
def test_what_we_encode_is_what_the_standard_says(frame: Frame) -> None:
    assert frame.application is not None
    assert encode_long(frame.control, frame.address, frame.application, frame.data) == wire(frame)


@given(
    st.binary(max_size=600) | st.text("\x68\x10\x03\x16\x5b", max_size=300).map(lambda t: t.encode("latin-1")),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_arbitrary_bytes_never_raise_and_the_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    check_cuts(frame_reader, data, cuts)
    check_cuts(acknowledgement_reader, data, cuts)


@given(st.binary(max_size=80), st.sampled_from([0x70, 0x72, 0x73, 0x78, 0x7A]))
def test_any_data_is_read_or_refused(data: bytes, application: int) -> None:
    for telegram in (data, bytes(11) + data):
        with contextlib.suppress(BadInput):
            parse_telegram(application, data)
        with contextlib.suppress(BadInput):
            parse_wireless(bytes([len(telegram)]) + telegram)


@pytest.mark.parametrize("seed", range(5))
def test_every_intact_frame_is_found_on_a_line_with_byte_errors(seed: int) -> None:
    sent = [wire(Frame(0x08, i % 251, 0x72, HEADER + bytes([i % 256] * (i % 60)))) for i in range(400)]
    intact, all_ = check_noisy_line(frame_reader, sent, seed)
    assert 0 < intact < all_


def test_random_bytes_hold_no_frame() -> None:
    assert false_frames(frame_reader, 1_000_000, seed=1) == 0  # 0.001 are to be expected


def test_requests_are_what_the_standard_says() -> None:
    assert encode_short(0x40, 1).hex() == "1040014116"
    assert encode_short(0x5B, 1).hex() == "105b015c16" and encode_short(0x5B, 1, is_second=True).hex() == "107b017c16"
    assert encode_select("12345678").hex() == "680b0b6853fd5278563412ffffffffb216"
    assert read(acknowledgement_reader, b"\xe5") == [Acknowledgement()]
    assert read(frame_reader, b"\xe5") == []


def records(data: str) -> tuple[Record, ...]:
    return parse_records(bytes.fromhex(data))[0]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0413 181e0000", Record("volume", "m3", 7.704)),
        ("0c13 67452301", Record("volume", "m3", 1234.567)),
        ("0c13 674523f1", Record("volume", "m3", -1234.567)),
        ("0c13 ffffffff", Record("volume", "m3", None)),
        ("0c13 6745a301", Record("volume", "m3", None)),
        ("3413 181e0000", Record("volume", "m3", None, Kind.IN_ERROR)),
        ("022b feff", Record("power", "W", -2.0)),
        ("053e 0000c03f", Record("flow", "m3/h", 1.5)),
        ("053e 0000c07f", Record("flow", "m3/h", None)),  # no number
        ("0efd3a 010000000000", Record("vif FD 3A", "", 1.0)),
        ("8c1004 52120000", Record("energy", "Wh", 12520.0, tariff=1)),
        ("8c2104 52120000", Record("energy", "Wh", 12520.0, storage=2, tariff=2)),
        ("82402b 0100", Record("power", "W", 1.0, subunit=1)),
        ("0e833c 807400000000", Record("energy", "Wh", 7480.0, is_reverse=True)),
        ("02fd49 e600", Record("voltage", "V", 230.0)),
        ("02fdc9ff01 ed00", Record("voltage", "V", 237.0, extension=b"\xff\x01")),
        ("0293 74 1000", Record("volume", "m3", 0.00016)),
        ("0293 18 1000", Record("volume", "m3", None, extension=b"\x18")),  # the meter says: data error
        ("0293 9215 1000", Record("volume", "m3", None, extension=b"\x92\x15")),  # no data
        ("0293 12 1000", Record("volume", "m3", 0.016, extension=b"\x12")),
        ("0293 ff15 1000", Record("volume", "m3", 0.016, extension=b"\xff\x15")),  # a word of the vendor's
        ("046d 3a0de602", Record("datetime", "", "2007-02-06T13:58")),
        ("426c e101", Record("date", "", "2007-01-01", storage=1)),
        ("426c ffff", Record("date", "", None, storage=1)),
        ("0c78 78563412", Record("fabrication no", "", "12345678")),
        ("0dfd0c 03 434241", Record("model", "", "ABC")),
        ("04fb01 02000000", Record("energy", "MWh", 2.0)),
    ],
)
def test_a_record_becomes_a_value(data: str, expected: Record) -> None:
    (record,) = records(data)
    assert record.value == (pytest.approx(expected.value) if isinstance(expected.value, float) else expected.value)
    assert record._replace(value=None) == expected._replace(value=None)


def test_filler_is_passed_over_and_the_vendors_own_ends_the_records() -> None:
    assert len(records("2f2f 0413 181e0000 2f 023b 0000 0f 0413 00")) == 2
    assert parse_records(bytes.fromhex("0413 181e0000 1f 00"))[1] is True


@pytest.mark.parametrize("data", ["0413 181e00", "04", "84", "0dfd0c 05 41", "8c808080808080808080808000"])
def test_a_record_past_the_end_is_refused(data: str) -> None:
    with pytest.raises(BadInput, match=r"mbus-(truncated|malformed)"):
        records(data)


def test_what_a_meter_cannot_do_is_told() -> None:
    with pytest.raises(BadInput, match="busy"):
        parse_telegram(0x70, b"\x08")
    with pytest.raises(BadInput, match="decrypted"):
        parse_telegram(0x7A, bytes.fromhex("3600 1005 a1b2c3d4"))
    with pytest.raises(BadInput, match="not read here"):
        parse_telegram(0x73, bytes(16))


def test_a_wireless_telegram_says_who_it_is_from() -> None:
    telegram = parse_wireless(bytes.fromhex("1e44ae4c9956341268077a360010002f2f0413181e0000023b00002f2f2f2f"))
    assert telegram.identity is not None
    assert (telegram.identity.number, telegram.identity.manufacturer) == ("12345699", "SEN")
    assert telegram.identity.medium_words == "water"
    with pytest.raises(BadInput, match="length"):
        parse_wireless(bytes.fromhex("1d44ae4c9956341268077a360010002f2f0413181e0000023b00002f2f2f2f"))


UNITS = {"WH": "Wh", "M3": "m3", "W": "W", "M3_H": "m3/h", "C": "degC", "K": "K", "V": "V", "A": "A"}


def theirs(telegram: bytes) -> list[tuple[str, Any]]:
    """The quantities that pyMeterBus reads, in order; times are left out, which it turns into seconds.

    It is told that this is a long frame: by itself it takes one of length 44 for a wireless telegram.
    """
    found = json.loads(meterbus.TelegramLong.parse(list(telegram)).to_JSON())["body"]["records"]
    units = [(r, UNITS.get(r["unit"].removeprefix("MeasureUnit."))) for r in found]
    return [(unit, pytest.approx(float(r["value"]), rel=1e-9)) for r, unit in units if unit]


def ours(telegram: bytes) -> list[tuple[str, float]]:
    (frame,) = frame_reader().feed(telegram)
    assert isinstance(frame, Frame) and frame.application is not None
    found = parse_telegram(frame.application, frame.data).records
    return [(r.unit, r.value) for r in found if r.unit in UNITS.values() and isinstance(r.value, float)]


def captured() -> list[Any]:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8")) if VECTORS.exists() else []
    return [v for v in vectors if v["kind"] == "captured" and v["protocol"].startswith("M-Bus")]


@pytest.mark.skipif(not captured(), reason=f"{VECTORS} is not in this checkout")
@pytest.mark.parametrize("vector", captured(), ids=lambda v: v["name"])
def test_pymeterbus_reads_the_same_in_real_telegrams(vector: Any) -> None:
    telegram = bytes.fromhex(vector["hex"])
    assert len(ours(telegram)) >= 2
    assert ours(telegram) == theirs(telegram)


integers = st.sampled_from([(1, 1), (2, 2), (3, 3), (4, 4), (6, 6), (7, 8)]).flatmap(
    lambda f: st.integers(-(2 ** (8 * f[1] - 1)), 2 ** (8 * f[1] - 1) - 1).map(
        lambda n: bytes([f[0]]) + b"\0" + n.to_bytes(f[1], "little", signed=True)
    )
)
decimals = st.sampled_from([(9, 1), (10, 2), (11, 3), (12, 4), (14, 6)]).flatmap(
    lambda f: st.integers(0, 10 ** (2 * f[1]) - 1).map(
        lambda n: bytes([f[0]]) + b"\0" + bytes.fromhex(f"{n:0{2 * f[1]}}")[::-1]
    )
)
codes = st.sampled_from([*range(0x08), *range(0x10, 0x18), *range(0x28, 0x30), *range(0x38, 0x40), 0x5B, 0x5E])


@given(st.lists(st.tuples(integers | decimals, codes), min_size=1, max_size=8))
def test_pymeterbus_and_we_read_drawn_records_alike(drawn: list[tuple[bytes, int]]) -> None:
    data = b"".join(value[:1] + bytes([code]) + value[2:] for value, code in drawn)
    telegram = wire(Frame(0x08, 1, 0x72, HEADER + data))
    assert ours(telegram) == theirs(telegram)
