from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers


@pytest.fixture
def mosquitto_port(tmp_path: Path) -> Iterator[int]:
    with servers.mosquitto(tmp_path) as port:
        yield port


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with servers.influxdb(tmp_path_factory.mktemp("influx")) as made:
        yield made
