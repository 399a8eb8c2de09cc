from hypothesis import given
from hypothesis import strategies as st

from alerts.flapping import BEGINS_AT, CHANGES_MIN, SLOTS, recent, share

SLOT_MS = 1000
CHANGES = st.lists(st.integers(0, 40_000), max_size=60).map(sorted)


def plainly(changes: list[int], now_ms: int) -> float:
    """Slot by slot: 0.8 for the oldest of 21, 1.2 for the newest."""
    weight = total = 0.0
    for age in range(21):
        each = 1.2 - 0.4 * age / 20
        total += each
        slot = now_ms // 1000 - age
        if any(at // 1000 == slot for at in changes):
            weight += each
    return weight / total


@given(CHANGES, st.integers(0, 500))
def test_the_share_is_that_of_looking_at_every_slot(changes: list[int], later: int) -> None:
    now_ms = (changes[-1] if changes else 0) + later
    assert abs(share(changes, now_ms, SLOT_MS) - plainly(changes, now_ms)) < 1e-9


@given(CHANGES)
def test_what_is_forgotten_never_counts_again(changes: list[int]) -> None:
    now_ms = changes[-1] if changes else 0
    kept = recent(changes, now_ms, SLOT_MS)
    assert len(kept) <= SLOTS
    for later in (0, 999, 5000, 30_000):
        assert abs(share(kept, now_ms + later, SLOT_MS) - share(changes, now_ms + later, SLOT_MS)) < 1e-9


@given(CHANGES)
def test_fewer_changes_than_the_least_are_never_flapping(changes: list[int]) -> None:
    now_ms = changes[-1] if changes else 0
    if len(recent(changes, now_ms, SLOT_MS)) < CHANGES_MIN:
        assert share(changes, now_ms, SLOT_MS) < BEGINS_AT
