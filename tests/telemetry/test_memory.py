import gc
from collections.abc import Iterator

import pytest

from telemetry.memory import keep_what_stands


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


class Node:
    other: "Node"


def ring() -> list[int]:
    """Garbage that only the collector finds; and how often it was found."""
    found: list[int] = []

    class Watched(Node):
        def __del__(self) -> None:
            found.append(1)

    one, two = Watched(), Watched()
    one.other, two.other = two, one
    return found


def test_what_stands_is_not_looked_at_again_and_later_garbage_goes_all_the_same() -> None:
    standing = [Node() for _ in range(1000)]
    before = ring()
    keep_what_stands()
    assert len(before) == 2
    assert gc.get_freeze_count() > len(standing)
    assert not {id(node) for node in standing} & {id(each) for each in gc.get_objects()}
    after = ring()
    gc.collect()
    assert len(after) == 2
