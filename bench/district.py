"""A district of the size a measurement asks for: level sensors in rows, three level rules on each, one gate.

Every level stands in one of four bands, told apart by the three rules; a reading that leaves its band for the next one
therefore changes exactly one rule.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alerts.rules import LevelRule, RuleFile
from telemetry.catalogue import Catalogue

SITE = "bench"
METRIC = "level"
SCANNER, SCANNER_METRIC = "gate-scanner", "skin_temperature"
FEVER_C = 38.5
LIMITS = (1.0, 2.0, 3.0)
DEADBAND = 0.1
GATEWAY_SERIES_MAX = 1000  # level sensors behind one gateway


def gateway(number: int) -> str:
    """The gateway that reads level sensor `number`."""
    return f"gw-{number // GATEWAY_SERIES_MAX}"


def device(number: int) -> str:
    """Level sensor `number`."""
    return f"level-{number:05d}"


def catalogue(series_count: int) -> Catalogue:
    """`series_count` level sensors and a gate scanner."""
    return Catalogue.model_validate(_catalogue(series_count))


def rules() -> tuple[LevelRule, ...]:
    """The three level rules and the fever rule."""
    found = RuleFile.model_validate(_rules()).rules
    return tuple(rule for rule in found if isinstance(rule, LevelRule))


def write_config(folder: Path, series_count: int, broker_port: int, metrics_port: int, **more: Any) -> Path:
    """Everything a core needs to run the district; its configuration file. JSON, which is YAML too."""
    for name, document in (("catalogue", _catalogue(series_count)), ("rules", _rules())):
        (folder / name).mkdir(parents=True, exist_ok=True)
        lines = (f"{json.dumps(part)}: {json.dumps(entries)}" for part, entries in document.items())
        (folder / name / "bench.yaml").write_text("\n".join(lines))
    config = folder / "gatehouse.yaml"
    settings = {
        "broker": {"host": "127.0.0.1", "port": broker_port},
        "insecure": True,
        "metrics": {"host": "127.0.0.1", "port": metrics_port},
        **more,
    }
    config.write_text(json.dumps(settings))
    return config


def _catalogue(series_count: int) -> dict[str, Any]:
    gateways = sorted({gateway(number) for number in range(series_count)} | {gateway(0)})
    level = {"id": METRIC, "name": "Level", "unit": "m", "plausible": [-0.1, 5], "decimals": 3}
    skin = {"id": SCANNER_METRIC, "name": "Skin temperature", "unit": "degC", "plausible": [30, 45], "decimals": 2}
    return {
        "sites": [{"id": SITE, "name": "Bench"}],
        "kinds": [
            {"id": "level-sensor", "name": "Level sensor", "metrics": [level]},
            {"id": "scanner", "name": "Scanner", "metrics": [skin]},
        ],
        "gateways": [{"id": name, "name": name, "site": SITE} for name in gateways],
        "places": [{"id": f"at-{name}", "name": name, "kind": "manhole", "site": SITE} for name in gateways],
        "devices": [
            {"id": device(n), "kind": "level-sensor", "place": f"at-{gateway(n)}", "gateway": gateway(n)}
            for n in range(series_count)
        ]
        + [{"id": SCANNER, "kind": "scanner", "place": f"at-{gateway(0)}", "gateway": gateway(0)}],
    }


def _rules() -> dict[str, Any]:
    names = ("medium", "high", "critical")
    levels = [
        {
            "id": f"level-{severity}",
            "type": "level",
            "class": "drain",
            "name": f"Level {severity}",
            "metric": METRIC,
            "levels": [{"severity": severity, "at_least": limit}],
            "deadband": DEADBAND,
            "reopen_within_s": 0,  # a storm of separate alarms, not of one that comes back
            "flap_slot_s": 0.001,
        }
        for severity, limit in zip(names, LIMITS, strict=True)
    ]
    fever = {
        "id": "fever",
        "type": "level",
        "class": "fever",
        "name": "Fever",
        "metric": SCANNER_METRIC,
        "per_passage": True,
        "levels": [{"severity": "high", "at_least": 37.3}],
    }
    return {"rules": [*levels, fever]}
