"""Storms and peaks, step by step: one gauge, one level, plain ifs."""


def storms(steps: list[tuple[int, float]], step_ms: int) -> list[tuple[int, int, float, float]]:
    """(start, end, depth, share of steps heard) of each storm; steps are (start, mean mm/h) in the order of time."""
    found: list[list[tuple[int, float]]] = []
    dry_ms = unheard_ms = 0  # since the last wet step
    waiting: list[tuple[int, float]] = []  # dry steps that are inside of a storm if it goes on
    before_ms = None
    for time_ms, rate in steps:
        if before_ms is not None:
            pause_ms = time_ms - (before_ms + step_ms)
            if time_ms - before_ms > 3_600_000:
                unheard_ms += pause_ms
            else:
                dry_ms += pause_ms
        before_ms = time_ms
        if rate > 0.1:
            if found and dry_ms < 6 * 3_600_000 and unheard_ms < 24 * 3_600_000:
                found[-1] += waiting
                found[-1].append((time_ms, rate))
            else:
                found.append([(time_ms, rate)])
            waiting = []
            dry_ms = unheard_ms = 0
        else:
            waiting.append((time_ms, rate))
            dry_ms += step_ms
    told = []
    for storm in found:
        depth = round(sum(rate * step_ms / 3_600_000 for _, rate in storm), 6)
        start_ms, end_ms = storm[0][0], storm[-1][0] + step_ms
        if depth >= 0.5:
            told.append((start_ms, end_ms, depth, len(storm) / ((end_ms - start_ms) / step_ms)))
    return told


def peak(levels: list[tuple[int, float]], limit: float) -> tuple[float | None, float | None, int | None, int | None]:
    """(first level, peak, when first so high, when first at the limit)."""
    before = high = when = over = None
    for time_ms, level in levels:
        if before is None:
            before = level
        if high is None or level > high:
            high, when = level, time_ms
        if over is None and level >= limit:
            over = time_ms
    return before, high, when, over
