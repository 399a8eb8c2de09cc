"""What `setup` of docker-compose.yml runs, and a real Mosquitto on what it writes: as containers, but with other paths."""

import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gatehouse.admission import openings
from gatehouse.identities import server_identities
from telemetry.catalogue import Catalogue
from telemetry.settings import BrokerSettings, TlsSettings
from telemetry.tls import context_for
from tests import servers
from tests.integration.test_broker_access import Client, Closed

pytestmark = pytest.mark.integration

SETUP = yaml.safe_load((servers.ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["setup"]
CATALOGUE = servers.ROOT / "gatehouse/district/catalogue"


def set_up(folder: Path, port: int) -> None:
    """The container's command, its volumes and its configuration below `folder`, its port another."""
    for name in ("authority", "broker", "keys/server", "keys/gateway", "config", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("gatehouse.yaml", "gateway.yaml"):
        text = (servers.ROOT / "deploy/docker/config" / name).read_text(encoding="utf-8")
        (folder / "config" / name).write_text(text.replace("catalogue: catalogue", f"catalogue: {CATALOGUE}"))
    program = folder / "bin/gatehouse"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gatehouse "$@"\n')
    program.chmod(0o755)
    (script,) = SETUP["command"]
    script = script.replace("$$", "$").replace("--out /broker", f"--out /broker --port {port}")
    for mounted in ("/authority", "/broker", "/keys", "/config"):
        script = script.replace(f" {mounted}", f" {folder}{mounted}").replace(f'"{mounted}', f'"{folder}{mounted}')
    environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "BROKER_HOSTS": "localhost 127.0.0.1"}
    subprocess.run([*SETUP["entrypoint"], script], cwd=servers.ROOT, env=environment, check=True, timeout=120)


def broker(folder: Path, port: int, keys: str) -> BrokerSettings:
    tls = TlsSettings(ca=folder / keys / "ca.crt", certificate=folder / keys / "{client_id}.pem")
    return BrokerSettings(host="localhost", port=port, tls=tls)


def context(folder: Path, port: int, keys: str, name: str) -> ssl.SSLContext:
    found = context_for(broker(folder, port, keys), name)
    assert found is not None
    return found


def test_the_broker_that_setup_writes_is_closed_and_each_container_gets_in(tmp_path: Path) -> None:
    port = servers.free_port()
    set_up(tmp_path, port)
    ear, mouth, probe, api = server_identities("gatehouse-core")
    assert {file.name for file in (tmp_path / "keys/server").glob("*.pem")} == {
        "crl.pem",
        *(f"{name}.pem" for name in (ear, mouth, probe, api)),
    }
    assert {file.name for file in (tmp_path / "keys/gateway").iterdir()} == {"ca.crt", "gw-compound-1.pem"}
    for key in (tmp_path / "keys").rglob("g*.pem"):
        assert key.stat().st_mode & 0o077 == 0, key
    with servers.secure_mosquitto(tmp_path / "broker", port):
        assert openings(broker(tmp_path, port, "keys/server"), probe, Catalogue.load(CATALOGUE)) == []
        for keys, name in (("keys/server", ear), ("keys/server", api), ("keys/gateway", "gw-compound-1")):
            Client(port, context(tmp_path, port, keys, name), name).leave()
        with pytest.raises(Closed):
            Client(port, None, "anybody")


def test_setup_changes_nothing_a_second_time_nor_where_the_authoritys_key_is_kept_elsewhere(tmp_path: Path) -> None:
    set_up(tmp_path, 8883)
    made = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    set_up(tmp_path, 8883)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == made
    (tmp_path / "authority/ca.pem").unlink()
    set_up(tmp_path, 8883)
    assert not (tmp_path / "authority/ca.pem").exists()
