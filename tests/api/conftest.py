from collections.abc import Iterator
from unittest import mock

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from api.people import hashing
from telemetry.database import open_database


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[PasswordHasher]:
    """Hundreds of tests log somebody in; what a hash costs in earnest they pay for nothing. Yields the dear one."""
    dear, cheap = hashing._HASHER, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with mock.patch.multiple(hashing, _HASHER=cheap, _NOBODYS=cheap.hash("nobody")):
        yield dear


@pytest.fixture(scope="module")
def database_kind() -> str:
    """Which database the world of a module stands on. What must hold in both takes the fixture of test_app instead."""
    return "sqlite"


@pytest.fixture
def database(database_url: str) -> Iterator[sa.Engine]:
    """An empty one with all its tables, of every kind that there is."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()
