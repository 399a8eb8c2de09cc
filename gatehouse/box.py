"""`gatehouse doctor` on a gateway's box, where nothing stands but the gateway, its file and its certificate.

It changes nothing and disturbs no gateway that runs: at the broker it says no name, because a second connection of the same
name would end the first. No server package is needed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from gatehouse.finding import NOT_OWNER, Finding, State, holds_secrets_for_all
from gateway.settings import GatewaySettings, load_settings
from telemetry.clock import Clock
from telemetry.declaration import read_document
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.tls import context_for, day, validity_ms, why

_DAY_MS = 86_400_000
_SOON_DAYS = 30
_FULL, _NEARLY_FULL = 1.0, 0.8  # shares of the spool's budget
_TIMEOUT_S = 5.0
_REFUSAL_S = 1.0  # within which a broker that does not want our certificate says so
_CERTIFICATE_ENDS, _DISK_LOW, _CLOCK_WRONG = (
    f"docs/runbook/{name}.md" for name in ("certificate-ends", "disk-low", "clock-wrong")
)


def is_box(file: Path) -> bool:
    """Whether a configuration file is a gateway's. Raises BadConfiguration."""
    data = read_document(file).data
    return isinstance(data, dict) and "gateway" in data


def examine(file: Path, clock: Clock) -> list[Finding]:
    """Everything; of what is as it should be one line a look."""
    try:
        settings = load_settings(file)
    except BadConfiguration as error:
        return [Finding("configuration", State.WRONG, said, "mend it there") for said in str(error).splitlines()]
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "configuration": lambda: _drivers(settings),
        "files": lambda: _files(file, settings),
        "spool": lambda: _spool(settings),
        "disk": lambda: _disk(settings),
        "certificates": lambda: _certificates(settings, clock),
        "broker": lambda: _broker(settings),
        "page": lambda: _page(settings),
    }
    found: list[Finding] = []
    for about, look in looks.items():
        found += list(look()) or [Finding(about, State.WELL, "as it should be")]
    return found


def _drivers(settings: GatewaySettings) -> Iterator[Finding]:
    if not settings.drivers:
        do = "gatehouse gateway probe writes entries; docs/devices.md"
        yield Finding("configuration", State.SOON, "'drivers' is empty: nothing is read", do)
    for driver in settings.drivers:
        line = driver.line_name()
        if line is not None and line.startswith("/") and not os.access(line, os.R_OK | os.W_OK):
            said = "may not be used by this user" if Path(line).exists() else "is not there"
            do = "plug the adapter in, or mend its 'line'; the gateway's user belongs to the group dialout"
            yield Finding("configuration", State.WRONG, f"{driver.name}: {line} {said}", do)


def _files(file: Path, settings: GatewaySettings) -> Iterator[Finding]:
    if holds_secrets_for_all(file):
        yield Finding("files", State.WRONG, f"{file} holds secrets and can be read by others", f"chmod 640 {file}")
    tls = settings.broker.tls
    if tls is None or tls.certificate is None:
        return
    key = tls.files(settings.gateway)[1]
    if key.exists() and key.stat().st_mode & NOT_OWNER:
        yield Finding("files", State.WRONG, f"{key} holds a key and can be read by others", f"chmod 600 {key}")
    if (authority := key.with_name("ca.pem")).exists():
        do = "take it off this box: whoever has the box could make anybody"
        yield Finding("files", State.WRONG, f"{authority} is the key of the authority", do)


def _spool(settings: GatewaySettings) -> Iterator[Finding]:
    folder = settings.spool.path
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("spool", State.WRONG, f"spool.path {there} cannot be written", "give it to the gateway's user")
        return
    held = _bytes_in(folder)
    budget = settings.spool.size_max_mb * 1_000_000
    said = f"it holds {held / 1e6:.0f} of {budget / 1e6:.0f} MB that were not taken by the core"
    if held >= _FULL * budget:
        do = "see that the core is reached; raise spool.size_max_mb where the disk has room"
        yield Finding("spool", State.WRONG, f"{said}: it is full, and readings are thinned out", do)
    elif held >= _NEARLY_FULL * budget:
        yield Finding("spool", State.SOON, said, "see that the core is reached")


