"""An engine over a district given as YAML, played record by record; also killed and started again at any of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import yaml

from alerts.alarm import Alarm, Transition
from alerts.engine import Engine
from alerts.program import Program, compile_rules
from alerts.rules import RuleFile
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.journal import AWAY, CONNECTED, Kind, Stored
from telemetry.series import ONLINE, SeriesRegistry

T0 = 1_795_000_000_000
MANHOLES = """
sites: [{id: east, name: East}]
kinds: [{id: level, name: L, metrics: [{id: level, name: L, unit: m}]}]
gateways: [{id: gw, name: G, site: east}]
places:
  - {id: lower, name: Lower, kind: manhole, site: east, drain: {depth_m: 2, crown_m: 1}}
  - {id: upper, name: Upper, kind: manhole, site: east, drain: {depth_m: 2, crown_m: 1, downstream: lower}}
devices:
  - {id: low, kind: level, place: lower, gateway: gw}
  - {id: high, kind: level, place: upper, gateway: gw}
"""
"""Two of them, the lower one below the upper one: a catalogue."""


def program(catalogue: str, rules: str) -> Program:
    """What YAML says, ready to run."""
    declared = Catalogue.model_validate(CatalogueFile.model_validate(yaml.safe_load(catalogue)).model_dump())
    registry = SeriesRegistry([*declared.metric, *((gateway.id, ONLINE) for gateway in declared.gateways)])
    file = RuleFile.model_validate(yaml.safe_load(rules))
    return compile_rules(file.rules, declared, registry, file.schedules)


@dataclass
class Stage:
    """Seconds count from T0."""

    program: Program
    crash_at: int = 0  # the record before which the engine is saved, thrown away and loaded again
    steps: list[Transition] = field(default_factory=list)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    journal: list[Stored] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(self.program)
        self.now = 0

    def take(self, kind: Kind, second: float, payload: bytes) -> None:
        record = Stored(len(self.journal) + 1, kind, T0 + round(second * 1000), payload)
        self.journal.append(record)
        if record.offset == self.crash_at:
            saved = self.engine.save()
            self.engine = Engine(self.program)
            assert not self.engine.load(saved, record.time_ms).transitions
        effects = self.engine.apply(record)
        self.steps += effects.transitions
        self.alarms |= effects.alarms
        self.answers |= effects.answers

    def read(self, second: float, /, **values: float) -> None:
        """One batch of good readings: device__metric=value; its only metric may be left out, '_' stands for '-'."""
        index = {name: number for number, name in enumerate(self.program.names)}
        rows = []
        for name, value in values.items():
            device, _, metric = name.partition("__")
            device = device.replace("_", "-")
            of_device = [m for d, m in index if d == device]
            rows.append((index[device, metric or of_device[0]], value))
        self.readings([(series, second, value, 0) for series, value in rows], second)

    def readings(self, rows: Sequence[tuple[int, float, float, int]], known: float, key: str | None = None) -> None:
        """(series, second, value, quality), as one batch."""
        keys: Mapping[int, str] = {0: key} if key else {}
        batch = ReadingBatch(
            np.array([r[0] for r in rows], np.uint32),
            np.array([T0 + round(r[1] * 1000) for r in rows], np.int64),
            np.array([r[2] for r in rows], np.float64),
            np.array([r[3] for r in rows], np.uint8),
            keys,
        )
        self.take(Kind.READINGS, known, encode_batch(batch))

    def wait(self, first: int, last: int, *, hears: bool = True) -> None:
        """A tick a second."""
        for second in range(first, last + 1):
            self.take(Kind.TICK, second, CONNECTED if hears else AWAY)

    def take_nothing(self, second: float) -> None:
        """A record that does nothing."""
        self.take(Kind.REJECTS, second, b"[]")

    def order(self, second: float, action: str, **body: object) -> str:
        """What a person asks for; the answer."""
        name = f"c{len(self.journal)}"
        told = {"id": name, "action": action, "actor": "li", **body}
        self.take(Kind.COMMAND, second, json.dumps(told).encode())
        return self.answers[name]

    def act(self, second: float, action: str, rule: str, **body: object) -> str:
        """What a person asks for of the open alarm of a rule."""
        alarm = self.open(rule)
        return self.order(second, action, alarm=alarm.id, seq=alarm.seq, **body)

    def open(self, rule: str, device: str | None = None) -> Alarm:
        """The only open alarm of a rule."""
        (found,) = [a for a in self.engine.open_alarms if a.rule == rule and device in (None, a.device)]
        return found

    def told(self, rule: str, device: str | None = None) -> list[str]:
        """What people were called for, and what not, in brackets with the reason."""
        of_rule = [s for s in self.steps if self.alarms[s.alarm].rule == rule]
        return [
            s.what.value if s.quiet is None else f"({s.what.value}: {s.quiet})"
            for s in of_rule
            if device in (None, self.alarms[s.alarm].device)
        ]
