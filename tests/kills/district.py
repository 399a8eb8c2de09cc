"""The district that is killed: two compounds whose devices push, one device that speaks MQTT itself, and its rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests import servers
from tests.oracles.occurrences import LevelPlan

EAST, WEST = "gw-east", "gw-west"
SITES = {EAST: "east", WEST: "west"}
PLAIN = ("plain-1", "power")
# (device, metric, readings a second)
DEVICES = {
    EAST: tuple(
        [(f"level-{n}", "level", 10.0) for n in range(1, 13)] + [(f"lane-{n}", "skin_temperature", 4.0) for n in (1, 2)]
    ),
    WEST: tuple((f"meter-{n}", "power", 10.0) for n in range(1, 13)),
}
CATALOGUE = """
sites: [{id: east, name: East}, {id: west, name: West}]
kinds:
  - {id: drain-level, name: Level, metrics: [{id: level, name: Level, unit: m, plausible: [-1, 5]}]}
  - {id: scanner, name: Scanner, metrics: [{id: skin_temperature, name: Skin, unit: degC, plausible: [30, 45]}]}
  - {id: meter, name: Meter, metrics: [{id: power, name: Power, unit: W}]}
gateways: [{id: gw-east, name: E, site: east}, {id: gw-west, name: W, site: west}]
places:
  - {id: yard, name: Yard, kind: drain, site: east}
  - {id: room, name: Room, kind: room, site: west}
devices:
"""
_ENTRIES = {
    "level": "kind: drain-level, place: yard, gateway: gw-east",
    "skin_temperature": "kind: scanner, place: yard, gateway: gw-east",
    "power": "kind: meter, place: room, gateway: gw-west",
}
_ALL = [*DEVICES[EAST], *DEVICES[WEST], (*PLAIN, 5.0)]
CATALOGUE += "".join(f"  - {{id: {device}, {_ENTRIES[metric]}}}\n" for device, metric, _ in _ALL)
# The silence is longer than any outage of a round.
RULES = """
rules:
  - {id: drain, type: level, class: drain, name: Full, metric: level, reopen_within_s: 0, flap_slot_s: 0.001,
     deadband: 0.2, clear_after_s: 1, notify: [pager],
     levels: [{severity: high, at_least: 1.0}, {severity: critical, at_least: 1.5}]}
  - {id: fever, type: level, class: fever, name: Fever, metric: skin_temperature, per_passage: true, notify: [pager],
     levels: [{severity: high, at_least: 37.3}, {severity: critical, at_least: 38.0}]}
  - {id: load, type: level, class: dormitory, name: Load, metric: power, reopen_within_s: 0, flap_slot_s: 0.001,
     raise_count: 2, notify: [pager],
     levels: [{severity: medium, at_least: 1000}]}
  - {id: silent, type: silence, class: sensor, name: Silent, metric: level, after_s: 900, severity: medium}
"""
PLANS = (
    LevelPlan("drain", "level", ((3, 1.0), (4, 1.5)), deadband=0.2, clear_after_ms=1000),
    LevelPlan("fever", "skin_temperature", ((3, 37.3), (4, 38.0)), per_passage=True),
    LevelPlan("load", "power", ((2, 1000.0),), raise_count=2),
)
# Values around the limits. A device stays among the low or among the high ones for a while, so that alarms come and go.
VALUES = {
    "level": ((0.3, 0.79, 0.8, 0.81), (0.8, 0.99, 1.0, 1.2, 1.5, 1.6)),
    "skin_temperature": ((36.2, 36.6, 36.9, 37.2), (37.2, 37.3, 37.9, 38.0, 38.6)),
    "power": ((200.0, 999.0), (999.0, 1000.0, 1000.0, 1500.0)),
}


@dataclass(frozen=True)
class Ports:
    """Where everything listens. Core and gateways reach the broker through a proxy each, called by their names."""

    broker: int
    metrics: int
    pager: int
    proxy: dict[str, int]
    push: dict[str, int]


def draw_ports() -> Ports:
    """Ports that are free now."""
    found: set[int] = set()
    while len(found) < 8:
        found.add(servers.free_port())
    broker, metrics, pager, core, east, west, push_east, push_west = found
    return Ports(broker, metrics, pager, {"core": core, EAST: east, WEST: west}, {EAST: push_east, WEST: push_west})


def write_core(folder: Path, ports: Ports, journal: Path, history: dict[str, Any]) -> Path:
    """The core's configuration file, its catalogue and its rules."""
    for name, text in (("catalogue", CATALOGUE), ("rules", RULES)):
        (folder / name).mkdir()
        (folder / name / "all.yaml").write_text(text, encoding="utf-8")
    (folder / "data").mkdir()
    settings = {
        "broker": _broker(ports.proxy["core"]),
        "insecure": True,
        "metrics": {"port": ports.metrics},
        "journal": {"path": str(journal)},
        "history": history,
        "channels": {
            "pager": {
                "url": f"http://127.0.0.1:{ports.pager}/notice",
                "timeout_s": 2,
                "allow_networks": ["127.0.0.1/32"],
            }
        },
    }
    file = folder / "gatehouse.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


def write_gateway(folder: Path, name: str, ports: Ports, spool: Path) -> Path:
    """A gateway's configuration file."""
    driver = {
        "driver": "http-push",
        "port": ports.push[name],
        "devices": [{"device": device, "serial": device} for device, _, _ in DEVICES[name]],
        "fields": {metric: metric for _, metric, _ in DEVICES[name]},
    }
    settings = {
        "site": SITES[name],
        "gateway": name,
        "broker": _broker(ports.proxy[name]),
        "spool": {"path": str(spool)},
        "uplink": {"resend_after_s": 2, "resend_max_s": 5, "stalled_after_s": 10, "status_every_s": 1},
        "drivers": [driver],
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


def write_broker(folder: Path, ports: Ports, is_persistent: bool) -> Path:
    """Mosquitto's configuration; how often it saves is left as it is by default."""
    file = folder / "mosquitto.conf"
    file.write_text(
        f"listener {ports.broker} 127.0.0.1\nallow_anonymous true\nuser root\n"
        "max_queued_messages 0\nmax_inflight_messages 1000\n"
        + (f"persistence true\npersistence_location {folder}/\n" if is_persistent else "persistence false\n"),
        encoding="utf-8",
    )
    return file


def _broker(port: int) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "keep_alive_s": 5, "reconnect_delay_max_s": 1}
