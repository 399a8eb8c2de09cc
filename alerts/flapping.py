"""Alarms that come and go: told once, then held open until they have rested.

Time is cut into slots of a length that the rule gives. A slot counts if something began or ended in it; newer ones weigh
more, from 0.8 for the oldest to 1.2 for the newest of the last 21. Half of the weight starts flapping, less than a quarter
ends it. A rise in severity is not a change of this sort and is never held back.

Source: the weights and bounds of Nagios' and Kapacitor's flap detection, reference/alarms.md §3.6; slots of time stand in
for their checks, because readings of different devices come at different rates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

SLOTS = 21
BEGINS_AT, ENDS_BELOW = 0.5, 0.25
_OLDEST, _NEWEST = 0.8, 1.2
_WEIGHT = [_OLDEST + (_NEWEST - _OLDEST) * number / (SLOTS - 1) for number in range(SLOTS)]
_SUM = sum(_WEIGHT)
CHANGES_MIN = math.ceil(BEGINS_AT * _SUM / _NEWEST)  # fewer cannot be flapping, wherever they lie


def share(changes_ms: Iterable[int], now_ms: int, slot_ms: int) -> float:
    """The weight of the last slots in which something changed, as a fraction of all.

    Args:
        changes_ms: When something began or ended.
        now_ms: The moment that the newest slot holds.
    """
    newest = now_ms // slot_ms
    slots = {SLOTS - 1 - (newest - at_ms // slot_ms) for at_ms in changes_ms}
    return sum(_WEIGHT[slot] for slot in slots if 0 <= slot < SLOTS) / _SUM


def recent(changes_ms: Iterable[int], now_ms: int, slot_ms: int) -> list[int]:
    """Those changes that can still count, one a slot: what is to be remembered."""
    oldest = now_ms // slot_ms - SLOTS + 1
    kept: dict[int, int] = {}
    for at_ms in changes_ms:
        if at_ms // slot_ms >= oldest:
            kept[at_ms // slot_ms] = at_ms
    return list(kept.values())
