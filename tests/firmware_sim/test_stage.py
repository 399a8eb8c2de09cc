import json
import pickle
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from firmware_sim.district import HOUR_MS, MINUTE_MS, District
from firmware_sim.modbus import Request
from firmware_sim.past import build_past
from firmware_sim.scenario import CutGateway, MendGateway, Scenario
from firmware_sim.stage import Push, Stage
from firmware_sim.truth import ExpectedAlarm

from tests.firmware_sim.conftest import END_MS, SEED

START_MS = END_MS + 20_000
DRAINS = {"gw-compound-1": 7, "gw-compound-2": 6}  # units with a level sensor

MakeStage = Callable[[], Stage]


def read(unit: int, address: int, count: int, function: int = 4) -> Request:
    return Request(1, unit, function, struct.pack(">HH", address, count))


def level_answer(stage: Stage, gateway: str, unit: int, now_ms: int) -> float | None:
    answer = stage.answer(gateway, read(unit, 0, 1), now_ms)
    return None if answer is None else struct.unpack(">h", answer[9:])[0] / 1000


def watch(stage: Stage, seconds: int, each: Callable[[int, Any], None] = lambda at_s, moment: None) -> None:
    """Live for a while, every drain sensor read every two seconds, every room's power every five."""
    for at_s in range(1, seconds + 1):
        now_ms = START_MS + at_s * 1000
        each(at_s, stage.advance(now_ms))
        if at_s % 2 == 0:
            for gateway, units in DRAINS.items():
                for unit in range(1, units + 1):
                    level_answer(stage, gateway, unit, now_ms)
        if at_s % 5 == 0:
            for unit in range(1, 41):
                stage.answer("gw-compound-3", read(unit, 12, 2), now_ms)


def must(stage: Stage, rule: str, device: str) -> ExpectedAlarm:
    (alarm,) = [a for a in stage.expected_alarms() if a.must and (a.rule, a.device) == (rule, device)]
    return alarm


@pytest.fixture(scope="module")
def played(district: District, scenario: Scenario) -> Stage:
    """The scenario of the demo after 160 seconds."""
    stage = Stage(district, scenario, build_past(district, END_MS, SEED).world_state, START_MS)
    watch(stage, 160)
    return stage


def test_the_same_seed_plays_the_same(new_stage: MakeStage) -> None:
    def play() -> dict[str, object]:
        stage = new_stage()
        watch(stage, 30)
        return stage.truth.as_json(stage.expected_alarms())

    assert play() == play()


def test_it_does_not_matter_how_often_one_looks_for_what_the_script_does(new_stage: MakeStage) -> None:
    seldom, often = new_stage(), new_stage()
    seldom.advance(START_MS + 60_000)
    for at_s in range(61):
        often.advance(START_MS + at_s * 1000)
    assert seldom.truth.actions == often.truth.actions
    assert seldom.truth.broken == often.truth.broken
    assert seldom.true_level_m("mh-2-3-level") == pytest.approx(often.true_level_m("mh-2-3-level"), abs=0.003)


def test_the_storm_drowns_a_sensor_that_showed_more_than_70_percent(played: Stage) -> None:
    alarm = must(played, "drain-level", "mh-2-3-level")
    assert 45_000 < alarm.from_ms - START_MS < 70_000
    assert alarm.stays_open_until_ms is not None
    assert alarm.stays_open_until_ms > START_MS + 3_600_000, "silence never clears"
    silence = must(played, "drain-silent", "mh-2-3-level")
    assert 84_000 + 30_000 - 1_000 <= silence.from_ms - START_MS <= 85_000 + 30_000
    assert played.true_level_m("mh-2-3-level") > 0.8 * 1.5, "the water went on rising"
    assert played.true_level_m("mh-2-3-level") < 1.5, "but nothing overflowed"


