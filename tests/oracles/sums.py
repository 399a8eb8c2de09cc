"""A main meter against the sum of its parts, one question at a time."""

from tests.oracles.beside import last
from tests.oracles.registers import Register


def residual(
    told: list[tuple[int, int, float]],
    good: list[bool],
    main: int,
    register: Register,
    parts: list[int],
    window_ms: int,
    least: float,
    age_ms: int,
) -> list[tuple[int, float]]:
    """Per cent of the main that the parts do not add up to, once a window. `told`: (series, time, value) as they came."""
    said: list[tuple[int, float]] = []
    start: tuple[int, list[float]] | None = None
    total = 0.0
    for number, (series, time_ms, value) in enumerate(told):
        if series != main or not good[number]:
            continue
        amount, _ = register.take(time_ms, value)
        seen = [last(told[:number], part, time_ms, age_ms) for part in parts]
        stood = [one for one in seen if one is not None]
        is_known = len(stood) == len(parts)
        if amount is None or start is None:
            start, total = (time_ms, stood) if is_known else None, 0.0
            continue
        total += amount
        if is_known and time_ms - start[0] >= window_ms:
            added = [now - before for now, before in zip(stood, start[1], strict=True)]
            if total >= least and min(added) >= 0:
                said.append((time_ms, 100 * abs(total - sum(added)) / total))
            start, total = (time_ms, stood), 0.0
    return said
