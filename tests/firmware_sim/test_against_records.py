"""The simulator's statistics against public records of foreheads, rivers and water meters.

What is compared, and how close it must be, stands here. Each comparison is a figure of one sort for both sides, and a
tolerance. Where a whole data set is beside the project it is taken; else the excerpt in tests/data, where there is one. A
scanner is
calibrated and a gauge has its own zero: medians are taken off before shapes are compared.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from firmware_sim.district import DAY_MS, HOUR_MS, District
from firmware_sim.drains import NOISE_M, Drains, Sky
from firmware_sim.gates import FEVER_ABOVE_C, Gates, Label
from firmware_sim.rooms import Water

from telemetry.batch import Floats, Times
from tests.firmware_sim.conftest import END_MS, SEED

WHOLE = Path(__file__).parents[3] / "shared" / "datasets"
EXCERPTS = Path(__file__).parents[1] / "data"


def record(*names: str) -> list[Path]:
    """The files of a data set: whole, or excerpts. Skips where there are neither."""
    for folder in (WHOLE, EXCERPTS):
        if found := [folder / name for name in names if (folder / name).exists()]:
            return found
        if found := [
            folder / name.removesuffix(".gz") for name in names if (folder / name.removesuffix(".gz")).exists()
        ]:
            return found
    pytest.skip(f"public records are not beside the project: ../shared/datasets/{names[0]}")


def lines(file: Path) -> Iterator[str]:
    if file.suffix == ".gz":
        with gzip.open(file, "rb") as packed:
            yield from io.TextIOWrapper(packed, "utf-8-sig")
    else:
        yield from file.read_text(encoding="utf-8-sig").splitlines()


def farthest(one: Floats, other: Floats) -> float:
    """How far two cumulated distributions are from each other at most (Kolmogorov and Smirnov), medians taken off."""
    one, other = np.sort(one - np.median(one)), np.sort(other - np.median(other))
    at = np.concatenate([one, other])
    shares = (np.searchsorted(each, at, side="right") / len(each) for each in (one, other))
    return float(np.max(np.abs(np.subtract(*shares))))


def spread(values: Floats) -> float:
    """Standard deviation by the quartiles: free of the few that are far out."""
    low, high = np.percentile(values, [25, 75])
    return float((high - low) / 1.349)


# People. PhysioNet 10.13026/3bhc-9065: 544 and 539 people, oral reference, two thermal cameras.


def people(file: Path) -> tuple[Floats, Floats]:
    """Oral temperature, and the highest of the face, of everybody who has both [degC]."""
    rows = list(csv.reader(lines(file)))
    oral, face = rows[2].index("aveOralM"), rows[2].index("T_Max1")

    def number(row: Sequence[str], at: int) -> float:
        return float(row[at]) if len(row) > at and row[at].strip() not in ("", "nan") else np.nan

    both = np.array([(number(row, oral), number(row, face)) for row in rows[3:]])
    both = both[np.isfinite(both).all(axis=1)]
    return both[:, 0], both[:, 1]


def healthy(district: District) -> Floats:
    """Ten thousand passages of people who are well."""
    gates = Gates(district, SEED, END_MS)
    gates.passages_per_lane_per_min = 30.0
    return np.array([p.skin_c for p in gates.advance(END_MS + HOUR_MS) if p.label is Label.HEALTHY])


def test_healthy_people_are_spread_as_their_cores_are(district: District) -> None:
    shown = healthy(district)
    for file in record("fever/FLIR_group1.csv", "fever/ICI_group1.csv"):
        oral, face = people(file)
        well = oral < 37.5
        # An excerpt tells less: of 34 people one sample in a hundred is 0.28 away from its own source.
        few = len(oral) < 100
        assert 0.65 < spread(shown) / spread(oral[well]) < 1.35
        assert farthest(shown, np.round(oral[well], 1)) < (0.3 if few else 0.15)
        # A scanner as simulated is better than the cameras on record were: their noise is added to that of people.
        assert 0.45 < spread(shown) / spread(face[well]) < 1.1


def test_fevers_lie_where_fevers_were_found(district: District) -> None:
    gates = Gates(district, SEED, END_MS)
    fevers = np.concatenate(
        [
            lane.skin_c[[number for number in range(len(lane.skin_c)) if lane.label.get(number) is Label.FEVER]]
            for lane in gates.past(END_MS + 2 * DAY_MS, 0, 200)
        ]
    )
    assert len(fevers) > 100
    for file in record("fever/FLIR_group1.csv", "fever/ICI_group1.csv"):
        oral, _ = people(file)
        found = oral[oral >= 37.5]
        assert abs(float(np.median(fevers) - np.median(found))) < 0.6
        assert found.min() - 0.6 < fevers.min() and fevers.max() < found.max() + 0.1
        # What separates a fever from the healthy at a gate: simulated ones are no easier than half of those on record.
        assert np.mean(found >= FEVER_ABOVE_C) > 0.9 and np.mean(fevers >= FEVER_ABOVE_C) == 1


# Levels. Logan River Observatory: stage every 15 minutes; Herbert River: half-hourly levels with rain.


def roughness_cm(stage_cm: Floats) -> float:
    """The noise of a gauge: second differences leave little of what the water does. Median, so that floods count little."""
    second = stage_cm[2:] - 2 * stage_cm[1:-1] + stage_cm[:-2]
    second = second[np.isfinite(second)]
    return float(np.median(np.abs(second - np.median(second))) * 1.4826 / np.sqrt(6))


def stages(file: Path) -> Floats:
    told = csv.DictReader(lines(file))
    stage = np.array([float(row["stage"]) if row["stage"] not in ("NULL", "") else np.nan for row in told])
    stage[stage < -100] = np.nan
    return stage


def test_a_simulated_gauge_is_no_quieter_than_those_on_record_and_not_beyond_them() -> None:
    names = ("BlackSmithFork2015", "BlackSmithFork2019", "FranklinBasin2020", "WaterLab2019")
    recorded = [roughness_cm(stages(file)) for file in record(*(f"river-sensors/{name}.csv.gz" for name in names))]
    # Gauges on record average over minutes; one that says every reading is rougher, by up to ten times (0.2 cm here).
    assert max(recorded) < NOISE_M * 100 < 20 * max(recorded)
    assert all(0.005 < each < 0.3 for each in recorded)


def halves(level: Floats) -> list[float]:
    """Of each flood (a peak that stands out by a third of the whole range): time down to the half over time up from it."""
    ratios = []
    level = level[np.isfinite(level)]
    low, high = np.percentile(level, [5, 100])
    at = 0
    while at < len(level):
        if level[at] < low + (high - low) / 3:
            at += 1
            continue
        end = at
        while end < len(level) and level[end] >= low + (high - low) / 6:
            end += 1
        peak = at + int(np.argmax(level[at:end]))
        half = (level[peak] + low) / 2
        before = np.flatnonzero(level[:peak] < half)
        after = np.flatnonzero(level[peak:] < half)
        if len(before) and len(after):
            ratios.append(float(after[0] / (peak - before[-1])))
        at = end + 1
    return ratios


def test_water_falls_more_slowly_than_it_rises_as_in_a_river(district: District) -> None:
    (file,) = record("flood-river/level_rain.csv.gz")
    by_place: dict[str, list[float]] = defaultdict(list)
    for row in csv.DictReader(lines(file)):
        if row["lev"] and row["lev_label"] == "good":
            by_place[row["locID"]].append(float(row["lev"]))
    recorded = [ratio for level in by_place.values() for ratio in halves(np.array(level))]
    sky = Sky(SEED, [site.id for site in district.catalogue.sites])
    for site in ("compound-1", "compound-2"):
        sky.add(site, END_MS + HOUR_MS, [(0, 0), (600, 50), (1200, 0)])
    level = Drains(district, sky, SEED, END_MS).past(END_MS + 6 * HOUR_MS).level_m
    simulated = [ratio for place in range(level.shape[1]) for ratio in halves(level[:, place])]
    assert len(recorded) >= 3 and len(simulated) >= 5
    assert np.median(recorded) > 1 and np.median(simulated) > 1
    assert 1 / 4 < np.median(simulated) / np.median(recorded) < 4


# Water meters. DAIAD: 46 households, hourly.


def households(file: Path) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Of each household: share of dry hours, variation of the others, litres a day, variation of days; the day's profile."""
    rows = np.array([line.rstrip().split(";")[:3] for line in lines(file)][1:])
    time_s = np.array([f"{t[6:10]}-{t[3:5]}-{t[:2]}T{t[11:]}" for t in rows[:, 1]], "datetime64[s]").astype(np.int64)
    user, metered = np.unique(rows[:, 0], return_inverse=True)[1], rows[:, 2].astype(np.float64)
    figures, profile = [], np.zeros(24)
    for number in range(user.max() + 1):
        order = np.flatnonzero(user == number)
        order = order[np.argsort(time_s[order], kind="stable")]
        at_s, drawn = time_s[order], np.diff(metered[order])
        span_s = np.diff(at_s)
        is_well = (span_s > 3000) & (span_s < 4200) & (drawn >= 0) & (drawn < 2000)
        if is_well.sum() < 500:
            continue
        figures.append((*hourly(drawn[is_well]), daily_variation(at_s[1:][is_well] // 86_400, drawn[is_well])))
        hour = ((at_s[1:] - 1800) % 86_400 // 3600).astype(int)
        np.add.at(profile, hour[is_well], drawn[is_well] / drawn[is_well].sum())
    dry, varies, daily, between_days = np.array(figures).T
    return dry, varies, daily, between_days, profile / profile.sum()


def daily_variation(day: Times, drawn_l: Floats) -> float:
    """Standard deviation over the mean, of whole days on which somebody is there; NaN where there are few."""
    of_day, count = (np.bincount((day - day.min()).astype(int), weights) for weights in (drawn_l, np.ones(len(day))))
    lived = of_day[(count >= 23) & (of_day > 5)]
    return float(lived.std() / lived.mean()) if len(lived) > 20 else np.nan


def hourly(drawn_l: Floats) -> tuple[float, float, float]:
    some = drawn_l[drawn_l >= 1]
    return float(np.mean(drawn_l < 1)), float(some.std() / some.mean()), float(24 * drawn_l.mean())


def test_rooms_draw_water_as_households_do(district: District) -> None:
    (file,) = record("water-meters/registers.csv.gz")
    dry, varies, daily, between_days, profile = households(file)
    days = 28
    water = Water(district, SEED, END_MS - days * DAY_MS)
    litres = water.past(END_MS, HOUR_MS, (water.meters[0], 0, 0, 0.0)).litres
    rooms = np.array([hourly(np.diff(litres[:, room])) for room in range(litres.shape[1])]).T
    for simulated, recorded in ((rooms[0], dry), (rooms[2], daily)):
        low, high = np.percentile(recorded, [5, 95])
        assert low < np.median(simulated) < high
    # Hours of rooms are a little more alike than those of the median household: 1.11 here, 0.96 to 1.84 on record.
    low, middle = np.percentile(varies, [5, 50])
    assert low < np.median(rooms[1]) < middle and np.median(rooms[1]) > 0.85 * middle
    # So are days: 0.42 here, 0.45 (0.27 to 0.79) on record. Nobody moves out of a dormitory for a month as out of a house.
    recorded = between_days[np.isfinite(between_days)]
    whole = np.diff(litres[::24], axis=0)
    assert len(recorded) > 30 and 0.75 < np.median(whole.std(axis=0) / whole.mean(axis=0)) / np.median(recorded) < 1.2
    shape = np.diff(litres, axis=0).sum(axis=1)[: 24 * (days - 1)].reshape(-1, 24).sum(axis=0)
    hour = (
        END_MS // HOUR_MS + 8 + 2 + np.arange(24)
    ) % 24  # in which a span ends; the first between readings is the second
    simulated_profile = np.zeros(24)
    simulated_profile[hour] = shape / shape.sum()
    # Households on record are in Spain and eat late; rooms are left in the morning. Three quarters of the water is alike.
    assert np.abs(profile - simulated_profile).sum() / 2 < 0.25
    assert np.corrcoef(profile, simulated_profile)[0, 1] > 0.6


def test_a_shower_takes_its_minutes(district: District) -> None:
    water = Water(district, SEED, END_MS)
    litres = []
    for second in range(0, 7_200, 10):
        water.advance(END_MS + HOUR_MS * 10 + second * 1000)
        litres.append(water.litres)
    flows = np.diff(np.array(litres), axis=0)[1:] * 6  # litres a minute
    assert flows.max() == pytest.approx(15) and (flows > 0).any(axis=0).mean() > 0.2
    runs = max(len(run) for run in "".join("x" if flow > 0 else " " for flow in flows.T.ravel()).split())
    assert 12 < runs < 120, "between two and twenty minutes"


@pytest.mark.parametrize(("share", "moved"), [(1.0, 0.6), (2.0, 0.0)])
def test_a_distribution_that_is_not_the_same_is_told_apart(share: float, moved: float) -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(36.4, 0.25, 2000), rng.normal(36.4, 0.25 * share, 2000)
    other[: len(other) // 2] += moved
    assert farthest(one, other) > 0.15
    assert farthest(one, rng.normal(36.9, 0.25, 2000)) < 0.06
