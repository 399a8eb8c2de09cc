"""The ways a notice can go. A channel takes one notice, or says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, IPvAnyNetwork, PositiveFloat, model_validator

from alerts.notify.outside import client, post, why_not
from alerts.store import Notice
from telemetry.errors import BadInput, Unavailable
from telemetry.topics import HEARTBEAT_TOPIC, alarm_topic

Publish = Callable[[str, bytes, bool], None]
"""(topic, payload, retained): returns once the broker has it. Raises Unavailable."""


class Channel(Protocol):
    """One way to reach somebody."""

    def deliver(self, notice: Notice) -> None:
        """Hand a notice over. Raises Unavailable (tried again) or BadInput (it will never be taken)."""


class MqttChannel:
    """The alarm as it stands, retained while it is open, gone when it is closed."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish

    def deliver(self, notice: Notice) -> None:
        alarm = notice.body["alarm"]
        payload = json.dumps(alarm, ensure_ascii=False).encode() if alarm["state"] == "open" else b""
        self._publish(alarm_topic(alarm["site"], alarm["id"]), payload, True)

    def beat(self, message: Mapping[str, object]) -> None:
        """Say that the core lives, retained. Raises Unavailable."""
        self._publish(HEARTBEAT_TOPIC, json.dumps(message).encode(), True)


class WebhookSettings(BaseModel):
    """A system that is told by HTTP POST."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["webhook"] = "webhook"
    url: HttpUrl
    timeout_s: PositiveFloat = Field(default=10.0, le=60)
    heartbeat: bool = False  # hears every minute that the core lives
    allow_networks: tuple[IPvAnyNetwork, ...] = ()  # beside the internet, like 10.0.0.0/8

    @model_validator(mode="after")
    def _may_be_reached(self) -> Self:
        if (why := why_not(str(self.url), self.allow_networks)) is not None:
            raise ValueError(why)
        return self


class WebhookChannel:
    """POSTs {"key", "what", "reason", "alarm"}, to people also "recipient", "title" and "text".

    Any 2xx takes it, other 4xx than 408, 425 and 429 refuse it for good.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self._url = str(settings.url)
        self._client = client(settings.timeout_s, settings.allow_networks)

    def deliver(self, notice: Notice) -> None:
        try:
            said: dict[str, object] = {"key": notice.key, **notice.body}
            if notice.recipient:
                said |= {"recipient": notice.recipient, "title": notice.title, "text": notice.text}
            answer = post(self._client, self._url, said, {"Idempotency-Key": notice.key})
        except httpx.HTTPError as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        check_status(answer)

    def beat(self, message: Mapping[str, object]) -> None:
        """Say that the core lives. Raises Unavailable or BadInput."""
        try:
            check_status(post(self._client, self._url, message))
        except httpx.HTTPError as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error


def check_status(answer: httpx.Response) -> None:
    """Raises Unavailable (tried again) or BadInput (refused for good) where an answer is no 2xx."""
    if answer.is_success:
        return
    said = f"HTTP {answer.status_code}: {answer.text[:200]}"
    if 400 <= answer.status_code < 500 and answer.status_code not in (408, 425, 429):
        raise BadInput("notice-refused", said)
    raise Unavailable(said)
