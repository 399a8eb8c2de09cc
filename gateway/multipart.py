"""Multipart bodies (RFC 2046) as they come over a connection, without I/O. Pictures are dropped while they pass.

A part is given out as soon as its Content-Length is reached, without waiting for the boundary of the next one: on an
endless stream that would come with the next event. Parts without a length, or with one that is too long, end at the next
boundary. Whatever stands where no part can be is skipped up to the next boundary and counted in `noise_bytes`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from telemetry.errors import BadInput

_HEAD_MAX_BYTES = 4_096
_BOUNDARY = re.compile(r'boundary="?([!-~]{1,70}?)"?\s*(?:;|$)', re.IGNORECASE)
_PICTURES = ("image/", "video/", "audio/", "application/octet-stream")
_LENGTH = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is no picture, or the note that one was too long or was cut off (`body` is None)."""

    content_type: str
    body: bytes | None


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names. Raises BadInput."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise BadInput("missing-boundary", "the Content-Type of a multipart body names no boundary")
    # Some cameras write it with the dashes that stand before it in the body; whether these do shows there.
    return match[1].encode("ascii").removeprefix(b"--")


class MultipartReader:
    """Bytes in, parts out, however the bytes are cut.

    Args:
        boundary: Without its dashes.
        part_max_bytes: Of a part that is kept; longer ones are passed over.
    """

    def __init__(self, boundary: bytes, part_max_bytes: int) -> None:
        self._mark = b"--" + boundary
        self._part_max_bytes = part_max_bytes
        self._buffer = bytearray()
        self._content_type: str | None = None  # of the part we are in; None outside of any
        self._left: int | None = None  # bytes of it still to come; None when it ends at a boundary
        self._kept: bytearray | None = None  # None: passed over
        self.noise_bytes = 0

    def feed(self, data: bytes) -> list[Part]:
        """The parts that are complete now."""
        self._buffer += data
        parts: list[Part] = []
        while self._step(parts):
            pass
        return parts

    def end(self) -> list[Part]:
        """The body is over: the part that no boundary ended, or the note that it was cut off."""
        parts: list[Part] = []
        if self._content_type is not None:
            if self._left is not None:
                self._kept = None
            elif self._kept is not None:
                self._kept = (self._kept + self._buffer).removesuffix(b"\r\n")
            self._leave(parts)
        return parts

    def _step(self, parts: list[Part]) -> bool:
        """Take one thing off the buffer; False when more bytes are needed."""
        if self._content_type is None:
            return self._enter(parts)
        if self._left is not None:
            end = self._boundary_at(self._left)
            if end >= 2 and self._buffer.startswith(b"\r\n", end - 2):
                size = self._left = end - 2  # its length is wrong: the next part has begun
            elif len(self._buffer) >= self._left:
                size = self._left
            else:
                size = max(0, len(self._buffer) - len(self._mark) - 3)  # a CRLF and a mark may have begun
            if self._kept is not None:
                self._kept += self._buffer[:size]
            del self._buffer[:size]
            self._left -= size
            if self._left:
                return False
            self._leave(parts)
            return True
        end = self._boundary_at()
        size = end if end >= 0 else max(0, len(self._buffer) - len(self._mark) - 3)  # a CRLF and a mark may have begun
        if self._kept is not None:
            self._kept += self._buffer[:size]
            if len(self._kept) > self._part_max_bytes + 2:
                self._kept = None
        del self._buffer[:size]
        if end < 0:
            return False
        if self._kept is not None and self._kept.endswith(b"\r\n"):
            del self._kept[-2:]
        self._leave(parts)
        return True

    def _enter(self, parts: list[Part]) -> bool:
        """Find the next boundary and read the head behind it."""
        at = self._boundary_at()
        if at < 0:
            self._skip(max(0, len(self._buffer) - len(self._mark) - 1))
            return False
        self._skip(at)
        del self._buffer[: self._buffer.find(self._mark)]
        if self._buffer.startswith(b"--", len(self._mark)):
            del self._buffer[: len(self._mark) + 2]  # the end of a body; a stream may go on all the same
            return True
        end = self._buffer.find(b"\r\n\r\n", len(self._mark))
        if (end < 0 and len(self._buffer) - len(self._mark) > _HEAD_MAX_BYTES) or end > len(
            self._mark
        ) + _HEAD_MAX_BYTES:
            self._skip(len(self._mark))  # no head is so long
            return True
        if end < 0:
            return False
        headers: dict[str, str] = {}
        for line in bytes(self._buffer[len(self._mark) : end]).decode("latin-1").split("\r\n"):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        del self._buffer[: end + 4]
        self._content_type = headers.get("content-type", "")
        length = headers.get("content-length", "")
        self._left = int(length) if _LENGTH.fullmatch(length) else None
        is_long = self._left is not None and self._left > self._part_max_bytes
        self._kept = None if self._is_picture() or is_long else bytearray()
        if self._left == 0:
            self._leave(parts)
        return True

    def _boundary_at(self, end: int | None = None) -> int:
        """Where the next boundary begins, -1 where there is none: at the mark, or at two dashes more."""
        at = self._buffer.find(self._mark, 0, end)
        return at - 2 if at >= 2 and self._buffer.startswith(b"--", at - 2) else at

    def _leave(self, parts: list[Part]) -> None:
        assert self._content_type is not None
        if not self._is_picture():
            parts.append(Part(self._content_type, None if self._kept is None else bytes(self._kept)))
        self._content_type = self._left = self._kept = None

    def _is_picture(self) -> bool:
        assert self._content_type is not None
        return self._content_type.lower().startswith(_PICTURES)

    def _skip(self, size: int) -> None:
        """Pass over what belongs to no part; a line break before a boundary is none of it."""
        self.noise_bytes += len(bytes(self._buffer[:size]).strip(b"\r\n"))
        del self._buffer[:size]
