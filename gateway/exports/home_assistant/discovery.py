"""What Home Assistant is told, without I/O: one retained message a device, from which it makes the device and its entities.

Source: Home Assistant documentation, MQTT, "device discovery payload" (since 2024.11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway.exports.home_assistant.settings import HomeAssistantSeries, HomeAssistantSettings
from telemetry.quality import Quality
from telemetry.reading import Reading

ONLINE, OFFLINE = b"online", b"offline"


def availability_topic(settings: HomeAssistantSettings) -> str:
    """Where it stands, retained, whether the gateway is there."""
    return f"{settings.base}/{settings.client_id}/availability"


def state_topic(settings: HomeAssistantSettings, device: str) -> str:
    """Where the values of a device stand, retained."""
    return f"{settings.base}/{settings.client_id}/{device}/state"


def discovery(settings: HomeAssistantSettings, device: str) -> tuple[str, bytes]:
    """Topic and payload by which a device discovers itself. The same id over all restarts: entities keep their history."""
    identity = f"{settings.client_id}-{device}"
    members = [series for series in settings.series if series.device == device]
    payload = {
        "dev": {"ids": [identity], "name": device, "mf": "Gatehouse"},
        "o": {"name": "gatehouse"},
        "avty_t": availability_topic(settings),
        "stat_t": state_topic(settings, device),
        "cmps": {series.metric: _component(identity, series) for series in members},
    }
    return f"{settings.discovery}/device/{identity}/config", msgspec.json.encode(payload)


def state(values: Mapping[str, Reading]) -> bytes:
    """The values of a device by metric. A bad reading is none: the entity becomes unknown."""
    return msgspec.json.encode({metric: None if r.quality is Quality.BAD else r.value for metric, r in values.items()})


def members(settings: HomeAssistantSettings) -> Mapping[str, Sequence[str]]:
    """Device -> its metrics that are told."""
    return {
        device: [series.metric for series in settings.series if series.device == device]
        for device in settings.device_names()
    }


def _component(identity: str, series: HomeAssistantSeries) -> dict[str, str]:
    component = {
        "p": "sensor",
        "unique_id": f"{identity}-{series.metric}",
        "name": series.name,
        "val_tpl": "{{ value_json." + series.metric + " }}",
    }
    said = {"unit_of_meas": series.unit, "dev_cla": series.device_class, "stat_cla": series.state_class}
    return component | {key: value for key, value in said.items() if value is not None}
