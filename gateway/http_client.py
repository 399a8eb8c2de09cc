"""One request to a device's HTTP server, with Digest where it asks for it, and its answer as a stream of pieces."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pydantic import SecretStr

from gateway.answer import AnswerHead, AnswerReader
from gateway.digest import Digest, parse_challenges
from telemetry.errors import BadConfiguration, BadInput, Unavailable

_READ_BYTES = 65_536
_BODY_MAX_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the device."""

    username: str
    password: SecretStr


class HttpClient:
    """Asks one server. A connection a request: the devices close theirs whenever they like.

    Args:
        timeout_s: For connecting, and for each piece of an answer.
    """

    def __init__(self, host: str, port: int, login: Login, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._login = login
        self._timeout_s = timeout_s
        self._digest: Digest | None = None
        self._was_let_in = False

    async def ask(self, method: str, target: str, body: bytes = b"", content_type: str = "") -> tuple[int, bytes]:
        """Status and body. Raises Unavailable, or BadConfiguration when the log-in is wrong and was never right."""
        async with self.open(method, target, body, content_type) as (head, pieces):
            answer = bytearray()
            async for piece in pieces:
                answer += piece
                if len(answer) > _BODY_MAX_BYTES:
                    raise Unavailable(f"{self._where(target)} answers with more than {_BODY_MAX_BYTES} bytes")
            return head.status, bytes(answer)

    @contextlib.asynccontextmanager
    async def open(
        self, method: str, target: str, body: bytes = b"", content_type: str = "", silence_max_s: float | None = None
    ) -> AsyncIterator[tuple[AnswerHead, AsyncIterator[bytes]]]:
        """The answer's head, and the pieces of its body as they come.

        Args:
            silence_max_s: How long an endless answer may say nothing.

        Raises Unavailable, or BadConfiguration when the log-in is wrong and was never right.
        """
        for _ in range(2):  # once to be asked who we are, or that a nonce has run out; once to say it
            reader, writer = await self._connect()
            try:
                await self._send(writer, method, target, body, content_type)
                answer = AnswerReader()
                first = await self._head(reader, answer, target)
                head = answer.head
                assert head is not None
                if head.status != 401:
                    self._was_let_in = self._was_let_in or self._digest is not None
                    yield head, self._pieces(reader, answer, first, target, silence_max_s or self._timeout_s)
                    return
                self._challenged(head, target)
            finally:
                writer.close()
        raise self._refused(f"{self._where(target)} refuses the log-in of '{self._login.username}'")

    def _refused(self, detail: str) -> Unavailable | BadConfiguration:
        if self._was_let_in:  # a device that starts, or asks another of itself, may do so
            return Unavailable(f"{detail}, which it has taken before")
        return BadConfiguration(detail)

    def _challenged(self, head: AnswerHead, target: str) -> None:
        try:
            challenge = parse_challenges(head.headers.get("www-authenticate", []))
        except BadInput as error:
            raise self._refused(f"{self._where(target)}: {error.detail}") from error
        self._digest = Digest(challenge, self._login.username, self._login.password.get_secret_value())

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"connecting to {self._host}:{self._port}: {error or 'no answer'}") from error

    async def _send(
        self, writer: asyncio.StreamWriter, method: str, target: str, body: bytes, content_type: str
    ) -> None:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}:{self._port}", "Connection: close"]
        if self._digest is not None:
            lines.append(f"Authorization: {self._digest.authorization(method, target)}")
        if body:
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
        except OSError as error:
            raise Unavailable(f"{self._where(target)}: connection lost: {error}") from error

    async def _head(self, reader: asyncio.StreamReader, answer: AnswerReader, target: str) -> bytes:
        """Read until the head is complete; the piece of the body that came with it."""
        piece = b""
        while answer.head is None:
            data = await self._read(reader, target, self._timeout_s)
            if not data:
                raise Unavailable(f"{self._where(target)}: the connection was closed without an answer")
            piece = self._fed(answer, data, target)
        return piece

    async def _pieces(
        self, reader: asyncio.StreamReader, answer: AnswerReader, first: bytes, target: str, silence_max_s: float
    ) -> AsyncIterator[bytes]:
        if first:
            yield first
        while not answer.is_complete:
            data = await self._read(reader, target, silence_max_s)
            if not data:
                if answer.has_end:
                    raise Unavailable(f"{self._where(target)}: the connection was closed before its end")
                return
            piece = self._fed(answer, data, target)
            if piece:
                yield piece

    async def _read(self, reader: asyncio.StreamReader, target: str, within_s: float) -> bytes:
        try:
            async with asyncio.timeout(within_s):
                return await reader.read(_READ_BYTES)
        except TimeoutError as error:
            raise Unavailable(f"{self._where(target)} said nothing for {within_s:g} s") from error
        except OSError as error:
            raise Unavailable(f"{self._where(target)}: connection lost: {error}") from error

    def _fed(self, answer: AnswerReader, data: bytes, target: str) -> bytes:
        try:
            return answer.feed(data)
        except BadInput as error:
            raise Unavailable(f"{self._where(target)}: {error.detail}") from error

    def _where(self, target: str) -> str:
        return f"http://{self._host}:{self._port}{target.partition('?')[0]}"
