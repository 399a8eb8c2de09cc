"""The channels that a district declares, and what makes them run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, assert_never

from pydantic import Discriminator, Tag

from alerts.notify.channels import Channel, WebhookChannel, WebhookSettings
from alerts.notify.chat import AppriseChannel, AppriseSettings, ChatChannel, ChatSettings
from alerts.notify.mail import MailChannel, MailSettings
from alerts.people import People


def _kind(value: Any) -> str:
    # The webhook came first and has never had to say so.
    kind = value.get("type", "webhook") if isinstance(value, dict) else getattr(value, "type", "webhook")
    return "chat" if kind in ("dingtalk", "wecom", "feishu") else str(kind)


ChannelSettings = Annotated[
    Annotated[WebhookSettings, Tag("webhook")]
    | Annotated[MailSettings, Tag("mail")]
    | Annotated[ChatSettings, Tag("chat")]
    | Annotated[AppriseSettings, Tag("apprise")],
    Discriminator(
        _kind,
        custom_error_type="channel_type",
        custom_error_message="a channel's type is one of webhook, mail, dingtalk, wecom, feishu, apprise",
    ),
]
AnyChannelSettings = WebhookSettings | MailSettings | ChatSettings | AppriseSettings


def make_channel(name: str, settings: AnyChannelSettings, people: People, now_ms: Callable[[], int]) -> Channel:
    """The channel, with the addresses that people have there."""
    addresses: Mapping[str, str] = {
        person.id: person.addresses[name] for person in people.people if name in person.addresses
    }
    match settings:
        case WebhookSettings():
            return WebhookChannel(settings)
        case MailSettings():
            return MailChannel(settings, addresses)
        case ChatSettings():
            return ChatChannel(settings, addresses, now_ms)
        case AppriseSettings():
            return AppriseChannel(settings, addresses)
        case _:
            assert_never(settings)
