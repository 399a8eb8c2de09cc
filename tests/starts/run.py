"""One start: two weeks of past and three minutes of life through the district's own rules, held against the truth.

Neither sockets nor processes: what the field measures goes straight to the conditions, in the order of time. Rules about
silence are left out, because here everybody is heard, and with them what a scenario does to a gateway's cable.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from firmware_sim.district import District
from firmware_sim.modbus import READ_HOLDING, READ_INPUT, Request
from firmware_sim.past import build_past
from firmware_sim.scenario import Scenario
from firmware_sim.stage import Stage
from firmware_sim.truth import ExpectedAlarm, Truth
from firmware_sim.world import WorldState

from alerts.backtest import Trial
from alerts.rules import InferredRule, SilenceRule, load_rules
from gatehouse.verdict import RaisedAlarm, match
from telemetry.batch import ReadingBatch
from telemetry.quality import Quality
from telemetry.series import ONLINE, SeriesRegistry

DISTRICT = Path(__file__).parents[2] / "gatehouse" / "district"
_SEED = 1  # the demonstration's own
_LIVES_MS = 180_000
_TICK_MS = (15, 40)  # how late the field's own clock may look
_STARTS_AFTER_MS = (8_000, 45_000)  # how long the past may have taken
_WORDS = {"uint32": 2, "int32": 2, "float32": 2}

Row = tuple[str, str, int, float, str | None]
"""(device, metric, time, value, key)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one start came to."""

    raised: list[RaisedAlarm]
    missed: list[str]
    extra: list[str]


def start(end_ms: int) -> Outcome:
    """The demonstration whose past ends then."""
    district = District.load(DISTRICT)
    past = build_past(district, end_ms, _SEED)
    catalogue = district.catalogue
    declared = load_rules(DISTRICT / "rules", catalogue)
    rules = [rule for rule in declared if not isinstance(rule, SilenceRule | InferredRule) and rule.metric != ONLINE]
    registry = SeriesRegistry([*catalogue.metric, *((gateway.id, ONLINE) for gateway in catalogue.gateways)])
    trial = Trial(rules, catalogue, registry)
    for _, columns in past:
        series = registry.look_up("\n".join(columns.names))
        trial.take(ReadingBatch(series[columns.index], columns.time_ms, columns.value, columns.quality, columns.keys))
    expected = [*past.alarms, *_live(district, past.world_state, end_ms, trial, registry)]
    raised = [
        RaisedAlarm(str(number), one.rule, one.device, one.key, one.onset_ms, one.end_ms)
        for number, one in enumerate(trial.finish())
    ]
    tried = {rule.id for rule in rules}
    return Outcome(raised, *match([entry for entry in expected if entry.rule in tried], raised))


class _Heard(Truth):
    """Remembers what was answered last."""

    def __init__(self) -> None:
        super().__init__()
        self.last: list[tuple[str, str, float]] = []

    def serve(self, device: str, metric: str, value: float) -> None:
        super().serve(device, metric, value)
        self.last.append((device, metric, value))


def _live(
    district: District, state: WorldState, end_ms: int, trial: Trial, registry: SeriesRegistry
) -> list[ExpectedAlarm]:
    rng = random.Random(end_ms)
    start_ms = end_ms + rng.randrange(*_STARTS_AFTER_MS)
    stage = Stage(district, Scenario.load(DISTRICT / "scenario.yaml", district), state, start_ms)
    heard = stage.truth = _Heard()
    due_ms = {gateway: start_ms + rng.randrange(3_000, 6_000) for gateway in district.gateways}
    now_ms = start_ms
    while now_ms < start_ms + _LIVES_MS:
        now_ms += rng.randrange(*_TICK_MS)
        moment = stage.advance(now_ms)
        rows: list[Row] = [row for push in moment.pushes for row in push.readings]
        rows += [row for message in moment.messages for row in message.readings]
        for gateway, at_ms in due_ms.items():
            if at_ms <= now_ms:
                due_ms[gateway] = at_ms + round(1000 * district.gateways[gateway].modbus[0].every_s)
                heard.last.clear()
                for request in _requests(district, gateway):
                    stage.answer(gateway, request, now_ms)
                rows += [(device, metric, now_ms, value, None) for device, metric, value in heard.last]
        trial.take(_batch(sorted(rows, key=lambda row: row[2]), registry))
    return stage.expected_alarms()


def _requests(district: District, gateway: str) -> Iterator[Request]:
    """One for each register of each meter."""
    for driver in district.gateways[gateway].modbus:
        for meter in driver.devices:
            for register in driver.profiles[meter.profile]:
                function = READ_HOLDING if register.function == "holding" else READ_INPUT
                span = struct.pack(">HH", register.address, _WORDS.get(register.type, 1))
                yield Request(1, meter.unit, function, span)


def _batch(rows: list[Row], registry: SeriesRegistry) -> ReadingBatch:
    return ReadingBatch(
        np.array([registry.index[device, metric] for device, metric, *_ in rows], np.uint32),
        np.array([row[2] for row in rows], np.int64),
        np.array([row[3] for row in rows], np.float64),
        np.full(len(rows), Quality.GOOD, np.uint8),
        {number: row[4] for number, row in enumerate(rows) if row[4] is not None},
    )
