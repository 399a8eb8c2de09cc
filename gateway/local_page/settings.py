"""What the gateway's own page can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from telemetry.catalogue import Name
from telemetry.settings import HostName

Language = Literal["zh", "en"]


class LocalPageSettings(BaseModel):
    """Where the page is served, and who decides there. Without this section there is no page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: HostName  # the box's address in the compound
    port: int = Field(default=8443, ge=0, le=65535)  # 0: any free one
    guards: Path  # written by `gatehouse user guards`, relative to the configuration file
    certificate: Path | None = None  # PEM, with its key; without one PINs go over the compound's network in the clear
    language: Language = "zh"  # until somebody chooses
    lanes: dict[Name, dict[Language, str]] = {}  # device -> what people call its lane

    def placed(self, folder: Path) -> Self:
        """The same with relative paths counted from a folder."""
        certificate = None if self.certificate is None else folder / self.certificate
        return self.model_copy(update={"guards": folder / self.guards, "certificate": certificate})
