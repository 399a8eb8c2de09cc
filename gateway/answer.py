"""A server's HTTP/1.1 answer as it comes over a connection, without I/O: status, headers, and the body piece by piece."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from telemetry.errors import BadInput

_HEAD_MAX_BYTES = 16_384
_LINE_MAX_BYTES = 256
_STATUS = re.compile(r"HTTP/1\.[01] ([0-9]{3})(?: .*)?")


@dataclass(slots=True)
class AnswerHead:
    """A status line and its headers."""

    status: int
    headers: dict[str, list[str]] = field(default_factory=dict)  # lower-case name -> values in order

    def header(self, name: str) -> str:
        """The first value of a header, "" when it is missing."""
        return self.headers.get(name, [""])[0]


class AnswerReader:
    """Bytes in, pieces of the body out. `head` is there once it is complete, `is_complete` when the body is."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.head: AnswerHead | None = None
        self._left: int | None = None  # bytes of the body or chunk still to come; None: until the connection closes
        self._is_chunked = False
        self._in_trailer = False
        self.is_complete = False

    @property
    def has_end(self) -> bool:
        """Whether the body says itself where it ends, and not by the end of the connection."""
        return self._is_chunked or self._left is not None

    def feed(self, data: bytes) -> bytes:
        """The next piece of the body. Raises BadInput for what is no HTTP; the connection is of no use then."""
        self._buffer += data
        while self.head is None:
            if not self._read_head():
                return b""
        if self._is_chunked:
            return self._chunks()
        if self._left is None:
            piece = bytes(self._buffer)
        else:
            piece = bytes(self._buffer[: self._left])
            self._left -= len(piece)
            self.is_complete = self._left == 0
        del self._buffer[: len(piece)]
        return piece

    def _read_head(self) -> bool:
        """Read the next head; False when more bytes are needed. One that only says "continue" is none."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > _HEAD_MAX_BYTES:
            if len(self._buffer) > _HEAD_MAX_BYTES:
                raise BadInput("bad-http", f"the answer's head is longer than {_HEAD_MAX_BYTES} bytes")
            return False
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        match = _STATUS.fullmatch(lines[0])
        if match is None:
            raise BadInput("bad-http", "what answers is no HTTP server")
        head = AnswerHead(int(match[1]))
        for line in lines[1:]:
            name, _, value = line.partition(":")
            head.headers.setdefault(name.strip().lower(), []).append(value.strip())
        if 100 <= head.status < 200:
            return True
        self.head = head
        length = head.header("content-length")
        if "chunked" in head.header("transfer-encoding").lower():
            self._is_chunked, self._left = True, 0
        elif head.status in (204, 304):
            self._left, self.is_complete = 0, True
        elif re.fullmatch(r"[0-9]{1,12}", length):
            self._left = int(length)
            self.is_complete = self._left == 0
        return True

    def _chunks(self) -> bytes:
        pieces = bytearray()
        while not self.is_complete:
            if self._left:
                piece = self._buffer[: self._left]
                if not piece:
                    break
                pieces += piece
                self._left -= len(piece)
                del self._buffer[: len(piece)]
                continue
            end = self._buffer.find(b"\r\n")
            if end < 0:
                if len(self._buffer) > _LINE_MAX_BYTES:
                    raise BadInput("bad-http", "a chunk's size is longer than a line may be")
                break
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            if self._in_trailer:
                self.is_complete = not line
            elif line:  # an empty one ends the chunk before
                size = line.partition(b";")[0].strip()
                if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
                    raise BadInput("bad-http", "a chunk's size is no number")
                self._left = int(size, 16)
                self._in_trailer = self._left == 0
        return bytes(pieces)
