"""Settings that more than one process needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)

_CLIENT = "{client_id}"


def _could_be_a_host(host: str) -> str:
    try:
        host.encode("idna")
    except UnicodeError:
        is_one = False
    else:
        is_one = host.isprintable() and not any(c.isspace() or c == "/" for c in host)
    if not is_one:
        raise ValueError(f"'{host}' is no name or address of a host; write one like 10.0.0.5, without http://")
    return host


HostName = Annotated[str, AfterValidator(_could_be_a_host)]


class TlsSettings(BaseModel):
    """By which authority we know the broker, and with which certificate it knows us.

    `{client_id}` in a path stands for the name of the connection, so that each has an identity of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: Path
    certificate: Path | None = None
    key: Path | None = None  # in the certificate's own file when not given

    @model_validator(mode="after")
    def _key_of_something(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("'key' is the key of a certificate: give 'certificate' too")
        return self

    def files(self, client_id: str) -> tuple[Path, Path]:
        """(certificate, key) of a connection."""
        assert self.certificate is not None
        key = self.certificate if self.key is None else self.key
        return Path(str(self.certificate).replace(_CLIENT, client_id)), Path(str(key).replace(_CLIENT, client_id))

    def certificates(self, client_id: str) -> dict[str, Path]:
        """What has an end, by the setting that names it."""
        return {"ca": self.ca} | ({} if self.certificate is None else {"certificate": self.files(client_id)[0]})

    def placed(self, folder: Path) -> Self:
        """The same with relative paths counted from a folder."""
        return self.model_copy(
            update={
                "ca": folder / self.ca,
                "certificate": None if self.certificate is None else folder / self.certificate,
                "key": None if self.key is None else folder / self.key,
            }
        )


class BrokerSettings(BaseModel):
    """Where the MQTT broker is and how patient we are with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: HostName = "localhost"
    port: int = Field(default=1883, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    tls: TlsSettings | None = None
    keep_alive_s: PositiveInt = 30
    reconnect_delay_max_s: PositiveFloat = 30.0

    def known_as(self, client_id: str) -> str:
        """A connection in words. A broker has one of each name, and ends it when another comes."""
        return f"{client_id} at {self.host}:{self.port}"

    def placed(self, folder: Path) -> Self:
        """The same with relative paths counted from a folder."""
        return self if self.tls is None else self.model_copy(update={"tls": self.tls.placed(folder)})
