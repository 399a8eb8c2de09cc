"""What needs no detector: a band and an overload are level rules."""

from collections.abc import Mapping

import numpy as np

from bench.detection.replay import Stream, program, replay

METRICS = [{"id": "power", "name": "Power", "unit": "W"}]
T0 = 1_700_000_000_000


def raised(rule: Mapping[str, object], values: list[float]) -> list[tuple[int, int]]:
    made = program(
        ["room"], METRICS, [{"id": "r", "class": "x", "name": "R", "metric": "power", "type": "level", **rule}]
    )
    times = T0 + 10_000 * np.arange(len(values), dtype=np.int64)
    alarms = replay(made, Stream(np.zeros(len(values), np.intp), times, np.array(values)))
    return [((one.raised_ms - T0) // 10_000, one.severity) for one in alarms]


def test_a_level_rule_is_a_band_with_a_limit_in_each_direction() -> None:
    band = {"levels": [{"severity": "low", "at_most": 10}, {"severity": "high", "at_least": 90}]}
    assert raised(band, [50, 5, 50, 95, 50]) == [(1, 1), (3, 3)]


def test_an_overload_is_raised_after_it_has_lasted() -> None:
    overload = {"levels": [{"severity": "high", "at_least": 3000}], "raise_after_s": 60}
    assert raised(overload, [3000.0] * 6 + [100.0]) == []
    assert raised(overload, [3000.0] * 8 + [100.0]) == [(6, 3)]
