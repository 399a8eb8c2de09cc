"""The district's certificate authority: a folder that makes, renews, revokes and lists certificates.

    ca.pem, ca.crt    its key and certificate; only `ca.crt` ever leaves the folder
    NAME.pem          key and certificate of one identity in one file, so that a renewal is one rename
    issued/           every certificate ever made, by serial number; what is revoked and listed is found here
    crl.pem           what is revoked; the broker reads it

An identity's common name is its name at the broker. Every file that holds a key has mode 0600.

Source: RFC 5280 for the profile; curve P-256, which every OpenSSL since 1.0.2 and every small box can do.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from telemetry.clock import Clock
from telemetry.disk import sync_folder
from telemetry.errors import BadConfiguration
from telemetry.topics import NAME

BROKER = "broker"  # the name of the server's own certificate
AUTHORITY_DAYS = 20 * 365  # longer than the boxes of a compound live
CERTIFICATE_DAYS = 2 * 365
RENEW_DAYS = 30  # with less than this left a certificate is renewed, and readiness warns
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_BACKDATE = timedelta(days=1)  # the clock of a box may run behind


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was made once."""

    name: str
    serial: int
    until_ms: int  # valid through this time, epoch milliseconds, UTC
    is_revoked: bool
    is_current: bool  # the one that NAME.pem holds


class Authority:
    """The folder. Nothing is kept in memory but the key."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    @property
    def exists(self) -> bool:
        """Whether the folder holds an authority."""
        return (self._folder / "ca.pem").exists()

    def create(self, district: str) -> None:
        """Make key, certificate and an empty revocation list. Raises BadConfiguration where there is one already."""
        if self.exists:
            raise BadConfiguration(f"{self._folder} holds an authority already; every certificate hangs on it: keep it")
        self._check_not_lost()
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder / "issued").mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Gatehouse {district}"[:64])])
        public = key.public_key()
        certificate = (
            self._builder(name, name, AUTHORITY_DAYS)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(key, hashes.SHA256())
        )
        with _writing(self._folder):
            put(self._folder / "ca.crt", _pem(certificate), 0o644)
            self._write_revoked(key, certificate, [])
            put(self._folder / "ca.pem", _key_pem(key) + _pem(certificate), 0o600)

    def issue(self, name: str, hosts: Sequence[str] = ()) -> None:
        """Make NAME.pem, in place of the one there is.

        Args:
            hosts: Names and addresses that a server is called by; with them it is a server's certificate, without a
                client's, and neither can be used as the other.
        """
        if not NAME.fullmatch(name) or name in ("ca", "crl"):
            raise BadConfiguration(f"'{name}' cannot name an identity: use a-z, 0-9 and '-', at most 63 characters")
        signer, authority = self._read_authority()
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        certificate = (
            self._builder(subject, authority.subject, CERTIFICATE_DAYS)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_alternative(h) for h in hosts or [name]]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )
        with _writing(self._folder):
            # The record first: a certificate that nobody can list could never be revoked.
            put(self._folder / "issued" / f"{certificate.serial_number:x}.crt", _pem(certificate), 0o644)
            put(self._folder / f"{name}.pem", _key_pem(key) + _pem(certificate), 0o600)

    def hosts(self, name: str) -> list[str]:
        """What the server's certificate NAME.pem is called by; nothing for a client's."""
        certificate = self._read_certificate(self._folder / f"{name}.pem")
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
            return []
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [str(name.value) for name in names]

    def revoke(self, name: str) -> int:
        """Put every certificate of an identity on the list and take its file away; how many they were.

        Raises BadConfiguration where there was none.
        """
        signer, authority = self._read_authority()
        revoked = {entry.serial_number: entry for entry in self._read_revoked()}
        found = [issued for issued in self.all() if issued.name == name and not issued.is_revoked]
        if not found:
            names = ", ".join(sorted({issued.name for issued in self.all() if not issued.is_revoked}))
            raise BadConfiguration(f"there is no certificate of '{name}' to revoke; there are {names or 'none'}")
        for issued in found:
            revoked[issued.serial] = (
                x509.RevokedCertificateBuilder().serial_number(issued.serial).revocation_date(self._now()).build()
            )
        with _writing(self._folder):
            self._write_revoked(signer, authority, list(revoked.values()))
            (self._folder / f"{name}.pem").unlink(missing_ok=True)
            sync_folder(self._folder)  # a revocation that was said must hold after a power cut
        return len(found)

    def all(self) -> list[Issued]:
        """Every certificate, the authority's first, then by name and end."""
        if not (self._folder / "ca.crt").exists():
            self._read_authority()  # says what is missing
        authority = self._read_certificate(self._folder / "ca.crt")  # it holds no key, and is there when that is lost
        revoked = {entry.serial_number for entry in self._read_revoked()}
        made = [self._read_certificate(file) for file in sorted((self._folder / "issued").glob("*.crt"))]
        current = {self._read_certificate(file).serial_number for file in self._folder.glob("*.pem") if _is_one(file)}
        found = [
            Issued(_common_name(one), one.serial_number, _end_ms(one), one.serial_number in revoked,
                   one.serial_number in current)
            for one in made
        ]  # fmt: skip
        found.sort(key=lambda issued: (issued.name, issued.until_ms))
        return [Issued("ca", authority.serial_number, _end_ms(authority), False, True), *found]

    def needs_renewal(self, name: str) -> bool:
        """Whether NAME.pem is missing or has less than `RENEW_DAYS` left."""
        file = self._folder / f"{name}.pem"
        if not file.exists():
            return True
        return _end_ms(self._read_certificate(file)) - self._clock.now_ms() < RENEW_DAYS * 86_400_000

    def _builder(self, subject: x509.Name, issuer: x509.Name, days: int) -> x509.CertificateBuilder:
        now = self._now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + timedelta(days=days))
        )

    def _write_revoked(
        self,
        signer: ec.EllipticCurvePrivateKey,
        authority: x509.Certificate,
        revoked: Sequence[x509.RevokedCertificate],
    ) -> None:
        # As long as the authority: a broker refuses everybody once its list is out of date, and the list is a file that
        # we replace, not one that is fetched.
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.subject)
            .last_update(self._now() - _BACKDATE)
            .next_update(authority.not_valid_after_utc)
            .add_extension(x509.CRLNumber(len(revoked) + 1), critical=False)
        )
        for entry in revoked:
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(signer, hashes.SHA256())
        put(self._folder / "crl.pem", signed.public_bytes(serialization.Encoding.PEM), 0o644)

    def _read_revoked(self) -> list[x509.RevokedCertificate]:
        file = self._folder / "crl.pem"
        with _reading(file):
            return list(x509.load_pem_x509_crl(file.read_bytes()))

    def _read_authority(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        file = self._folder / "ca.pem"
        self._check_not_lost()
        if not self.exists:
            raise BadConfiguration(f"{self._folder} holds no authority: run `gatehouse pki make` first")
        with _reading(file):
            data = file.read_bytes()
            key = serialization.load_pem_private_key(data, None)
            certificate = x509.load_pem_x509_certificate(data)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BadConfiguration(f"{file}: the key is not one that this program made")
        return key, certificate

    def _check_not_lost(self) -> None:
        """Another authority in its place would put everybody out whose certificate it did not make.

        One that has made none is half made: the disk was full, or the power went, before its key was kept.
        """
        has_made = any((self._folder / "issued").glob("*.crt")) or any(map(_is_one, self._folder.glob("*.pem")))
        if not self.exists and has_made and (self._folder / "ca.crt").exists():
            said = f"{self._folder / 'ca.pem'}, the authority's key, is gone: put it back from its copy; without one"
            raise BadConfiguration(f"{said} docs/security.md, “The authority's key is lost”")

    @staticmethod
    def _read_certificate(file: Path) -> x509.Certificate:
        with _reading(file):
            return x509.load_pem_x509_certificate(file.read_bytes())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).replace(microsecond=0)


