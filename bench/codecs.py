"""How many frames a second does each codec of meters and stations decode, and does anything but a frame come out of noise?

Speed: answers as meters send them, one after the other in pieces of 256 bytes as a serial server hands them over, through
the reader of frames and on to quantities. Noise: random bytes, in which the checksum's own odds let a frame be now and
then. Damage: every input is an answer with a few bytes changed, lost, doubled or cut off, followed by an intact one; the
intact one must be found, and nothing but BadInput may be raised. A check of 8 bits lets one damaged frame in 256 pass; when
such a one has taken the beginning of the next with it, that is lost, which is what the third figure counts.

Noisy line: one byte in a hundred is another one and up to twenty of noise lie between answers; those that came whole must be
found, and nothing that nobody sent.

Messages of scanners are whole when they come: only their speed is measured, without a reader of frames.

Non-goals: the line, which is slower by four orders of magnitude; coverage-guided search (the tests' hypothesis strategies
know the formats; this one only hits them often).
"""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from firmware_sim.devices import isapi
from firmware_sim.devices.face_terminal import FaceTerminal
from firmware_sim.devices.faults import MeterClock
from firmware_sim.devices.isapi import IsapiDevice
from firmware_sim.devices.scanner import Seen

from bench.report import Cell, Goal, Report, Table, steps
from gateway.drivers.cjt188 import codec as cjt188
from gateway.drivers.cjt188.metering import parse_metering
from gateway.drivers.dlt645 import codec as dlt645
from gateway.drivers.dlt645.items import item_of, values
from gateway.drivers.dlt698 import codec as dlt698
from gateway.drivers.dlt698.apdu import parse_response
from gateway.drivers.face_mqtt import codec as face
from gateway.drivers.hikvision import codec as hikvision
from gateway.drivers.iec62056 import codec as iec62056
from gateway.drivers.level_uart import codec as level_uart
from gateway.drivers.mbus import codec as mbus
from gateway.drivers.mbus.records import parse_telegram
from gateway.drivers.modbus_rtu import codec as modbus_rtu
from gateway.drivers.sdi12 import codec as sdi12
from gateway.drivers.sl651 import codec as sl651
from gateway.drivers.zkteco import codec as zkteco
from gateway.framing import FrameReader
from gateway.hj212 import codec as hj212
from gateway.modbus.pdu import decode_value
from telemetry.errors import BadInput

GOAL_FRAMES = 20_000.0
GOAL_LOST = 1e-4
GOAL_UNHEARD = 1e-3  # noise that completes a sum of 8 bits may take an intact frame with it
_PIECE_BYTES = 256


@dataclass(frozen=True, slots=True)
class Codec:
    """One protocol: an answer with a number in it, its reader, what makes quantities of a frame."""

    name: str
    answer: Callable[[int], bytes]
    reader: Callable[[], FrameReader[Any] | Sdi12Reader]
    quantities: Callable[[Any], object]
    odds: float  # of a frame at a position of random bytes


def _dlt645(number: int) -> bytes:
    return dlt645.encode(f"{number % 10**12:012}", 0x91, bytes.fromhex("00000100") + _decimal(number, 4))


def _dlt645_quantities(frame: dlt645.Frame) -> object:
    item = item_of(frame.identifier or "")
    return values(item, frame.value) if item is not None else frame.refusal_words


