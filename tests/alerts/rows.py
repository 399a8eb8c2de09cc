"""Readings for detectors, cut into batches at will."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from alerts.detectors.detector import Detector, Rows
from telemetry.segments import group

Told = tuple[int, int, float]  # (series, time, value)


def rows_of(
    batch: Sequence[Told],
    newest: dict[int, int] | None = None,
    keys: Mapping[tuple[int, int], int] = MappingProxyType({}),
    doubtful: Collection[tuple[int, int]] = (),
) -> Rows:
    """A batch as `Conditions` hands it to detectors.

    Args:
        newest: The newest time of each series before it, which is kept up to date; what is no newer is late.
        keys: By (series, time) whose passage a reading is.
        doubtful: Which are not good, by (series, time).
    """
    late: list[bool] = []
    if newest is not None:
        for series, time_ms, _ in batch:
            late.append(time_ms <= newest.get(series, -1))
            newest[series] = max(time_ms, newest.get(series, -1))
    groups = group(np.array([series for series, _, _ in batch], np.int64))
    order = groups.order
    first = np.zeros(len(batch), np.bool_)
    first[groups.start] = True
    return Rows(
        np.array([batch[i][0] for i in order], np.intp),
        np.array([batch[i][1] for i in order], np.int64),
        np.array([batch[i][2] for i in order], np.float64),
        np.array([(batch[i][0], batch[i][1]) not in doubtful for i in order], np.bool_),
        np.asarray(order, np.intp),
        first,
        np.array(late)[order] if late else None,
        np.array([keys.get((batch[i][0], batch[i][1]), 0) for i in order], np.uint64) if keys else None,
    )


def signals_of(
    make: Callable[[], Detector],
    stream: Sequence[Told],
    sizes: Sequence[int],
    newest: dict[int, int] | None = None,
    keys: Mapping[tuple[int, int], int] = MappingProxyType({}),
    doubtful: Collection[tuple[int, int]] = (),
    ends_only: set[tuple[int, int]] | None = None,
) -> dict[tuple[int, int], float]:
    """What a detector says, by (series, time); between batches it is carried over to a new one by its columns.

    Args:
        ends_only: Gets those that may begin nothing.
    """
    found: dict[tuple[int, int], float] = {}
    detector = make()
    for batch in cut(stream, sizes):
        fresh = make()
        for name, column in fresh.columns.items():
            assert len(column) == len(fresh.watched)
            column[:] = detector.columns[name]
        detector = fresh
        rows = rows_of(batch, newest, keys, doubtful)
        signals = detector.push(rows)
        assert (np.diff(signals.row) > 0).all()
        assert not np.isnan(signals.value).any()
        for row, value in zip(signals.row.tolist(), signals.value.tolist(), strict=True):
            found[int(rows.series[row]), int(rows.time_ms[row])] = value
        if ends_only is not None and signals.ends_only is not None:
            of = signals.row[signals.ends_only]
            ends_only |= set(zip(rows.series[of].tolist(), rows.time_ms[of].tolist(), strict=True))
    return found


def cut(stream: Sequence[Told], sizes: Sequence[int]) -> Iterator[Sequence[Told]]:
    at = number = 0
    while at < len(stream):
        yield stream[at : at + sizes[number % len(sizes)]]
        at += sizes[number % len(sizes)]
        number += 1


def agree(found: dict[tuple[int, int], float], expected: dict[tuple[int, int], float]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert np.isclose(found[key], value, rtol=1e-9, atol=2e-6), (key, found[key], value)
