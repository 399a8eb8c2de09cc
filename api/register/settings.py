"""Where the register stands, where its key is, and how long a visitor is remembered."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class RegisterSettings(BaseModel):
    """The visitor temperature register."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = "sqlite:///data/register.db"
    key_file: Path = Path("keys/register.key")
    keep_days: int = Field(default=30, ge=1, le=366)
