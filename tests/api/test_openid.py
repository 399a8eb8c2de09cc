"""Log-ins at a provider of OpenID Connect: a real one that is told who comes, and one that lies."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import ValidationError

from api.access import Role
from api.app import make_app
from api.audit import Wanted
from api.people.openid import OpenId, OpenIdSettings
from telemetry.clock import SystemClock
from tests.api.test_app import World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world

HERE = "http://127.0.0.1:8080"


def settings(issuer: str, **more: Any) -> OpenIdSettings:
    given = {
        "issuer": issuer,
        "client_id": "gatehouse",
        "client_secret": "of-the-test",
        "public_url": HERE,
        "claim": "sub",
    }
    return OpenIdSettings.model_validate(given | more)


class Browser:
    """A browser that goes to a provider and comes back."""

    def __init__(self, world: World, issuer: str, **more: Any) -> None:
        parts = replace(world.client.app.state.parts, openid=OpenId(settings(issuer, **more), SystemClock()))  # type: ignore[attr-defined]
        self.world = world
        self.client = TestClient(make_app(parts), base_url=HERE, follow_redirects=False)

    def go(self) -> str:
        answer = self.client.get("/api/v1/session/openid")
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def come_back(self, url: str) -> str:
        answer = self.client.get(url.removeprefix(HERE))
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def who(self) -> str | None:
        answer = self.client.get("/api/v1/session")
        return str(answer.json()["user"]["name"]) if answer.status_code == 200 else None

    def outcome(self) -> str:
        return str(self.world.accounts.audit.page(Wanted(action="log-in"), 1, None)[0]["outcome"])


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A provider from a package, on a port of its own."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import oidc_provider_mock

        with oidc_provider_mock.run_server_in_thread(require_nonce=True) as server:
            yield f"http://localhost:{server.server_port}"


def consent(url: str, name: str) -> str:
    """What somebody does on the provider's page; where it then sends the browser."""
    answer = httpx.post(url, data={"sub": name}, trust_env=False)
    assert answer.status_code in (302, 303), answer.text
    return answer.headers["location"]


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::Warning")
def test_somebody_who_is_a_user_comes_in_with_what_was_granted_here(world: World, provider: str) -> None:
    browser = Browser(world, provider)
    assert browser.client.get("/api/v1/session/ways").json() == {"openid": "OpenID Connect"}
    url = browser.go()
    asked = parse_qs(urlsplit(url).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{HERE}/api/v1/session/openid/back"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    back = consent(url, "guard")
    assert browser.come_back(back) == "/"
    assert browser.who() == "guard"
    assert browser.client.get("/api/v1/users").status_code == 403
    assert browser.outcome() == "done"
    browser.client.cookies.delete("gatehouse_session")
    assert browser.come_back(back) == "/?login=refused"  # a code is good once, and so is what the browser kept
    assert browser.who() is None


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::Warning")
def test_nobody_is_made_and_who_was_shut_out_stays_so(world: World, provider: str) -> None:
    browser = Browser(world, provider)
    before = {user.name for user in world.accounts.users()}
    world.accounts.change("admin", "manager", None, None, disabled=True)
    for name in ("administrator", "manager", "Guard", "guard ", "root"):
        assert browser.come_back(consent(browser.go(), name)) == "/?login=refused"
        assert (browser.who(), browser.outcome()) == (None, "refused: no such user")
    assert {user.name for user in world.accounts.users()} == before - {"manager"}


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::Warning")
def test_a_second_factor_here_is_not_gone_round_unless_the_provider_counts_as_one(
    world: World, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.accounts.second_factor, "is_on", lambda name: name == "admin")
    browser = Browser(world, provider)
    assert browser.come_back(consent(browser.go(), "admin")) == "/?login=refused"
    assert browser.outcome() == "refused: second factor"
    trusting = Browser(world, provider, is_second_factor=True)
    assert trusting.come_back(consent(trusting.go(), "admin")) == "/"


class Liar:
    """A provider that says what a test wants it to say."""

    issuer = "https://login.example"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key, self.other = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
        self.claims: dict[str, Any] = {}
        self.algorithm, self.signs_with = "RS256", self.key
        self.sign: Callable[[bytes], bytes] | None = None  # otherwise than with a key
        self.nonce = self.challenge = ""
        self.asked: list[str] = []
        self.endpoints: dict[str, Any] = {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/go", "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }  # fmt: skip
        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: self.answer(request))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path.endswith("openid-configuration"):
            return httpx.Response(200, json=self.endpoints, request=request)
        if request.url.path == "/keys":
            return httpx.Response(200, json={"keys": [self.key.as_dict(private=False)]}, request=request)
        form = parse_qs(request.read().decode())
        sealed = hashlib.sha256(form["code_verifier"][0].encode()).digest()
        assert base64.urlsafe_b64encode(sealed).decode().rstrip("=") == self.challenge
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "gatehouse",
            "sub": "guard",
            "nonce": self.nonce,
            "iat": now,
            "exp": now + 60,
        }
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        token = jwt.encode({"alg": "RS256"}, claims, self.signs_with)
        if self.sign is not None:
            header = base64.urlsafe_b64encode(json.dumps({"alg": self.algorithm}).encode()).rstrip(b"=")
            signed = header + b"." + token.split(".")[1].encode()
            token = f"{signed.decode()}.{base64.urlsafe_b64encode(self.sign(signed)).rstrip(b'=').decode()}"
        return httpx.Response(
            200, json={"access_token": "a", "token_type": "Bearer", "id_token": token}, request=request
        )


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Liar:
    return Liar(monkeypatch)


