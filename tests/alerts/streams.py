"""Detectors fed with drawn streams: cut anywhere, and with nothing remembered but their columns."""

from collections.abc import Callable, Sequence

import numpy as np

from alerts.detectors.detector import Detector, Rows
from alerts.rules import DETECTORS, RuleFile
from alerts.world import World
from telemetry.catalogue import Catalogue, CatalogueFile
from telemetry.segments import group
from telemetry.series import SeriesRegistry

Reading = tuple[int, int, float, bool]  # series, time, value, good
Told = dict[int, list[tuple[int, float]]]  # by series: (time, signal)

CATALOGUE = {
    "sites": [{"id": "east", "name": "East", "timezone": "Asia/Shanghai"}],
    "kinds": [
        {
            "id": "meter",
            "name": "Meter",
            "metrics": [
                {"id": "volume", "name": "Volume", "unit": "m3", "decimals": 0, "counter": True},
                {"id": "power", "name": "Power", "unit": "W"},
                {"id": "power_factor", "name": "PF", "unit": "1"},
            ],
        },
        {
            "id": "main",
            "name": "Main",
            "metrics": [{"id": "total", "name": "Total", "unit": "m3", "decimals": 0, "counter": True}],
        },
    ],
    "gateways": [{"id": "gw", "name": "Gateway", "site": "east"}],
    "places": [
        {"id": "house", "name": "House", "kind": "building", "site": "east"},
        *({"id": f"room-{i}", "name": f"Room {i}", "kind": "room", "parent": "house"} for i in range(3)),
    ],
    "devices": [
        *({"id": f"meter-{i}", "kind": "meter", "place": f"room-{i}", "gateway": "gw"} for i in range(3)),
        {"id": "main", "kind": "main", "place": "house", "gateway": "gw"},
    ],
}
VOLUME, POWER, POWER_FACTOR, TOTAL = (0, 1, 2), (3, 4, 5), (6, 7, 8), 9
NAMES = [(f"meter-{i}", metric) for metric in ("volume", "power", "power_factor") for i in range(3)] + [
    ("main", "total")
]


def world() -> World:
    file = CatalogueFile.model_validate(CATALOGUE)
    return World(Catalogue(**{part: getattr(file, part) for part in CatalogueFile.model_fields}), SeriesRegistry(NAMES))


def maker(concerned: Sequence[int], **fields: object) -> Callable[[], Detector]:
    """What makes the detector of a rule with these fields."""
    common = {"id": "rule", "class": "x", "name": "Rule", "metric": NAMES[concerned[0]][1]}
    given = {**common, "levels": [{"severity": "low", "at_least": 1}], **fields}
    (rule,) = RuleFile.model_validate({"rules": [given]}).rules
    return lambda: DETECTORS[type(rule)](rule, np.array(concerned, np.intp), world())  # type: ignore[index]


def rows_of(batch: Sequence[Reading]) -> Rows:
    groups = group(np.array([series for series, *_ in batch], np.int64))
    first = np.zeros(len(batch), np.bool_)
    first[groups.start] = True
    ordered = [batch[i] for i in groups.order.tolist()]
    return Rows(
        np.array([one[0] for one in ordered], np.intp),
        np.array([one[1] for one in ordered], np.int64),
        np.array([one[2] for one in ordered], np.float64),
        np.array([one[3] for one in ordered], np.bool_),
        np.asarray(groups.order, np.intp),
        first,
    )


def told(make: Callable[[], Detector], stream: Sequence[Reading], cuts: Sequence[int]) -> Told:
    """What a detector says of a stream; after each batch another one goes on with its columns."""
    detector, found = make(), Told()
    start = number = 0
    while start < len(stream):
        end = start + cuts[number % len(cuts)]
        number += 1
        rows = rows_of(stream[start:end])
        signals = detector.push(rows)
        assert (np.diff(signals.row) > 0).all()
        for row, value in zip(signals.row.tolist(), signals.value.tolist(), strict=True):
            found.setdefault(int(rows.series[row]), []).append((int(rows.time_ms[row]), value))
        heir = make()
        for name, column in heir.columns.items():
            assert column.shape[0] == len(heir.watched), name
            column[:] = detector.columns[name]
        detector, start = heir, end
    return found


def same(found: Told, expected: Told) -> None:
    """Whether both said the same of every series at the same times."""
    expected = {series: said for series, said in expected.items() if said}
    assert found.keys() == expected.keys()
    for series, said in expected.items():
        assert [time for time, _ in found[series]] == [time for time, _ in said]
        np.testing.assert_allclose(
            [value for _, value in found[series]], [value for _, value in said], rtol=1e-6, atol=1e-9
        )
