from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.lifecycle import STEP, Limits, Signal, State, changes_nothing, has_enough, step
from tests.oracles.lifecycle import Condition

# Draw from the limits and their neighbours: bugs live on the boundary.
VALUES = st.sampled_from([7.0, 8.0, 9.0, 10.0, 11.0])  # clear below 8, raise at 10
GAPS_MS = st.sampled_from([1, 30_000, 60_000, 120_000])  # delays of 60 s and 120 s
HISTORIES = st.lists(st.tuples(GAPS_MS, VALUES), min_size=20, max_size=80)
DELAYS_MS = st.sampled_from([0, 60_000, 120_000])
NAMES = {State.NORMAL: "normal", State.PENDING: "pending", State.FIRING: "firing", State.CLEARING: "clearing"}


def limits(
    raise_after_ms: int, raise_count: int, clear_after_ms: int, raise_of: int = 0, clear_count: int = 1
) -> Limits:
    return Limits(
        np.array([10.0]),
        np.array([8.0]),
        np.array([raise_after_ms], np.int64),
        np.array([raise_count], np.uint8),
        np.array([max(raise_of, raise_count)], np.uint8),
        np.array([clear_after_ms], np.int64),
        np.array([clear_count], np.uint8),
    )


@settings(max_examples=300)
@given(HISTORIES, DELAYS_MS, st.integers(1, 3), DELAYS_MS, st.sampled_from([0, 0, 4, 64]), st.sampled_from([1, 1, 3]))
def test_the_kernel_agrees_with_the_oracle(
    history: list[tuple[int, float]],
    raise_after_ms: int,
    raise_count: int,
    clear_after_ms: int,
    raise_of: int,
    clear_count: int,
) -> None:
    held = limits(raise_after_ms, raise_count, clear_after_ms, raise_of, clear_count)
    oracle = Condition(10.0, 8.0, raise_after_ms, raise_count, clear_after_ms, raise_of, clear_count)
    state, since_ms, ring = np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.uint64)
    now_ms = 1_000
    for gap_ms, value in history:
        now_ms += gap_ms
        idle = changes_nothing(state, np.array([value]), held)
        before = (state, since_ms)
        state, since_ms, ring = step(state, since_ms, ring, np.array([value]), np.array([now_ms]), held)
        oracle.observe(value, now_ms)
        assert NAMES[State(state[0])] == oracle.state
        if oracle.state != "normal":
            assert since_ms[0] == oracle.since_ms
        if oracle.state == "pending":
            assert has_enough(ring, held)[0] == (oracle.has_enough and oracle.breached[-1])
        if idle[0]:
            assert (state[0], since_ms[0]) == (before[0][0], before[1][0])


@given(st.lists(st.tuples(st.sampled_from(list(State)), VALUES), min_size=1, max_size=30), st.randoms())
def test_permuting_instances_permutes_the_result(rows: list[tuple[State, float]], random: Random) -> None:
    count = len(rows)
    state = np.array([s for s, _ in rows], np.uint8)
    value = np.array([v for _, v in rows])
    held = limits(60_000, 2, 60_000).of(np.zeros(count, np.intp))
    since = np.arange(count, dtype=np.int64) * 1000
    ring = np.arange(count, dtype=np.uint64) % 7
    time = np.full(count, 100_000, np.int64)
    order = list(range(count))
    random.shuffle(order)
    whole = step(state, since, ring, value, time, held)
    shuffled = step(state[order], since[order], ring[order], value[order], time[order], held.of(np.array(order)))
    for number in range(3):
        assert (whole[number][order] == shuffled[number]).all()


def test_every_state_answers_every_signal() -> None:
    assert STEP.shape == (len(State), len(Signal))
    assert set(STEP.ravel().tolist()) == set(State)


def test_a_breach_interrupts_clearing_whatever_the_delays() -> None:
    held = limits(raise_after_ms=60_000, raise_count=3, clear_after_ms=60_000)
    clearing = np.array([State.CLEARING], np.uint8)
    state, _, _ = step(clearing, np.array([0]), np.zeros(1, np.uint64), np.array([9.0]), np.array([1000]), held)
    assert state[0] == State.FIRING
