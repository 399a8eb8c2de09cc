"""A short run of `make kills`: real processes, killed and held under load."""

import os

import pytest

from tests import servers
from tests.kills.run import missing, plans, run

pytestmark = pytest.mark.integration


def test_twelve_kills_lose_and_double_nothing() -> None:
    made = plans(12, int(os.environ.get("KILLS_SEED", "1")), "parquet")
    if missing(made) is not None:
        servers.missing("mosquitto", "apt-get install mosquitto")
    said: list[str] = []
    verdict = run(made, said.append, lambda _: None)
    found = (verdict.lost, verdict.twice, verdict.missed, verdict.doubled)
    assert found == (0, 0, 0, 0), "\n".join(said)
    assert verdict.readings > 0 < verdict.alarms