def _log_in(world: World, liar: Liar, **more: Any) -> Browser:
    browser = Browser(world, liar.issuer, **more)
    asked = parse_qs(urlsplit(browser.go()).query)
    liar.nonce, liar.challenge = liar.nonce or asked["nonce"][0], asked["code_challenge"][0]
    browser.come_back(f"/api/v1/session/openid/back?code=c&state={asked['state'][0]}")
    return browser


def test_the_liar_is_believed_while_it_does_not_lie(world: World, liar: Liar) -> None:
    assert _log_in(world, liar).who() == "guard"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"}, {"aud": "other"}, {"aud": ["other"]}, {"nonce": "other"}, {"nonce": None},
        {"exp": 1_000_000}, {"exp": None}, {"iat": None}, {"sub": None}, {"sub": 7}, {"sub": ["guard"]}, {"azp": "other"},
        {"aud": None}, {"iss": None}, {"nbf": 9_999_999_999},
    ],
)  # fmt: skip
def test_a_token_that_does_not_hold_lets_nobody_in(world: World, liar: Liar, claims: dict[str, Any]) -> None:
    liar.claims = claims
    browser = _log_in(world, liar)
    assert (browser.who(), browser.outcome()[:8]) == (None, "refused:")


def test_a_signature_of_another_or_of_nobody_lets_nobody_in(world: World, liar: Liar) -> None:
    def with_the_public_key(signed: bytes) -> bytes:  # what is no secret, taken for one
        return hmac.digest(liar.key.as_pem(private=False), signed, "sha256")

    for algorithm, sign in (("RS256", None), ("HS256", with_the_public_key), ("none", lambda signed: b"")):
        liar.algorithm, liar.sign, liar.signs_with, liar.nonce = algorithm, sign, liar.other, ""
        browser = _log_in(world, liar)
        assert (browser.who(), browser.outcome()) == (None, "refused: openid-token")


def test_an_address_that_was_not_verified_is_nobodys(world: World, liar: Liar) -> None:
    world.accounts.add_user("li@example.org", "a long password", [Role.VIEWER], None)
    liar.claims = {"email": "li@example.org"}
    assert _log_in(world, liar, claim="email").who() is None
    liar.claims, liar.nonce = {"email": "li@example.org", "email_verified": True}, ""
    assert _log_in(world, liar, claim="email").who() == "li@example.org"


def test_what_was_begun_in_another_browser_is_not_ended_in_this_one(world: World, liar: Liar) -> None:
    attacker, victim = Browser(world, liar.issuer), Browser(world, liar.issuer)
    asked = parse_qs(urlsplit(attacker.go()).query)
    liar.nonce = asked["nonce"][0]
    link = f"/api/v1/session/openid/back?code=c&state={asked['state'][0]}"
    assert victim.come_back(link) == "/?login=refused"
    victim.go()
    assert victim.come_back(link) == "/?login=refused"
    assert (victim.who(), "/token" in liar.asked) == (None, False)


def test_a_provider_that_is_away_or_sends_elsewhere_is_said_to_be_away(world: World, liar: Liar) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"issuer": "https://other.example"},
        {"token_endpoint": "http://login.example/token"},
        {"jwks_uri": None},
    )
    for change in changes:
        liar.endpoints |= change
        assert Browser(world, liar.issuer).go() == "/?login=away"
    assert world.client.get("/api/v1/session/ways").json() == {"openid": None}
    assert world.client.get("/api/v1/session/openid").status_code == 404


def test_a_provider_in_the_clear_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="issuer begins with https"):
        settings("http://login.example")
    with pytest.raises(ValidationError, match="public_url begins with https"):
        settings("https://login.example", public_url="http://gatehouse.site")
