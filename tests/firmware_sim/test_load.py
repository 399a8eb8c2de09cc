"""A load is what the core takes, in both shapes; and who takes nothing is said."""

import socket
import threading
from pathlib import Path

import pytest
import yaml
from firmware_sim.load import Broker, Null, load

from ingest.packets import PacketReader
from ingest.vet import Vetter
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.series import SeriesRegistry
from tests import servers

NOW_MS = 2_000_000_000_000  # no time of sending is ahead of it


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    declared = {
        "sites": [{"id": "east", "name": "E"}],
        "kinds": [
            {"id": "meter", "name": "M", "metrics": [{"id": "power", "name": "P", "unit": "W", "plausible": [0, 10]}]}
        ],
        "gateways": [{"id": f"gw-{n}", "name": "G", "site": "east"} for n in range(2)],
        "places": [{"id": "room", "name": "R", "kind": "room", "site": "east"}],
        "devices": [{"id": f"m-{n}", "kind": "meter", "place": "room", "gateway": f"gw-{n % 2}"} for n in range(450)],
    }
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(declared))
    return Catalogue.load(tmp_path)


class Kept(Null):
    """Keeps what it was given, and has enough after a while."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def send(self, packets: list[bytes]) -> None:
        self.packets += packets


@pytest.mark.parametrize(("shape", "messages"), [("single", 450), ("frames", 4)])
def test_the_core_takes_every_reading(catalogue: Catalogue, shape: str, messages: int) -> None:
    kept = Kept()
    done = load(catalogue, kept, shape, 0, 450, 0.05)  # type: ignore[arg-type]
    assert done.messages == len(kept.packets) == messages * done.readings // 450
    registry = SeriesRegistry(list(catalogue.metric))
    group = Vetter(catalogue, registry, {}).vet(PacketReader(1_000_000).feed(b"".join(kept.packets)).messages, NOW_MS)
    assert not group.rejects
    # Of rounds within one millisecond what is the very same reading is taken once.
    assert done.readings // 450 * 440 < len(group.readings) <= done.readings
    assert len(set(group.readings.series.tolist())) == 450


def test_a_rate_is_kept(catalogue: Catalogue) -> None:
    assert load(catalogue, Null(), "frames", 45_000, 450, 0.1).readings <= 45_000 * 0.1 + 450


def test_a_catalogue_without_devices_and_a_broker_that_is_away_are_said(catalogue: Catalogue) -> None:
    with pytest.raises(BadConfiguration, match="nothing to send"):
        load(catalogue, Null(), "single", 0, 0, 0.1)
    with pytest.raises(Unavailable, match="the broker at"):
        Broker("127.0.0.1", servers.free_port())


def test_a_broker_that_closes_the_connection_is_said(catalogue: Catalogue) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1000)
                link.sendall(b"\x20\x02\x00\x00")
                link.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Unavailable, match="closed the connection"):
            load(catalogue, Broker("127.0.0.1", server.getsockname()[1]), "single", 0, 450, 5.0)
        thread.join()


@pytest.mark.integration
def test_a_real_broker_acknowledges_all(catalogue: Catalogue, mosquitto_port: int) -> None:
    done = load(catalogue, Broker("127.0.0.1", mosquitto_port), "single", 0, 450, 0.3)
    assert done.readings >= 450