def _dlt698(number: int) -> bytes:
    said = bytes.fromhex("8501010010020001010506") + struct.pack(">I", number)
    said += b"".join(b"\x06" + struct.pack(">I", number // 4) for _ in range(4)) + b"\0\0"
    head = struct.pack("<HBB", 15 + len(said), 0xC3, 5) + bytes.fromhex(f"{number % 10**12:012}")[::-1] + b"\x10"
    body = head + struct.pack("<H", dlt698.crc(head)) + said
    return b"\x68" + body + struct.pack("<H", dlt698.crc(body)) + b"\x16"


def _cjt188(number: int) -> bytes:
    data = b"\x90\x1f\x01" + _decimal(number, 4) + b"\x2c" + _decimal(number, 4) + b"\x2c" + bytes(9)
    return cjt188.encode(0x10, f"{number % 10**14:014}", 0x81, data)


def _mbus(number: int) -> bytes:
    records = b"\x0c\x13" + _decimal(number, 4) + bytes.fromhex("04 6d 3a0de602 42 6c e101 4c 13") + _decimal(number, 4)
    records += b"\x0b\x3b" + _decimal(number, 3) + b"\x04\x06" + struct.pack("<I", number)
    return mbus.encode_long(0x08, number % 250, 0x72, bytes.fromhex("785634122423010713000000") + records)


def _modbus(number: int) -> bytes:
    registers = struct.pack(">8H", *((number + i) & 0xFFFF for i in range(8)))
    return modbus_rtu.encode(1 + number % 247, b"\x04\x10" + registers)


def _modbus_quantities(frame: modbus_rtu.Frame) -> object:
    if frame.exception is not None or len(frame.registers) != 8:
        return frame.exception
    return [decode_value(frame.registers[i : i + 2], "float32", False) for i in range(0, 8, 2)]


def _iec62056(number: int) -> bytes:
    text = (
        f"0.0.0({number:08})\r\n1.8.0({number % 10**6:06}.56*kWh)\r\n2.8.0(000000.00*kWh)\r\n32.7.0(230.1*V)\r\n!\r\n"
    )
    inner = text.encode() + b"\x03"
    return b"\x02" + inner + bytes([iec62056.bcc(inner)])


def _iec62056_quantities(heard: iec62056.Heard) -> object:
    return [d.number for d in heard.data_sets] if isinstance(heard, iec62056.Message) else heard.baud


def _mbus_quantities(frame: mbus.Frame) -> object:
    return parse_telegram(frame.application, frame.data) if frame.application is not None else frame


def _decimal(number: int, byte_count: int) -> bytes:
    return bytes.fromhex(f"{number % 10 ** (2 * byte_count):0{2 * byte_count}}")[::-1]


def _sl651(number: int) -> bytes:
    stamp = struct.pack(">H", number % 2**16) + bytes.fromhex("261123080005")
    report = bytes.fromhex("f1f1001234567848f0f02611230800")
    values = b"\x20\x19" + _digits(number, 3) + b"\x26\x19" + _digits(number, 3) + b"\x39\x23" + _digits(number, 4)
    body = stamp + report + values + b"\x38\x12" + _digits(number, 2)
    return sl651.encode(sl651.Frame(True, 1, "0012345678", "1234", sl651.Function.TIMED, body, sl651.End.ETX))


def _hj212(number: int, factor_count: int = 3) -> bytes:
    time = {"DataTime": "20261123080000"}
    factors = [
        {f"e416{i:02}-Rtd": f"{number % 10_000 / 1000:.3f}", f"e416{i:02}-Flag": "N"}
        for i in range(1, 1 + factor_count)
    ]
    return hj212.encode(hj212.Packet("20261123080000123", "52", "2011", "100000", "0" * 24, 5, (time, *factors)))


def _digits(number: int, byte_count: int) -> bytes:
    return _decimal(number, byte_count)[::-1]


CODECS: Sequence[Codec] = (
    Codec("DL/T 645", _dlt645, dlt645.frame_reader, _dlt645_quantities, 1.8e-10),
    Codec("DL/T 698.45", _dlt698, dlt698.frame_reader, lambda frame: parse_response(frame.apdu), 3e-15),
    Codec("CJ/T 188", _cjt188, cjt188.frame_reader, lambda frame: parse_metering(frame.sort, frame.value), 4e-10),
    Codec("M-Bus", _mbus, mbus.frame_reader, _mbus_quantities, 1.9e-9),
    Codec("Modbus RTU", _modbus, modbus_rtu.answer_reader, _modbus_quantities, 3.1e-7),
    Codec("IEC 62056-21", _iec62056, iec62056.message_reader, _iec62056_quantities, 1e-7),
    Codec("SL 651", _sl651, sl651.frame_reader, sl651.decode_report, 2e-15),
    Codec("HJ 212", _hj212, hj212.packet_reader, hj212.factor_values, 1e-20),
    Codec("HJ 212, 15 factors", lambda number: _hj212(number, 15), hj212.packet_reader, hj212.factor_values, 1e-20),
)


class Sdi12Reader:
    """Lines of SDI-12 that hold values and the checksum that was asked for."""

    def __init__(self) -> None:
        self._lines = sdi12.line_reader()

    def feed(self, data: bytes) -> list[sdi12.Values]:
        return _checked(self._lines.feed(data))

    def flush(self) -> list[sdi12.Values]:
        return _checked(self._lines.flush())


def _checked(lines: Sequence[str]) -> list[sdi12.Values]:
    values = []
    for line in lines:
        try:
            values.append(sdi12.decode_values(line, needs_checksum=True))
        except BadInput:
            pass
    return values


def _sdi12(number: int) -> bytes:
    text = f"{number % 10}+{number % 10_000 / 1000:.3f}-{number % 400 / 10:.1f}+12.1"
    return (text + sdi12.checksum(text) + "\r\n").encode("ascii")


def _auto(number: int) -> bytes:
    frame = b"\xff" + struct.pack(">H", number % 9_000)
    return frame + bytes([sum(frame) & 0xFF])


def _urm(number: int) -> bytes:
    return level_uart.encode_urm(level_uart.UrmFrame(0x11, level_uart.READ_DISTANCE, struct.pack(">H", number % 900)))


LEVELS: Sequence[Codec] = (
    Codec("SDI-12", _sdi12, Sdi12Reader, lambda values: values.values, 1e-12),
    Codec("level sensors, automatic", _auto, level_uart.auto_reader, lambda frame: frame.distance_mm, 2.0**-16),
    Codec("level sensors, asked", _urm, level_uart.urm_reader, lambda frame: frame.distance_mm, 2.0**-24),
)
"""Sensors whose frames carry a check, beside the meters and stations."""


_NOW_MS = 1_795_392_000_000
_ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Scanner:
    """One family of scanners: a message of a passage with a number in it, and what makes a scan of it."""

    name: str
    message: Callable[[int], bytes]
    decode: Callable[[bytes], object]


def _isapi(**habits: Any) -> Callable[[int], bytes]:
    device = IsapiDevice("a4:d5:c2:24:dd:74", MeterClock(0), habits=isapi.Habits(has_pictures=False, **habits))
    return lambda number: device.saw(Seen(_NOW_MS - 1000 * number, str(number), 36.5, True)).body


def _face(number: int) -> bytes:
    terminal = FaceTerminal("1305433", MeterClock(0))
    terminal.saw(Seen(_NOW_MS - 1000 * number, str(number), 36.5, True))
    return terminal.message("1", _NOW_MS)


def _rtlog(number: int) -> bytes:
    row = f"time=2026-11-23 08:00:{number % 60:02}\tpin={number}\tcardno=0\teventaddr=1\tevent=3\tverifytype=15"
    return f"{row}\tindex={number}\tmaskflag=1\ttemperature=36.5\tconvtemperature=97.7".encode()


SCANNERS: Sequence[Scanner] = (
    Scanner("Hikvision, JSON", _isapi(), lambda data: hikvision.decode_event(data, _ZONE, _NOW_MS)),
    Scanner("Hikvision, XML", _isapi(language="xml"), lambda data: hikvision.decode_event(data, _ZONE, _NOW_MS)),
    Scanner("mqtt/face", _face, lambda data: face.decode(data, _ZONE, _NOW_MS)),
    Scanner("ZKTeco", _rtlog, lambda data: zkteco.decode_rtlog(data, "S1", _ZONE, _NOW_MS)),
)


def run(
    frames: int = 50_000, noise_bytes: int = 10_000_000, damaged: int = 100_000, lines: int = 20_000, seed: int = 1
) -> Report:
    """Each codec in turn."""
    report = Report(
        "codecs",
        "how fast is each codec, and what comes out of noise?",
        {"frames": frames, "noise_bytes": noise_bytes, "damaged": damaged, "lines": lines, "seed": seed},
    )
    rows: list[list[Cell]] = []
    slowest, missed, extra, unheard = float("inf"), 0.0, 0.0, 0.0
    for codec in steps((*CODECS, *LEVELS), "codecs"):
        rate, byte_rate = speed(codec, frames)
        false = noise(codec, noise_bytes, seed)
        lost = damage(codec, damaged, seed)
        expected = codec.odds * noise_bytes
        heard = noisy_line(codec, lines, seed)
        unheard = max(unheard, 1 - heard.found / max(1, heard.intact))
        row: list[Cell] = [codec.name, rate, byte_rate / 1e6, false, round(expected, 4), lost]
        rows.append([*row, heard.intact, heard.found, heard.extra])
        slowest, missed = min(slowest, rate), max(missed, lost / damaged)
        extra = max(extra, false - expected - 4 * expected**0.5)
    said: list[list[Cell]] = []
    for scanner in steps(SCANNERS, "scanners"):
        messages = [scanner.message(number) for number in range(frames // 5)]
        start_s = time.process_time()
        for message in messages:
            scanner.decode(message)
        rate = len(messages) / (time.process_time() - start_s)
        said.append([scanner.name, rate, len(messages[0])])
        slowest = min(slowest, rate)
    speeds = ("codec", "frames/CPU s", "MB/CPU s", "frames in noise", "expected by odds", "intact frames lost")
    columns = (*speeds, "intact on a noisy line", "found", "nobody sent")
    report.tables.append(Table("one core", columns, rows))
    report.tables.append(Table("scanners, one core", ("family", "messages/CPU s", "bytes"), said))
    report.goals += [
        Goal("frames a second, slowest codec", f"≥ {GOAL_FRAMES:,.0f}", slowest, slowest >= GOAL_FRAMES),
        Goal("share of intact frames lost behind damaged ones", f"≤ {GOAL_LOST}", missed, missed <= GOAL_LOST),
        Goal("frames in noise past four sigmas of the odds", "≤ 1", extra, extra <= 1),
        Goal("share of intact frames of a noisy line not found", f"≤ {GOAL_UNHEARD}", unheard, unheard <= GOAL_UNHEARD),
    ]
    return report


def speed(codec: Codec, frames: int) -> tuple[float, float]:
    """Frames and bytes a CPU second, to quantities: neighbours on the machine do not count."""
    stream = b"".join(codec.answer(number) for number in range(frames))
    reader, found = codec.reader(), 0
    start_s = time.process_time()
    for at in range(0, len(stream), _PIECE_BYTES):
        for frame in reader.feed(stream[at : at + _PIECE_BYTES]):
            codec.quantities(frame)
            found += 1
    took_s = time.process_time() - start_s
    assert found == frames, f"{codec.name}: {found} of {frames} frames"
    return frames / took_s, len(stream) / took_s


def noise(codec: Codec, byte_count: int, seed: int) -> int:
    """Frames in random bytes."""
    rng, reader = random.Random(seed), codec.reader()
    return sum(len(reader.feed(rng.randbytes(min(65_536, byte_count - at)))) for at in range(0, byte_count, 65_536))


@dataclass(frozen=True, slots=True)
class NoisyLine:
    """What came over a noisy line: answers that came whole, those of them that were found, and frames that nobody sent."""

    intact: int
    found: int
    extra: int


def noisy_line(codec: Codec, frames: int, seed: int, error_rate: float = 0.01) -> NoisyLine:
    """Answers with wrong bytes at that rate, and noise between them, in pieces of any size; the line is silent at the end."""
    rng, stream = random.Random(seed), bytearray()
    sent: list[tuple[Any, bool]] = []  # what each answer says, and whether it came whole
    for number in range(frames):
        answer = codec.answer(number)
        stream += rng.randbytes(rng.randrange(20))
        hit = bytes(rng.randrange(256) if rng.random() < error_rate else byte for byte in answer)
        stream += hit
        sent += [(frame, hit == answer) for frame in codec.reader().feed(answer)]
    reader, at = codec.reader(), 0
    heard: list[Any] = []
    while at < len(stream):
        size = rng.randrange(1, 64)
        heard += reader.feed(bytes(stream[at : at + size]))
        at += size
    heard += reader.flush()
    # By their words, and how often: a damaged answer may say the same as before, when its wake-up bytes were hit.
    came, whole = Counter(map(repr, heard)), Counter(repr(frame) for frame, is_intact in sent if is_intact)
    extra = came - Counter(repr(frame) for frame, _ in sent)
    return NoisyLine(whole.total(), (came & whole).total(), extra.total())


def damage(codec: Codec, inputs: int, seed: int) -> int:
    """Intact frames that were not found behind damaged ones."""
    rng, lost = random.Random(seed), 0
    last = codec.answer(4_711)
    (expected,) = codec.reader().feed(last)
    for number in range(inputs):
        reader = codec.reader()
        heard = reader.feed(_damaged(codec.answer(number), rng)) + reader.feed(last) + reader.flush()
        lost += expected not in heard
        for frame in heard:
            try:
                codec.quantities(frame)
            except BadInput:
                pass
    return lost


def _damaged(frame: bytes, rng: random.Random) -> bytes:
    changed = bytearray(frame)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at]
            case 2:
                changed[at:at] = changed[at : at + rng.randrange(1, 9)]
            case _:
                changed[at] ^= 1 << rng.randrange(8)
        if not changed:
            break
    return bytes(changed[: rng.randrange(len(changed)) + 1] if changed and rng.random() < 0.25 else changed)
