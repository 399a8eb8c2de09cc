"""Bills digit by digit: each digit of a register gets its moment, its step and its price by itself."""

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

_ROUND = {"half-up": ROUND_HALF_UP, "half-even": ROUND_HALF_EVEN, "down": ROUND_DOWN}
_HOUR_MS = 3_600_000


def grown(
    before: int, after: int, hours: Fraction, fell_from: int | None, modulus: int | None, most_per_h: Fraction | None
) -> tuple[str, int | None]:
    """(kind, digits) of a step without an exchange."""
    most = None if most_per_h is None else most_per_h * hours + Fraction(1, 2)
    if fell_from is not None and after > before + 2 and after >= fell_from - 2:
        more = after - fell_from
        if more < 0:
            more = 0
        if most is not None and more > most:
            return "returned", None
        return "returned", more
    if after >= before:
        if most is not None and after - before > most:
            return "leap", None
        return "normal", after - before
    if before - after <= 2:
        return "jitter", 0
    if modulus is not None and before > modulus * 0.9:
        through = modulus - before + after
        if most is not None and 0 <= through <= most:
            return "rollover", through
    return "unexplained", None


def used(
    readings: Sequence[tuple[int, int]],
    edges: Sequence[int],
    modulus: int | None,
    most_per_h: Fraction | None,
    exchanges: Sequence[tuple[int, int | None, int | None]],
) -> tuple[list[int], list[int]]:
    """(digits, estimated) between the edges; `exchanges` are (time, old last, new first)."""
    at: dict[int, int] = {}
    for time_ms, value in readings:
        at[time_ms] = max(value, at.get(time_ms, value))
    digits, estimated = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    fell_from: int | None = None
    before_ms = min(at, default=0)
    before = at.get(before_ms, 0)
    for time_ms in sorted(at)[1:]:
        after = at[time_ms]
        exchanged = [each for each in exchanges if before_ms < each[0] <= time_ms]
        if exchanged:
            kind = "replaced"
            more: int | None = 0
            shown = before
            for _, old, new in sorted(exchanged, key=lambda each: each[0]):
                if more is None or old is None or new is None or old < shown:
                    more = None
                    break
                more += old - shown
                shown = new
            more = None if more is None or after < shown else more + after - shown
            hours = Fraction(time_ms - before_ms, _HOUR_MS)
            if more is not None and most_per_h is not None and more > most_per_h * hours + Fraction(1, 2):
                more = None
        else:
            kind, more = grown(before, after, Fraction(time_ms - before_ms, _HOUR_MS), fell_from, modulus, most_per_h)
        if kind == "unexplained":
            fell_from = before if fell_from is None else max(fell_from, before)
        elif kind not in ("jitter", "normal") or after > before + 2:
            fell_from = None
        for digit in range(1, (more or 0) + 1):
            moment = before_ms + Fraction(digit * (time_ms - before_ms), more or 1)
            for k in range(len(edges) - 1):
                if edges[k] < moment <= edges[k + 1]:
                    digits[k] += 1
                    if time_ms - before_ms > 2 * _HOUR_MS:
                        estimated[k] += 1
        # A register that falls by a digit or two has not moved.
        before = before if before - 2 <= after < before else after
        before_ms = time_ms
    return digits, estimated


def fen(amount: Fraction, rounding: str) -> int:
    """Whole fen for a fraction of them."""
    sign = -1 if amount < 0 else 1
    exact = Decimal(abs(amount).numerator * 10**6 // abs(amount).denominator) / 10**6
    if Fraction(exact) != abs(amount):
        exact += Decimal("0.0000001")  # what was cut off still tips a half
    return sign * int(exact.quantize(Decimal(1), rounding=_ROUND[rounding]))


def step_fen(
    digits: int,
    free: int,
    limits: Sequence[int | None],
    prices: Sequence[str],
    digits_per_unit: int,
    rounding: str,
) -> dict[int, int]:
    """Fen of each step that is reached; limits in digits, the last without one."""
    amounts: dict[int, Fraction] = {}
    place = 0
    for digit in range(1, digits + 1):
        if digit <= free:
            continue
        place += 1
        for k, limit in enumerate(limits):
            if limit is None or place <= limit:
                amounts[k] = amounts.get(k, Fraction(0)) + Fraction(prices[k]) * 100 / digits_per_unit
                break
    return {k: fen(amount, rounding) for k, amount in amounts.items()}


def shared(total: int, weights: Sequence[int]) -> list[int]:
    """One fen after the other to whom it is owed most."""
    sign = -1 if total < 0 else 1
    left = abs(total)
    exact = [Fraction(left) * weight / sum(weights) for weight in weights]
    parts = [0] * len(weights)
    # Whole ones first, as everybody gets at least what is whole of theirs.
    for k, each in enumerate(exact):
        while parts[k] + 1 <= each:
            parts[k] += 1
            left -= 1
    while left:
        k = max(range(len(parts)), key=lambda at: (exact[at] - parts[at], -at))
        parts[k] += 1
        left -= 1
    return [sign * part for part in parts]
