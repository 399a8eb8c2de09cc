from collections import Counter, defaultdict

import numpy as np
import pytest
from firmware_sim.district import DAY_MS, HOUR_MS, MINUTE_MS, District, Floats, Times
from firmware_sim.gates import FEVER_ABOVE_C, Label
from firmware_sim.past import Columns, Past, build_past
from firmware_sim.rooms import MAIN_SHARE

from telemetry import frames
from tests.firmware_sim.conftest import END_MS, SEED

Series = dict[str, tuple[Times, Floats]]


@pytest.fixture(scope="module")
def series(past: Past) -> Series:
    """Every series of the past, whole: name → (times, values)."""
    parts: dict[str, list[tuple[Times, Floats]]] = defaultdict(list)
    for _, columns in past:
        for number in np.unique(columns.index):
            rows = columns.index == number
            parts[columns.names[number]].append((columns.time_ms[rows], columns.value[rows]))
    return {
        name: (np.concatenate([t for t, _ in chunks]), np.concatenate([v for _, v in chunks]))
        for name, chunks in parts.items()
    }


def named(series: Series, ending: str) -> Series:
    found = {name: columns for name, columns in series.items() if name.endswith(ending)}
    assert found
    return found


def test_the_same_seed_gives_the_same_columns(district: District) -> None:
    def content(columns: Columns) -> tuple[object, ...]:
        arrays = (columns.index, columns.time_ms, columns.value, columns.quality)
        return (columns.names, columns.keys, *(array.tobytes() for array in arrays))

    first = [(gateway, content(columns)) for gateway, columns in build_past(district, END_MS, 3)]
    assert first == [(gateway, content(columns)) for gateway, columns in build_past(district, END_MS, 3)]
    assert first != [(gateway, content(columns)) for gateway, columns in build_past(district, END_MS, 4)]


def test_it_holds_about_a_million_readings_of_every_series(district: District, past: Past, series: Series) -> None:
    assert 800_000 < past.reading_count < 1_200_000
    assert sum(len(times) for times, _ in series.values()) == past.reading_count
    assert set(series) == {f"{device}/{metric}" for device, metric in district.catalogue.metric}


def test_time_never_goes_back_and_ends_at_the_end(past: Past, series: Series) -> None:
    last: dict[str, int] = {}
    for gateway, columns in past:
        assert np.all(np.diff(columns.time_ms) >= 0)
        assert columns.time_ms[0] >= last.get(gateway, END_MS - 14 * DAY_MS)
        last[gateway] = int(columns.time_ms[-1])
    assert max(last.values()) == END_MS
    for times, _ in series.values():
        assert np.all(np.diff(times) > 0), "two readings of one series at one instant"


def test_a_chunk_goes_into_a_frame_as_it_is(past: Past) -> None:
    gateway, columns = next(iter(past))
    index, time_ms, value, quality = (
        bytes(array.data) for array in (columns.index, columns.time_ms, columns.value, columns.quality)
    )
    encoded = frames.encode_columns("\n".join(columns.names), index, time_ms, value, quality, columns.keys)
    frame = frames.decode(frames.encode(gateway, "past", 1, 1, encoded))
    assert len(frame) == len(columns)
    assert frame.keys == columns.keys


def test_healthy_people_never_reach_the_fever_limit(past: Past, series: Series) -> None:
    odd = {(passage.scanner, passage.time_ms) for passage in past.passages if passage.skin_c > FEVER_ABOVE_C}
    healthy = []
    for name, (times, skin) in named(series, "/skin_temperature").items():
        scanner = name.split("/")[0]
        keep = [(scanner, at) not in odd for at in times.tolist()]
        healthy.append(skin[keep])
    everyone = np.concatenate(healthy)
    assert everyone.max() < 37.3
    assert everyone.mean() == pytest.approx(36.4, abs=0.05)
    assert everyone.std() == pytest.approx(0.25, abs=0.03)


def test_lanes_are_as_busy_as_lanes_are(series: Series) -> None:
    for times, _ in named(series, "/skin_temperature").values():
        local_day = (times + 8 * HOUR_MS) // DAY_MS
        per_day = Counter(local_day.tolist())
        whole_days = sorted(per_day)[1:-1]
        weekdays = [per_day[day] for day in whole_days if (day + 3) % 7 < 5]
        weekends = [per_day[day] for day in whole_days if (day + 3) % 7 >= 5]
        assert 500 < np.mean(weekdays) < 700
        assert np.mean(weekends) < 0.6 * np.mean(weekdays)


def test_a_false_positive_is_found_normal_within_three_minutes_under_the_same_key(past: Past) -> None:
    false = [p for p in past.passages if p.label is Label.FALSE_POSITIVE]
    again = {p.key: p for p in past.passages if p.label is Label.RECHECK_NORMAL}
    assert 10 <= len(false) <= 20
    for passage in false:
        recheck = again[passage.key]
        assert MINUTE_MS <= recheck.time_ms - passage.time_ms <= 3 * MINUTE_MS + 10
        assert passage.skin_c > FEVER_ABOVE_C > 36.9 > recheck.skin_c


def test_both_readings_of_a_passage_carry_its_key(past: Past) -> None:
    for _, columns in past:
        scans = {
            i for i, name in enumerate(columns.names) if name.endswith(("skin_temperature", "ambient_temperature"))
        }
        assert set(np.flatnonzero(np.isin(columns.index, list(scans))).tolist()) == set(columns.keys)
        assert set(Counter(columns.keys.values()).values()) <= {2, 4}


