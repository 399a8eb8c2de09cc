"""Secrets as they are kept: what people remember by argon2, what is random by SHA-256."""

from __future__ import annotations

import hashlib
import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error

_HASHER = PasswordHasher()
_HASHING = threading.BoundedSemaphore(2)  # hashing is dear on purpose; it must not take every core
_NOBODYS = _HASHER.hash(secrets.token_hex(16))


def hashed(secret: str) -> str:
    """The hash of a password or PIN, salted."""
    with _HASHING:
        return _HASHER.hash(secret)


def is_right(kept: str | None, secret: str) -> bool:
    """Whether the secret is the one whose hash was kept; None, for nobody, takes as long as a wrong one."""
    with _HASHING:
        try:
            return _HASHER.verify(kept or _NOBODYS, secret) and kept is not None
        except Argon2Error:
            return False


def token_hash(token: str) -> str:
    """The hash of a token: that is 256 random bits, and a plain hash is enough to make a stolen table useless."""
    return hashlib.sha256(token.encode()).hexdigest()
