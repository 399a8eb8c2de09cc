"""What a register has added since a room is vacant, reading by reading; what is unknown is not counted."""

from tests.oracles.registers import Register


def used(
    register: Register, readings: list[tuple[int, float]], vacancies: list[tuple[int, int]]
) -> list[tuple[int, float]]:
    said: list[tuple[int, float]] = []
    total = 0.0
    before_ms: int | None = None
    for time_ms, value in readings:
        amount, _ = register.take(time_ms, value)
        here = [(start, end) for start, end in vacancies if start <= time_ms < end]
        if not here or before_ms is None or not any(before_ms >= start for start, _ in here):
            total = 0.0
        elif amount is not None:
            total += amount
        said.append((time_ms, total))
        before_ms = time_ms
    return said
