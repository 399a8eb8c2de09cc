"""Slow twin of `gateway.thinning`: the whole of one series at once, in plain words. Imports nothing of the product."""

from __future__ import annotations

Row = tuple[int, float, int, str | None]  # time_ms, value, quality, passage key


def thinned(rows: list[Row], bucket_ms: int) -> tuple[list[Row], list[Row]]:
    """What is kept of one series, in its order, and what is dropped."""
    always = [
        row[3] is not None or row[2] != 0 or (number > 0 and rows[number - 1][2] != row[2])
        for number, row in enumerate(rows)
    ]
    keep = set()
    stretch: list[int] = []
    for number in range(len(rows) + 1):
        is_over = number == len(rows) or always[number]
        if stretch and (is_over or rows[number][0] // bucket_ms != rows[stretch[0]][0] // bucket_ms):
            keep |= {stretch[0], stretch[-1]}
            keep.add(min(stretch, key=lambda n: (rows[n][1], n)))
            keep.add(min(stretch, key=lambda n: (-rows[n][1], n)))
            stretch = []
        if number < len(rows):
            if always[number]:
                keep.add(number)
            else:
                stretch.append(number)
    return [rows[n] for n in sorted(keep)], [row for n, row in enumerate(rows) if n not in keep]
