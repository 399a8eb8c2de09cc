"""A small dormitory for tests: three rooms with meters, a stair light, a main meter; and readings of two months."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

HOUR_MS = 3_600_000
ZONE = ZoneInfo("Asia/Shanghai")

CATALOGUE = """
kinds:
  - id: dorm-meter
    name: {en: Electricity meter, zh: 电表}
    metrics:
      - {id: power, name: {en: Power, zh: 功率}, unit: W, decimals: 1}
      - {id: power_factor, name: {en: Power factor, zh: 功率因数}, unit: "1", decimals: 3}
      - {id: energy, name: {en: Energy, zh: 用电量}, unit: kWh, decimals: 2, counter: true}
  - id: dorm-water
    name: {en: Water meter, zh: 水表}
    metrics: [{id: volume, name: {en: Volume, zh: 用水量}, unit: m3, decimals: 3, counter: true}]
places:
  - {id: dorm, name: {en: Dormitory, zh: 宿舍楼}, kind: building, site: west}
  - {id: dorm-1, name: {en: Floor 1, zh: 一层}, kind: floor, parent: dorm}
  - {id: room-1, name: {en: Room 101, zh: 101 室}, kind: room, parent: dorm-1}
  - {id: room-2, name: {en: Room 102, zh: 102 室}, kind: room, parent: dorm-1}
  - {id: dorm-2, name: {en: Floor 2, zh: 二层}, kind: floor, parent: dorm}
  - {id: room-3, name: {en: Room 201, zh: 201 室}, kind: room, parent: dorm-2}
devices:
  - {id: e-1, kind: dorm-meter, place: room-1, gateway: gw-west}
  - {id: e-2, kind: dorm-meter, place: room-2, gateway: gw-west}
  - {id: e-3, kind: dorm-meter, place: room-3, gateway: gw-west}
  - {id: e-stairs, kind: dorm-meter, place: dorm-1, gateway: gw-west}
  - {id: e-main, kind: dorm-meter, place: dorm, gateway: gw-west}
  - {id: w-1, kind: dorm-water, place: room-1, gateway: gw-west}
  - {id: w-2, kind: dorm-water, place: room-2, gateway: gw-west}
  - {id: w-3, kind: dorm-water, place: room-3, gateway: gw-west}
"""
DORMITORIES = """
tariffs:
  - id: electricity
    name: {en: Electricity, zh: 电费}
    metric: energy
    unit: kWh
    decimals: 2
    versions:
      - starts: 2026-01-01
        steps: [{up_to: 100, price: 0.4883}, {up_to: 200, price: 0.5383}, {price: 0.7883}]
  - id: water
    name: {en: Water, zh: 水费}
    metric: volume
    unit: m3
    decimals: 3
    versions:
      - {starts: 2026-01-01, steps: [{price: 5}], per: bed}
buildings:
  - place: dorm
    tariffs: [electricity, water]
    main: [e-main]
    common: [e-stairs]
    beds: 4
    occupied:
      - {rooms: [room-1], beds: [1, 2, 3], moved_in: 2026-01-01}
      - {rooms: [room-2], beds: [1], moved_in: 2026-01-01}
"""
PER_HOUR = {
    "e-1": 0.25,
    "e-2": 0.1,
    "e-3": 0.02,
    "e-stairs": 0.05,
    "e-main": 0.45,
    "w-1": 0.012,
    "w-2": 0.0,
    "w-3": 0.0,
}
"""What the meters count in each hour; w-1 never rests."""


def write(folder: Path) -> None:
    """Its files, beside those of the small district."""
    for name, text in (("catalogue", CATALOGUE), ("dormitories", DORMITORIES)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "dorm.yaml").write_text(text, encoding="utf-8")


def month_ms(year: int, month: int) -> int:
    """When a month begins there."""
    return round(datetime(year, month, 1, tzinfo=ZONE).timestamp() * 1000)


def registers(start_ms: int, end_ms: int) -> list[tuple[str, str, int, float]]:
    """(device, metric, ms, register) by the hour, a second before it is full."""
    rows = []
    for device, grows in PER_HOUR.items():
        metric = "volume" if device.startswith("w") else "energy"
        for number in range(start_ms // HOUR_MS, end_ms // HOUR_MS + 1):
            value = round(1000 + grows * (number - start_ms // HOUR_MS), 3)
            rows.append((device, metric, number * HOUR_MS - 1000, value))
    return rows
