"""Logging in at a provider of OpenID Connect, where an institution has one: authorization code, PKCE, state and nonce.

Who comes back is somebody who is a user already: a claim of the provider's names them, and what they may do was granted here.
Nobody is made, nothing is granted by what a provider says, and who has a second factor here is not let past it unless the
settings say that the provider's log-in counts as one.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote_plus, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, model_validator

from telemetry.clock import Clock
from telemetry.errors import BadInput, Unavailable

BACK = "/api/v1/session/openid/back"
PENDING_S = 600
_PENDING_MAX = 1_000
_TIMEOUT_S = 5.0
_AT_ONCE = 4
_ANSWER_MAX = 1_000_000
_KEPT_S = 600.0
_DRIFT_S = 60
_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Of signatures; `none` and those with a shared secret are not among them."""


class OpenIdSettings(BaseModel):
    """Where people of the institution log in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: HttpUrl
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    public_url: HttpUrl  # where browsers reach us; the provider knows it, with BACK behind it
    claim: str = "preferred_username"  # whose value is the name of a user here
    title: str = Field(default="OpenID Connect", max_length=40)  # on the button
    is_second_factor: bool = False  # a log-in there counts as a second factor

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        for name in ("issuer", "public_url"):
            url: HttpUrl = getattr(self, name)
            if url.scheme != "https" and url.host not in ("127.0.0.1", "localhost", "[::1]"):
                raise ValueError(f"{name} begins with https:// (http:// only on this very machine)")
        return self


@dataclass(frozen=True, slots=True)
class _Pending:
    state: str
    nonce: str
    verifier: str
    until_ms: int


class OpenId:
    """Sends people to the provider, and finds out who came back."""

    def __init__(self, settings: OpenIdSettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._issuer = str(settings.issuer).rstrip("/")
        self._back = str(settings.public_url).rstrip("/") + BACK
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._asking = threading.BoundedSemaphore(_AT_ONCE)  # a provider that hangs takes no more threads than these
        self._known: tuple[float, dict[str, str]] | None = None
        self._lock = threading.Lock()

    def begin(self) -> tuple[str, str]:
        """(what the browser keeps until it is back, where it goes now). Raises Unavailable."""
        with self._free(), _client() as client:
            there = self._endpoints(client)
            made = _Pending(
                secrets.token_urlsafe(32),
                secrets.token_urlsafe(32),
                secrets.token_urlsafe(48),
                self._clock.now_ms() + PENDING_S * 1000,
            )
            asked = {
                "response_type": "code",
                "client_id": self.settings.client_id,
                "redirect_uri": self._back,
                "scope": "openid" if self.settings.claim == "sub" else "openid profile email",
                "state": made.state,
                "nonce": made.nonce,
                "code_challenge": _challenge(made.verifier),
                "code_challenge_method": "S256",
            }
            url = httpx.URL(there["authorization_endpoint"]).copy_merge_params(asked)
        kept = secrets.token_urlsafe(32)
        with self._lock:
            self._pending[kept] = made
            while len(self._pending) > _PENDING_MAX:
                self._pending.popitem(last=False)
        return kept, str(url)

    def end(self, kept: str, state: str, code: str) -> str:
        """The name that the provider knows who came back by. Good once. Raises BadInput or Unavailable."""
        with self._lock:
            pending = self._pending.pop(kept, None)
        if pending is None or self._clock.now_ms() > pending.until_ms:
            raise BadInput("openid-not-begun", "it was not begun in this browser, or too long ago")
        if not secrets.compare_digest(pending.state.encode(), state.encode()):
            raise BadInput("openid-state", "it is the end of another log-in")
        with self._free(), _client() as client:
            there = self._endpoints(client)
            secret, data = self.settings.client_secret, {"grant_type": "authorization_code", "code": code}
            data |= {"redirect_uri": self._back, "code_verifier": pending.verifier}
            if secret is None:
                data["client_id"] = self.settings.client_id
                token = _said(client, "POST", there["token_endpoint"], data=data)
            else:
                # RFC 6749, 2.3.1: both are encoded as a form is before they become name and password.
                auth = (quote_plus(self.settings.client_id), quote_plus(secret.get_secret_value()))
                token = _said(client, "POST", there["token_endpoint"], data=data, auth=auth)
            keys = _said(client, "GET", there["jwks_uri"])
        return self._name_in(token.get("id_token"), keys, pending.nonce)

    def _name_in(self, id_token: object, keys: dict[str, Any], nonce: str) -> str:
        """Checks the token as OpenID Connect Core 1.0, 3.1.3.7, wants it."""
        audience = self.settings.client_id
        rules = jwt.JWTClaimsRegistry(
            now=self._clock.now_ms() // 1000,
            leeway=_DRIFT_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": audience},
            nonce={"essential": True, "value": nonce},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        try:
            claims = jwt.decode(str(id_token), KeySet.import_key_set(keys), algorithms=_ALGORITHMS).claims  # type: ignore[arg-type]
            rules.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise BadInput("openid-token", f"the provider's token does not hold: {type(error).__name__}") from error
        if claims.get("azp", audience) != audience:
            raise BadInput("openid-token", "the provider's token was made for another")
        name = claims.get(self.settings.claim)
        if not isinstance(name, str) or not name:
            raise BadInput("openid-claim", f"the provider's token has no '{self.settings.claim}'")
        if self.settings.claim == "email" and claims.get("email_verified") is not True:
            raise BadInput("openid-claim", "the provider has not verified the address")
        return name

    def _endpoints(self, client: httpx.Client) -> dict[str, str]:
        now_s = self._clock.monotonic_s()
        if self._known is not None and now_s - self._known[0] < _KEPT_S:
            return self._known[1]
        said = _said(client, "GET", f"{self._issuer}/.well-known/openid-configuration")
        if str(said.get("issuer", "")).rstrip("/") != self._issuer:
            raise Unavailable("the provider calls itself otherwise than api.openid.issuer")
        found = {}
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            url = said.get(name)
            if not isinstance(url, str) or urlsplit(url).scheme != urlsplit(self._issuer).scheme:
                raise Unavailable(f"the provider's '{name}' is not as safe as itself")
            found[name] = url
        self._known = (now_s, found)
        return found

    def _free(self) -> _Held:
        if not self._asking.acquire(blocking=False):
            raise Unavailable("too many log-ins wait for the provider")
        return _Held(self._asking)


class _Held:
    def __init__(self, held: threading.BoundedSemaphore) -> None:
        self._held = held

    def __enter__(self) -> None:
        """It is held already."""

    def __exit__(self, *_: object) -> None:
        self._held.release()


def _client() -> httpx.Client:
    return httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)


def _said(client: httpx.Client, method: str, url: str, **more: Any) -> dict[str, Any]:
    """What a provider answers. Raises BadInput where it refuses what it was given, Unavailable."""
    try:
        answer = client.request(method, url, headers={"Accept": "application/json"}, **more)
        said = answer.json() if len(answer.content) <= _ANSWER_MAX else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unavailable(f"the provider: {type(error).__name__}") from error
    if method == "POST" and answer.status_code in (400, 401) and isinstance(said, dict):
        raise BadInput("openid-code", f"the provider does not take its code: {str(said.get('error'))[:100]}")
    if not answer.is_success or not isinstance(said, dict):
        raise Unavailable(f"the provider does not answer as one: HTTP {answer.status_code}")
    return said


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
