"""The usual at an hour of the week, for one gauge or register and with plain ifs. Times are local."""

from statistics import median

from tests.oracles.registers import Register

HOUR_MS = 3_600_000
Hours = list[
    tuple[int, int, float | None]
]  # (when it is over, which since 1970, its value or None where nobody knows it)


def means(readings: list[tuple[int, float]]) -> Hours:
    """Of a gauge: the mean of what it said."""
    found: Hours = []
    hour: int | None = None
    values: list[float] = []
    for time_ms, value in readings:
        if hour is not None and time_ms // HOUR_MS != hour:
            found.append((time_ms, hour, sum(values) / len(values)))
            values = []
        hour = time_ms // HOUR_MS
        values.append(value)
    return found


def added(register: Register, readings: list[tuple[int, float]]) -> Hours:
    """Of a register: what it has added from a reading in the hour to the first one after it."""
    found: Hours = []
    hour: int | None = None
    before_ms = 0
    total: float | None = None
    steps = 0
    for time_ms, value in readings:
        amount, _ = register.take(time_ms, value)
        if amount is not None and time_ms - before_ms > 90 * 60_000:
            amount = None
        before_ms = time_ms
        if amount is None:
            total = None
        elif total is not None:
            total += amount
            steps += 1
        now = time_ms // HOUR_MS
        if now != hour:
            if hour is not None:
                found.append((time_ms, hour, total if steps else None))
            is_cut = amount is None and time_ms % HOUR_MS > HOUR_MS // 4
            total, steps = None if is_cut else 0.0, 0
        hour = now
    return found


def unusual(
    hours: Hours,
    least: float,
    least_distance: float,
    weeks: int,
    weeks_min: int,
    limit: float,
    holidays: set[int],
    workdays: set[int],
    side: str,
) -> list[tuple[int, float]]:
    """How unusual each hour was, told at the first reading of another. `holidays` and `workdays` are days since 1970."""
    said: list[tuple[int, float]] = []
    known: dict[int, list[float]] = {}
    for time_ms, hour, value in hours:
        if value is None:
            continue
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
            z = (value - middle) / (1.4826 * spread + least)
            signal = abs(z) if side == "both" else max(z if side == "high" else -z, 0.0)
            if abs(value - middle) < least_distance:
                signal = 0.0
            said.append((time_ms, signal))
        if signal is None or signal < limit:
            known[of_week] = [*known.get(of_week, []), value][-weeks:]
    return said
