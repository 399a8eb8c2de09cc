"""The comparison itself: what it takes for the same, and that it can say no."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry.errors import BadInput
from tests.vectors.vector import Facts, Measured, Spellings, Vector, differences, judge


@pytest.mark.parametrize(
    ("decoded", "facts"),
    [
        ({"value": 317.76, "unit": "kWh"}, {"value": Measured(317.76, "kWh")}),
        ({"value": 317760, "unit": "Wh"}, {"value": Measured(317.76, "kWh")}),
        ({"values": [231.4, 0.0], "unit": "V"}, {"values": [Measured(231.4, "V"), Measured(0.0, "V")]}),
        ({"float32_be": 230.2}, {"float32_be": 230.1999969482422}),
        ({"energy_T1_Wh": 12520}, {"energy": Measured(1, "kWh"), "energy_t1": Measured(12.52, "kWh")}),
        ({"energy_Wh": 1000}, {"energy": Measured(1, "kWh"), "energy_t1": Measured(12.52, "kWh")}),
        ({"total_m3": 7.704}, {"volume": Measured(7.704, "m3"), "settlement_volume": Measured(1, "m3")}),
        ({"battery_pct": 92}, {"battery": Measured(92, "%")}),
        ({"distance_mm": 2116}, {"distance": Measured(2.116, "m")}),
        ({"medium": "07 water"}, {"medium": Spellings(("07", "water"))}),
        ({"datetime": "2007-02-06T13:58"}, {"datetime": "2007-02-06 13:58:00"}),
        ({"register": "0x0003 water level, mm"}, {"register": 3}),
        ({"address": "AAAAAAAAAAAA"}, {"address": "aaaaaaaaaaaa"}),
        ({"temp": None, "more": True}, {"temp": None, "more": True}),
        ({"energy_kWh_T1": 12.52}, {"energy": Measured(1, "kWh"), "energy_t1": Measured(12.52, "kWh")}),
        ({"temperature_C": 22.5, "raw": [0, 225]}, {"*": [0, 225, 0]}),
        ({"note": "prose", "meaning": "more prose"}, {}),
        ({"records": [{"n": "voltage", "v": 120.1}]}, {"records": [{"n": "voltage", "v": 120.1, "u": "V"}]}),
    ],
)
def test_the_same_in_other_words_is_no_difference(decoded: dict[str, Any], facts: Facts) -> None:
    assert list(differences(decoded, facts)) == []


@pytest.mark.parametrize(
    ("decoded", "facts"),
    [
        ({"value": 317.76, "unit": "kWh"}, {"value": Measured(317.75, "kWh")}),
        ({"value": 317.76, "unit": "kWh"}, {"value": Measured(317.76, "V")}),
        ({"value": 317.76, "unit": "kWh"}, {}),
        ({"values": [231.4, 0.0]}, {"values": [231.4]}),
        ({"voltage_V": 237}, {"voltage": Measured(236, "V")}),
        ({"voltage_V": 237}, {"energy": Measured(237, "Wh")}),
        ({"volume_m3": 1.0}, {"volume": Measured(2, "m3"), "settlement_volume": Measured(1, "m3")}),
        ({"seq": 2}, {}),
        ({"temperature_C": 22.6}, {"*": [0, 225, 0]}),
        ({"temp": None}, {"temp": 0}),
        ({"abnormal": True}, {"abnormal": 1}),
        ({"address": "000000000161"}, {"address": "610100000000"}),
        ({"address": "000000000161"}, {}),
        ({"medium": "07 water"}, {"medium": Spellings(("04", "heat"))}),
        ({"datetime": "2007-02-06T13:58"}, {"datetime": "2007-02-06T13:59:00"}),
        ({"records": [{"v": 120.1}]}, {"records": [{"v": 120.2}]}),
    ],
)
def test_a_difference_is_told(decoded: dict[str, Any], facts: Facts) -> None:
    (found,) = differences(decoded, facts)
    assert found.key in decoded and repr(found.published) in str(found)


def vector(is_good: bool = True, protocol: str = "DL/T 645-2007", **decoded: Any) -> Vector:
    return Vector("f.json", "v", protocol, is_good, b"", {}, decoded)


def refuse(_: Vector) -> Facts:
    raise BadInput("checksum", "does not add up")


@pytest.mark.parametrize(
    ("is_good", "adapter", "is_expected"),
    [
        (True, lambda _: {"seq": 1}, True),
        (True, lambda _: {"seq": 2}, False),
        (True, refuse, False),
        (False, refuse, True),
        (False, lambda _: {"seq": 1}, False),
    ],
)
def test_accepted_or_refused_as_the_file_says(is_good: bool, adapter: Any, is_expected: bool) -> None:
    assert judge(vector(is_good, seq=1), {"DL/T": adapter}).is_expected is is_expected


def test_the_longest_fitting_family_is_asked_and_none_is_a_failure() -> None:
    claims = {"DL/T 645": lambda _: {"seq": 1}, "DL/T": refuse}
    assert judge(vector(seq=1), claims).is_expected
    assert "no codec claims" in str(judge(vector(protocol="X-Bus", seq=1), claims))
