import numpy as np
import pytest
from firmware_sim.district import HOUR_MS, MINUTE_MS, District
from firmware_sim.drains import Drains, Sky
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.firmware_sim.conftest import END_MS, FOLDER, SEED

DISTRICT = District.load(FOLDER)
SITES = [site.id for site in DISTRICT.catalogue.sites]


def under(mm_per_h: float) -> Drains:
    """The drains under a rain that never ends."""
    sky = Sky(SEED, SITES)
    for site in ("compound-1", "compound-2"):
        sky.add(site, END_MS, [(0, mm_per_h), (1e7, mm_per_h)])
    return Drains(DISTRICT, sky, SEED, END_MS)


def test_water_stands_low_and_still_in_dry_weather() -> None:
    drains = under(0.0)
    before = drains.level_m.copy()
    drains.advance(END_MS + 10 * MINUTE_MS)
    assert np.all((drains.level_m > 0.02) & (drains.level_m < 0.4))
    assert np.allclose(drains.level_m, before, atol=0.02)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([0.0, 5.0, 36.0, 80.0, 300.0]), st.integers(1, 90))
def test_water_never_leaves_the_manhole(mm_per_h: float, minutes: int) -> None:
    drains = under(mm_per_h)
    drains.advance(END_MS + minutes * MINUTE_MS)
    assert np.all((drains.level_m >= 0) & (drains.level_m <= drains.depth_m))


def test_the_design_rain_fills_the_pipes_just_about() -> None:
    drains = under(36.0)
    drains.past(END_MS + 12 * HOUR_MS)
    crowns = np.array([drain.crown_m for drain in DISTRICT.drains.values()])
    assert np.all((drains.level_m / crowns > 0.8) & (drains.level_m / crowns < 1.4))


def test_more_rain_means_more_water_everywhere() -> None:
    calm, heavy = under(10.0), under(60.0)
    for drains in (calm, heavy):
        drains.past(END_MS + HOUR_MS)
    assert np.all(heavy.level_m > calm.level_m)


def test_the_long_steps_of_the_past_agree_with_the_short_ones_of_the_present() -> None:
    past, live = under(55.0), under(55.0)
    history = past.past(END_MS + 30 * MINUTE_MS)
    live.advance(END_MS + 30 * MINUTE_MS)
    assert past.level_m == pytest.approx(live.level_m, abs=0.01)
    assert np.array_equal(history.level_m[-1], past.level_m)


def test_rain_falls_only_where_it_falls() -> None:
    sky = Sky(SEED, SITES)
    sky.add("compound-1", END_MS, [(0, 0), (60, 30), (120, 0)])
    at = np.array([END_MS - 1, END_MS + 60_000, END_MS + 120_001], np.int64)
    assert sky.rain_mm_h("compound-1", at) == pytest.approx([0, 30, 0], rel=0.04)
    assert not sky.rain_mm_h("compound-2", at).any()
