"""HTTP Digest access authentication, the client's side, without I/O. Source: RFC 7616 §3.4; without qop RFC 2617 §3.2.2.1."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from telemetry.errors import BadInput

_FIELD = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
# The devices choose the algorithm; MD5 is what most of them speak, and protects a password on a network of our own.
_HASHES: Mapping[str, Callable[[bytes], str]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "sha-256": lambda data: hashlib.sha256(data).hexdigest(),
}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server wants to see."""

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str  # lower case, with "-sess" taken off
    is_session: bool
    has_qop: bool


def parse_challenges(headers: list[str]) -> Challenge:
    """The strongest challenge that we can meet, of all WWW-Authenticate headers. Raises BadInput."""
    found: dict[str, Challenge] = {}
    for header in headers:
        scheme, _, rest = header.strip().partition(" ")
        if scheme.lower() != "digest":
            continue
        fields = {m[1].lower(): m[3] if m[2] is None else re.sub(r"\\(.)", r"\1", m[2]) for m in _FIELD.finditer(rest)}
        name = fields.get("algorithm", "MD5").lower()
        algorithm = name.removesuffix("-sess")
        qops = {qop.strip() for qop in fields["qop"].split(",")} if "qop" in fields else set()
        if algorithm in _HASHES and "nonce" in fields and (not qops or "auth" in qops):
            found[algorithm] = Challenge(
                fields.get("realm", ""), fields["nonce"], fields.get("opaque"), algorithm, name != algorithm, bool(qops)
            )
    for algorithm in ("sha-256", "md5"):
        if algorithm in found:
            return found[algorithm]
    raise BadInput("no-digest", "the device offers no Digest log-in that we know; switch it on in the device")


class Digest:
    """A user's answers to one challenge, each with its own count."""

    def __init__(self, challenge: Challenge, username: str, password: str) -> None:
        self._challenge = challenge
        self._username = username
        self._password = password
        self._count = 0

    def authorization(self, method: str, target: str, cnonce: str | None = None) -> str:
        """The Authorization header for a request."""
        challenge = self._challenge
        digest = _HASHES[challenge.algorithm]
        self._count += 1
        count = f"{self._count:08x}"
        cnonce = cnonce or secrets.token_hex(16)
        a1 = digest(f"{self._username}:{challenge.realm}:{self._password}".encode())
        if challenge.is_session:
            a1 = digest(f"{a1}:{challenge.nonce}:{cnonce}".encode())
        a2 = digest(f"{method}:{target}".encode())
        middle = f"{challenge.nonce}:{count}:{cnonce}:auth" if challenge.has_qop else challenge.nonce
        fields = {
            "username": _quoted(self._username),
            "realm": _quoted(challenge.realm),
            "nonce": _quoted(challenge.nonce),
            "uri": _quoted(target),
            "response": _quoted(digest(f"{a1}:{middle}:{a2}".encode())),
            "algorithm": challenge.algorithm.upper() + ("-sess" if challenge.is_session else ""),
        }
        if challenge.has_qop:
            fields |= {"qop": "auth", "nc": count, "cnonce": _quoted(cnonce)}
        elif challenge.is_session:
            fields["cnonce"] = _quoted(cnonce)
        if challenge.opaque is not None:
            fields["opaque"] = _quoted(challenge.opaque)
        return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
