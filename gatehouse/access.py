"""Mosquitto's configuration, written from the catalogue: TLS, one identity a connection, and who may do what.

The access list names every identity and every topic in full. What it does not name is refused, and patterns, which a clever
name could widen, are not used.

Source: mosquitto.conf(5), 2.0.
"""

from __future__ import annotations

import os
from pathlib import Path

from gatehouse.identities import gateway_identities, server_identities
from gatehouse.pki import BROKER, put
from gatehouse.settings import Settings
from telemetry import topics
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration

Grants = dict[str, list[tuple[str, str]]]
"""Identity -> (read, write or readwrite; topic)."""

_CONFIGURATION = """\
# Written by `gatehouse broker-config`; do not edit it, write it again. Reference: mosquitto.conf(5), 2.0.
per_listener_settings false
allow_anonymous false
acl_file {at}/acl
listener {port}{bind}
tls_version tlsv1.2
cafile {at}/ca.crt
certfile {at}/broker.pem
keyfile {at}/broker.pem
crlfile {at}/crl.pem
require_certificate true
# The name in the certificate is user and client id: nobody takes over the session of another.
use_identity_as_username true
use_username_as_clientid true
check_retain_source true
set_tcp_nodelay true
# The core acknowledges in bulk. Without a bound a backlog would use the same packet identifiers twice.
max_inflight_messages 1000
# By default Mosquitto drops what queues behind that, silently, though it was acknowledged to its sender; bound bytes instead.
max_queued_messages 0
max_queued_bytes 200000000
max_packet_size 2000000
max_connections {connections}
persistent_client_expiration 30d
# Sessions and queues over a restart, for devices that are not our gateways. Those keep every reading themselves.
persistence true
persistence_location {at}/data/
autosave_interval 1
autosave_on_changes true
"""


def grants(catalogue: Catalogue, client_id: str) -> Grants:
    """Who may do what; nobody anything else."""
    ear, mouth, probe, api = server_identities(client_id)
    found: Grants = {
        ear: [("read", filter_) for filter_ in (topics.FRAMES_FILTER, topics.READINGS_FILTER, topics.STATUS_FILTER)],
        mouth: [("write", topics.HEARTBEAT_TOPIC)],
        probe: [("readwrite", topics.PROBE_OWN), ("write", topics.PROBE_UNREAD), ("read", topics.PROBE_FILTER)],
        api: [("read", filter_) for filter_ in (topics.ALARMS_FILTER, topics.LIVE_FILTER, topics.STATUS_FILTER)],
    }
    for site in catalogue.sites:
        found[mouth] += [("write", topics.live_topic(site.id)), ("write", topics.alarm_topic(site.id, "+"))]
    gateway_identities(catalogue, client_id)
    for gateway in catalogue.gateways:
        own = (gateway.site, gateway.id)
        found[ear].append(("write", topics.receipt_topic(*own)))
        found[mouth].append(("write", topics.sampling_topic(*own)))
        found[gateway.id] = [
            ("write", topics.frames_topic(*own)),
            ("write", topics.readings_topic(*own)),
            ("write", topics.status_topic(*own)),
            ("read", topics.receipt_topic(*own)),
            ("read", topics.sampling_topic(*own)),
        ]
    return found


def write_broker(settings: Settings, pki: Path, out: Path, at: Path, port: int, bind: str) -> list[str]:
    """Write everything the broker needs into `out`; what was written, a line each.

    Args:
        at: Where the folder will stand on the broker's machine.

    Raises BadConfiguration.
    """
    if any(character.isspace() for character in str(at)):
        raise BadConfiguration(f"--at '{at}' has a blank in it, which mosquitto.conf cannot say; choose another folder")
    allowed = grants(Catalogue.load(settings.catalogue), settings.client_id)
    held = _held(allowed, pki)
    configuration = _CONFIGURATION.format(
        at=at, port=port, bind=f" {bind}" if bind else "", connections=2 * len(allowed) + 20
    )
    try:
        files = {name: (pki / name).read_bytes() for name in ("ca.crt", "crl.pem", f"{BROKER}.pem")}
        (out / "data").mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            put(out / name, data, 0o600 if name == f"{BROKER}.pem" else 0o644)
        put(out / "acl", _access_list(held), 0o600)
        put(out / "mosquitto.conf", configuration.encode(), 0o644)
    except OSError as error:
        raise BadConfiguration(f"{error}; `gatehouse pki make` makes the certificates") from error
    said = [f"{out}: {len(held)} identities on port {port}; broker.pem and acl must be readable by Mosquitto's user"]
    if missing := sorted(allowed.keys() - held.keys()):
        said.append(f"without a certificate, and so without a right: {', '.join(missing)}")
    return said


def withdraw(settings: Settings, pki: Path, out: Path) -> None:
    """Write anew what a revocation changes in a broker's folder: the access list and what is revoked. Owners stay.

    Raises BadConfiguration.
    """
    if not (out / "mosquitto.conf").exists():
        raise BadConfiguration(f"{out} is no folder that `gatehouse broker-config` wrote: it has no mosquitto.conf")
    held = _held(grants(Catalogue.load(settings.catalogue), settings.client_id), pki)
    try:
        for name, data, mode in (
            ("crl.pem", (pki / "crl.pem").read_bytes(), 0o644),
            ("acl", _access_list(held), 0o600),
        ):
            owner = (out / name).stat()
            put(out / name, data, mode)
            if os.geteuid() == 0:  # the broker runs as another user, who must read it
                os.chown(out / name, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise BadConfiguration(f"{error}; `gatehouse broker-config` writes the folder") from error


def _held(allowed: Grants, pki: Path) -> Grants:
    """The grants of those who have a certificate: an identity whose certificate was taken away loses its rights with it."""
    return {name: granted for name, granted in allowed.items() if (pki / f"{name}.pem").exists()}


def _access_list(held: Grants) -> bytes:
    lines = ["# Written by `gatehouse broker-config` from the catalogue. What is not here is refused."]
    for name, granted in held.items():
        lines += ["", f"user {name}", *(f"topic {access} {topic}" for access, topic in granted)]
    return ("\n".join(lines) + "\n").encode()
