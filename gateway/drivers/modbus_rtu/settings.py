"""What a Modbus RTU driver can be told: a line, and what it shares with Modbus TCP."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from gateway.drivers.modbus_rtu.codec import UNIT_MAX
from gateway.drivers.modbus_tcp.settings import ModbusSettings
from gateway.line import LineSettings
from gateway.meter import LineDriverSettings


class ModbusRtuLine(LineSettings):
    """Nothing numbers an answer here, so a late one must be over before the next request."""

    baud: int = Field(default=9600, ge=300, le=1_000_000)
    parity: Literal["none", "even", "odd"] = "none"
    quiet_ms: float = Field(default=60.0, ge=0)  # Eastron asks for as much
    answer_delay_ms: PositiveFloat = 400.0
    gap_ms: PositiveFloat = 200.0
    settle_ms: float = Field(default=400.0, ge=0)


class ModbusRtuSettings(ModbusSettings, LineDriverSettings):
    """Units on one serial line, or behind a serial server that passes bytes through."""

    line: ModbusRtuLine
    every_s: PositiveFloat = 10.0
    backoff_max_s: PositiveFloat = 300.0

    @model_validator(mode="after")
    def _units_exist(self) -> Self:
        for device in self.devices:
            if not 1 <= device.unit <= UNIT_MAX:
                detail = f"on a serial line there are 1 to {UNIT_MAX}"
                raise ValueError(f"unit {device.unit} of device '{device.device}': {detail}")
        return self
