"""What the core tries at a real broker before it serves: a closed one lets it in, each opening is named."""

import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from gatehouse import admission
from gatehouse.access import write_broker
from gatehouse.admission import check_transport, openings
from gatehouse.doctor import examine
from gatehouse.finding import Finding, State
from gatehouse.identities import make, server_identities
from gatehouse.pki import Authority
from gatehouse.settings import Settings, load_settings
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock, SystemClock
from telemetry.errors import BadConfiguration, Unavailable
from tests import district, servers

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000


def secured(folder: Path) -> Settings:
    """The district with TLS: its certificates, the broker's folder, and the core's configuration."""
    file = district.write_district(folder)
    make(load_settings(file, {}), folder / "pki", ["localhost"], SystemClock())
    port, metrics = servers.free_port(), servers.free_port()
    tls = {"ca": "pki/ca.crt", "certificate": "pki/{client_id}.pem"}
    document = {
        "broker": {"host": "localhost", "port": port, "tls": tls, "reconnect_delay_max_s": 1},
        "metrics": {"port": metrics},
        "channels": {"pager": {"url": "http://127.0.0.1:9/", "allow_networks": ["127.0.0.1/32"]}},
    }
    file.write_text(yaml.safe_dump(document))
    settings = load_settings(file, {})
    write_broker(settings, folder / "pki", folder / "broker", folder / "broker", port, "localhost")
    return settings


@contextmanager
def broker(
    folder: Path, settings: Settings, old: str = "", new: str = "", file: str = "mosquitto.conf"
) -> Iterator[None]:
    """The broker as it was written, but for one thing."""
    changed = folder / "broker" / file
    text = changed.read_text()
    assert old in text
    changed.write_text(text.replace(old, new) if old else text + new)
    with servers.secure_mosquitto(folder / "broker", settings.broker.port):
        yield


def found(settings: Settings) -> list[str]:
    name = server_identities(settings.client_id)[2]
    return openings(settings.broker, name, Catalogue.load(settings.catalogue))


def test_a_broker_as_it_is_written_has_no_opening(tmp_path: Path) -> None:
    settings = secured(tmp_path)
    with broker(tmp_path, settings):
        assert found(settings) == []


@pytest.mark.parametrize(
    ("old", "new", "file", "said"),
    [
        ("acl_file", "#acl_file", "mosquitto.conf", ["'#'", "'+/+/+/+'", "'$SYS/#'", "'$share", "publish", "retained"]),
        ("use_username_as_clientid true", "", "mosquitto.conf", ["client id is not tied"]),
        ("", "\nuser gatehouse-core-probe\ntopic read #\n", "acl", ["'#'", "'+/+/+/+'", "'$share"]),
        ("", "\nuser gatehouse-core-probe\ntopic read $SYS/#\n", "acl", ["'$SYS/#'"]),
        ("", "\nuser gatehouse-core-probe\ntopic write gatehouse/#\n", "acl", ["anybody may publish", "retained"]),
    ],
    ids=["no-list", "foreign-client-id", "wildcards", "sys", "foreign-publish"],
)
def test_what_is_open_is_named(tmp_path: Path, old: str, new: str, file: str, said: list[str]) -> None:
    settings = secured(tmp_path)
    with broker(tmp_path, settings, old, new, file):
        told = found(settings)
    assert len(told) == len(said), told
    for words, line in zip(said, told, strict=True):
        assert words in line


def test_who_needs_no_certificate_is_an_opening(tmp_path: Path) -> None:
    settings = secured(tmp_path)
    conf = tmp_path / "broker" / "mosquitto.conf"
    text = conf.read_text().replace("allow_anonymous false", "allow_anonymous true")
    text = text.replace("require_certificate true", "require_certificate false")
    text = text.replace("use_identity_as_username true", "").replace("use_username_as_clientid true", "")
    conf.write_text(text.replace("acl_file", "#acl_file"))
    with broker(tmp_path, settings):
        assert "it lets in who has no certificate" in found(settings)


def test_a_listener_without_tls_is_an_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = secured(tmp_path)
    plain = servers.free_port()
    monkeypatch.setattr(admission, "_PLAIN_PORT", plain)
    conf = tmp_path / "broker" / "mosquitto.conf"
    conf.write_text(conf.read_text().replace("allow_anonymous false", "allow_anonymous true"))
    acl = tmp_path / "broker" / "acl"
    acl.write_text("topic readwrite gatehouse/#\n" + acl.read_text())  # above the first user: for the nameless
    with broker(tmp_path, settings, "", f"listener {plain} 127.0.0.1\n"):
        assert any(f"port {plain}" in line for line in found(settings))


