import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gatehouse.pki import Authority
from telemetry import tls
from telemetry.clock import ManualClock, SystemClock
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.settings import BrokerSettings, TlsSettings

NOW_MS = SystemClock().now_ms()
DAY_MS = 86_400_000


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    folder = tmp_path / "pki"
    authority = Authority(folder, ManualClock(NOW_MS))
    authority.create("east")
    authority.issue("gw-east")
    authority.issue("gw-west")
    return folder


def settings(pki: Path, name: str = "{client_id}.pem") -> TlsSettings:
    return TlsSettings(ca=pki / "ca.crt", certificate=pki / name)


def refused(tls_settings: TlsSettings) -> str:
    with pytest.raises(BadConfiguration) as caught:
        tls.client_context(tls_settings, "gw-east")
    return str(caught.value)


def test_a_context_verifies_the_authority_and_the_name(pki: Path) -> None:
    context = tls.client_context(settings(pki), "gw-east")
    assert context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_missing_file_is_named_and_where_it_comes_from(pki: Path) -> None:
    said = refused(settings(pki, "gone.pem"))
    assert str(pki / "gone.pem") in said and "pki make" in said
    said = refused(TlsSettings(ca=pki / "gone.crt"))
    assert "broker.tls.ca" in said and "ca.crt" in said


def test_a_key_of_another_certificate_is_refused(pki: Path) -> None:
    mixed = TlsSettings(ca=pki / "ca.crt", certificate=pki / "gw-east.pem", key=pki / "gw-west.pem")
    assert "belongs to another certificate" in refused(mixed)


def test_what_is_no_certificate_is_refused_and_nothing_is_asked_on_the_terminal(pki: Path) -> None:
    (pki / "gw-east.pem").write_text("nonsense")
    assert "must be PEM" in refused(settings(pki))
    (pki / "ca.crt").write_text("nonsense")
    assert "broker.tls.ca" in refused(settings(pki))


def test_while_running_bad_files_are_waited_out(pki: Path) -> None:
    with pytest.raises(Unavailable, match="gone"):
        tls.context_for(BrokerSettings(tls=settings(pki, "gone.pem")), "gw-east")
    assert tls.context_for(BrokerSettings(), "gw-east") is None


@pytest.mark.parametrize("name", ["ca.crt", "gw-east.pem"])
def test_validity_is_read_as_the_library_reads_it(pki: Path, name: str) -> None:
    known = x509.load_pem_x509_certificate((pki / name).read_bytes())
    moments = (known.not_valid_before_utc, known.not_valid_after_utc)
    assert tls.validity_ms(pki / name) == tuple(int(m.timestamp() * 1000) for m in moments)


def test_a_validity_beyond_2050_is_read(tmp_path: Path) -> None:
    # From 2050 on a certificate writes four digits of the year, in another type (RFC 5280, 4.1.2.5).
    late = datetime(2049, 6, 1, tzinfo=UTC)
    authority = Authority(tmp_path / "late", ManualClock(int(late.timestamp() * 1000)))
    authority.create("east")
    begin_ms, until_ms = tls.validity_ms(tmp_path / "late" / "ca.crt")
    assert begin_ms == int((late - timedelta(days=1)).timestamp() * 1000)
    assert tls.day(until_ms) == "2069-05-27"


@pytest.mark.parametrize("cut", range(0, 700, 13))
def test_a_certificate_cut_short_is_refused(pki: Path, cut: int) -> None:
    der = ssl.PEM_cert_to_DER_cert((pki / "ca.crt").read_text())
    file = pki / "cut.crt"
    file.write_text(ssl.DER_cert_to_PEM_cert(der[: min(cut, len(der) - 1)]))
    with pytest.raises(BadConfiguration, match=r"cut\.crt"):
        tls.validity_ms(file)


def test_what_ends_is_named_with_its_day(pki: Path) -> None:
    broker = BrokerSettings(tls=settings(pki))
    assert tls.expiries(broker, "gw-east", NOW_MS + 729 * DAY_MS) == []
    (ending,) = tls.expiries(broker, "gw-east", NOW_MS + 731 * DAY_MS)
    assert ending.setting == "broker.tls.certificate" and "pki renew" in str(ending)


def test_a_box_without_a_clock_still_verifies_all_but_the_time(pki: Path, tmp_path: Path) -> None:
    ahead = Authority(tmp_path / "ahead", ManualClock(NOW_MS + 900 * DAY_MS))
    ahead.create("east")
    context = tls.client_context(TlsSettings(ca=tmp_path / "ahead" / "ca.crt"), "gw-east")
    assert context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
    assert context.verify_flags & 0x200000
    assert not tls.client_context(settings(pki), "gw-east").verify_flags & 0x200000


def test_renewing_takes_up_what_the_file_holds_now_and_keeps_what_it_had(pki: Path) -> None:
    renewing = tls.Renewing(settings(pki), "gw-east")
    (pki / "gw-east.pem").unlink()
    renewing.renew()
    Authority(pki, ManualClock(NOW_MS)).issue("gw-east")
    renewing.renew()
    assert renewing.context.check_hostname


def test_a_key_without_a_certificate_is_a_mistake(pki: Path) -> None:
    with pytest.raises(ValueError, match="give 'certificate' too"):
        TlsSettings(ca=pki / "ca.crt", key=pki / "gw-east.pem")
