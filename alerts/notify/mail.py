"""Notices by e-mail. The Message-ID is the notice's key, so that a message that arrives twice is known as one."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, SecretStr, field_validator

from alerts.store import Notice
from telemetry.errors import BadInput, Unavailable


class MailSettings(BaseModel):
    """A mail server that takes messages for others."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    type: Literal["mail"]
    host: str
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = Field(alias="from")
    username: str | None = None
    password: SecretStr | None = None
    ca_file: str | None = None  # of a server whose certificate no public authority signed
    timeout_s: PositiveFloat = Field(default=20.0, le=60)

    @field_validator("sender")
    @classmethod
    def _is_an_address(cls, sender: str) -> str:
        _check_address(sender)
        return sender

    @field_validator("username", "password")
    @classmethod
    def _can_be_sent(cls, given: str | SecretStr | None) -> str | SecretStr | None:
        text = given.get_secret_value() if isinstance(given, SecretStr) else given or ""
        if not text.isascii():
            raise ValueError("a mail server is told letters of English, digits and signs alone: choose another")
        return given


class MailChannel:
    """One connection a message: a district sends few, and an idle connection is closed by the server anyway."""

    def __init__(self, settings: MailSettings, addresses: Mapping[str, str]) -> None:
        self._settings = settings
        self._addresses = addresses

    def deliver(self, notice: Notice) -> None:
        address = self._addresses.get(notice.recipient)
        if address is None:
            raise BadInput("notice-refused", f"'{notice.recipient}' has no address here")
        try:
            _check_address(address)
        except ValueError as error:
            raise BadInput("notice-refused", f"the address of '{notice.recipient}' is none") from error
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = address
        message["Subject"] = " ".join(notice.title.split())
        message["Date"] = formatdate(time.time())
        message["Message-ID"] = f"<{notice.key}@gatehouse>"
        message.set_content(notice.text)
        try:
            self._send(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            if all(500 <= code < 600 for code in codes):
                raise BadInput("notice-refused", f"the address is refused: {sorted(codes)}") from error
            raise Unavailable(f"the address is not taken now: {sorted(codes)}") from error
        except smtplib.SMTPAuthenticationError as error:
            # Nothing is wrong with the message: it goes when somebody has mended the password.
            raise Unavailable(f"log-in refused: {error.smtp_code}") from error
        except smtplib.SMTPResponseException as error:
            said = f"{error.smtp_code} {error.smtp_error!r}"[:200]
            if isinstance(error, smtplib.SMTPDataError) and 500 <= error.smtp_code < 600:
                raise BadInput("notice-refused", said) from error
            raise Unavailable(said) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error

    def _send(self, message: EmailMessage) -> None:
        given = self._settings
        trusted = ssl.create_default_context(cafile=given.ca_file)
        if given.security == "tls":
            server: smtplib.SMTP = _BoundedTLS(given.host, given.port, timeout=given.timeout_s, context=trusted)
        else:
            server = _Bounded(given.host, given.port, timeout=given.timeout_s)
        with server:
            if given.security == "starttls":
                server.starttls(context=trusted)  # raises where the server has none: nothing goes out in the clear
            if given.username is not None:
                server.login(given.username, given.password.get_secret_value() if given.password else "")
            server.send_message(message)


class _Bounded(smtplib.SMTP):
    """Each of its answers must be whole within twice the time-out, which itself is for one read: who sends a byte every few
    seconds never runs into it.
    """

    def getreply(self) -> tuple[int, bytes]:
        """Raises smtplib.SMTPServerDisconnected."""
        # What reads is buffered and cannot be told to stop; a connection that has ended makes it.
        end = threading.Timer(2 * self.timeout, self._hang_up)
        end.daemon = True
        end.start()
        try:
            return super().getreply()
        finally:
            end.cancel()

    def _hang_up(self) -> None:
        try:
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has gone by itself


class _BoundedTLS(_Bounded, smtplib.SMTP_SSL):
    """Encrypted from the first byte."""


def _check_address(text: str) -> None:
    """Raises ValueError where no mail can bear it."""
    message = EmailMessage()
    try:
        message["To"] = text
        message.as_bytes()
    except (AttributeError, LookupError, ValueError) as error:  # the library stumbles over some in its own ways
        raise ValueError("that is no mail address") from error
