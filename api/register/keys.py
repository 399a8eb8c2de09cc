"""The keys that seal the register, in a file outside its database.

A line of the file is a key: its id, when it was made (epoch ms) and 32 bytes in base64. The last line seals; all of them
open, so that what an older key sealed is read until it is sealed anew. AES-256-GCM; the id of the row is bound in, so
that what is sealed cannot be put into another row.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from telemetry.disk import sync_folder
from telemetry.errors import BadConfiguration, Unavailable

_NONCE_BYTES = 12
_KEY_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Key:
    """One key, by the id that rows name it with."""

    id: str
    made_ms: int
    secret: bytes


class Keys:
    """Seals and opens. The file is read again when it has changed: a rotation needs no restart."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}
        self._ciphers: dict[str, AESGCM] = {}
        self._last = ""

    @property
    def is_there(self) -> bool:
        return self.file.exists()

    def make(self, now_ms: int) -> None:
        """Begin with a first key. Raises BadConfiguration when there is a file already, or none can be made."""
        self._write([_new(now_ms)], is_new=True)

    def rotate(self, now_ms: int) -> Key:
        """Seal with a new key from now on."""
        key = _new(now_ms)
        self._write([*self.all(), key], is_new=False)
        return key

    def drop(self, ids: set[str]) -> None:
        """Forget keys; what they sealed can never be read again, wherever a copy of it lies."""
        kept = [key for key in self.all() if key.id not in ids]
        assert kept, "the key that seals is never dropped"
        self._write(kept, is_new=False)

    def all(self) -> list[Key]:
        """Oldest first. Raises Unavailable when the file is missing or is no key file."""
        self._load()
        return list(self._keys.values())

    def seal(self, row: str, plain: bytes) -> tuple[str, bytes]:
        """(id of the key, what to store)."""
        self._load()
        nonce, last = secrets.token_bytes(_NONCE_BYTES), self._last  # once: another thread may learn of a new key
        return last, nonce + self._ciphers[last].encrypt(nonce, plain, row.encode())

    def open(self, row: str, key: str, sealed: bytes) -> bytes | None:
        """What was sealed; None when its key is gone, or it is not what was stored there."""
        self._load()
        if key not in self._keys:
            return None
        try:
            return self._ciphers[key].decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], row.encode())
        except InvalidTag:
            return None

    def _load(self) -> None:
        try:
            found = self.file.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            if found.st_mode & _OTHERS:
                raise Unavailable(f"register.key_file {self.file} can be read by others: chmod 600 {self.file}")
            lines = self.file.read_text(encoding="ascii").splitlines()
            keys = [_parsed(line) for line in lines if line]
        except (OSError, ValueError, binascii.Error) as error:
            raise Unavailable(
                f"register.key_file {self.file} cannot be read ({type(error).__name__}): put the file back from where "
                f"it is kept safe. Until then no visitor can be entered or read; gates, alarms and the counts per day work"
            ) from error
        if not keys:
            raise Unavailable(f"register.key_file {self.file} is empty: put it back from where it is kept safe")
        self._keys = {key.id: key for key in keys}
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}
        self._last, self._stamp = keys[-1].id, stamp

    def _write(self, keys: list[Key], *, is_new: bool) -> None:
        text = "".join(f"{key.id} {key.made_ms} {base64.b64encode(key.secret).decode()}\n" for key in keys)
        beside = self.file.with_name(self.file.name + ".new")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="ascii") as opened:  # noqa: PTH123 - it is a descriptor
                opened.write(text)
                opened.flush()
                os.fsync(descriptor)
            if is_new:
                os.link(beside, self.file)  # fails where there is one
                beside.unlink(missing_ok=True)
            else:
                beside.replace(self.file)
            sync_folder(self.file.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)  # no key is left beside that seals nothing
            raise BadConfiguration(f"register.key_file {self.file}: {error}") from error


def _new(now_ms: int) -> Key:
    return Key(secrets.token_hex(8), now_ms, secrets.token_bytes(_KEY_BYTES))


def _parsed(line: str) -> Key:
    name, made_ms, secret = line.split()
    key = Key(name, int(made_ms), base64.b64decode(secret, validate=True))
    if len(key.secret) != _KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    return key
