from collections import Counter

from firmware_sim.district import HOUR_MS, MINUTE_MS, District
from firmware_sim.gates import FEVER_ABOVE_C, Gates, Label

from tests.firmware_sim.conftest import END_MS, SEED


def test_a_live_false_positive_is_called_back_and_found_normal(district: District) -> None:
    gates = Gates(district, SEED, END_MS)
    gates.false_positive_probability = 0.05
    passages = gates.advance(END_MS + HOUR_MS)
    gates.false_positive_probability = 0.0
    passages += gates.advance(END_MS + HOUR_MS + 3 * MINUTE_MS)
    false = {p.key: p for p in passages if p.label is Label.FALSE_POSITIVE}
    again = {p.key: p for p in passages if p.label is Label.RECHECK_NORMAL}
    assert len(false) > 3
    assert set(false) == set(again)
    for key, recheck in again.items():
        assert MINUTE_MS <= recheck.time_ms - false[key].time_ms <= 3 * MINUTE_MS + 1000
        assert false[key].skin_c > FEVER_ABOVE_C > 36.9 > recheck.skin_c
        assert recheck.scanner == false[key].scanner


def test_a_scanner_measures_one_person_at_a_time(district: District) -> None:
    gates = Gates(district, SEED, END_MS)
    gates.passages_per_lane_per_min = 600.0
    passages = gates.advance(END_MS + MINUTE_MS)
    assert max(Counter((p.scanner, p.time_ms) for p in passages).values()) == 1
    assert len({p.key for p in passages}) == len(passages)


def test_a_demo_at_night_has_people_too(district: District) -> None:
    gates = Gates(district, SEED, END_MS + 13 * HOUR_MS)
    gates.passages_per_lane_per_min = 4.0
    passages = gates.advance(END_MS + 13 * HOUR_MS + 10 * MINUTE_MS)
    assert 180 < len(passages) < 300
