"""The usual at an hour of the week, for one gauge and with plain ifs. Times are local."""

from statistics import median

HOUR_MS = 3_600_000


def unusual(
    readings: list[tuple[int, float]],
    least: float,
    least_distance: float,
    weeks: int,
    weeks_min: int,
    limit: float,
    holidays: set[int],
    workdays: set[int],
) -> list[tuple[int, float]]:
    """How unusual each hour was, told at the first reading of another. `holidays` and `workdays` are days since 1970."""
    said: list[tuple[int, float]] = []
    known: dict[int, list[float]] = {}
    hour: int | None = None
    values: list[float] = []
    for time_ms, value in readings:
        now = time_ms // HOUR_MS
        if hour is not None and now != hour:
            mean = sum(values) / len(values)
            day = hour // 24
            # 1970-01-01 was a Thursday: day 3 of a week that begins on Monday.
            weekday = 6 if day in holidays else 0 if day in workdays else (day + 3) % 7
            of_week = weekday * 24 + hour % 24
            compared = known.get(of_week, [])
            if len(compared) < weeks_min:
                compared = [one for d in range(7) for one in known.get(d * 24 + hour % 24, [])]
                if len(compared) < 7:
                    compared = []
            signal = None
            if compared:
                middle = median(compared)
                spread = median(abs(one - middle) for one in compared)
                signal = abs(mean - middle) / (1.4826 * spread + least)
                if abs(mean - middle) < least_distance:
                    signal = 0.0
                said.append((time_ms, signal))
            if signal is None or signal < limit:
                known[of_week] = [*known.get(of_week, []), mean][-weeks:]
            values = []
        hour = now
        values.append(value)
    return said
