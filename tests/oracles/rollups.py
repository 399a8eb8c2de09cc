"""One value a step out of readings, reading by reading.

Written from the promise: a step's mean, lowest, highest, last, count, and how much a counter grew, where a fall means that it
was reset and counts from zero; bad readings do not count; of the same moment told twice the later telling counts.
"""


def steps(
    told: list[tuple[int, float, int]], start_ms: int, end_ms: int, every_ms: int, how: str
) -> list[tuple[int, float]]:
    """`told` is (time, value, quality) in the order of telling; (step, value) in the order of time."""
    latest: dict[int, tuple[float, int]] = {}
    for time_ms, value, quality in told:
        latest[time_ms] = (value, quality)
    grouped: dict[int, list[float]] = {}
    grown: dict[int, float] = {}
    before: float | None = None
    for time_ms in sorted(latest):
        value, quality = latest[time_ms]
        if not start_ms <= time_ms < end_ms or quality == 2:
            continue
        step = time_ms - time_ms % every_ms
        grouped.setdefault(step, []).append(value)
        if before is None:
            more = 0.0
        elif value < before:
            more = value
        else:
            more = value - before
        grown[step] = grown.get(step, 0.0) + more
        before = value
    found = []
    for step in sorted(grouped):
        values = grouped[step]
        if how == "mean":
            result = sum(values) / len(values)
        elif how == "min":
            result = min(values)
        elif how == "max":
            result = max(values)
        elif how == "last":
            result = values[-1]
        elif how == "count":
            result = float(len(values))
        else:
            result = grown[step]
        found.append((step, result))
    return found
