"""Recorded series through the rules as the core runs them: readings in, alarms out. Readings carry no label.

Axes: N readings, S series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alerts.conditions import Conditions
from alerts.detectors.detector import Rows
from alerts.program import Program, compile_rules
from alerts.rules import RuleFile
from telemetry.batch import Floats, Indexes, ReadingBatch, Times
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.quality import Quality
from telemetry.series import ONLINE, SeriesRegistry

_BATCH = 20_000


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm, or what a stage of it was."""

    rule: str
    device: str
    onset_ms: int
    raised_ms: int
    over_ms: int | None
    severity: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Readings of several series in the order they came, (N,)."""

    series: Indexes
    time_ms: Times
    value: Floats
    good: np.ndarray[Any, np.dtype[np.bool_]] | None = None


def program(
    devices: Sequence[str], metrics: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]]
) -> Program:
    """Rules over devices that all measure the same, at one site. Series are numbered device by device."""
    given = {
        "sites": [{"id": "site", "name": "Site", "timezone": "UTC"}],
        "kinds": [{"id": "device", "name": "Device", "metrics": list(metrics)}],
        "gateways": [{"id": "gateway", "name": "Gateway", "site": "site"}],
        "places": [{"id": "place", "name": "Place", "kind": "place", "site": "site"}],
        "devices": [{"id": device, "kind": "device", "place": "place", "gateway": "gateway"} for device in devices],
    }
    file = CatalogueFile.model_validate(given)
    catalogue = Catalogue(**{part: getattr(file, part) for part in CatalogueFile.model_fields})
    registry = SeriesRegistry(
        [(device, str(metric["id"])) for device in devices for metric in metrics] + [("gateway", ONLINE)]
    )
    return compile_rules(RuleFile.model_validate({"rules": list(rules)}).rules, catalogue, registry)


def replay(made: Program, stream: Stream) -> list[Raised]:
    """What is raised over a stream, each stage of severity by itself."""
    conditions = Conditions(made)
    open_alarms: dict[tuple[int, int], Raised] = {}
    found: list[Raised] = []
    for start in range(0, len(stream.series), _BATCH):
        part = slice(start, start + _BATCH)
        good = np.ones(len(stream.series[part]), np.bool_) if stream.good is None else stream.good[part]
        batch = ReadingBatch(
            stream.series[part].astype(np.uint32),
            stream.time_ms[part].copy(),
            stream.value[part].copy(),
            np.where(good, Quality.GOOD, Quality.SUSPECT).astype(np.uint8),
        )
        for step in conditions.readings(batch).steps:
            at = (step.rule, step.series)
            before = open_alarms.pop(at, None)
            severity = 0 if step.worst is None else int(made.severity[step.worst])
            if before is not None and (step.worst is None or severity != before.severity):
                found.append(
                    Raised(before.rule, before.device, before.onset_ms, before.raised_ms, step.time_ms, before.severity)
                )
            if step.worst is not None:
                onset_ms = step.time_ms if step.onset_ms is None else step.onset_ms
                open_alarms[at] = (
                    before
                    if before is not None and severity == before.severity
                    else Raised(
                        made.rules[step.rule].id, made.names[step.series][0], onset_ms, step.time_ms, None, severity
                    )
                )
    return [*found, *open_alarms.values()]


def signals(rule: Mapping[str, Any], metric: Mapping[str, Any], time_ms: Times, value: Floats) -> Floats:
    """What a rule's detector says at each reading of one series, (N,); NaN where it says nothing."""
    detector = program(["device"], [metric], [rule]).detectors[0].make()
    count = len(value)
    first = np.zeros(count, np.bool_)
    first[:1] = True
    rows = Rows(np.zeros(count, np.intp), time_ms, value, np.ones(count, np.bool_), np.arange(count), first)
    said = detector.push(rows)
    found = np.full(count, np.nan)
    found[said.row] = said.value
    return found


def state_bytes(made: Program, rule: int = 0) -> float:
    """What a rule's detector remembers of a series, in bytes."""
    detector = made.detectors[rule].make()
    columns = detector.columns.values()
    return sum(column.nbytes for column in columns) / max(len(detector.watched), 1)
