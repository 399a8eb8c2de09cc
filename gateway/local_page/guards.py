"""Who may decide at the gateway's page: names and PIN hashes out of a file, and how often a PIN may be tried.

The file is read again when it has changed, so that a guard who left is gone without a restart. Whoever tries PINs waits
longer and longer, by name; a name that nobody has waits like any other. One hash is computed at a time: it is dear on
purpose, and a gateway is small.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from telemetry.clock import Clock
from telemetry.declaration import read_document
from telemetry.errors import BadConfiguration, BadInput

_FREE_TRIES = 3
_PAUSE_S, _PAUSE_MAX_S, _DOUBLED_MAX = 5.0, 900.0, 20
_FORGOTTEN_S = 86_400.0
_NAMES_MAX = 200  # that tries are counted of; the oldest is forgotten first
_IDLE_S = 900.0  # whoever does nothing for so long types the PIN again
_SIGNED_IN_MAX = 50


class _Guard(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    pin: str  # argon2


class _File(msgspec.Struct, forbid_unknown_fields=True):
    site: str
    guards: list[_Guard]


@dataclass(slots=True)
class _Tries:
    count: int
    until_s: float
    last_s: float


class TooManyTries(Exception):
    """Somebody tries PINs."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = max(1, round(wait_s))


class Guards:
    """Signs guards in. For the event loop's thread."""

    def __init__(self, file: Path, site: str, clock: Clock) -> None:
        self._file = file
        self._site = site
        self._clock = clock
        self._hasher = PasswordHasher()
        self._nobodys = self._hasher.hash(secrets.token_hex(16))
        self._read_ns = -1
        self._hashes: dict[str, str] = {}
        self._tries: dict[str, _Tries] = {}
        self._signed_in: dict[str, tuple[str, float]] = {}  # token -> (guard, until when)
        self._hashing = asyncio.Lock()

    def names(self) -> list[str]:
        """Who may decide here, by name. Raises BadConfiguration when the file cannot be read."""
        try:
            changed_ns = self._file.stat().st_mtime_ns
        except OSError as error:
            self._hashes, self._read_ns = {}, -1
            said = f"local_page.guards: {self._file}: {error.strerror}; write it with `gatehouse user guards`"
            raise BadConfiguration(said) from error
        if changed_ns != self._read_ns:
            self._hashes = {}
            try:
                found = msgspec.convert(read_document(self._file).data, _File)
            except msgspec.ValidationError as error:
                raise BadConfiguration(f"local_page.guards: {self._file}: {error}") from error
            if found.site != self._site:
                said = f"local_page.guards: {self._file} is of site '{found.site}', this gateway of '{self._site}'"
                raise BadConfiguration(said)
            self._hashes, self._read_ns = {guard.name: guard.pin for guard in found.guards}, changed_ns
            self._signed_in = {t: (name, s) for t, (name, s) in self._signed_in.items() if name in self._hashes}
        return sorted(self._hashes)

    async def sign_in(self, name: str, pin: str) -> str:
        """A token for who knows the PIN. Raises BadInput when it is wrong, TooManyTries, BadConfiguration."""
        self.names()
        async with self._hashing:
            now_s = self._clock.monotonic_s()
            tries = self._tries.get(name)
            if tries is not None and now_s - tries.last_s > _FORGOTTEN_S:
                tries = None
            if tries is not None and now_s < tries.until_s:
                raise TooManyTries(tries.until_s - now_s)
            # Counted before it is known: who hangs up in the middle has tried, too.
            count = 1 if tries is None else tries.count + 1
            doubled = min(count - _FREE_TRIES, _DOUBLED_MAX)
            pause_s = 0.0 if doubled < 0 else min(_PAUSE_S * 2.0**doubled, _PAUSE_MAX_S)
            self._tries.pop(name, None)
            self._tries[name] = _Tries(count, now_s + pause_s, now_s)
            while len(self._tries) > _NAMES_MAX:
                self._tries.pop(next(iter(self._tries)))
            if not await asyncio.to_thread(self._is_right, self._hashes.get(name), pin):
                raise BadInput("wrong-pin", "name or PIN is wrong")
            self._tries.pop(name, None)
        token = secrets.token_urlsafe(32)
        self._signed_in[token] = name, self._clock.monotonic_s() + _IDLE_S
        while len(self._signed_in) > _SIGNED_IN_MAX:
            self._signed_in.pop(next(iter(self._signed_in)))
        return token

    def signed_in(self, token: str) -> str | None:
        """Whose token it is; None when it is over."""
        name, until_s = self._signed_in.get(token, ("", 0.0))
        now_s = self._clock.monotonic_s()
        if name not in self.names() or now_s >= until_s:
            self._signed_in.pop(token, None)
            return None
        self._signed_in[token] = name, now_s + _IDLE_S
        return name

    def _is_right(self, kept: str | None, pin: str) -> bool:
        """None, for nobody, takes as long as a wrong one."""
        try:
            return self._hasher.verify(kept or self._nobodys, pin) and kept is not None
        except (Argon2Error, InvalidHashError):
            return False
