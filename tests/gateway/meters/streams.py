"""Laws that every reader of frames keeps, and the lines that test them. Written without any codec."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from gateway.framing import FrameReader

Make = Callable[[], FrameReader[Any]]


def read(make: Make, data: bytes, cuts: Sequence[int] = ()) -> list[Any]:
    """Everything that a reader finds in a stream cut like this, the line being silent behind it."""
    reader = make()
    found: list[Any] = []
    for cut in cuts:
        found += reader.feed(data[:cut])
        data = data[cut:]
    return found + reader.feed(data) + reader.flush()


def check_cuts(make: Make, data: bytes, cuts: Sequence[int]) -> None:
    """The cut of a stream does not matter, neither for the frames nor for the noise."""
    whole, pieces = make(), make()
    expected = whole.feed(data)
    found: list[Any] = []
    rest = data
    for cut in cuts:
        found += pieces.feed(rest[:cut])
        rest = rest[cut:]
    found += pieces.feed(rest)
    assert found == expected
    assert pieces.noise_bytes == whole.noise_bytes
    assert pieces.flush() == whole.flush()
    assert pieces.noise_bytes == whole.noise_bytes


def check_noisy_line(make: Make, frames: Sequence[bytes], seed: int, error_rate: float = 0.01) -> tuple[int, int]:
    """A line with byte errors: every frame that came whole is found, nothing else is. Returns how many were, of how many.

    Between frames lies noise of up to 20 bytes as well.
    """
    rng = random.Random(seed)
    stream = bytearray()
    expected: list[Any] = []
    for frame in frames:
        stream += rng.randbytes(rng.randrange(20))
        hit = bytes(rng.randrange(256) if rng.random() < error_rate else byte for byte in frame)
        stream += hit
        expected += read(make, frame) if hit == frame else []
    cuts = [rng.randrange(1, 64) for _ in range(len(stream) // 32)]
    found = read(make, bytes(stream), cuts)
    missed = list(expected)
    extra = [frame for frame in found if not _took(missed, frame)]
    assert not missed, f"seed {seed}: {len(missed)} intact frames were not found, such as {missed[0]}"
    assert not extra, f"seed {seed}: {len(extra)} frames were found that nobody sent, such as {extra[0]}"
    return len(expected), len(frames)


def false_frames(make: Make, byte_count: int, seed: int) -> int:
    """How many frames random bytes hold."""
    rng = random.Random(seed)
    reader = make()
    return sum(len(reader.feed(rng.randbytes(65_536))) for _ in range(byte_count // 65_536))


def _took(frames: list[Any], frame: Any) -> bool:
    if frame in frames:
        frames.remove(frame)
        return True
    return False
