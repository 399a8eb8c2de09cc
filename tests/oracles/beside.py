"""What other series say, by looking at all that was told before, one question at a time."""

from statistics import median

Told = list[tuple[int, int, float]]  # (series, time, value) in the order they came


def last(told: Told, series: int, time_ms: int, age_ms: int) -> float | None:
    of = [(when, value) for one, when, value in told if one == series]
    if not of or time_ms - of[-1][0] > age_ms:
        return None
    return of[-1][1]


def stuck(told: Told, register: int, other: int, above: float, age_ms: int, gap_ms: int) -> list[tuple[int, float]]:
    """Hours a register stood while the other was high. It never falls here."""
    said: list[tuple[int, float]] = []
    before: tuple[int, float] | None = None
    stood_ms = 0
    for number, (series, time_ms, value) in enumerate(told):
        if series != register:
            continue
        if before is not None:
            high = last(told[:number], other, time_ms, age_ms)
            if value > before[1]:
                stood_ms = 0
            elif high is not None and high > above and time_ms - before[0] <= gap_ms:
                stood_ms += time_ms - before[0]
        said.append((time_ms, stood_ms / 3_600_000))
        before = (time_ms, value)
    return said


def peers(
    told: Told, series: int, others: list[int], least: float, least_peers: int, age_ms: int
) -> list[tuple[int, float]]:
    said: list[tuple[int, float]] = []
    for number, (one, time_ms, value) in enumerate(told):
        if one != series:
            continue
        found = [said for said in (last(told[:number], other, time_ms, age_ms) for other in others) if said is not None]
        if len(found) >= least_peers:
            middle = median(found)
            spread = 1.4826 * median(abs(peer - middle) for peer in found)
            said.append((time_ms, abs(value - middle) / max(spread, least)))
    return said


def composite(told: Told, series: int, least: list[tuple[int, float]], age_ms: int) -> list[tuple[int, float]]:
    """How many conditions hold. As long as one is not known, it may go on as it was, no more and no less."""
    said: list[tuple[int, float]] = []
    for number, (one, time_ms, _) in enumerate(told):
        if one != series:
            continue
        found = [(last(told[:number], other, time_ms, age_ms), limit) for other, limit in least]
        if any(value is not None for value, _ in found):
            certain = len([1 for value, limit in found if value is not None and value >= limit])
            possible = certain + len([1 for value, _ in found if value is None])
            count = said[-1][1] if said else certain
            if count < certain:
                count = certain
            elif count > possible:
                count = possible
            said.append((time_ms, count))
    return said
