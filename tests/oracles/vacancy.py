"""What a register that never falls has added since a room is vacant, reading by reading."""


def used(readings: list[tuple[int, float]], vacancies: list[tuple[int, int]]) -> list[tuple[int, float]]:
    said: list[tuple[int, float]] = []
    total = 0.0
    before: tuple[int, float] | None = None
    for time_ms, value in readings:
        here = [(start, end) for start, end in vacancies if start <= time_ms < end]
        if not here:
            total = 0.0
        elif before is not None and any(before[0] >= start for start, _ in here):
            total += value - before[1]
        else:
            total = 0.0
        said.append((time_ms, total))
        before = (time_ms, value)
    return said
