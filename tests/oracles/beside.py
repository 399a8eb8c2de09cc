"""What other series say, by looking at all that was told before, one question at a time."""

from statistics import median

from tests.oracles.registers import Register

Told = list[tuple[int, int, float]]  # (series, time, value) in the order they came


def last(told: Told, series: int, time_ms: int, age_ms: int) -> float | None:
    """The newest that is not newer than a time, of the last four that came before."""
    of = [(when, value) for one, when, value in told if one == series][-4:]
    seen = [(when, value) for when, value in of if when <= time_ms]
    if not seen or time_ms - seen[-1][0] > age_ms:
        return None
    return seen[-1][1]


def stuck(
    told: Told, good: list[bool], series: int, register: Register, other: int, above: float, age_ms: int, gap_ms: int
) -> list[tuple[int, float]]:
    """Hours a register stood while the other was high; an unknown step is neither standing nor running."""
    said: list[tuple[int, float]] = []
    before_ms: int | None = None
    stood_ms = 0
    for number, (one, time_ms, value) in enumerate(told):
        if one != series or not good[number]:
            continue
        amount, _ = register.take(time_ms, value)
        if amount is not None:
            assert before_ms is not None
            high = last(told[:number], other, time_ms, age_ms)
            if amount > 0:
                stood_ms = 0
            elif high is not None and high > above and time_ms - before_ms <= gap_ms:
                stood_ms += time_ms - before_ms
        said.append((time_ms, stood_ms / 3_600_000))
        before_ms = time_ms
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


def composite(told: Told, series: int, limits: list[tuple[int, str, float]], age_ms: int) -> list[tuple[int, float]]:
    """How many of the limits hold: (series, "at least" or "at most", limit).

    As long as one is not known, it may go on as it was, no more and no less.
    """
    said: list[tuple[int, float]] = []
    for number, (one, time_ms, _) in enumerate(told):
        if one != series:
            continue
        certain = unknown = 0
        for other, way, limit in limits:
            value = last(told[:number], other, time_ms, age_ms)
            if value is None:
                unknown += 1
            elif (value >= limit) if way == "at least" else (value <= limit):
                certain += 1
        if unknown < len(limits):
            possible = certain + unknown
            count = said[-1][1] if said else certain
            if count < certain:
                count = certain
            elif count > possible:
                count = possible
            said.append((time_ms, count))
    return said