def test_the_dead_sensor_does_not_answer_and_its_neighbours_do(played: Stage) -> None:
    now_ms = START_MS + 161_000
    assert level_answer(played, "gw-compound-2", 1, now_ms) is not None
    silent = [unit for unit in range(1, 7) if level_answer(played, "gw-compound-2", unit, now_ms) is None]
    assert silent == [3]


@pytest.mark.parametrize("device", ["mh-1-2-level", "mh-1-4-level"])
def test_flash_rain_makes_an_overflow_foreseeable_within_a_minute(played: Stage, device: str) -> None:
    assert must(played, "drain-forecast", device).by_ms - START_MS < 75_000
    assert must(played, "drain-rise", device).by_ms - START_MS < 75_000
    assert "drain-level" not in {alarm.rule for alarm in played.expected_alarms() if alarm.device == device}


def test_flash_rain_lifts_the_water_by_more_than_100_mm_a_minute(new_stage: MakeStage) -> None:
    stage, levels = new_stage(), dict[int, float]()
    watch(stage, 61, lambda at_s, moment: levels.update({at_s: stage.true_level_m("mh-1-2-level")}))
    assert levels[60] - levels[30] > 0.05


def test_the_feverish_person_stays_on_the_list(played: Stage) -> None:
    (fever,) = [alarm for alarm in played.expected_alarms() if alarm.rule == "fever" and "38.6" in alarm.note]
    assert (fever.device, fever.must) == ("gate-1-lane-2-scanner", True)
    assert fever.key is not None
    assert fever.key.startswith("SCN-0102-")
    assert fever.from_ms == START_MS + 12_000 - 1_000
    assert fever.stays_open_until_ms is not None


def test_the_heater_is_expected_and_shows_in_the_register(played: Stage) -> None:
    assert must(played, "forbidden-heater", "room-305-meter").from_ms == START_MS + 25_000
    powers = played.truth.served["room-305-meter", "power"]
    assert max(powers) > 1500
    assert min(powers) < 1000
    others = [
        power for (device, metric), values in played.truth.served.items() for power in values if metric == "power"
    ]
    assert sum(power > 1000 for power in others) == sum(power > 1000 for power in powers)


def test_nothing_is_expected_of_devices_behind_a_gateway_that_is_cut_off(played: Stage) -> None:
    offline = must(played, "gateway-offline", "gw-compound-3")
    assert (offline.from_ms - START_MS, offline.key) == (95_000, None)
    silent = {alarm.device for alarm in played.expected_alarms() if alarm.rule in ("silent", "drain-silent")}
    assert silent == {"mh-2-3-level"}


def test_cutting_and_mending_a_gateway_is_left_to_whoever_runs_it(new_stage: MakeStage) -> None:
    seen: list[object] = []
    watch(
        new_stage(),
        125,
        lambda at_s, moment: seen.extend(a for a in moment.actions if isinstance(a, CutGateway | MendGateway)),
    )
    assert [type(action) for action in seen] == [CutGateway, MendGateway]


def test_everything_is_seen_within_the_time_the_scenario_promises(played: Stage) -> None:
    assert max(alarm.by_ms for alarm in played.expected_alarms() if alarm.must) <= START_MS + 150_000


def test_broken_payloads_are_counted_by_reason_and_their_good_rows_as_readings(new_stage: MakeStage) -> None:
    stage, payloads, good = new_stage(), list[bytes](), 0

    def keep(at_s: int, moment: Any) -> None:
        nonlocal good
        for message in moment.messages:
            payloads.append(message.payload)
            good += len(message.readings)

    watch(stage, 80, keep)
    assert stage.truth.broken == {"broken-json": 2, "bad-value": 2, "unknown-metric": 1, "unknown-device": 1}
    broken, rows = 0, list[dict[str, Any]]()
    for payload in payloads:
        try:
            rows += json.loads(payload)["readings"]
        except json.JSONDecodeError:
            broken += 1
    declared = {("cold-store-1", "air_temperature"), ("cold-store-1", "door")}
    well = [row for row in rows if (row["device"], row["metric"]) in declared and isinstance(row["value"], float)]
    assert broken == 2
    assert len(rows) - len(well) == 4
    offered = Counter(device for device, *_ in stage.truth.pushed)["cold-store-1"]
    assert len(well) == good == offered == 2 * 40 - 2, "forty messages, two rows of them bad"


