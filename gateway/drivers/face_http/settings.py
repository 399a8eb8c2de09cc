"""What a listener for face terminals can be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import PositiveInt, model_validator

from gateway.drivers.face_mqtt.settings import FaceTerminal, each_once
from gateway.listener import ListenerSettings
from gateway.scan import ScanSettings


class FaceHttpSettings(ListenerSettings, ScanSettings):
    """One listener and the terminals that may push to it."""

    devices: tuple[FaceTerminal, ...]
    body_max_bytes: PositiveInt = 4_000_000  # two pictures in base64; they are dropped unread
    connections_max: PositiveInt = 16

    def device_names(self) -> Iterator[str]:
        return (device.device for device in self.devices)

    def series(self) -> Iterator[tuple[str, str]]:
        return ((name, metric) for name in self.device_names() for metric in self.fields.values())

    @model_validator(mode="after")
    def _each_terminal_once(self) -> Self:
        each_once(self.devices)
        return self
