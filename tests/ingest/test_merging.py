"""What is written differs in size, and the files of a day stay few all the same."""

import random
from collections.abc import Callable

import pytest

from ingest.history.merging import MERGE_COUNT, MERGE_ROWS_MAX, mergeable


def kept(written: list[int]) -> tuple[list[int], int, float]:
    """(files at the end, most files at any time, how often a row was written again)."""
    files: list[int] = []
    most = rewritten = 0
    for rows in written:
        files.append(rows)
        while (found := mergeable(files)) is not None:
            merged = files[found]
            assert len(merged) >= MERGE_COUNT
            assert sum(merged) <= MERGE_ROWS_MAX
            assert sum(merged) >= 2 * max(merged)
            rewritten += sum(merged)
            files[found] = [sum(merged)]
        most = max(most, len(files))
    assert sum(files) == sum(written)
    return files, most, rewritten / sum(written)


ODD: list[tuple[str, Callable[[random.Random, int], int]]] = [
    ("the same", lambda _, number: 300),
    ("in turns", lambda _, number: 8_000 if number % 2 else 400),
    ("about the edge of a size", lambda chance, _: chance.randint(700, 1_400)),
    ("of all sizes", lambda chance, _: min(200_000, int(chance.lognormvariate(6, 2)) + 1)),
    ("a burst now and then", lambda chance, number: chance.randint(1, 50) if number % 50 else 100_000),
    ("smaller and smaller", lambda _, number: 2_000_000 // (number + 1) + 1),
    ("one large one", lambda _, number: 10_000_000 if number == 0 else 3),
]


@pytest.mark.parametrize(("what", "rows"), ODD, ids=[what for what, _ in ODD])
def test_a_day_is_few_files_whatever_is_written_each_time(what: str, rows: Callable[[random.Random, int], int]) -> None:
    chance = random.Random(1)
    files, most, rewritten = kept([rows(chance, number) for number in range(5_000)])
    assert most <= 80
    assert rewritten < 5
    assert mergeable(files) is None


@pytest.mark.parametrize("seed", range(30))
def test_sizes_drawn_from_anywhere_stay_few_files(seed: int) -> None:
    chance = random.Random(seed)
    middle, spread = chance.uniform(0, 8), chance.uniform(0, 5)
    written = [min(500_000, int(chance.lognormvariate(middle, spread)) + 1) for _ in range(1_500)]
    _, most, rewritten = kept(written)
    # What is above the largest file's size is as many files as it fills; of each size below there are some dozens.
    assert most <= 120 + 2 * sum(written) // MERGE_ROWS_MAX
    assert rewritten < 6


def test_files_that_would_be_too_large_together_become_several() -> None:
    files, _, _ = kept([1_000_000] * 100)
    assert files == [16_000_000] * 6 + [1_000_000] * 4


def test_a_day_that_an_earlier_version_left_in_pieces_is_put_together_in_steps() -> None:
    files = [8_000 if number % 2 else 400 for number in range(20_000)]
    while (found := mergeable(files)) is not None:
        assert len(files[found]) <= 512
        files[found] = [sum(files[found])]
    assert len(files) <= 80
