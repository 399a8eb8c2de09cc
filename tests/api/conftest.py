import pytest


@pytest.fixture(scope="module")
def database_kind() -> str:
    """Which database the world of a module stands on. What must hold in both takes the fixture of test_app instead."""
    return "sqlite"
