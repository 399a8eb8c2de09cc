"""Finds frames in bytes that come in any cuts, with noise between and inside them, without I/O.

A protocol says how long a frame that begins at a place would be and whether its bytes are one. Whatever turns out to be
none is left byte by byte, so an intact frame is found even when noise that looked like a beginning swallowed it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

F = TypeVar("F")

Sizer = Callable[[bytearray, int], "int | None"]
"""Bytes of the frame at a place; 0 when none can begin there; None when that is not known yet.

It looks only at what the buffer holds.
"""


class FrameReader(Generic[F]):
    """Bytes in, frames out, however the bytes are cut.

    `noise_bytes` counts what belonged to no frame; what a protocol sends between frames (`filler`) is no noise.

    Args:
        size: How long the frame at a place is. It bounds what is held: a frame is never waited for beyond its length.
        parse: A frame's value; None when the bytes are none after all (their checksum).
        starts: The bytes that a frame can begin with; empty when it may be any.
        filler: Wake-up bytes.
    """

    def __init__(
        self, size: Sizer, parse: Callable[[bytes], F | None], starts: bytes = b"", filler: bytes = b""
    ) -> None:
        self._size = size
        self._parse = parse
        self._starts = starts
        self._filler = filler
        self._buffer = bytearray()
        self.noise_bytes = 0

    def feed(self, data: bytes) -> list[F]:
        """The frames that are complete now."""
        self._buffer += data
        return self._frames(is_over=False)

    def flush(self) -> list[F]:
        """The line is silent: what waits for its end will not get it. The frames that it had swallowed."""
        return self._frames(is_over=True)

    def clear(self) -> None:
        """Forget what waits, without looking at it: it belongs to what was asked before."""
        self._skip(self._buffer)
        self._buffer.clear()

    def _frames(self, is_over: bool) -> list[F]:
        buffer, size_at, frames = self._buffer, self._size, []
        start, end = 0, len(self._buffer)
        while start < end:
            if self._starts and buffer[start] not in self._starts:
                begun = min((at for first in self._starts if (at := buffer.find(first, start)) >= 0), default=end)
                self._skip(buffer[start:begun])
                start = begun
                continue
            size = size_at(buffer, start)
            if size and start + size <= end:
                frame = self._parse(bytes(buffer[start : start + size]))
                if frame is not None:
                    frames.append(frame)
                    start += size
                    continue
            elif size != 0 and not is_over:
                break
            self._skip(buffer[start : start + 1])
            start += 1
        del buffer[:start]
        return frames

    def _skip(self, data: bytearray) -> None:
        self.noise_bytes += len(data) - sum(data.count(byte) for byte in self._filler)
