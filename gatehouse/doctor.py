"""`gatehouse doctor`: looks at everything without changing anything, and says a line for what is wrong and what to do.

Each look is a function of its own and stops at the first thing that makes the rest of it pointless. What is wrong with the
machine is found by the same code that makes the core's alarms of it (`faults.py`).
"""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from alerts.escalation import FAULTS
from api.access import Role
from api.app import SCREENS
from api.register.keys import Keys
from gatehouse import faults
from gatehouse.admission import check_transport, openings
from gatehouse.check import check_configuration
from gatehouse.faults import Fault
from gatehouse.finding import NOT_OWNER, Finding, State, holds_secrets_for_all
from gatehouse.identities import server_identities
from gatehouse.migrate import newest_schema
from gatehouse.record import make_accounts
from gatehouse.settings import Settings, load_settings
from ingest.history.settings import InfluxSettings
from telemetry import journal_files
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock
from telemetry.database import open_database, parse_url
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.tls import context_for, why

_AHEAD_MAX_MS = 60_000
_BEHIND_MAX = 10_000  # records; a reader that is further behind does not merely rest
_TIMEOUT_S = 5.0


def examine(file: Path, clock: Clock) -> list[Finding]:
    """Everything; of what is as it should be one line a look."""
    _, mistakes = check_configuration(file)
    if mistakes:
        return [Finding("configuration", State.WRONG, said, "mend it there") for said in mistakes]
    settings = load_settings(file)
    catalogue = Catalogue.load(settings.catalogue)
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "configuration": lambda: iter(()),
        "files": lambda: _files(file, settings),
        "broker": lambda: _broker(settings, catalogue, clock),
        "database": lambda: _database(settings),
        "history": lambda: _history(settings),
        "journal": lambda: _journal(settings, clock),
        "disk": lambda: _faults("disk", faults.disk_faults(settings, faults.disks(settings), {})),
        "certificates": lambda: _certificates(settings, catalogue, clock),
        "clock": lambda: _faults("clock", faults.ntp_faults(settings)),
        "backups": lambda: _backups(settings, clock),
        "processes": lambda: _processes(settings),
    }
    found: list[Finding] = []
    for about, look in looks.items():
        found += list(look()) or [Finding(about, State.WELL, "as it should be")]
    return found


def _files(file: Path, settings: Settings) -> Iterator[Finding]:
    if holds_secrets_for_all(file):
        yield Finding("files", State.WRONG, f"{file} holds secrets and can be read by others", f"chmod 640 {file}")
    keys = []
    if settings.broker.tls is not None and settings.broker.tls.certificate is not None:
        keys = [settings.broker.tls.files(name)[1] for name in server_identities(settings.client_id)]
    if settings.watch.pki is not None:
        keys.append(settings.watch.pki / "ca.pem")
    for key in dict.fromkeys(keys):
        if key.exists() and key.stat().st_mode & NOT_OWNER:
            yield Finding("files", State.WRONG, f"{key} holds a key and can be read by others", f"chmod 600 {key}")
    register = settings.visitor_register
    try:
        if register.key_file.exists() or _is_there(register.url):
            Keys(register.key_file).all()
    except Unavailable as error:
        yield Finding("files", State.WRONG, str(error), "docs/register.md, “The key is lost”")
    if not (SCREENS / "index.html").exists():
        yield Finding("files", State.SOON, "the screens are not built: only the API would answer", "make screens")


def _broker(settings: Settings, catalogue: Catalogue, clock: Clock) -> Iterator[Finding]:
    broker = settings.broker
    if settings.insecure:
        do = "docs/security.md says how to close it; leave it only where nobody else reaches the broker"
        yield Finding("broker", State.SOON, "'insecure' is set: what goes over the broker can be read and forged", do)
        try:
            socket.create_connection((broker.host, broker.port), _TIMEOUT_S).close()
        except OSError as error:
            yield Finding("broker", State.WRONG, f"{broker.host}:{broker.port}: {error}", "start it, or mend 'broker'")
        return
    try:
        check_transport(settings, server_identities(settings.client_id)[:3], clock)
        for opening in openings(broker, server_identities(settings.client_id)[2], catalogue):
            yield Finding(
                "broker", State.WRONG, f"it allows what must be forbidden: {opening}", "gatehouse broker-config"
            )
        days = (_end_of_broker_ms(settings) - clock.now_ms()) // faults.DAY_MS
        if days < settings.watch.certificate_days:
            do = "gatehouse pki renew broker, gatehouse broker-config, reload it: docs/runbook/certificate-ends.md"
            yield Finding("broker", State.SOON, f"its certificate ends in {days} days", do)
    except BadConfiguration as error:
        yield Finding("broker", State.WRONG, str(error), "docs/security.md")
    except Unavailable as error:
        yield Finding("broker", State.WRONG, str(error), "start it, or mend 'broker'; gateways keep their readings")


