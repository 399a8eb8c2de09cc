"""What gateways are asked to read more often, and when they are told."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from alerts.rules import Rule, RuleFile
from alerts.sampling import LASTS_S, SamplingLoop, wanted
from alerts.store import alarms
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.clock import ManualClock
from telemetry.database import metadata
from telemetry.errors import Unavailable
from telemetry.sampling import Sampling, decode_sampling

NOW_MS = 1_795_000_000_000


def catalogue() -> Catalogue:
    devices = [("level-1", "gw-a"), ("level-2", "gw-a"), ("level-3", "gw-b")]
    declared = CatalogueFile.model_validate(
        {
            "sites": [{"id": "east", "name": "East"}],
            "kinds": [{"id": "drain-level", "name": "L", "metrics": [{"id": "level", "name": "L", "unit": "m"}]}],
            "gateways": [{"id": g, "name": g, "site": "east"} for g in ("gw-a", "gw-b")],
            "places": [{"id": "drains", "name": "Drains", "kind": "drain", "site": "east"}],
            "devices": [{"id": d, "kind": "drain-level", "place": "drains", "gateway": g} for d, g in devices],
        }
    )
    return Catalogue.model_validate(declared.model_dump())


def rules(**every_s: float | None) -> dict[str, Rule]:
    common = {"type": "level", "class": "drain", "metric": "level", "levels": [{"severity": "high", "at_least": 1}]}
    declared = [{"id": name, "name": name, "sample_every_s": s, **common} for name, s in every_s.items()]
    return {rule.id: rule for rule in RuleFile.model_validate({"rules": declared}).rules}


class World:
    """A database of alarms, and a broker that can be away."""

    def __init__(self) -> None:
        self.database = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        metadata.create_all(self.database)
        self.clock = ManualClock(NOW_MS)
        self.rules = rules(high=60, rise=30, other=None)
        self.said: list[tuple[str, dict[str, float]]] = []
        self.retained: dict[str, Sampling] = {}
        self.is_away = False
        self.loop = self.start()

    def start(self) -> SamplingLoop:
        return SamplingLoop(self.database, lambda: (self.rules, catalogue()), self._publish, self.clock)

    def _publish(self, topic: str, payload: bytes, retained: bool) -> None:
        if self.is_away:
            raise Unavailable("the broker is away")
        assert retained
        word = decode_sampling(payload)
        self.said.append((topic.split("/")[3], dict(word.every_s)))
        self.retained[topic] = word

    def raised(self, rule: str, device: str, is_open: bool = True) -> None:
        row: dict[str, Any] = {"id": f"{rule}-{device}", "rule": rule, "class": "drain", "site": "east"}
        row |= {"device": device, "severity": 3, "is_open": is_open, "seq": 1, "onset_ms": 1, "raised_ms": 1}
        with self.database.begin() as db:
            db.execute(alarms.delete().where(alarms.c.id == row["id"]))
            db.execute(alarms.insert().values(**row, document={}))

    def step(self) -> list[tuple[str, dict[str, float]]]:
        self.said = []
        self.loop.step()
        return self.said


def test_the_fastest_that_any_open_alarm_wants() -> None:
    opened = [("high", "level-1"), ("rise", "level-1"), ("high", "level-3"), ("other", "level-2"), ("gone", "level-2")]
    found = wanted(rules(high=60, rise=30, other=None), [*opened, ("high", "unknown")], catalogue())
    assert found == {"gw-a": {"level-1": 30.0}, "gw-b": {"level-3": 60.0}}


def test_a_gateway_is_asked_once_and_told_when_it_is_over() -> None:
    world = World()
    assert world.step() == []
    world.raised("high", "level-1")
    assert world.step() == [("gw-a", {"level-1": 60.0})]
    assert world.step() == []
    world.raised("rise", "level-2")
    assert world.step() == [("gw-a", {"level-1": 60.0, "level-2": 30.0})]
    world.raised("high", "level-1", is_open=False)
    world.raised("rise", "level-2", is_open=False)
    assert world.step() == [("gw-a", {})]
    assert world.step() == []


def test_what_lasts_is_asked_for_again_before_it_ends() -> None:
    world = World()
    world.raised("high", "level-1")
    world.step()
    for _ in range(50):
        world.clock.advance(60)
        world.step()
        (word,) = world.retained.values()
        assert word.left_s(world.clock.now_ms()) > LASTS_S / 2


def test_a_core_that_starts_again_asks_again() -> None:
    world = World()
    world.raised("high", "level-1")
    world.step()
    world.loop = world.start()
    assert world.step() == [("gw-a", {"level-1": 60.0})]


def test_what_could_not_be_said_is_said_the_next_time() -> None:
    world = World()
    world.raised("high", "level-1")
    world.is_away = True
    with pytest.raises(Unavailable):
        world.step()
    world.is_away = False
    assert world.step() == [("gw-a", {"level-1": 60.0})]
    world.raised("high", "level-1", is_open=False)
    world.is_away = True
    with pytest.raises(Unavailable):
        world.step()
    world.is_away = False
    assert world.step() == [("gw-a", {})]


def test_a_rule_that_no_longer_wants_it_ends_it() -> None:
    world = World()
    world.raised("high", "level-1")
    world.step()
    world.rules = rules(high=None)
    assert world.step() == [("gw-a", {})]
