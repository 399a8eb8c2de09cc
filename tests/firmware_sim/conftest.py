from collections.abc import Callable
from pathlib import Path

import pytest
from firmware_sim.district import District
from firmware_sim.past import Past, build_past
from firmware_sim.scenario import Scenario
from firmware_sim.stage import Stage

FOLDER = Path(__file__).parents[2] / "gatehouse" / "district"
END_MS = 1_795_413_600_000  # Monday 23 November 2026, 14:00 in Shanghai
SEED = 7


@pytest.fixture(scope="session")
def district() -> District:
    return District.load(FOLDER)


@pytest.fixture(scope="session")
def scenario(district: District) -> Scenario:
    return Scenario.load(FOLDER / "scenario.yaml", district)


@pytest.fixture(scope="session")
def past(district: District) -> Past:
    """Shared: tests only read it."""
    return build_past(district, END_MS, SEED)


@pytest.fixture
def new_stage(district: District, scenario: Scenario) -> Callable[[], Stage]:
    """A live district at its first moment, twenty seconds after the past ended; each call makes the same one."""

    def make() -> Stage:
        return Stage(district, scenario, build_past(district, END_MS, SEED).world_state, END_MS + 20_000)

    return make
