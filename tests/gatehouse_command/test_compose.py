"""docker-compose.yml against what the code reads. (No container engine is needed; none is asked.)"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatehouse import __main__ as command
from gatehouse.settings import PREFIX, load_settings
from gateway.settings import load_settings as load_gateway

ROOT = Path(__file__).parent.parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["core", "api", "gateway", "sim"]


def settings(service: str, folder: Path) -> Any:
    """The settings a service would run with: its mounted file with its environment over it."""
    (folder / "influx_token").write_text("a token")
    environment = {
        name: value.replace("file:/run/secrets", f"file:{folder}")
        for name, value in SERVICES[service]["environment"].items()
    }
    return load_settings(ROOT / "deploy/docker/config/gatehouse.yaml", environment)


def test_there_is_what_a_district_needs() -> None:
    assert set(SERVICES) == {"setup", "mosquitto", "influxdb", "core", "api", "gateway", "sim"}
    assert SERVICES["sim"]["profiles"] == ["sim"]


@pytest.mark.parametrize("service", ["core", "api"])
def test_the_environment_of_the_server_is_what_its_settings_read(service: str, tmp_path: Path) -> None:
    read = settings(service, tmp_path)
    assert read.broker.host in SERVICES
    assert read.history.url == "http://influxdb:8086"
    influx = SERVICES["influxdb"]["environment"]
    assert (read.history.org, read.history.bucket) == (
        influx["DOCKER_INFLUXDB_INIT_ORG"],
        influx["DOCKER_INFLUXDB_INIT_BUCKET"],
    )
    assert all(name.startswith(PREFIX) for name in SERVICES[service]["environment"])
    data = next(v for v in SERVICES[service]["volumes"] if v.startswith("gatehouse-data:")).split(":")[1]
    assert str(read.journal.path).startswith(data)
    assert read.database.url.removeprefix("sqlite:///").startswith(data)
    # Everything else is read-only: what is written anywhere but there would keep the service from starting.
    assert read.visitor_register.url.removeprefix("sqlite:///").startswith(data)
    assert str(read.visitor_register.key_file).startswith(data)


def test_the_gateways_file_and_environment_are_what_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICES["gateway"]["environment"].items():
        monkeypatch.setenv(name, value)
    read = load_gateway(ROOT / "deploy/docker/config/gateway.yaml")
    assert read.broker.host == "mosquitto"
    assert str(read.spool.path) == "/data/spool"
    assert read.broker.tls is not None and read.broker.port == 8883
    assert str(read.broker.tls.files(read.gateway)[0]) == "/keys/gateway/gw-compound-1.pem"
    assert any(volume.endswith(":/data") for volume in SERVICES["gateway"]["volumes"])


@pytest.mark.parametrize("service", OURS)
def test_every_command_exists(service: str) -> None:
    name = SERVICES[service]["command"][0]
    registered = {c.name or c.callback.__name__ for c in command.app.registered_commands if c.callback}
    registered |= {str(group.name) for group in command.app.registered_groups}
    assert name in registered


@pytest.mark.parametrize("service", [*OURS, "setup", "mosquitto"])
def test_our_containers_may_do_as_little_as_possible(service: str) -> None:
    given = SERVICES[service]
    assert given["read_only"] and given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_health_check_and_named_images_have_a_version(service: str) -> None:
    assert service == "setup" or SERVICES[service]["healthcheck"]["test"]  # which ends, and must have ended well
    assert re.search(r":\d", SERVICES[service]["image"])


@pytest.mark.parametrize("service", SERVICES)
def test_no_log_grows_for_years(service: str) -> None:
    assert SERVICES[service]["logging"] == {"driver": "local", "options": {"max-size": "20m", "max-file": "5"}}


def test_health_checks_and_published_ports_are_those_that_are_served(tmp_path: Path) -> None:
    read = settings("core", tmp_path)
    assert f":{read.metrics.port}/health/live" in SERVICES["core"]["healthcheck"]["test"][-1]
    assert f":{read.api.port}/health/live" in SERVICES["api"]["healthcheck"]["test"][-1]
    assert SERVICES["api"]["ports"] == [f"127.0.0.1:{read.api.port}:{read.api.port}"]
    assert SERVICES["mosquitto"]["ports"] == [f"${{BROKER_ADDRESS:-127.0.0.1}}:{read.broker.port}:{read.broker.port}"]
    assert SERVICES["mosquitto"]["healthcheck"]["test"][-1] == str(read.broker.port)


@pytest.mark.parametrize("service", ["core", "api"])
def test_the_server_is_not_insecure_and_has_no_key_but_its_own(service: str, tmp_path: Path) -> None:
    read = settings(service, tmp_path)
    assert not read.insecure and read.requires_second_factor
    assert read.broker.tls is not None
    mounted = {volume.split(":")[1] for volume in SERVICES[service]["volumes"] if volume.endswith(":ro")}
    assert str(read.broker.tls.ca.parent) in mounted
    assert str(read.watch.pki) in mounted


def test_the_authoritys_key_is_in_no_container_that_stays() -> None:
    for name, service in SERVICES.items():
        assert name == "setup" or not any(volume.startswith("authority:") for volume in service.get("volumes", []))
    assert SERVICES["mosquitto"]["depends_on"]["setup"]["condition"] == "service_completed_successfully"


def test_everything_mounted_exists_and_every_volume_and_secret_is_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume
        for secret in service.get("secrets", []):
            assert secret in COMPOSE["secrets"]
        for needed in service.get("depends_on", []):
            assert needed in SERVICES
    for secret in COMPOSE["secrets"].values():
        # Never in the repository, and ignored should somebody put them there.
        assert Path(secret["file"]).parent == Path("deploy/secrets")
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    # Nor in a layer of the build, which copies everything: its cache is kept, and may be pushed.
    assert "deploy/secrets" in (ROOT / ".dockerignore").read_text().splitlines()


def test_every_volume_that_is_written_begins_as_our_users() -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    made = re.search(r"install -d -o gatehouse -m 700 (.+)$", text, re.MULTILINE)
    assert made
    written = {volume.split(":")[1] for volume in SERVICES["setup"]["volumes"] if not volume.endswith(":ro")}
    assert written <= set(made[1].split())
    assert SERVICES["mosquitto"]["user"].split(":")[0] in text  # who reads what was written there


def test_the_dockerfile_copies_what_exists_and_does_not_run_as_root() -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert re.search(r"^USER gatehouse$", text, re.MULTILINE)
    # The last stage starts from the base: nothing that was only needed to build is in the image.
    assert text.rpartition("FROM ")[2].count("RUN") == 1
