"""What simulated scanners at a gate share: whom they saw, and how they push over HTTP.

A scanner keeps what it has to tell until somebody has taken it, in order, and forgets the oldest when its memory is full.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

PICTURE = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 8 + b"\xff\xd9"
"""Looks like a JPEG, with every byte in it that could be taken for a boundary."""

_MEMORY_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One person in front of a scanner."""

    time_ms: int
    person: str = ""  # the number in the scanner's list; "" for a stranger
    skin_c: float | None = None  # as displayed [degC]; None where the person was seen and not measured
    wears_mask: bool | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """A request that a scanner makes."""

    path: str
    content_type: str
    body: bytes


class Pusher:
    """Posts one thing after the other to a server, each again until it is taken.

    Args:
        url: Of the server, without a path.
        takes: Whether an answer means that it was taken.
        retry_s: Between two attempts.
        repeats: The share of what was taken that is pushed once more all the same: the answer was lost on its way.
    """

    def __init__(
        self,
        url: str,
        takes: Callable[[httpx.Response], bool],
        *,
        retry_s: float = 10.0,
        repeats: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.pushed = 0  # attempts
        self.forgotten = 0  # never taken, and pushed out by what came later
        self._url = url.rstrip("/")
        self._takes = takes
        self._retry_s = retry_s
        self._repeats = repeats
        self._rng = random.Random(seed)
        self._waiting: deque[Push] = deque()
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How much nobody has taken yet."""
        return len(self._waiting)

    def tell(self, push: Push) -> None:
        """Keep something to be pushed."""
        if len(self._waiting) == _MEMORY_MAX:
            self._waiting.popleft()
            self.forgotten += 1
        self._waiting.append(push)
        self._changed.set()

    async def run(self) -> None:
        """Push until cancelled."""
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
            while True:
                while not self._waiting:
                    self._changed.clear()
                    await self._changed.wait()
                push = self._waiting[0]
                if not await self._is_taken(http, push):
                    await asyncio.sleep(self._retry_s)
                elif self._rng.random() >= self._repeats and self._waiting and self._waiting[0] is push:
                    self._waiting.popleft()

    async def _is_taken(self, http: httpx.AsyncClient, push: Push) -> bool:
        answer = await self.ask(http, "POST", push.path, push.body, {"Content-Type": push.content_type})
        return answer is not None and self._takes(answer)

    async def ask(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response | None:
        """One request; None where nobody answers."""
        self.pushed += 1
        try:
            return await http.request(method, self._url + path, content=body, headers=headers)
        except httpx.HTTPError:
            return None
