"""A short run for each codec, and whether a bug would be found."""

from __future__ import annotations

import re
import struct

import pytest

from gateway.drivers.level_uart.codec import text_reader
from gateway.framing import FrameReader
from telemetry.errors import BadInput
from tests.fuzz.codecs import Target, refusing, stream, targets
from tests.fuzz.run import fuzz

INPUTS = 500


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_damaged_messages_are_refused_or_read_and_nothing_else(target: Target) -> None:
    found = fuzz(target, INPUTS, seed=7).found
    assert not found, "\n".join(f"{each.error}: {each.data.hex()}" for each in found)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_what_is_damaged_was_well_before(target: Target) -> None:
    """Else nothing behind the first check would ever be reached."""
    for seed in target.seeds:
        try:
            target.put(seed)
        except BadInput as error:
            pytest.fail(f"{error}: {seed!r}")


def _reads_past_the_end() -> FrameReader[bytes]:
    """A size that is told from the byte behind a frame, where there is one."""
    return FrameReader(lambda buffer, at: 2 if len(buffer) <= at + 2 or buffer[at + 2] else 3, lambda data: data)


def _crashes(data: bytes) -> object:
    if not data.startswith(b"ok"):
        raise BadInput("bad", "not ok")
    return struct.unpack(">H", data[2:4])


def _hangs(data: bytes) -> None:
    while len(data) == 3:
        pass


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (Target("past the end", [b"ab\x00cd"], stream(_reads_past_the_end, len)), "Overread"),
        (Target("crashes", [b"ok12"], refusing(_crashes)), "error: unpack"),
        (Target("hangs", [b"1234"], _hangs), "takes more than"),
    ],
    ids=lambda each: each.name if isinstance(each, Target) else "",
)
def test_a_bug_is_found(target: Target, error: str) -> None:
    assert error in fuzz(target, 20 if target.name == "hangs" else INPUTS, seed=1).found[0].error


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    reader = text_reader(re.compile(r"R(\d+)"))
    reader.feed(b"R" * 100_000)
    assert len(reader._buffer) < 1_000
