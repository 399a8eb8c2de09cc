"""What may be seen of another series, by looking at every reading of it."""

import math


def seen(told: list[tuple[int, int, float]], time_ms: int, arrival: int, remembered: int) -> tuple[float, int | None]:
    """The newest of `told`, (arrival, time, value) in order, from no later than a time and before an arrival.

    Only the last `remembered` of what had come before the batch, and all that came with it, are held; batches have numbers
    of arrival from 0, what is older has -1.
    """
    old = [one for one in told if one[0] < 0][-remembered:]
    found: tuple[float, int | None] = (math.nan, None)
    for came, when, value in old + [one for one in told if one[0] >= 0]:
        if when <= time_ms and came < arrival:
            found = (value, when)
    return found
