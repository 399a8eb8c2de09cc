"""What raw values of level sensors mean at their limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.gauge import CurrentLoop, Mount, Quantity
from telemetry.quality import Quality

LOOP = CurrentLoop(at_4_ma=0.0, at_20_ma=5.0)


@pytest.mark.parametrize(
    ("current_ma", "quality"),
    [
        (0.0, Quality.BAD),
        (3.6, Quality.BAD),
        (3.61, Quality.SUSPECT),
        (3.79, Quality.SUSPECT),
        (3.8, Quality.GOOD),
        (20.5, Quality.GOOD),
        (20.51, Quality.SUSPECT),
        (20.99, Quality.SUSPECT),
        (21.0, Quality.BAD),
        (24.0, Quality.BAD),
    ],
)
def test_a_current_is_trusted_as_namur_ne_43_says(current_ma: float, quality: Quality) -> None:
    assert LOOP.value(current_ma)[1] == quality


@pytest.mark.parametrize(("current_ma", "value"), [(4.0, 0.0), (12.0, 2.5), (20.0, 5.0)])
def test_a_current_is_a_share_of_the_range(current_ma: float, value: float) -> None:
    assert LOOP.value(current_ma)[0] == pytest.approx(value)
    falling = CurrentLoop(at_4_ma=5.0, at_20_ma=0.0)
    assert falling.value(current_ma)[0] == pytest.approx(5.0 - value)


@pytest.mark.parametrize(
    ("distance_m", "level_m", "quality"),
    [
        (1.0, 2.0, Quality.GOOD),
        (0.26, 2.74, Quality.GOOD),
        (0.25, 2.75, Quality.SUSPECT),
        (0.0, 3.0, Quality.SUSPECT),
        (7.49, -4.49, Quality.GOOD),
        (7.5, -4.5, Quality.BAD),
    ],
)
def test_a_distance_in_the_blind_zone_is_suspect_and_a_lost_echo_is_bad(
    distance_m: float, level_m: float, quality: Quality
) -> None:
    level, found = Mount(height_m=3.0, blind_m=0.25, range_m=7.5).level_m(distance_m)
    assert level == pytest.approx(level_m)
    assert found == quality


@given(st.floats(0, 30), st.sampled_from([None, LOOP]), st.sampled_from([None, Mount(height_m=3.0)]))
def test_the_worse_quality_wins(raw: float, loop: CurrentLoop | None, mount: Mount | None) -> None:
    measured = Quantity(metric="level", loop=loop, mount=mount).measure(raw)
    assert measured is not None
    value = raw if loop is None else loop.value(raw)[0]
    worst = max(Quality.GOOD if loop is None else loop.value(raw)[1], mount.level_m(value)[1] if mount else 0)
    assert measured[1] == worst


def test_a_raw_value_that_means_none_is_none_before_it_is_scaled() -> None:
    quantity = Quantity(metric="level", scale=0.001, invalid=(65535.0,))
    assert quantity.measure(65535) is None
    assert quantity.measure(1250) == (1.25, Quality.GOOD)
