import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.detectors.detector import UNSET_MS, Rows
from alerts.detectors.lookup import Lookup
from telemetry.segments import group
from tests.oracles.lookup import seen

# (series, seconds since its last reading, value): three series, the third of which only asks.
readings = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([1, 1, 2, 5]), st.integers(0, 9)), min_size=1, max_size=40
)
cuts = st.lists(st.integers(1, 10), min_size=1, max_size=20)


def rows_of(batch: list[tuple[int, int, float]]) -> Rows:
    groups = group(np.array([series for series, _, _ in batch], np.int64))
    order = groups.order
    series = np.array([batch[i][0] for i in order], np.intp)
    first = np.zeros(len(batch), np.bool_)
    first[groups.start] = True
    return Rows(
        series,
        np.array([batch[i][1] for i in order], np.int64),
        np.array([batch[i][2] for i in order], np.float64),
        np.ones(len(batch), np.bool_),
        np.asarray(order, np.intp),
        first,
    )


@given(readings, cuts, st.sampled_from([0, 3]), st.integers(1, 4))
def test_what_other_series_said_agrees_with_looking_at_each_reading(
    stream: list[tuple[int, int, int]], sizes: list[int], lag: int, remembered: int
) -> None:
    lookup = Lookup(np.array([0, 1]), remembered, 3)
    now = [100, 200, 150]
    history: dict[int, list[tuple[int, int, float]]] = {0: [], 1: []}
    at = number = 0
    while at < len(stream):
        size = sizes[number % len(sizes)]
        number += 1
        batch = []
        for series, gap, value in stream[at : at + size]:
            now[series] += gap
            batch.append((series, now[series], float(value)))
        at += size
        for number_in_all, (series, when, said) in enumerate(batch, at - size):
            if series < 2:
                history[series].append((number_in_all, when, said))
        rows = rows_of(batch)
        laid = lookup.push(rows)
        for of in (0, 1, -1):
            found = laid.at(np.full(len(batch), of), rows.time_ms - lag, rows.arrival)
            for i in range(len(batch)):
                expected, expected_ms = seen(
                    history.get(of, []), int(rows.time_ms[i]) - lag, at - size + int(rows.arrival[i]), remembered
                )
                assert np.array_equal(found.value[i], expected, equal_nan=True)
                assert found.time_ms[i] == (UNSET_MS if expected_ms is None else expected_ms)


def test_nothing_remembered_answers_nothing() -> None:
    laid = Lookup(np.empty(0, np.intp), 3, 3).push(rows_of([(2, 5, 1.0)]))
    found = laid.at(np.array([-1]), np.array([5]), np.array([0]))
    assert np.isnan(found.value).all()
