"""Who has a certificate in a district: the broker, the core's three connections, the API, and every gateway.

One identity a connection: the broker ties the client id to the certificate, so that nobody can take over the session of
another, and each may do what its own work needs and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatehouse.pki import BROKER, RENEW_DAYS, Authority
from gatehouse.settings import Settings
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.errors import BadConfiguration
from telemetry.tls import day

_DAY_MS = 86_400_000


def server_identities(client_id: str) -> tuple[str, str, str, str]:
    """The names at the broker of the core's ear, its mouth, its start-up probe, and the API."""
    return client_id, f"{client_id}-out", f"{client_id}-probe", f"{client_id}-api"


def gateway_identities(catalogue: Catalogue, client_id: str) -> list[str]:
    """The gateways of a catalogue. Raises BadConfiguration where one would be taken for somebody else."""
    taken = {"ca", "crl", BROKER, *server_identities(client_id)}
    for gateway in catalogue.gateways:
        if gateway.id in taken:
            raise BadConfiguration(
                f"gateway '{gateway.id}' has the name of another identity at the broker; rename it in the catalogue"
            )
        if gateway.id == "alarms":
            raise BadConfiguration(
                "a gateway named 'alarms' would write among the alarms of its site; rename it in the catalogue"
            )
    return [gateway.id for gateway in catalogue.gateways]


def make(settings: Settings, folder: Path, hosts: Sequence[str], clock: Clock) -> list[str]:
    """Make what is missing or about to end; what was done, a line each. Running it again changes nothing."""
    catalogue = Catalogue.load(settings.catalogue)
    names = [*server_identities(settings.client_id), *gateway_identities(catalogue, settings.client_id)]
    authority = Authority(folder, clock)
    done = []
    if not authority.exists:
        authority.create(", ".join(site.id for site in catalogue.sites))
        done.append(f"{folder / 'ca.crt'}: a new authority; copy it to every machine, and ca.pem to none")
    if authority.needs_renewal(BROKER) or set(authority.hosts(BROKER)) != set(hosts):
        authority.issue(BROKER, hosts)
        done.append(f"{folder / BROKER}.pem: for the broker at {', '.join(hosts)}")
    for name in names:
        if authority.needs_renewal(name):
            authority.issue(name)
            done.append(f"{folder / name}.pem")
    return done or [f"{folder}: nothing is missing and nothing ends within {RENEW_DAYS} days"]


def make_page(settings: Settings, folder: Path, gateway: str, hosts: Sequence[str], clock: Clock) -> str:
    """Make the certificate of a gateway's own page; its file. It is a server's, and none that the broker lets in.

    Raises BadConfiguration.
    """
    catalogue = Catalogue.load(settings.catalogue)
    if gateway not in catalogue.gateway:
        raise BadConfiguration(f"there is no gateway '{gateway}' in the catalogue")
    name = f"{gateway}-page"
    if name in catalogue.gateway:
        raise BadConfiguration(f"'{name}' is a gateway of the catalogue, with a certificate of its own")
    Authority(folder, clock).issue(name, hosts)
    return f"{folder / name}.pem"


def renew(folder: Path, names: Sequence[str], clock: Clock) -> list[str]:
    """Make certificates anew: those named, else all in use that end soon. Raises BadConfiguration for an unknown name."""
    authority = Authority(folder, clock)
    known = [issued.name for issued in authority.all() if issued.is_current and issued.name != "ca"]
    for name in names:
        if name not in known:
            raise BadConfiguration(f"there is no certificate of '{name}' in use; there are {', '.join(known)}")
    done = []
    for name in names or [name for name in known if authority.needs_renewal(name)]:
        authority.issue(name, authority.hosts(name))
        done.append(f"{folder / name}.pem: copy it to where it is used")
    return done or [f"nothing ends within {RENEW_DAYS} days"]


def listing(folder: Path, clock: Clock) -> tuple[list[str], bool]:
    """(a line a certificate, whether none in use ends soon)."""
    lines, is_well = [], True
    for issued in Authority(folder, clock).all():
        days = (issued.until_ms - clock.now_ms()) // _DAY_MS
        if issued.is_revoked:
            state = "revoked"
        elif days < 0:
            state = "expired"
        elif not issued.is_current:
            state = "replaced"
        else:
            state = "ends soon" if days < RENEW_DAYS else "in use"
        is_well &= not (issued.is_current and days < RENEW_DAYS)
        lines.append(f"{issued.name:<40} {day(issued.until_ms)} {days:>6} days  {state:<10} {issued.serial:x}")
    return lines, is_well