def _end_of_broker_ms(settings: Settings) -> int:
    """Until when the certificate is valid that the broker shows. Raises Unavailable."""
    broker = settings.broker
    context = context_for(broker, server_identities(settings.client_id)[2])
    assert context is not None
    try:
        with (
            socket.create_connection((broker.host, broker.port), _TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as secured,
        ):
            shown = secured.getpeercert()
    except OSError as error:
        raise Unavailable(f"connecting to {broker.host}:{broker.port}: {why(error)}") from error
    assert shown is not None
    return round(ssl.cert_time_to_seconds(str(shown["notAfter"])) * 1000)


def _database(settings: Settings) -> Iterator[Finding]:
    if not _is_there(settings.database.url):
        yield Finding("database", State.WRONG, f"{settings.database.url} is not there", "gatehouse init")
        return
    engine = open_database(settings.database.url)
    try:
        with engine.connect() as db:
            held = MigrationContext.configure(db).get_current_revision()
        if held != newest_schema():
            said = f"its tables are of version {held or 'none'}, not {newest_schema()}"
            yield Finding("database", State.WRONG, said, "gatehouse init, or start the newer core")
            return
        users = make_accounts(settings, engine).users()
        if not any(grant.role is Role.ADMINISTRATOR for user in users for grant in user.grants):
            yield Finding(
                "database", State.SOON, "nobody is administrator", "gatehouse user add NAME --role administrator"
            )
    except sa.exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip()
        yield Finding("database", State.WRONG, said, "start it, mend 'database.url', or restore a backup")
    finally:
        engine.dispose()


def _history(settings: Settings) -> Iterator[Finding]:
    if isinstance(settings.history, InfluxSettings):
        yield from _influxdb(settings.history)
        return
    folder = settings.history.folder
    if not folder.exists():
        yield Finding("history", State.SOON, f"history.folder {folder} is not there yet", "gatehouse init")
    elif not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "history", State.WRONG, f"history.folder {folder} cannot be written", "give it to the core's user"
        )