def _bytes_in(folder: Path) -> int:
    """What the files below a folder take, while a gateway makes and deletes some of them."""
    held = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                held += (Path(place) / name).stat().st_size
    return held


def _disk(settings: GatewaySettings) -> Iterator[Finding]:
    folder = settings.spool.path
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    held = _bytes_in(folder)
    free, wanted = shutil.disk_usage(there).free, settings.spool.size_max_mb * 1_000_000 - held
    if free < wanted:
        said = f"{there}: {free / 1e6:.0f} MB free, and the spool may want {wanted / 1e6:.0f} MB more in an outage"
        yield Finding("disk", State.SOON, said, f"make room, or lower spool.size_max_mb: {_DISK_LOW}")


def _certificates(settings: GatewaySettings, clock: Clock) -> Iterator[Finding]:
    tls = settings.broker.tls
    if tls is None:
        return
    now_ms = clock.now_ms()
    for setting, file in tls.certificates(settings.gateway).items():
        try:
            since_ms, until_ms = validity_ms(file)
        except BadConfiguration as error:
            do = "gatehouse pki make where the authority is, and copy the file here"
            yield Finding("certificates", State.WRONG, str(error), do)
            continue
        name = f"broker.tls.{setting} {file}"
        if now_ms < since_ms:
            said = f"this box believes that it is {day(now_ms)}, and {name} is valid from {day(since_ms)}"
            yield Finding("clock", State.SOON, f"{said}: it learns the time from the core", _CLOCK_WRONG)
        elif until_ms < now_ms:
            said = f"{name} has ended on {day(until_ms)}: what is read stays in the spool"
            yield Finding("certificates", State.WRONG, said, _CERTIFICATE_ENDS)
        elif until_ms - now_ms < _SOON_DAYS * _DAY_MS:
            yield Finding("certificates", State.SOON, f"{name} ends on {day(until_ms)}", _CERTIFICATE_ENDS)


def _broker(settings: GatewaySettings) -> Iterator[Finding]:
    broker, away = settings.broker, "what is read stays in the spool until it is reached"
    try:
        context = context_for(broker, settings.gateway)
    except Unavailable as error:
        yield Finding(
            "broker", State.WRONG, str(error), "gatehouse pki make where the authority is, and copy the file here"
        )
        return
    if context is None:
        do = "docs/security.md; leave it only where nobody else reaches the broker"
        yield Finding("broker", State.SOON, "'broker.tls' is not set: what goes over it can be read and forged", do)
    try:
        with socket.create_connection((broker.host, broker.port), _TIMEOUT_S) as plain:
            if context is None:
                return
            with context.wrap_socket(plain, server_hostname=broker.host) as secured:
                secured.settimeout(_REFUSAL_S)
                # With TLS 1.3 the other side says only after our greeting what it thinks of our certificate.
                if not secured.recv(1):
                    raise ConnectionResetError("it closed the connection: our certificate may be revoked or ended")
    except TimeoutError as error:
        if context is None or "connect" in str(error) or "handshake" in str(error):
            yield Finding("broker", State.WRONG, f"{broker.host}:{broker.port}: {error}", f"mend 'broker'; {away}")
        # Else it waits for us to say who we are, which is well.
    except OSError as error:
        do = f"start it, or mend 'broker'; gatehouse pki list shows what is revoked; {away}"
        yield Finding("broker", State.WRONG, f"{broker.host}:{broker.port}: {why(error)}", do)


def _page(settings: GatewaySettings) -> Iterator[Finding]:
    page = settings.local_page
    if page is None:
        return
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(page.host, page.host)  # noqa: S104 - where it listens, not we
    try:
        socket.create_connection((host, page.port), _TIMEOUT_S).close()
    except OSError as error:
        said = f"local_page: nobody answers at {host}:{page.port}: {error}"
        yield Finding("page", State.WRONG, said, "start the gateway: systemctl start gatehouse-gateway")
