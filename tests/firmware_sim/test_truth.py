import json
from pathlib import Path

import numpy as np
from firmware_sim.district import Floats
from firmware_sim.drains import NOISE_M
from firmware_sim.truth import WINDOW, ExpectedAlarm, LevelTrack, Truth, drain_alarms
from numpy.lib.stride_tricks import sliding_window_view

from alerts.detectors.trend import trend
from telemetry.catalogue import Drain

DRAIN = Drain(depth_m=2.0, crown_m=0.5)
SLACK_MS = 10_000


def expect(level_m: Floats, every_s: float = 2.0, is_dead: bool = False) -> list[ExpectedAlarm]:
    time_ms = (np.arange(len(level_m)) * every_s * 1000).astype(np.int64) + 1_000_000
    return drain_alarms(LevelTrack("mh", DRAIN, time_ms, level_m, is_dead), SLACK_MS)


def rising(mm_per_min: float, begin_m: float, readings: int = 60) -> Floats:
    line: Floats = begin_m + np.arange(readings) * 2.0 * mm_per_min / 60_000
    return line


def musts(alarms: list[ExpectedAlarm]) -> set[str]:
    return {alarm.rule for alarm in alarms if alarm.must}


def test_calm_water_low_in_the_pipe_raises_nothing() -> None:
    assert expect(np.full(100, 0.1)) == []


def test_a_fast_rise_must_be_told_and_its_overflow_foreseen() -> None:
    assert musts(expect(rising(100, 0.3))) == {"drain-rise", "drain-forecast"}


def test_a_rise_close_to_the_limit_may_be_told() -> None:
    alarms = expect(rising(20, 0.1))
    assert musts(alarms) == set()
    assert "drain-rise" in {alarm.rule for alarm in alarms}


def test_water_close_to_the_limit_may_be_told() -> None:
    (alarm,) = [alarm for alarm in expect(np.full(50, 1.405)) if alarm.rule == "drain-level"]
    assert not alarm.must


def test_a_level_stays_told_as_long_as_the_water_stands_there() -> None:
    level = np.concatenate([np.full(20, 1.0), np.full(20, 1.5), np.full(20, 1.0)])
    (alarm,) = [alarm for alarm in expect(level) if alarm.rule == "drain-level" and alarm.must]
    assert alarm.from_ms == 1_000_000 + 20 * 2000 - 1000
    assert alarm.stays_open_until_ms == 1_000_000 + 39 * 2000


def test_a_sensor_that_dies_under_water_keeps_its_alarm() -> None:
    (alarm,) = [a for a in expect(np.full(20, 1.5), is_dead=True) if a.rule == "drain-level" and a.must]
    assert alarm.stays_open_until_ms is not None
    assert alarm.stays_open_until_ms > 1_000_000 + 86_000_000


def test_two_storms_are_two_expectations() -> None:
    level = np.concatenate([np.full(20, 1.5), np.full(200, 1.0), np.full(20, 1.5)])
    assert len([a for a in expect(level) if a.rule == "drain-level" and a.must]) == 2


def test_fewer_readings_than_a_window_have_no_slope() -> None:
    assert {alarm.rule for alarm in expect(rising(100, 1.0, readings=14))} == set()


def test_what_the_rule_sees_where_the_sampling_changes_is_foreseen() -> None:
    """A reading a minute, then one every two seconds, as between a demo's past and its present."""
    rng = np.random.default_rng(1)
    readings_s = np.arange(40) * 2.0
    seen = 0
    for _ in range(2000):
        time_ms = np.rint(np.concatenate([np.arange(-20, 0) * 60 - rng.uniform(1, 60), readings_s]) * 1000)
        begins_s, bend = rng.uniform(5, 20), rng.uniform(1, 3)
        water = rng.uniform(0, 0.3) * (np.maximum(0, readings_s - begins_s) / 40) ** bend
        level_m = 0.15 + np.concatenate([np.zeros(20), water])
        track = LevelTrack("mh", DRAIN, time_ms.astype(np.int64), level_m)
        expected = [alarm for alarm in drain_alarms(track, SLACK_MS) if alarm.rule == "drain-rise"]
        shown = np.rint((level_m + rng.normal(0, NOISE_M, len(level_m))) * 1000) / 1000
        rises = trend(sliding_window_view(track.time_ms, WINDOW), sliding_window_view(shown, WINDOW)).slope >= 0.02
        for at_ms in track.time_ms[WINDOW:][rises[1:] & rises[:-1]][:1].tolist():
            seen += 1
            assert any(alarm.from_ms <= at_ms <= alarm.by_ms for alarm in expected)
    assert seen > 1000


def test_the_file_holds_what_was_offered(tmp_path: Path) -> None:
    truth = Truth()
    truth.serve("mh", "level", 0.5)
    truth.serve("mh", "level", 0.5)
    truth.push("scanner", "skin_temperature", 1, 36.5, "k")
    truth.confirm("scanner", "skin_temperature")
    truth.broken["bad-value"] += 1
    truth.write(tmp_path / "truth.json", expect(rising(100, 0.3)))
    read = json.loads((tmp_path / "truth.json").read_text("utf-8"))
    assert read["reading_count"] == truth.reading_count == 3
    assert read["served"] == {"mh/level": [[0.5, 2]]}
    assert read["pushed"] == [["scanner", "skin_temperature", 1, 36.5, "k"]]
    assert read["broken"] == {"bad-value": 1}
    assert {"rule", "device", "key", "from_ms", "by_ms", "must", "stays_open_until_ms", "note"} == set(
        read["alarms"][0]
    )
    assert truth.multiset() == {("mh", "level", 0.5): 2, ("scanner", "skin_temperature", 36.5): 1}
