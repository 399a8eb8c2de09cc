"""What may be seen of another series, by looking at every reading of it."""

import math


def seen(told: list[tuple[int, int, float]], time_ms: int, arrival: int, remembered: int) -> tuple[float, int | None]:
    """The newest of `told`, (arrival, time, value) in order, from no later than a time and before an arrival.

    Only the last `remembered` of what had come before it are held; where batches begin makes no difference.
    """
    found: tuple[float, int | None] = (math.nan, None)
    for _, when, value in [one for one in told if one[0] < arrival][-remembered:]:
        if when <= time_ms:
            found = (value, when)
    return found
