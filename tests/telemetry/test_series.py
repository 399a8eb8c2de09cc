from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry.batch import ReadingBatch, concatenate, decode_batch, encode_batch
from telemetry.catalogue import Catalogue
from telemetry.journal import Journal
from telemetry.segments import expand, group, rank_within
from telemetry.series import UNKNOWN, SeriesRegistry
from tests import district


def test_numbers_survive_a_restart_and_a_changed_catalogue(tmp_path: Path) -> None:
    district.write_district(tmp_path)
    journal = Journal(tmp_path / "j.db")
    before = SeriesRegistry.open(journal, Catalogue.load(tmp_path / "catalogue"))
    text = district.CATALOGUE.replace("id: level-1,", "id: level-9,")
    (tmp_path / "catalogue" / "all.yaml").write_text(text, encoding="utf-8")
    after = SeriesRegistry.open(journal, Catalogue.load(tmp_path / "catalogue"))
    assert after.names[: len(before)] == before.names
    assert after.names[len(before) :] == [("level-9", "level")]
    assert after.index["level-1", "level"] == before.index["level-1", "level"]


def test_an_unknown_name_is_unknown() -> None:
    registry = SeriesRegistry([("a", "x"), ("b", "y")])
    assert registry.look_up("b/y\nc/z\na/x").tolist() == [1, int(UNKNOWN), 0]


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(allow_nan=False), st.none() | st.just("k")), max_size=30))
def test_a_batch_comes_back_from_the_journal_bit_for_bit(rows: list[tuple[int, float, str | None]]) -> None:
    made = ReadingBatch(
        np.array([r[0] for r in rows], np.uint32),
        np.arange(len(rows), dtype=np.int64),
        np.array([r[1] for r in rows], np.float64),
        np.zeros(len(rows), np.uint8),
        {i: r[2] for i, r in enumerate(rows) if r[2]},
    )
    back = decode_batch(encode_batch(made, {"gw-1": 3}))
    for name in ("series", "time_ms", "value", "quality"):
        assert getattr(back, name).tobytes() == getattr(made, name).tobytes()
    assert back.keys == made.keys
    half = len(rows) // 2
    parts = [
        ReadingBatch(made.series[a:b], made.time_ms[a:b], made.value[a:b], made.quality[a:b],
                     {i - a: k for i, k in made.keys.items() if a <= i < b})
        for a, b in ((0, half), (half, len(rows)))
    ]  # fmt: skip
    joined = concatenate(parts)
    assert joined.value.tobytes() == made.value.tobytes()
    assert joined.keys == made.keys


@given(st.lists(st.integers(0, 5), max_size=40))
def test_groups_say_what_a_dictionary_of_lists_says(items: list[int]) -> None:
    expected: dict[int, list[int]] = {}
    for number, key in enumerate(items):
        expected.setdefault(key, []).append(number)
    groups = group(np.array(items, np.int64))
    found = {
        int(key): groups.order[start:end].tolist()
        for key, start, end in zip(groups.key, groups.start, groups.end, strict=True)
    }
    assert found == expected
    ranks = rank_within(groups)
    assert ranks.tolist() == [expected[items[i]].index(i) for i in groups.order]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 5)), max_size=20))
def test_expand_lays_ranges_end_to_end(ranges: list[tuple[int, int]]) -> None:
    source, position = expand(
        np.array([start for start, _ in ranges], np.intp), np.array([count for _, count in ranges], np.intp)
    )
    expected = [(number, start + i) for number, (start, count) in enumerate(ranges) for i in range(count)]
    assert list(zip(source.tolist(), position.tolist(), strict=True)) == expected
