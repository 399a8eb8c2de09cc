"""Everybody a gateway can tell besides the core. Adding one is a folder beside these and a line in `EXPORTS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.events import Events
from gateway.export import Export, ExportSettings
from gateway.exports.hj212.export import Hj212Export
from gateway.exports.hj212.settings import Hj212ExportSettings
from gateway.exports.home_assistant.export import HomeAssistantExport
from gateway.exports.home_assistant.settings import HomeAssistantSettings
from gateway.exports.sparkplug.export import SparkplugExport
from gateway.exports.sparkplug.settings import SparkplugExportSettings
from telemetry.clock import Clock

S = TypeVar("S", bound=ExportSettings)


@dataclass(frozen=True, slots=True)
class ExportKind(Generic[S]):
    """How an entry under `exports:` is checked, and what runs it."""

    settings: type[S]
    make: Callable[[S, Clock, Events], Export]


EXPORTS: Mapping[str, ExportKind[Any]] = {
    "home-assistant": ExportKind(HomeAssistantSettings, HomeAssistantExport),
    "sparkplug": ExportKind(SparkplugExportSettings, SparkplugExport),
    "hj212": ExportKind(Hj212ExportSettings, Hj212Export),
}
