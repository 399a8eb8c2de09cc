"""A small district for tests: two manholes, a lane, a room, behind two gateways."""

from pathlib import Path

from alerts.program import Program, compile_rules
from alerts.rules import load_rules
from telemetry.catalogue import Catalogue
from telemetry.series import ONLINE, SeriesRegistry

CATALOGUE = """
sites:
  - {id: east, name: East}
  - {id: west, name: {en: West, zh: 西院}}
kinds:
  - id: drain-level
    name: Level
    metrics: [{id: level, name: Level, unit: m, plausible: [-0.1, 5], decimals: 3}]
  - id: gate-scanner
    name: Scanner
    metrics:
      - {id: skin_temperature, name: Skin, unit: degC, plausible: [30, 45]}
      - {id: ambient_temperature, name: Ambient, unit: degC}
  - id: room-meter
    name: Meter
    metrics: [{id: power, name: Power, unit: W}, {id: energy, name: Energy, unit: kWh, counter: true}]
gateways:
  - {id: gw-east, name: Gateway, site: east}
  - {id: gw-west, name: Gateway, site: west}
places:
  - {id: drains, name: Drains, kind: drain, site: east}
  - {id: mh-1, name: {en: Manhole 1, zh: 一号井}, kind: manhole, parent: drains,
     drain: {depth_m: 2, crown_m: 0.5, downstream: mh-2}}
  - {id: mh-2, name: Manhole 2, kind: manhole, parent: drains, drain: {depth_m: 1, crown_m: 0.3}}
  - {id: lane, name: Lane, kind: lane, site: east}
  - {id: room, name: Room, kind: room, site: west}
devices:
  - {id: level-1, kind: drain-level, place: mh-1, gateway: gw-east}
  - {id: level-2, kind: drain-level, place: mh-2, gateway: gw-east}
  - {id: scanner, kind: gate-scanner, place: lane, gateway: gw-east}
  - {id: meter, kind: room-meter, place: room, gateway: gw-west}
"""
RULES = """
rules:
  - id: drain-level
    type: level
    class: drain
    name: {en: Drain nearly full, zh: 水位过高}
    metric: level
    relative_to: depth
    levels: [{severity: high, at_least: 0.7}, {severity: critical, at_least: 0.85}]
    deadband: 0.1
    clear_after_s: 60
    advice: Look.
    notify: [pager]
  - id: drain-forecast
    type: forecast
    class: drain
    name: Will overflow
    metric: level
    target: 0.97
    relative_to: depth
    levels: [{severity: medium, at_most: 60}, {severity: high, at_most: 30}]
    raise_count: 2
  - id: drain-rise
    type: rate
    class: drain
    name: Rises
    metric: level
    levels: [{severity: high, at_least: 0.02}]
  - {id: drain-silent, type: silence, class: sensor, name: Silent, metric: level, after_s: 30, severity: medium}
  - id: fever
    type: level
    class: fever
    name: Fever
    metric: skin_temperature
    per_passage: true
    levels: [{severity: high, at_least: 37.3}, {severity: critical, at_least: 38.0}]
  - id: heater
    type: level
    class: dormitory
    name: Heater
    metric: power
    levels: [{severity: high, at_least: 1000}]
    raise_after_s: 20
  - {id: offline, type: level, class: gateway, name: Offline, metric: online,
     levels: [{severity: high, at_most: 0.5}], raise_after_s: 5}
"""
DUTIES = """
duties:
  - {id: round, name: {en: Round, zh: 巡查}, role: guard, since: 2026-11-16, sites: [east], by: "23:59"}
  - {id: drains, name: {en: Drain check, zh: 排水检查}, role: engineer, since: 2026-11-16, days: [mon, wed], from: "08:00",
     by: "10:00"}
"""


def write_duties(folder: Path) -> None:
    """Two daily duties beside the district."""
    (folder / "duties").mkdir(exist_ok=True)
    (folder / "duties" / "all.yaml").write_text(DUTIES, encoding="utf-8")


def write_district(folder: Path) -> Path:
    """The files of the district, with a server configuration; its path."""
    for name, text in (("catalogue", CATALOGUE), ("rules", RULES)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "all.yaml").write_text(text, encoding="utf-8")
    file = folder / "gatehouse.yaml"
    file.write_text(
        "channels: {pager: {url: 'http://127.0.0.1:9/', allow_networks: [127.0.0.0/8]}}\n"
        "metrics: {port: 0}\ninsecure: true\n",
        encoding="utf-8",
    )
    return file


def load(folder: Path) -> tuple[Catalogue, SeriesRegistry, Program]:
    """The district ready to run."""
    write_district(folder)
    catalogue = Catalogue.load(folder / "catalogue")
    registry = SeriesRegistry([*catalogue.metric, ("gw-east", ONLINE), ("gw-west", ONLINE)])
    return catalogue, registry, compile_rules(load_rules(folder / "rules", catalogue), catalogue, registry)