def _influxdb(history: InfluxSettings) -> Iterator[Finding]:
    wanted = {history.bucket, history.rollup_bucket}
    request = urllib.request.Request(  # noqa: S310 - the address is the operator's
        f"{history.url}/api/v2/buckets?limit=100&org={history.org}",
        headers={"Authorization": f"Token {history.token.get_secret_value()}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            missing = wanted - {bucket["name"] for bucket in json.load(answer)["buckets"]}
    except urllib.error.HTTPError as error:
        do = "a new one with read and write on the buckets" if error.code in (401, 403) else "gatehouse init"
        what = "history.token is refused" if error.code in (401, 403) else f"answers {error.code}"
        yield Finding("history", State.WRONG, f"InfluxDB at {history.url}: {what}", do)
    except (OSError, ValueError, KeyError) as error:
        do = "start it, or mend 'history.url'; readings wait in the journal"
        yield Finding("history", State.WRONG, f"InfluxDB at {history.url}: {error}", do)
    else:
        for name in sorted(missing):
            yield Finding("history", State.WRONG, f"InfluxDB has no bucket '{name}' for this token", "gatehouse init")


def _journal(settings: Settings, clock: Clock) -> Iterator[Finding]:
    folder = settings.journal.path
    try:
        held = journal_files.summary(folder)
        first, newest = journal_files.segment_files(folder)[-1]
        checked = journal_files.check_segment(newest, first)
        last = next(journal_files.records_from(folder, held.last), None)
    except BadConfiguration as error:
        yield Finding("journal", State.SOON, str(error), "start the core: it makes one")
        return
    except (Unavailable, apsw.Error, OSError) as error:
        yield Finding("journal", State.WRONG, str(error), "docs/runbook/journal-damaged.md")
        return
    for damage in held.damages:
        said = f"records {damage.first} to {damage.last} cannot be trusted: {damage.detail}"
        yield Finding("journal", State.WRONG, said, "docs/runbook/journal-damaged.md")
    if checked.damaged_from is not None and not held.damages:
        said = f"from record {checked.damaged_from} on: {checked.detail}"
        yield Finding("journal", State.WRONG, said, "docs/runbook/journal-damaged.md")
    for reader, at in sorted(held.cursors.items()):
        if held.last - at > _BEHIND_MAX:
            said = f"'{reader}' is {held.last - at} records behind"
            yield Finding("journal", State.SOON, said, "see whether it moves: gatehouse journal stat")
    if last is not None and last.time_ms > clock.now_ms() + _AHEAD_MAX_MS:
        said = f"its newest record is {(last.time_ms - clock.now_ms()) / 1000:.0f} s ahead of this machine's clock"
        yield Finding("clock", State.WRONG, said, "set the clock: docs/runbook/clock-wrong.md")


def _certificates(settings: Settings, catalogue: Catalogue, clock: Clock) -> Iterator[Finding]:
    try:
        ends = faults.certificate_ends(settings, catalogue)
    except BadConfiguration as error:
        yield Finding("certificates", State.WRONG, str(error), "gatehouse pki make, and copy the file here")
        return
    for fault in faults.certificate_faults(settings, ends, clock.now_ms()):
        state = State.WRONG if ends[fault.subject] < clock.now_ms() else State.SOON
        yield Finding("certificates", state, fault.detail, _page(fault))


def _backups(settings: Settings, clock: Clock) -> Iterator[Finding]:
    if settings.watch.backups is None:
        do = "name the folder in 'watch.backups', and make one every night with gatehouse backup"
        yield Finding("backups", State.SOON, "nobody says where backups are, so nobody notices when they stop", do)
        return
    yield from _faults("backups", faults.backup_faults(settings, clock.now_ms()))


def _faults(about: str, found: list[Fault]) -> Iterator[Finding]:
    for fault in found:
        yield Finding(about, State.SOON, fault.detail, _page(fault))


def _page(fault: Fault) -> str:
    return f"docs/runbook/{fault.alarm}.md"


def _processes(settings: Settings) -> Iterator[Finding]:
    yield from _process("core", "metrics", settings.metrics.host, settings.metrics.port)
    yield from _process("api", "api", settings.api.host, settings.api.port)


def _process(name: str, section: str, host: str, port: int) -> Iterator[Finding]:
    """Whether it answers; where nobody does, whether it could listen there."""
    if not port:
        return
    setting, at = f"{section}.port", f"{host}:{port}"
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where it listens, not we
    try:
        with urllib.request.urlopen(f"http://{_bracketed(reached)}:{port}/health/live", timeout=_TIMEOUT_S) as answer:
            is_ours = b"alive" in answer.read(100)
    except urllib.error.HTTPError:
        is_ours = False
    except (OSError, ValueError) as error:
        refused = getattr(error, "reason", error)
        if isinstance(refused, ConnectionRefusedError):
            yield from _could_listen(name, section, host, port)
        else:
            yield Finding("processes", State.WRONG, f"{setting}: {at}: {refused}", f"mend '{section}.host'")
        return
    if not is_ours:
        yield Finding(
            "processes", State.WRONG, f"{setting}: {at} is taken by somebody else", f"stop it, or change '{setting}'"
        )
        return
    yield from _in_the_way(name, f"http://{_bracketed(reached)}:{port}/health/ready")


def _could_listen(name: str, section: str, host: str, port: int) -> Iterator[Finding]:
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        reason = {
            errno.EACCES: "this user may not listen there",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(error.errno or 0, str(error))
        said = f"{section}.host, {section}.port: {host}:{port}: {reason}"
        yield Finding("processes", State.WRONG, said, f"change '{section}.host' or '{section}.port'")
        return
    yield Finding(
        "processes", State.WRONG, f"{name} does not run: nobody answers at {host}:{port}", f"gatehouse {name}"
    )


def _in_the_way(name: str, url: str) -> Iterator[Finding]:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        said = json.load(error)
    except (OSError, ValueError) as error:
        yield Finding("processes", State.WRONG, f"{name}: {url}: {error}", f"look at its log, start {name} again")
        return
    for reason in said.get("reasons", ()):
        yield Finding("processes", State.WRONG, f"{name}: {reason['detail']}", "docs/runbook, or its log")
    for warning in said.get("warnings", ()):
        if warning["code"] not in (*FAULTS, "insecure", "journal-damaged"):  # found above
            yield Finding("processes", State.SOON, f"{name}: {warning['detail']}", "docs/runbook, or its log")


def _is_there(url: str) -> bool:
    """Whether a database of a file has its file; of a server nobody can tell without asking it."""
    parsed = parse_url(url)
    return parsed.get_backend_name() != "sqlite" or bool(parsed.database and Path(parsed.database).exists())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
