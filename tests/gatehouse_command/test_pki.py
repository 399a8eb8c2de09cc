"""The district's authority on a clock that a test moves."""

import errno
import os
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from gatehouse.__main__ import app
from gatehouse.identities import gateway_identities, listing, make, renew
from gatehouse.pki import Authority, put
from gatehouse.settings import Settings, load_settings
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock, SystemClock
from telemetry.errors import BadConfiguration
from tests import district

NAMES = {"broker", "gatehouse-core", "gatehouse-core-out", "gatehouse-core-probe", "gatehouse-core-api"}
NAMES |= {"gw-east", "gw-west"}
DAY_MS = 86_400_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(district.write_district(tmp_path), {})


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_everybody_of_the_catalogue_gets_a_certificate_of_the_authority(settings: Settings, tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    make(settings, pki, ["broker.site", "10.0.0.1"], SystemClock())
    assert {file.stem for file in pki.glob("*.pem")} == NAMES | {"ca", "crl"}
    authority = certificate(pki / "ca.crt")
    for name in NAMES:
        made = certificate(pki / f"{name}.pem")
        made.verify_directly_issued_by(authority)
        purposes = list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        is_server = name == "broker"
        assert purposes == [ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH]
        constraints = made.extensions.get_extension_for_class(x509.BasicConstraints)
        assert not constraints.value.ca and constraints.critical
    hosts = certificate(pki / "broker.pem").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(host.value) for host in hosts] == ["broker.site", "10.0.0.1"]


