"""A main meter that never falls against the sum of its parts, one question at a time."""


def residual(
    told: list[tuple[int, int, float]], main: int, parts: list[int], window_ms: int, least: float, age_ms: int
) -> list[tuple[int, float]]:
    """Per cent of the main that the parts do not add up to, once a window. `told`: (series, time, value) as they came."""
    said: list[tuple[int, float]] = []
    start: tuple[int, float, list[float]] | None = None
    is_first = True
    for number, (series, time_ms, value) in enumerate(told):
        if series != main:
            continue
        stood: list[float] | None = []
        for part in parts:
            of = [(when, seen) for one, when, seen in told[:number] if one == part]
            if not of or time_ms - of[-1][0] > age_ms:
                stood = None
                break
            stood = [*(stood or []), of[-1][1]]
        if is_first or start is None:
            start = None if stood is None else (time_ms, value, stood)
        elif stood is not None and time_ms - start[0] >= window_ms:
            added = [now - before for now, before in zip(stood, start[2], strict=True)]
            total = value - start[1]
            if total >= least and min(added) >= 0:
                said.append((time_ms, 100 * abs(total - sum(added)) / total))
            start = (time_ms, value, stood)
        is_first = False
    return said