def test_a_broker_that_is_away_or_deaf_is_tried_again(tmp_path: Path) -> None:
    settings = secured(tmp_path)
    with pytest.raises(Unavailable, match="connecting"):
        found(settings)
    with (
        broker(tmp_path, settings, "user gatehouse-core-probe", "user somebody-else", "acl"),
        pytest.raises(Unavailable, match="broker-config"),
    ):
        found(settings)


def core(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in servers.gatehouse("core", "--config", folder / "gatehouse.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_core_serves_at_a_closed_broker_and_warns_of_a_certificate_that_ends(tmp_path: Path) -> None:
    settings = secured(tmp_path)
    soon = ManualClock(SystemClock().now_ms() - (2 * 365 - 10) * DAY_MS)
    Authority(tmp_path / "pki", soon).issue("gatehouse-core")
    url = f"http://127.0.0.1:{settings.metrics.port}"
    with (
        broker(tmp_path, settings),
        servers.process(servers.gatehouse("core", "--config", tmp_path / "gatehouse.yaml"), tmp_path / "core.log"),
    ):
        servers.wait_until(lambda: servers.answers(f"{url}/health/ready"), what="the core")
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as answer:
            ready = answer.read().decode()
        assert "certificate-ends" in ready and "gatehouse-core.pem" in ready and "insecure" not in ready


def test_a_core_refuses_an_open_broker_and_says_what_is_open(tmp_path: Path) -> None:
    settings = secured(tmp_path)
    with broker(tmp_path, settings, "acl_file", "#acl_file"):
        done = core(tmp_path)
    assert done.returncode == 2
    assert "the broker allows what must be forbidden" in done.stderr.splitlines()[-1]
    assert "gatehouse/v1/east/gw-east/probe" in done.stderr


def test_a_core_says_what_to_do_without_tls(tmp_path: Path) -> None:
    file = district.write_district(tmp_path)
    file.write_text(file.read_text().replace("insecure: true\n", ""))
    done = core(tmp_path)
    assert done.returncode == 2 and "insecure: true" in done.stderr and "Traceback" not in done.stderr


def test_files_that_cannot_work_are_refused_before_anything_is_connected(tmp_path: Path) -> None:
    settings = secured(tmp_path)
    names = server_identities(settings.client_id)
    check_transport(settings, names, SystemClock())
    past = ManualClock(SystemClock().now_ms() - 3 * 365 * DAY_MS)
    Authority(tmp_path / "pki", past).issue("gatehouse-core-out")
    with pytest.raises(BadConfiguration, match="pki renew"):
        check_transport(settings, names, SystemClock())
    check_transport(settings, names[3:], SystemClock())  # the API needs nobody's but its own
    (tmp_path / "pki" / "gatehouse-core-out.pem").unlink()
    with pytest.raises(BadConfiguration, match="pki make"):
        check_transport(settings, names, SystemClock())
    assert settings.broker.tls is not None
    nameless = settings.broker.model_copy(update={"tls": settings.broker.tls.model_copy(update={"certificate": None})})
    with pytest.raises(BadConfiguration, match="certificate is not set"):
        check_transport(settings.model_copy(update={"broker": nameless}), names, SystemClock())


def test_doctor_says_what_is_open_at_a_broker_that_answers(tmp_path: Path) -> None:
    secured(tmp_path)
    settings = load_settings(tmp_path / "gatehouse.yaml", {})

    def said() -> list[Finding]:
        return [each for each in examine(tmp_path / "gatehouse.yaml", SystemClock()) if each.about == "broker"]

    with broker(tmp_path, settings):
        assert [each.state for each in said()] == [State.WELL]
        document = yaml.safe_load((tmp_path / "gatehouse.yaml").read_text()) | {"watch": {"certificate_days": 800}}
        (tmp_path / "gatehouse.yaml").write_text(yaml.safe_dump(document))
        (ends,) = said()
        assert ends.state is State.SOON and "its certificate ends in 729 days" in ends.what
    with broker(tmp_path, settings, "acl_file", "#acl_file"):
        told = said()
    told.pop()  # of the certificate
    assert {each.state for each in told} == {State.WRONG}
    assert all(each.do == "gatehouse broker-config" for each in told)
    assert "a subscription to '#'" in told[0].what