def test_a_key_is_readable_by_its_owner_alone(settings: Settings, tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    make(settings, pki, ["localhost"], SystemClock())
    for file in pki.rglob("*"):
        if file.is_file() and b"PRIVATE KEY" in file.read_bytes():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(pki.stat().st_mode) == 0o700
    assert b"PRIVATE" not in (pki / "ca.crt").read_bytes()


def test_making_again_changes_nothing_and_a_new_gateway_gets_its_own(settings: Settings, tmp_path: Path) -> None:
    pki, clock = tmp_path / "pki", ManualClock()
    make(settings, pki, ["localhost"], clock)
    before = {file.name: file.read_bytes() for file in pki.glob("*.pem")}
    assert "nothing is missing" in make(settings, pki, ["localhost"], clock)[0]
    more = settings.catalogue / "more.yaml"
    more.write_text("gateways: [{id: gw-new, name: New, site: east}]\n")
    assert make(settings, pki, ["localhost"], clock) == [str(pki / "gw-new.pem")]
    assert before == {f.name: f.read_bytes() for f in pki.glob("*.pem") if f.name in before}
    (only,) = make(settings, pki, ["broker.site"], clock)
    assert "broker.site" in only


def test_what_ends_soon_is_said_and_renewed_with_a_new_key(settings: Settings, tmp_path: Path) -> None:
    pki, clock = tmp_path / "pki", ManualClock()
    make(settings, pki, ["localhost"], clock)
    assert listing(pki, clock)[1]
    later = ManualClock(clock.now_ms() + 701 * DAY_MS)
    lines, is_well = listing(pki, later)
    assert not is_well and sum("ends soon" in line for line in lines) == len(NAMES)
    old = (pki / "gw-east.pem").read_bytes()
    assert len(renew(pki, [], later)) == len(NAMES)
    assert (pki / "gw-east.pem").read_bytes() != old
    assert [str(h.value) for h in certificate(pki / "broker.pem").extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value] == ["localhost"]  # fmt: skip
    assert renew(pki, [], later) == ["nothing ends within 30 days"]
    lines, is_well = listing(pki, ManualClock(clock.now_ms() + 731 * DAY_MS))
    assert is_well and sum("expired" in line for line in lines) == len(NAMES)


def test_revoking_takes_every_certificate_of_an_identity(settings: Settings, tmp_path: Path) -> None:
    pki, clock = tmp_path / "pki", SystemClock()
    make(settings, pki, ["localhost"], clock)
    first = certificate(pki / "gw-east.pem").serial_number
    renew(pki, ["gw-east"], clock)
    second = certificate(pki / "gw-east.pem").serial_number
    authority = Authority(pki, clock)
    assert authority.revoke("gw-east") == 2
    revoked = x509.load_pem_x509_crl((pki / "crl.pem").read_bytes())
    assert {entry.serial_number for entry in revoked} == {first, second}
    assert revoked.is_signature_valid(certificate(pki / "ca.crt").public_key())  # type: ignore[arg-type]
    assert not (pki / "gw-east.pem").exists()
    with pytest.raises(BadConfiguration, match="no certificate of 'gw-east' to revoke; there are broker"):
        authority.revoke("gw-east")
    make(settings, pki, ["localhost"], clock)
    states = {line.split()[0]: line.split()[4:-1] for line in listing(pki, clock)[0] if "revoked" not in line}
    assert states["gw-east"] == ["in", "use"]


def test_a_file_that_was_put_or_taken_away_is_so_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "pki", SystemClock())
    authority.create("east")
    authority.issue("gw-east")
    durable: list[set[str]] = []

    def synced(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            durable.append({file.name for file in Path(f"/proc/self/fd/{descriptor}").iterdir()})

    monkeypatch.setattr(os, "fsync", synced)
    put(tmp_path / "guards.yaml", b"", 0o600)
    assert durable[-1] == {"guards.yaml", "pki"}
    authority.issue("gw-west")
    assert "gw-west.pem" in durable[-1]
    authority.revoke("gw-east")
    assert "gw-east.pem" not in durable[-1] and "crl.pem" in durable[-1]


@pytest.mark.parametrize("name", ["gatehouse-core", "gatehouse-core-api", "broker", "alarms", "ca"])
def test_a_gateway_cannot_pass_for_another_identity(tmp_path: Path, name: str) -> None:
    district.write_district(tmp_path)
    (tmp_path / "catalogue" / "more.yaml").write_text(f"gateways: [{{id: {name}, name: X, site: east}}]\n")
    with pytest.raises(BadConfiguration, match=f"'{name}'"):
        gateway_identities(Catalogue.load(tmp_path / "catalogue"), "gatehouse-core")


@pytest.mark.parametrize("name", ["#", "+", "a/b", "../ca", "ca", "crl", "", "A", "x" * 64])
def test_a_name_that_could_mean_more_gets_no_certificate(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path / "pki", SystemClock())
    authority.create("east")
    with pytest.raises(BadConfiguration, match="cannot name an identity"):
        authority.issue(name)


def test_an_authority_is_never_made_over_another(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", SystemClock())
    with pytest.raises(BadConfiguration, match="run `gatehouse pki make` first"):
        authority.all()
    authority.create("east")
    with pytest.raises(BadConfiguration, match="holds an authority already"):
        authority.create("east")


def test_a_lost_key_of_the_authority_is_said_and_nothing_takes_its_place(settings: Settings, tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    make(settings, pki, ["localhost"], SystemClock())
    listed, _ = listing(pki, SystemClock())
    (pki / "ca.pem").rename(tmp_path / "copy")
    before = {file: file.read_bytes() for file in pki.rglob("*") if file.is_file()}
    for attempt in (
        lambda: make(settings, pki, ["localhost"], SystemClock()),
        lambda: renew(pki, ["gw-east"], SystemClock()),
        lambda: Authority(pki, SystemClock()).revoke("gw-east"),
        lambda: Authority(pki, SystemClock()).create("again"),
    ):
        with pytest.raises(BadConfiguration, match=r"ca\.pem, the authority's key, is gone: .*docs/security\.md"):
            attempt()
    assert {file: file.read_bytes() for file in pki.rglob("*") if file.is_file()} == before
    assert listing(pki, SystemClock())[0] == listed
    (tmp_path / "copy").rename(pki / "ca.pem")
    assert renew(pki, ["gw-east"], SystemClock()) == [f"{pki / 'gw-east'}.pem: copy it to where it is used"]


def test_an_authority_that_was_made_by_half_is_made_anew(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path, data: bytes, mode: int) -> None:
        if file.name == "ca.pem":
            raise OSError(errno.ENOSPC, "No space left on device")
        put(file, data, mode)

    with monkeypatch.context() as disk:
        disk.setattr("gatehouse.pki.put", full)
        with pytest.raises(BadConfiguration, match="No space left"):
            make(settings, tmp_path / "pki", ["localhost"], SystemClock())
    assert (tmp_path / "pki" / "ca.crt").exists()
    make(settings, tmp_path / "pki", ["localhost"], SystemClock())
    authority = x509.load_pem_x509_certificate((tmp_path / "pki" / "ca.crt").read_bytes())
    own = x509.load_pem_x509_certificate((tmp_path / "pki" / "gw-east.pem").read_bytes())
    own.verify_directly_issued_by(authority)


def test_the_commands_do_it(settings: Settings, tmp_path: Path) -> None:
    run, pki = CliRunner(), str(tmp_path / "pki")
    config = str(tmp_path / "gatehouse.yaml")

    def say(*arguments: str) -> str:
        done = run.invoke(app, arguments)
        assert done.exit_code == 0, done.output
        return done.output

    assert "a new authority" in say("pki", "make", "--config", config, "--host", "localhost", "--pki", pki)
    assert "gw-east" in say("pki", "list", "--pki", pki)
    assert "copy it" in say("pki", "renew", "gw-east", "--pki", pki)
    page = say("pki", "page", "gw-east", "--config", config, "--host", "10.0.0.30", "--pki", pki)
    made = certificate(Path(page.partition(":")[0]))
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    out = tmp_path / "broker"
    assert "7 identities" not in say("broker-config", "--config", config, "--out", str(out), "--pki", pki)
    assert "restart the broker" in say("pki", "revoke", "gw-east", "--pki", pki)
    assert "gw-east" in say("broker-config", "--config", config, "--out", str(out), "--pki", pki)
    assert "user gw-east" not in (out / "acl").read_text() and "user gw-west" in (out / "acl").read_text()
    assert stat.S_IMODE((out / "broker.pem").stat().st_mode) == 0o600
    assert not (out / "ca.pem").exists()
    said = say("pki", "revoke", "gw-west", "--pki", pki, "--config", config, "--broker", str(out))
    assert "restart the broker now" in said
    assert "user gw-west" not in (out / "acl").read_text()
    assert (out / "crl.pem").read_bytes() == (tmp_path / "pki" / "crl.pem").read_bytes()


@pytest.mark.parametrize("host", ["", "http://broker.site", "broker.site:8883", "broker site", "经纪.site"])
def test_what_nobody_could_call_a_broker_by_is_no_certificate(host: str, tmp_path: Path) -> None:
    settings = load_settings(district.write_district(tmp_path), {})
    with pytest.raises(BadConfiguration, match="write a name or an address"):
        make(settings, tmp_path / "pki", [host], SystemClock())
    assert not (tmp_path / "pki" / "broker.pem").exists()
    make(settings, tmp_path / "pki", ["broker.site"], SystemClock())
    assert (tmp_path / "pki" / "broker.pem").exists()