def test_what_a_scanner_posts_is_what_the_truth_says(new_stage: MakeStage) -> None:
    stage, pushes = new_stage(), list[Push]()
    watch(stage, 20, lambda at_s, moment: pushes.extend(moment.pushes))
    assert pushes
    for push in pushes:
        body = json.loads(push.body)
        assert set(body) == {"serial", "passage", "time", "temperature", "ambient"}
        assert body["time"].endswith("+08:00")
        (skin, ambient) = push.readings
        assert skin[1:] == ("skin_temperature", skin[2], body["temperature"], body["passage"])
        assert ambient[1] == "ambient_temperature"
        assert skin in stage.truth.pushed


def test_an_answer_is_counted_as_its_reader_scales_it(new_stage: MakeStage) -> None:
    stage = new_stage()
    stage.advance(START_MS + 1000)
    level = level_answer(stage, "gw-compound-1", 2, START_MS + 1000)
    assert level is not None
    assert stage.truth.multiset() >= Counter({("mh-1-2-level", "level", round(level * 1000) * 0.001): 1})
    stage.answer("gw-compound-3", read(101, 0, 2, function=3), START_MS + 1000)
    ((volume, times),) = stage.truth.served["room-101-water", "volume"].items()
    assert times == 1
    assert 5 < volume < 300


def test_one_request_over_many_registers_counts_every_metric_in_it(new_stage: MakeStage) -> None:
    stage = new_stage()
    assert stage.answer("gw-compound-3", read(1, 0, 74), START_MS) is not None
    metrics = [metric for device, metric in stage.truth.served if device == "room-101-meter"]
    assert metrics == ["power", "power_factor", "energy"]


def test_half_a_register_is_no_reading(new_stage: MakeStage) -> None:
    stage = new_stage()
    assert stage.answer("gw-compound-3", read(1, 12, 1), START_MS) is not None
    assert not stage.truth.served


def test_an_unknown_unit_does_not_answer(new_stage: MakeStage) -> None:
    assert new_stage().answer("gw-compound-1", read(99, 0, 1), START_MS) is None


def test_a_world_taken_up_again_after_hours_has_no_heater_and_no_late_people(
    district: District, scenario: Scenario
) -> None:
    state = build_past(district, END_MS, SEED).world_state
    watch(Stage(district, scenario, state, START_MS), 30)
    again = Stage(district, scenario, pickle.loads(pickle.dumps(state)), START_MS + 6 * HOUR_MS)
    again.advance(START_MS + 6 * HOUR_MS + 1000)
    assert again.answer("gw-compound-3", read(25, 12, 2), START_MS + 6 * HOUR_MS + 1000) is not None
    assert max(again.truth.served["room-305-meter", "power"]) < 1000
    assert all(time_ms > START_MS + 6 * HOUR_MS for _, _, time_ms, *_ in again.truth.pushed)
    assert [alarm for alarm in again.expected_alarms() if alarm.must] == []


def test_people_of_the_moments_before_the_start_are_not_forgotten(district: District, scenario: Scenario) -> None:
    stage = Stage(district, scenario, build_past(district, END_MS, SEED).world_state, END_MS + 4 * MINUTE_MS)
    assert any(time_ms < END_MS + 4 * MINUTE_MS for _, _, time_ms, *_ in stage.truth.pushed)
    moment = stage.advance(END_MS + 4 * MINUTE_MS + 1)
    assert len(moment.pushes) * 2 == len(stage.truth.pushed)
