"""Group robots of DingTalk, WeCom and Feishu, and everything else that apprise knows.

The three answer HTTP 200 also when they have not taken a message, with `errcode` or `code` beside it. Apprise reads that of
Feishu alone (2.3.0), and says only yes or no, so that what will never be taken cannot be told from what should be tried
again. Hence senders of our own for these; apprise for the rest, which it is not allowed to do for these.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self
from urllib.parse import quote

import apprise
import httpx
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    PositiveFloat,
    SecretStr,
    field_validator,
    model_validator,
)

from alerts.notify.channels import check_status
from alerts.notify.outside import client, post, why_not
from alerts.store import Notice
from telemetry.errors import BadInput, Unavailable

Robot = Literal["dingtalk", "wecom", "feishu"]
_REFUSED: Mapping[Robot, frozenset[int]] = {
    "dingtalk": frozenset({300001, 300005, 310000, 400013, 400101, 400102, 400105}),
    "wecom": frozenset({40001, 40008, 40014, 40058, 44004, 45002, 93000}),
    "feishu": frozenset({9499, 10003, 19001, 19002, 19021, 19022, 19024}),
}
"""What asking again does not mend: no such robot, wrong signature, missing keyword, text too long. Others are tried again."""
_BYTES_MAX: Mapping[Robot, int] = {"dingtalk": 18_000, "wecom": 2_000, "feishu": 18_000}


class ChatSettings(BaseModel):
    """A robot in a group chat; people's addresses there are their telephone numbers (Feishu: open_id)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Robot
    url: SecretStr  # the robot's webhook; whoever has it can write to the group
    secret: SecretStr | None = None  # where the robot wants signatures: DingTalk, Feishu
    timeout_s: PositiveFloat = Field(default=10.0, le=60)
    allow_networks: tuple[IPvAnyNetwork, ...] = ()  # beside the internet, like 10.0.0.0/8

    @model_validator(mode="after")
    def _may_be_reached(self) -> Self:
        if (why := why_not(self.url.get_secret_value(), self.allow_networks)) is not None:
            raise ValueError(why)
        return self


class ChatChannel:
    """Posts to the robot, mentions the recipient, and believes the code in the body, not the status."""

    def __init__(self, settings: ChatSettings, addresses: Mapping[str, str], now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._addresses = addresses
        self._now_ms = now_ms
        self._client = client(settings.timeout_s, settings.allow_networks)

    def deliver(self, notice: Notice) -> None:
        robot, url = self._settings.type, self._settings.url.get_secret_value()
        text = _clipped(f"{notice.title}\n{notice.text}", _BYTES_MAX[robot])
        url, message = self._message(robot, url, text, self._addresses.get(notice.recipient))
        try:
            answer = post(self._client, url, message)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The URL is the password; some errors quote it.
            raise Unavailable(type(error).__name__) from None
        check_status(answer)
        _check_code(robot, answer)

    def _message(self, robot: Robot, url: str, text: str, address: str | None) -> tuple[str, dict[str, Any]]:
        secret = self._settings.secret
        if robot == "dingtalk":
            if secret is not None:
                stamp = str(self._now_ms())
                url += f"&timestamp={stamp}&sign={quote(_sign_dingtalk(stamp, secret.get_secret_value()), safe='')}"
            at = {"at": {"atMobiles": [address]}} if address else {}
            return url, {"msgtype": "text", "text": {"content": text}, **at}
        if robot == "wecom":
            mentioned = {"mentioned_mobile_list": [address]} if address else {}
            return url, {"msgtype": "text", "text": {"content": text, **mentioned}}
        signed: dict[str, Any] = {}
        if secret is not None:
            stamp = str(self._now_ms() // 1000)
            signed = {"timestamp": stamp, "sign": _sign_feishu(stamp, secret.get_secret_value())}
        mention = f'<at user_id="{address}"></at> ' if address else ""
        return url, {**signed, "msg_type": "text", "content": {"text": mention + text}}


def _check_code(robot: Robot, answer: httpx.Response) -> None:
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        said = None
    code = said.get("code", said.get("StatusCode")) if robot == "feishu" and isinstance(said, dict) else None
    if robot != "feishu" and isinstance(said, dict):
        code = said.get("errcode")
    if code == 0:
        return
    detail = f"HTTP {answer.status_code}, and in it: {answer.text[:200]}"
    if isinstance(code, int) and code in _REFUSED[robot]:
        raise BadInput("notice-refused", detail)
    raise Unavailable(detail)


def _sign_dingtalk(stamp: str, secret: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256)).decode()


def _sign_feishu(stamp: str, secret: str) -> str:
    return base64.b64encode(hmac.digest(f"{stamp}\n{secret}".encode(), b"", hashlib.sha256)).decode()


def _clipped(text: str, bytes_max: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= bytes_max else encoded[: bytes_max - 3].decode(errors="ignore") + "…"


class AppriseSettings(BaseModel):
    """One of the many services of apprise, by its URL; {address} in it is the recipient's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["apprise"]
    url: SecretStr

    @field_validator("url")
    @classmethod
    def _is_no_robot_of_ours(cls, url: SecretStr) -> SecretStr:
        shown = url.get_secret_value().lower()
        for robot, signs in (
            ("dingtalk", ("dingtalk://", "oapi.dingtalk.com")),
            ("wecom", ("wecombot://", "qyapi.weixin.qq.com")),
            ("feishu", ("feishu://", "lark://", "open.feishu.cn", "open.larksuite.com")),
        ):
            if any(sign in shown for sign in signs):
                raise ValueError(f"apprise takes this service at its word; use type '{robot}'")
        if not apprise.Apprise().add(url.get_secret_value().replace("{address}", "10000000000")):
            raise ValueError("apprise knows no such URL")
        return url


class AppriseChannel:
    """Hands a notice to apprise. It says only whether it worked, so every failure is tried again."""

    def __init__(self, settings: AppriseSettings, addresses: Mapping[str, str]) -> None:
        self._url = settings.url
        self._addresses = addresses

    def deliver(self, notice: Notice) -> None:
        url = self._url.get_secret_value()
        if "{address}" in url:
            address = self._addresses.get(notice.recipient)
            if address is None:
                raise BadInput("notice-refused", f"'{notice.recipient}' has no address here")
            url = url.replace("{address}", quote(address, safe=""))
        service = apprise.Apprise()
        if not service.add(url):
            raise BadInput("notice-refused", "apprise does not take the address")
        if not service.notify(title=notice.title, body=notice.text or notice.title):
            raise Unavailable("apprise says that it was not taken; it does not say why")
