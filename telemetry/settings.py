"""Settings that more than one process needs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr


class BrokerSettings(BaseModel):
    """Where the MQTT broker is and how patient we are with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "localhost"
    port: int = Field(default=1883, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    keep_alive_s: PositiveInt = 30
    reconnect_delay_max_s: PositiveFloat = 30.0
