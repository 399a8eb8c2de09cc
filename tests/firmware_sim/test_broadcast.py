import json
from itertools import islice
from pathlib import Path

import pytest
from firmware_sim.broadcast import broadcast, moved_by_ms
from firmware_sim.district import District
from firmware_sim.play import play
from firmware_sim.story import Story

from tests.firmware_sim.conftest import FOLDER

NOW_MS = 1_800_000_000_000
OUTAGE = FOLDER / "scenarios" / "gateway-outage.yaml"


class Waits:
    """Remembers until when it was told to wait."""

    def __init__(self) -> None:
        self.at_ms: list[int] = []

    def until(self, time_ms: int) -> bool:
        self.at_ms.append(time_ms)
        return True


@pytest.mark.parametrize("speed", [0.5, 1.0, 10.0, 60.0])
def test_no_reading_is_from_the_future_and_the_last_is_of_now(district: District, speed: float) -> None:
    story, waits, late_ms = Story.load(OUTAGE, district), Waits(), []

    def publish(topic: str, payload: bytes) -> bool:
        assert topic == "gatehouse/v1/compound-2/gw-compound-2/readings"
        late_ms.append(waits.at_ms[-1] - max(row["time"] for row in json.loads(payload)["readings"]))
        return True

    broadcast(district, story, speed=speed, now_ms=NOW_MS, pace=waits, publish=publish)
    assert min(late_ms) >= -1  # a millisecond of rounding
    assert late_ms[-1] <= 1 or speed < 1  # told slower than life it falls behind
    assert waits.at_ms[-1] - NOW_MS == round((story.end_ms - story.start_ms) / speed)


def test_what_a_gateway_kept_comes_afterwards_and_once(district: District, tmp_path: Path) -> None:
    story, waits, sent = Story.load(OUTAGE, district), Waits(), []

    def publish(topic: str, payload: bytes) -> bool:
        sent.append(json.loads(payload)["readings"])
        return True

    count = broadcast(district, story, speed=0, now_ms=NOW_MS, pace=waits, publish=publish, out=tmp_path)
    assert waits.at_ms == []
    written = [json.loads(line) for line in (tmp_path / "readings.jsonl").read_text().splitlines()]
    told = sorted((row["device"], row["metric"], row["time"], row["value"]) for rows in sent for row in rows)
    assert told == sorted((w["device"], w["metric"], w["time_ms"], w["value"]) for w in written)
    assert count == len(told) == 2520
    by_ms = moved_by_ms(story, 0, NOW_MS)
    cut_ms, mended_ms = (story.start_ms + by_ms + minutes * 60_000 for minutes in (5, 15))
    newest = [max(row["time"] for row in rows) for rows in sent]
    assert not any(
        cut_ms <= at_ms < mended_ms - 10_000 and len(rows) < 20 for at_ms, rows in zip(newest, sent, strict=True)
    )
    assert max(len(rows) for rows in sent) == 500


@pytest.mark.parametrize(
    ("name", "metric", "rounding"),
    [("drains-dry-morning", "level", 0.0005), ("cold-store-day", "air_temperature", 0.05)],
)
def test_the_truth_behind_a_reading_is_without_the_noise_of_its_sensor(
    district: District, name: str, metric: str, rounding: float
) -> None:
    story = Story.load(FOLDER / "scenarios" / f"{name}.yaml", district)
    samples = [s for step in islice(play(district, story), 100) for s in step.samples if s.metric == metric]
    assert samples and any(abs(s.value - s.true) > rounding + 1e-9 for s in samples)
    assert all(abs(s.value - s.true) < 10 * rounding + 0.01 for s in samples)
    assert len({s.true for s in samples}) > len(samples) * 0.9  # and is not rounded as a sensor rounds
