import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from firmware_sim.district import District
from firmware_sim.publisher import Publisher
from firmware_sim.replay import DATASETS, Row, replay, rows

from telemetry.clock import ManualClock
from telemetry.errors import BadConfiguration

EXCERPTS = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[3] / "shared" / "datasets"


def shared(dataset: str) -> Path:
    if not (SHARED / dataset).is_dir():
        pytest.skip(f"the data set {dataset} is not at {SHARED}: its licence keeps it out of this project")
    return SHARED


def test_every_subject_passes_once_in_order_of_date_and_time() -> None:
    passages = [row for row in rows("fever", EXCERPTS) if row.metric == "skin_temperature"]
    assert len(passages) == len({row.key for row in passages}) == 41, "44 subjects, three of them not measured"
    assert passages[0] == Row(0.0, "gate-1-lane-1-scanner", "skin_temperature", 35.94, "replay-fever-161117-1")
    assert [row.device[-9] for row in passages[:3]] == ["1", "2", "1"]
    assert [row.at_s for row in passages] == [2.0 * number for number in range(41)]


def test_the_blackbody_offset_is_added() -> None:
    values = [row.value for row in rows("fever", EXCERPTS) if row.metric == "skin_temperature"]
    assert 35.0 < min(values) < max(values) < 40.0
    assert sum(value > 37.3 for value in values) > 0


def test_river_stage_becomes_metres_and_missing_values_are_left_out() -> None:
    found = list(rows("river-sensors", EXCERPTS))
    assert found[0] == Row(0.0, "mh-1-6-level", "level", 0.2506)
    assert all(0.0 < row.value < 5 for row in found)
    assert found[1].at_s == 0.5, "a quarter of an hour in half a second"


@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_rows_of_the_whole_data_come_in_order_and_fit_the_catalogue(dataset: str, district: District) -> None:
    last = 0.0
    for row in itertools.islice(rows(dataset, shared(dataset)), 20_000):
        assert row.at_s >= last
        last = row.at_s
        assert (row.device, row.metric) in district.catalogue.metric


def test_water_registers_keep_their_real_resets() -> None:
    registers: dict[str, list[float]] = defaultdict(list)
    for row in rows("water-meters", shared("water-meters")):
        registers[row.device].append(row.value)
    falls = sum(after < before for values in registers.values() for before, after in itertools.pairwise(values))
    assert len(registers) == 40
    assert 0 < falls < 10_000


def test_a_data_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="is not at"):
        rows("fever", tmp_path)
    with pytest.raises(BadConfiguration, match="choose one of"):
        rows("unheard-of", tmp_path)


class Sent:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    def publish(self, topic: str, payload: bytes, on_durable: Callable[[], None], give_up: threading.Event) -> bool:
        self.messages.append((topic, payload))
        on_durable()
        return True


def test_readings_of_one_instant_and_device_travel_together_as_if_it_were_now(district: District) -> None:
    sent, clock = Sent(), ManualClock(1_800_000_000_000)
    first = [row for row in rows("fever", EXCERPTS) if row.at_s == 0.0]
    counts: list[int] = []
    done = replay(
        first,
        district.catalogue,
        cast("Publisher", sent),
        clock,
        give_up=threading.Event(),
        progress=counts.append,
    )
    assert (done, counts) == (2, [2])
    ((topic, payload),) = sent.messages
    assert topic == "gatehouse/v1/compound-1/gw-compound-1/readings"
    skin, ambient = json.loads(payload)["readings"]
    assert skin["time"] == ambient["time"] == 1_800_000_000_000
    assert skin["key"] == ambient["key"]


def test_replay_ends_at_once_when_told_to(district: District) -> None:
    give_up = threading.Event()
    give_up.set()
    publisher = cast("Publisher", Sent())
    assert replay(rows("fever", EXCERPTS), district.catalogue, publisher, ManualClock(), give_up=give_up) == 0