def test_registers_only_grow(series: Series) -> None:
    for _, register in (named(series, "/energy") | named(series, "/volume")).values():
        assert np.all(np.diff(register) >= 0)
        assert register[-1] > register[0]


def test_energy_is_the_integral_of_power(series: Series) -> None:
    for name, (_, power) in named(series, "/power").items():
        times, energy = series[name.replace("power", "energy")]
        hours = np.diff(times) / HOUR_MS
        integral = (power[1:] * hours).sum() / 1000
        assert integral == pytest.approx(energy[-1] - energy[0], rel=0.02), name


def test_the_main_meter_counts_what_the_rooms_do_and_a_little_more(series: Series) -> None:
    rooms = [name.replace("power", "energy") for name in named(series, "/power")]
    used = {name: energy[-1] - energy[0] for name, (_, energy) in named(series, "/energy").items()}
    (main,) = used.keys() - set(rooms)
    assert used[main] == pytest.approx(MAIN_SHARE * sum(used[name] for name in rooms), rel=0.01)


def test_a_room_without_a_heater_stays_below_a_kilowatt(past: Past, series: Series) -> None:
    for name, (times, power) in named(series, "/power").items():
        (heater,) = [alarm for alarm in past.alarms if alarm.rule == "forbidden-heater"]
        if name.split("/")[0] == heater.device:
            on = (times >= heater.from_ms) & (times < heater.from_ms + 140 * MINUTE_MS)
            assert power[on].min() > 1500
            power = power[~on]
        assert power.max() < 1000
        assert power.min() > 10


def test_power_factors_are_those_of_real_loads(series: Series) -> None:
    for _, factor in named(series, "/power_factor").values():
        assert 0.88 <= factor.min() <= factor.max() <= 1.0


def test_people_use_as_much_water_as_people_do(series: Series) -> None:
    per_day = [(volume[-1] - volume[0]) / 14 for _, volume in named(series, "/volume").values()]
    assert 0.1 < min(per_day) < max(per_day) < 0.8


def test_water_stays_between_invert_and_rim(district: District, series: Series) -> None:
    for name, (_, level) in named(series, "/level").items():
        depth = district.drains[name.removesuffix("-level/level")].depth_m
        assert 0 <= level.min() <= level.max() <= depth
        assert np.allclose(level * 1000, np.rint(level * 1000)), "a resolution of a millimetre"


def test_the_storm_five_days_ago_fills_some_manholes_to_between_60_and_80_percent(
    district: District, series: Series
) -> None:
    peaks = {}
    for name, (times, level) in named(series, "/level").items():
        place = name.removesuffix("-level/level")
        during = (times > END_MS - 5.2 * DAY_MS) & (times < END_MS - 4.5 * DAY_MS)
        peaks[place] = level[during].max() / district.drains[place].depth_m
    assert sum(0.6 <= peak <= 0.8 for peak in peaks.values()) >= 2
    assert max(peaks.values()) < 0.84


def test_the_second_storm_is_still_on_at_the_end(past: Past, series: Series) -> None:
    times, level = series["mh-2-3-level/level"]
    assert 0.53 < level[-1] / 1.5 < 0.63
    assert level[times < END_MS - 45 * MINUTE_MS][-1] / 1.5 < 0.1
    assert series["rain-2/rain_rate"][1][-1] > 40


def test_the_cold_store_keeps_cold_but_for_the_door_left_open(past: Past, series: Series) -> None:
    times, air = series["cold-store-1/air_temperature"]
    (warm,) = [alarm for alarm in past.alarms if alarm.rule == "cold-store-warm"]
    assert warm.must
    assert warm.stays_open_until_ms is not None
    during = (times > warm.from_ms) & (times < warm.stays_open_until_ms + 40 * MINUTE_MS)
    assert 15 <= (air[during] > 10).sum() <= 40, "minutes above 10 degC"
    assert air[~during].max() < 7.5
    assert 0.5 < air.min() < np.median(air) < 5.0


def test_every_rule_with_a_past_event_is_expected(past: Past) -> None:
    must = Counter(alarm.rule for alarm in past.alarms if alarm.must)
    assert must["fever"] == 18  # sixteen false positives and two fevers
    assert must["forbidden-heater"] == must["cold-store-warm"] == 1
    assert must["drain-level"] >= 2
    assert must["drain-rise"] >= 1
    assert must["drain-forecast"] >= 2


def test_live_goes_on_where_the_past_ends(district: District, series: Series) -> None:
    world = build_past(district, END_MS, SEED).world
    world.advance(END_MS + 1000)
    for device in district.devices_with("level"):
        assert world.value(device, "level") == pytest.approx(series[f"{device}/level"][1][-1], abs=0.02)
    for metric, step in (("energy", 0.002), ("volume", 0.05)):
        for device in district.devices_with(metric):
            before = series[f"{device}/{metric}"][1][-1]
            assert before - 2e-4 <= world.value(device, metric) <= before + step
    assert world.cold_room.air_c == pytest.approx(series["cold-store-1/air_temperature"][1][-1], abs=0.25)


def test_live_traffic_is_as_dense_as_the_past(district: District, series: Series) -> None:
    world = build_past(district, END_MS, SEED).world
    # The same hours of the same weekday, a week later.
    live = len(world.advance(END_MS + 4 * HOUR_MS))
    before = 0
    for times, _ in named(series, "/skin_temperature").values():
        before += int(((times > END_MS - 7 * DAY_MS) & (times <= END_MS - 7 * DAY_MS + 4 * HOUR_MS)).sum())
    assert live == pytest.approx(before, rel=0.2)
