"""Every vector file through the product's codecs: accepted or refused as it says, and read as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vectors import meters, others
from tests.vectors.vector import FOLDER, Verdict, files, judge, vectors

CLAIMS = {**meters.CLAIMS, **others.CLAIMS}

needs_vectors = pytest.mark.skipif(
    not files(), reason=f"{FOLDER} holds no vectors; name their folder in GATEHOUSE_VECTORS"
)


def verdicts(file: Path) -> list[Verdict]:
    return [judge(vector, CLAIMS) for vector in vectors(file)]


def told(found: list[Verdict]) -> str:
    return "\n".join(str(verdict) for verdict in found if not verdict.is_expected)


@needs_vectors
@pytest.mark.parametrize("file", files(), ids=lambda file: file.stem)
def test_a_file_of_vectors_is_read_as_it_says(file: Path) -> None:
    found = verdicts(file)
    assert found, f"{file} holds no vectors"
    assert all(verdict.is_expected for verdict in found), "\n" + told(found)


@needs_vectors
def test_all_vectors_are_read_as_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    found = [verdict for file in files() for verdict in verdicts(file)]
    expected = sum(verdict.is_expected for verdict in found)
    with capsys.disabled():
        print(f"\n{len(found)} vectors, {expected} as expected")
    assert expected == len(found), "\n" + told(found)


def test_no_family_is_claimed_twice() -> None:
    assert not set(meters.CLAIMS) & set(others.CLAIMS)