def ends_ms(folder: Path) -> dict[str, int]:
    """Until when each identity has a certificate that is not revoked, epoch milliseconds. Raises BadConfiguration.

    The authority's key is not read, so that a copy of `issued/` and `crl.pem` will do.
    """
    if not (folder / "issued").is_dir():
        raise BadConfiguration(f"{folder} has no folder 'issued' with the certificates that were made; copy it there")
    revoked: set[int] = set()
    if (folder / "crl.pem").exists():
        with _reading(folder / "crl.pem"):
            revoked = {one.serial_number for one in x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())}
    found: dict[str, int] = {}
    for file in sorted((folder / "issued").glob("*.crt")):
        with _reading(file):
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        if certificate.serial_number not in revoked:
            name = _common_name(certificate)
            found[name] = max(found.get(name, 0), _end_ms(certificate))
    return found


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise BadConfiguration(f"{file} cannot be read: {error}") from error


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadConfiguration(f"{folder} cannot be written: {error}") from error


def put(file: Path, data: bytes, mode: int) -> None:
    """Replace a file whole, durably; a key is never readable by others, not even for a moment."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as output:
        output.write(data)
        output.flush()
        os.fsync(output.fileno())
    new.replace(file)
    sync_folder(file.parent)


def _is_one(file: Path) -> bool:
    return file.name not in ("ca.pem", "crl.pem")


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _end_ms(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp() * 1000)


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise BadConfiguration(f"'{host}': write a name or an address, like broker.site or 10.0.0.1") from None
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
