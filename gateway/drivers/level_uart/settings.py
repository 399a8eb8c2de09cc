"""What a driver of one UART distance sensor can be told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from gateway.driver import DriverSettings
from gateway.drivers.level_uart.codec import check_pattern
from gateway.gauge import Quantity
from gateway.line import LineSettings
from telemetry.catalogue import Name
from telemetry.errors import BadInput


class LevelUartSettings(DriverSettings):
    """One sensor on one line."""

    device: Name
    line: LineSettings
    speaks: Literal["auto", "urm", "text"]
    pattern: str = r"R(\d{4})"  # of text: a line, its number in the only group
    address: int = Field(default=0x11, ge=0, le=255)  # of urm
    quantity: Quantity  # raw is millimetres for auto and urm, the number of the line for text
    every_s: PositiveFloat = 10.0  # a reading so often: the median of what came
    silence_max_s: PositiveFloat = 30.0  # after it the line is opened anew

    @property
    def name(self) -> str:
        return f"level-uart {self.line.name}"

    @property
    def compiled_pattern(self) -> re.Pattern[str]:
        return check_pattern(self.pattern)

    def device_names(self) -> Iterator[str]:
        return iter((self.device,))

    def series(self) -> Iterator[tuple[str, str]]:
        return iter(((self.device, self.quantity.metric),))

    def line_name(self) -> str | None:
        return self.line.name

    @model_validator(mode="after")
    def _pattern_finds_a_number(self) -> Self:
        try:
            check_pattern(self.pattern)
        except BadInput as error:
            raise ValueError(error.detail) from error
        return self
