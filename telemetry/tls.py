"""TLS to the broker: contexts made from files, and what is wrong with them in words. No network, no package but Python's.

A context is made for every connection, so that a renewed certificate is taken up without a restart.

Source: ITU-T X.690 (DER) and RFC 5280, section 4.1, for where a certificate says how long it is valid.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from telemetry.clock import SystemClock
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.settings import BrokerSettings, TlsSettings

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, which Python does not name.
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)

_ADVICE = {
    "hostname mismatch": "'broker.host' must be one of the names in the broker's certificate",
    "ip address mismatch": "'broker.host' must be one of the addresses in the broker's certificate",
    "certificate has expired": "the broker's certificate has expired: renew it, or set this machine's clock",
    "certificate is not yet valid": "the broker's certificate is not valid yet: set this machine's clock",
    "self-signed certificate": "the broker's certificate is not of the authority in 'broker.tls.ca'",
    "unable to get local issuer": "the broker's certificate is not of the authority in 'broker.tls.ca'",
    "alert certificate expired": "the broker says that our certificate has expired: renew it",
    "alert certificate revoked": "the broker says that our certificate is revoked: ask for a new one",
    "alert unknown ca": "the broker does not know the authority of our certificate",
    "certificate required": "the broker wants a certificate: set 'broker.tls.certificate'",
    "wrong version number": "there is no TLS at 'broker.port': it may be another port",
}


@dataclass(frozen=True, slots=True)
class Expiry:
    """A certificate that ends, and in words what to do."""

    setting: str
    file: Path
    until_ms: int

    def __str__(self) -> str:
        return (
            f"{self.setting} {self.file} is valid until {day(self.until_ms)}: run `gatehouse pki renew` where the "
            "authority is and copy the new file here"
        )


def client_context(tls: TlsSettings, client_id: str) -> ssl.SSLContext:
    """What a connection as `client_id` needs; the host's name is verified. Raises BadConfiguration naming the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(f"broker.tls.ca {tls.ca}: {_said(error)}; give the district's ca.crt") from error
    # A box without a clock learns the time from the core's receipts: it must get that far. Authority and name are
    # verified all the same, and the broker verifies us by a clock that is right.
    if SystemClock().now_ms() < validity_ms(tls.ca)[0]:
        context.verify_flags |= _NO_CHECK_TIME
    if tls.certificate is not None:
        certificate, key = tls.files(client_id)
        try:
            context.load_cert_chain(certificate, key, password=_no_pass_phrase)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                said = f"the key {key} belongs to another certificate"
            else:
                said = f"{_said(error)}; it must be PEM, its key without a pass phrase"
            raise BadConfiguration(f"broker.tls.certificate {certificate}: {said}") from error
        except OSError as error:
            raise BadConfiguration(
                f"broker.tls.certificate {certificate}: {_said(error)}; `gatehouse pki make` makes it, "
                f"and {key} must be readable by this user"
            ) from error
    return context


def context_for(broker: BrokerSettings, client_id: str) -> ssl.SSLContext | None:
    """What the next connection needs; None without TLS. Raises Unavailable: files may be on their way just now."""
    if broker.tls is None:
        return None
    try:
        return client_context(broker.tls, client_id)
    except BadConfiguration as error:
        raise Unavailable(str(error)) from error


class Renewing:
    """A context for a client that connects again by itself: before each attempt `renew` reads the certificate anew."""

    def __init__(self, tls: TlsSettings, client_id: str) -> None:
        self._tls = tls
        self._client_id = client_id
        self.context = client_context(tls, client_id)

    def renew(self, *_: object) -> None:
        """Take up what the files hold now; what was read before stays where they cannot be read."""
        if self._tls.certificate is None:
            return
        with contextlib.suppress(OSError):
            certificate, key = self._tls.files(self._client_id)
            self.context.load_cert_chain(certificate, key, password=_no_pass_phrase)


def validity_ms(file: Path) -> tuple[int, int]:
    """The first and last moment a PEM file's first certificate is valid, epoch milliseconds. Raises BadConfiguration."""
    try:
        text = file.read_text(encoding="ascii")
        start = text.index(ssl.PEM_HEADER)
        stop = text.index(ssl.PEM_FOOTER, start) + len(ssl.PEM_FOOTER)
        return _validity_ms(ssl.PEM_cert_to_DER_cert(text[start:stop]))
    except (OSError, ValueError, IndexError) as error:
        raise BadConfiguration(f"{file} is no certificate in PEM: {_said(error)}") from error


def expiries(broker: BrokerSettings, client_id: str, by_ms: int) -> list[Expiry]:
    """What ends before `by_ms`, of the files of a connection. Raises BadConfiguration when one cannot be read."""
    if broker.tls is None:
        return []
    files = broker.tls.certificates(client_id)
    ends = {setting: until_ms for setting, (_, until_ms) in when_valid(broker, client_id).items()}
    return [Expiry(f"broker.tls.{s}", files[s], until_ms) for s, until_ms in ends.items() if until_ms < by_ms]


def when_valid(broker: BrokerSettings, client_id: str) -> dict[str, tuple[int, int]]:
    """`validity_ms` of the files of a connection, by the setting that names them. Raises BadConfiguration."""
    if broker.tls is None:
        return {}
    return {setting: validity_ms(file) for setting, file in broker.tls.certificates(client_id).items()}


def when_closed(broker: BrokerSettings, client_id: str) -> str:
    """What to look at when a broker closes a connection without a word, as one does that refuses a certificate."""
    try:
        expired = expiries(broker, client_id, SystemClock().now_ms())
    except BadConfiguration as error:
        return f"; {error}"
    if expired:
        return f"; {expired[0]}"
    return (
        ""
        if broker.tls is None
        else "; its log says whether it refuses our certificate (revoked, or of another authority)"
    )


def day(time_ms: int) -> str:
    """A date for people, UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def why(error: OSError) -> str:
    """What a failed connection means, in the words of the settings."""
    said = str(error)
    low = said.lower().replace("_", " ")
    advice = next((advice for sign, advice in _ADVICE.items() if sign in low), None)
    return said if advice is None else f"{advice} ({said})"


def _no_pass_phrase() -> str:
    """Without it OpenSSL would ask on the terminal; a service has none."""
    return ""


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _validity_ms(der: bytes) -> tuple[int, int]:
    tbs = _parts(_parts(der)[0][1])[0][1]  # Certificate, then what of it is signed
    fields = _parts(tbs)
    if fields[0][0] == 0xA0:  # the version, left out by certificates of version 1
        fields = fields[1:]
    not_before, not_after = _parts(fields[3][1])  # serial, algorithm, issuer, validity
    return _time_ms(*not_before), _time_ms(*not_after)


def _time_ms(tag: int, text: bytes) -> int:
    # UTCTime has two digits of the year, 50 and more of which are of the last century (RFC 5280, 4.1.2.5.1).
    digits = text.decode("ascii")
    if tag == 0x17:
        digits = ("19" if digits >= "50" else "20") + digits
    moment = datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _parts(der: bytes) -> list[tuple[int, bytes]]:
    """The values that stand one after another, each with its tag. Raises IndexError where one is cut short."""
    parts, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(der[at : at + count], "big"), at + count
        if at + length > len(der):
            raise IndexError("it is cut short")
        parts.append((tag, der[at : at + length]))
        at += length
    return parts
