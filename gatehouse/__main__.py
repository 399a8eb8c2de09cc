"""The `gatehouse` command. Each sub-command imports what it needs when it runs, so that a gateway needs no server parts."""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from telemetry.errors import BadConfiguration, BadInput, Unavailable

if TYPE_CHECKING:
    from gatehouse.settings import Settings

# Arrow's own allocator keeps the room that the largest merge once needed; the system's gives it back. It is chosen as the
# library is loaded: set later, what reads and writes Parquet inside of it would not know.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

app = typer.Typer(help="Gatehouse watches gates, drains and dormitories.", no_args_is_help=True, add_completion=False)
user_app = typer.Typer(help="People who may log in.", no_args_is_help=True)
app.add_typer(user_app, name="user")

journal_app = typer.Typer(help="The core's journal: is it whole, what is in it.", no_args_is_help=True)
app.add_typer(journal_app, name="journal")

gateway_app = typer.Typer(help="Read the devices of a compound and ship what they say; or only look at the field.")
app.add_typer(gateway_app, name="gateway", invoke_without_command=True)

pki_app = typer.Typer(
    help="The district's authority: certificates for broker, core, API, gateways.", no_args_is_help=True
)
app.add_typer(pki_app, name="pki")

database_app = typer.Typer(help="The database of alarms, users and audit.", no_args_is_help=True)
app.add_typer(database_app, name="database")
audit_app = typer.Typer(help="The record of who did what: is it whole, what is in it.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")

register_app = typer.Typer(help="The visitor register: its key, its copy, what is too old.", no_args_is_help=True)
app.add_typer(register_app, name="register")

rules_app = typer.Typer(help="Rules: try them before they hold.", no_args_is_help=True)
app.add_typer(rules_app, name="rules")


@rules_app.callback()
def _rules() -> None:
    """A group, however few commands it has."""


_DISTRICT = Path(__file__).parent / "district"
ConfigFile = Annotated[Path, typer.Option("--config", help="The server's YAML file.", exists=True, dir_okay=False)]


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No screens; check the run and print a table.")] = False,
    run_for: Annotated[Optional[str], typer.Option("--for", help="Stop after, e.g. 180s.")] = None,  # noqa: UP045
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write the table as data.")] = None,  # noqa: UP045
    folder: Annotated[Path, typer.Option("--data", help="Where the demo keeps its district.")] = Path("demo-data"),
    port: Annotated[int, typer.Option(help="Port of the screens.")] = 8080,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn by chance.")] = 1,
) -> None:
    """Run a whole simulated district: broker, gateways, core, API, screens."""
    from gatehouse.demo import run_demo

    seconds = None if run_for is None else _seconds(run_for)
    raise typer.Exit(run_demo(folder, port, seed, headless=headless, seconds=seconds, json_file=json_file))


@app.command()
def core(config: ConfigFile) -> None:
    """Ingest, alarms, history and notices."""
    from gatehouse.core import Core
    from gatehouse.settings import load_settings
    from telemetry.disk import alone_in
    from telemetry.logs import configure_logs
    from telemetry.memory import keep_what_stands

    configure_logs()
    settings = load_settings(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with alone_in(settings.journal.path, "journal.path: another core"):
        made = Core(settings)
        keep_what_stands()
        made.run(stop)


@app.command()
def api(config: ConfigFile) -> None:
    """The HTTP interface and the screens."""
    from gatehouse.api import run_api
    from gatehouse.settings import load_settings
    from telemetry.logs import configure_logs

    configure_logs()
    run_api(load_settings(config))


GatewayFile = Annotated[Path, typer.Option("--config", help="The gateway's YAML file.", exists=True, dir_okay=False)]


@gateway_app.callback()
def gateway(
    context: typer.Context,
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The gateway's YAML file.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Read the devices of a compound and ship what they say; or only look at the field."""
    from gateway.__main__ import main as run_gateway

    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise typer.BadParameter("name the gateway's file with --config, or a command: read, probe, relay")
    run_gateway(config)


@gateway_app.command("read")
def gateway_read(
    device: Annotated[str, typer.Argument(help="As in the gateway's file.")],
    config: GatewayFile,
) -> None:
    """Read one device of a line once, and show every exchange in hex and in words. The gateway must not run meanwhile."""
    from rich.console import Console

    from gatehouse.field import read
    from gateway.settings import load_settings

    if not read(load_settings(config), device, Console()):
        raise typer.Exit(1)


@gateway_app.command("probe")
def gateway_probe(
    protocol: Annotated[
        str, typer.Argument(help="dlt645, modbus-rtu, mbus, mbus-secondary, cjt188, dlt698 or iec62056.")
    ],
    port: Annotated[Optional[str], typer.Option(help="A serial port, such as /dev/ttyUSB0.")] = None,  # noqa: UP045
    host: Annotated[Optional[str], typer.Option(help="Or a TCP serial server.")] = None,  # noqa: UP045
    tcp_port: Annotated[Optional[int], typer.Option(help="Its port.")] = None,  # noqa: UP045
    baud: Annotated[Optional[int], typer.Option(help="Where it is not the usual one.")] = None,  # noqa: UP045
    parity: Annotated[Optional[str], typer.Option(help="none, even or odd, where it is not the usual one.")] = None,  # noqa: UP045
    first: Annotated[int, typer.Option(help="The lowest address, where addresses are counted.")] = 0,
    last: Annotated[int, typer.Option(help="The highest.")] = 250,
    out: Annotated[Path, typer.Option(help="Folder for what was found.")] = Path("found"),
    place: Annotated[str, typer.Option(help="Place of the devices, as in the catalogue.")] = "CHOOSE-ONE",
    gateway_name: Annotated[str, typer.Option("--gateway", help="Their gateway, as in the catalogue.")] = "CHOOSE-ONE",
) -> None:
    """Find the devices on a line; write drivers.yaml for the gateway and catalogue.yaml for the core."""
    from rich.console import Console

    from gatehouse.field import line_settings, probe, write_found
    from gateway.probe import SEARCHES

    if protocol not in SEARCHES:
        raise typer.BadParameter(f"'{protocol}' is none of {', '.join(SEARCHES)}")
    line = {"port": port, "host": host, "tcp_port": tcp_port, "baud": baud, "parity": parity}
    found = probe(protocol, line, first, last, Console(stderr=True))
    if not found:
        typer.echo("nobody answered: see the driver's README, “When it does not work”", err=True)
        raise typer.Exit(1)
    written = write_found(out, protocol, line_settings(protocol, line), found, place, gateway_name)
    typer.echo(f"{len(found)} found; written to {written[0]} and {written[1]}. Mend what says CHOOSE-ONE.")


@gateway_app.command("relay")
def gateway_relay(
    device: Annotated[str, typer.Argument(help="As in the gateway's file, with a 'relay' in its entry.")],
    action: Annotated[str, typer.Argument(help="trip, permit (somebody closes it at the meter) or close.")],
    config: GatewayFile,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Switch the relay of an electricity meter. The gateway must not run meanwhile."""
    from gatehouse.field import relay
    from gateway.settings import load_settings

    if action not in ("trip", "permit", "close"):
        raise typer.BadParameter(f"'{action}' is none of trip, permit, close")
    settings = load_settings(config)
    if not yes:
        typer.confirm(f"{action} the relay of {device}?", abort=True)
    relay(settings, device, action)
    typer.echo(f"{device}: {action} acknowledged")


@app.command()
def broker(port: Annotated[int, typer.Option()] = 1883) -> None:
    """The small embedded broker of the demo, on the loopback."""
    import asyncio

    from gatehouse.broker import run_broker

    asyncio.run(run_broker(port))


@app.command()
def check(config: ConfigFile) -> None:
    """Name the file, line and field of every mistake in the configuration."""
    from gatehouse.check import check_configuration

    summary, mistakes = check_configuration(config)
    for mistake in mistakes:
        typer.echo(mistake, err=True)
    if mistakes:
        raise typer.Exit(1)
    typer.echo(summary)


@app.command()
def doctor(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help="As data: a list of {about, state, what, do}.")] = False,
) -> None:
    """Find what is wrong and say what to do, changing nothing. Exit code 0: nothing; 1: soon; 2: something does not work.

    With a gateway's file it looks at the gateway's box: its spool, disk, certificates, lines and way to the broker.
    """
    import json

    from rich.console import Console
    from rich.text import Text

    from gatehouse import box
    from gatehouse.finding import State
    from telemetry.clock import SystemClock

    if box.is_box(config):
        findings = box.examine(config, SystemClock())
    else:
        # With packages that a gateway's box does not have.
        from gatehouse.doctor import examine

        findings = examine(config, SystemClock())
    if as_json:
        typer.echo(json.dumps([finding.as_data() for finding in findings], ensure_ascii=False, indent=1))
    else:
        console = Console(soft_wrap=True, highlight=False)
        colours = {State.WELL: "green", State.SOON: "yellow", State.WRONG: "red"}
        for finding in findings:
            line = Text(f"{finding.state.name.lower():<6}", colours[finding.state]) + f"{finding.about}: {finding.what}"
            console.print(line + (f" → {finding.do}" if finding.do else ""))
    raise typer.Exit(int(max(finding.state for finding in findings)))


@app.command()
def init(
    config: Annotated[Path, typer.Option("--config", help="The server's YAML file; written when there is none.")],
    answers: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Instead of asking: a YAML file, docs/configuration.md.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Begin a district, and make what the core and the API find ready: the database's tables, and the history.

    Where there is no configuration yet, six questions lead to one, with certificates, the broker's folder and the first user;
    its password is read from GATEHOUSE_PASSWORD, or asked, or made.

    For InfluxDB: its first organisation and user when it is new (history.token becomes its token; the user's password is
    shown once), the organisation, a bucket for readings and one for rollups, and how long each keeps what it holds. The
    token is history.token, or that of an administrator in GATEHOUSE_INFLUXDB_TOKEN. Running it again changes only what
    differs from the configuration.
    """
    from gatehouse.init import init as make_ready
    from gatehouse.settings import load_settings

    is_new = not config.exists()
    if is_new:
        _begin(config, answers)
    elif answers is not None:
        raise BadConfiguration(f"{config} exists already: change it there, and run init without --answers")
    for line in make_ready(load_settings(config), os.environ.get("GATEHOUSE_INFLUXDB_TOKEN")):
        typer.echo(line)
    if is_new:
        typer.echo("next: give broker/ to Mosquitto, then gatehouse core, gatehouse api, gatehouse doctor")


def _begin(config: Path, answers: Path | None) -> None:
    """Write a district with its first administrator, or nothing of it."""
    from api.access import Role
    from gatehouse.questions import ask, read_answers, whole_or_nothing, write_district
    from gatehouse.record import open_accounts
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    if answers is not None:
        given = read_answers(answers)
    elif sys.stdin.isatty():
        given = ask(lambda question, usual: str(typer.prompt(question, default=usual)), typer.echo)
    else:
        raise BadConfiguration(f"there is no {config}: answer six questions on a terminal, or give --answers FILE")
    password, made = _new_password()
    with whole_or_nothing(config):
        written = write_district(config, given, SystemClock())
        open_accounts(load_settings(config)).add_user(given.administrator, password, [Role.ADMINISTRATOR], None)
    for line in written:
        typer.echo(line)
    typer.echo(f"user {given.administrator}: administrator" + (f"; password {made}" if made else ""))


@database_app.command("copy")
def database_copy(
    source: Annotated[
        str, typer.Option("--from", envvar="GATEHOUSE_DATABASE_FROM", help="URL of the database that there is.")
    ],
    target: Annotated[
        str, typer.Option("--to", envvar="GATEHOUSE_DATABASE_TO", help="URL of one that is new: nothing may be in it.")
    ],
) -> None:
    """Move alarms, users and audit from SQLite to PostgreSQL, or back, while core and API stand still.

    Every table is compared row by row and the audit's chain is followed before anything is kept; then put the new URL into
    database.url. A URL with a password is better given in the environment, where other users do not see it.
    """
    from rich.console import Console
    from rich.progress import Progress

    from gatehouse.database_copy import copy_database
    from gatehouse.schema import metadata
    from telemetry.database import shown_url

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("database", total=len(metadata.sorted_tables))

        def told(table: str, rows: int) -> None:
            progress.console.print(f"{table}: {rows} rows", highlight=False)
            progress.advance(task)

        count = copy_database(source, target, told)
    typer.echo(f"{count} rows are in {shown_url(target)}, compared with {shown_url(source)}; the audit verifies")


@app.command()
def migrate(
    config: ConfigFile,
    to: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--to", help="Back to this schema, before an older version is started. Stop core and API first."),
    ] = None,
) -> None:
    """Bring the database to this version's schema, as core and API do when they start; or back to an older one's."""
    from gatehouse.migrate import migrate, migrate_back, newest_schema
    from gatehouse.settings import load_settings

    url = load_settings(config).database.url
    migrate(url) if to is None else migrate_back(url, to)
    typer.echo(f"schema {to or newest_schema()}")


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")], config: ConfigFile
) -> None:
    """Copy everything a bare machine needs to go on from, while the core and the API run."""
    from gatehouse.backup import backup as make_backup
    from gatehouse.backup import not_in_it
    from gatehouse.settings import load_settings

    make_backup(config, target)
    typer.echo(
        f"{target}: configuration, alarms, journal and history as they are now; keep it as safe as the server itself"
    )
    typer.echo(not_in_it(load_settings(config)))


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A backup.", exists=True, file_okay=False)],
    config: Annotated[Path, typer.Option("--config", help="The server's YAML file; made when there is none.")],
) -> None:
    """Put a backup onto a bare machine: the same alarms, the same ids, the same history."""
    from gatehouse.backup import restore as put_back
    from telemetry.database import shown_url

    settings = put_back(source, config)
    typer.echo(
        f"restored: journal {settings.journal.path}, database {shown_url(settings.database.url)}; start the core and the API"
    )


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="The file to write.")],
    config: ConfigFile,
    form: Annotated[str, typer.Option("--format", help="parquet, csv or arrow.")] = "parquet",
    since: Annotated[str, typer.Option(help="How far back, like 90d or 12h, or a day like 2026-11-23.")] = "30d",
    until: Annotated[Optional[str], typer.Option(help="Until when, written alike; now when not given.")] = None,  # noqa: UP045
    kind: Annotated[Optional[str], typer.Option(help="Only devices of this kind.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="Only this device.")] = None,  # noqa: UP045
    metric: Annotated[Optional[str], typer.Option(help="Only this metric.")] = None,  # noqa: UP045
) -> None:
    """Write history to a file for pandas, DuckDB, spreadsheets. Passage keys, which lead to a person, are left out."""
    from rich.console import Console
    from rich.progress import Progress

    from gatehouse.export import Wanted
    from gatehouse.export import export as write_file
    from gatehouse.instants import instant_ms
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    if form not in ("parquet", "csv", "arrow"):
        raise typer.BadParameter("--format is parquet, csv or arrow")
    now_ms = SystemClock().now_ms()
    start_ms, end_ms = instant_ms(since, now_ms), now_ms if until is None else instant_ms(until, now_ms)
    if start_ms >= end_ms:
        raise typer.BadParameter("--since must lie before --until")
    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("exporting", total=None)
        count = write_file(
            load_settings(config),
            target,
            form,
            Wanted(start_ms, end_ms, kind, device, metric),
            lambda done, total: shown.update(task, completed=done, total=total),
        )
    typer.echo(f"{target}: {count:,} readings")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="CSV, Parquet or line protocol.", exists=True, dir_okay=False)],
    config: ConfigFile,
    form: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--format", help="csv, parquet or line-protocol; by the file's name when not given."),
    ] = None,
    mapping: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--map", help="A YAML file: what the file calls things.", exists=True, dir_okay=False),
    ] = None,
    column: Annotated[Optional[list[str]], typer.Option(help="OURS=THEIRS, like time=ts.")] = None,  # noqa: UP045
    fixed: Annotated[Optional[list[str]], typer.Option(help="What all rows have, like metric=level.")] = None,  # noqa: UP045
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Where refused rows go; SOURCE.refused.csv when not given."),
    ] = None,
) -> None:
    """Bring readings of a previous system into history; run again after an interruption it goes on where it was.

    The core may be running. No alarm is judged on what is brought. Exit code 1 when a row was refused.
    """
    from rich.console import Console
    from rich.progress import Progress

    from gatehouse.bring import bring
    from gatehouse.foreign import FORMATS, format_of, load_mapping
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    form = form or format_of(source)
    if form not in FORMATS.values():
        raise typer.BadParameter("--format is csv, parquet or line-protocol")
    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("importing", total=None)
        outcome = bring(
            load_settings(config),
            source,
            form,
            load_mapping(mapping, column or (), fixed or ()),
            report or source.with_name(f"{source.name}.refused.csv"),
            SystemClock(),
            lambda done, total: shown.update(task, completed=done, total=total),
        )
    refused = f", {outcome.refused:,} refused: {outcome.report} says why" if outcome.refused else ""
    typer.echo(f"{source}: {outcome.kept:,} readings kept{refused}")
    raise typer.Exit(1 if outcome.refused else 0)


@app.command()
def reingest(
    config: ConfigFile,
    day: Annotated[str, typer.Option(help="The day in UTC, like 2026-11-23.")],
    until: Annotated[Optional[str], typer.Option(help="The last day, when they are several.")] = None,  # noqa: UP045
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--from", help="An exported Parquet file instead of the journal.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Make days of history anew, with their rollups, from the journal or from what `gatehouse export` wrote.

    Of an embedded history the core must be stopped. Exit code 1 when something could not be put right.
    """
    from rich.console import Console
    from rich.progress import Progress

    from gatehouse.reingest import days_of
    from gatehouse.reingest import reingest as make_anew
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    days = days_of(day, until or day)
    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("reading", total=None)
        count, lost = make_anew(
            load_settings(config),
            days,
            source,
            SystemClock(),
            lambda done, total: shown.update(task, completed=done, total=total),
        )
    for line in lost:
        typer.echo(line, err=True)
    typer.echo(f"{count:,} readings of {len(days)} days made anew")
    raise typer.Exit(1 if lost else 0)


@app.command()
def backtest(
    config: ConfigFile,
    rule: Annotated[list[str] | None, typer.Option("--rule", help="Which rule; may be given more than once.")] = None,
    since: Annotated[str, typer.Option(help="How far back, like 90d or 12h, or a day like 2026-11-23.")] = "90d",
    until: Annotated[Optional[str], typer.Option(help="Until when, written alike; now when not given.")] = None,  # noqa: UP045
    rules_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--rules", help="A file with changed or new rules.", exists=True, dir_okay=False),
    ] = None,
    journal: Annotated[bool, typer.Option("--journal", help="Over the journal instead of the history.")] = False,
    picture: Annotated[Optional[Path], typer.Option(help="Draw it: a PNG or SVG file.")] = None,  # noqa: UP045
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write all of it as data.")] = None,  # noqa: UP045
) -> None:
    """What a rule would have done on the past, beside the version in force."""
    import json

    from rich.console import Console
    from rich.progress import Progress

    from gatehouse.backtest import Asked, read_rules, run, show
    from gatehouse.instants import instant_ms
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    now_ms = SystemClock().now_ms()
    start_ms, end_ms = instant_ms(since, now_ms), now_ms if until is None else instant_ms(until, now_ms)
    if start_ms >= end_ms:
        raise typer.BadParameter("--since must lie before --until")
    tried = read_rules(rules_file) if rules_file is not None else ()
    if not rule and not tried:
        raise typer.BadParameter("say which rule: --rule, or --rules with a file")
    asked = Asked(tuple(rule or ()), start_ms, end_ms, tried, journal)
    settings = load_settings(config)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("judging", total=end_ms - start_ms)
        report = run(settings, asked, lambda at_ms: progress.update(task, completed=at_ms - start_ms))
    show(report, Console())
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_data(), indent=1, ensure_ascii=False))
    if picture is not None:
        from gatehouse.picture import draw

        draw(settings, report, picture)
        typer.echo(f"{picture}: drawn")


@app.command()
def figures(
    config: ConfigFile,
    since: Annotated[str, typer.Option(help="How far back, like 30d, or a day like 2026-11-23.")] = "30d",
) -> None:
    """How good the alarms are, counted as EEMUA 191 and ISA-18.2 do, each figure beside its reference."""
    from rich.console import Console

    from gatehouse.figures import show_figures
    from gatehouse.instants import instant_ms
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    now_ms = SystemClock().now_ms()
    show_figures(load_settings(config), instant_ms(since, now_ms), now_ms, Console())


@journal_app.command("verify")
def journal_verify(config: ConfigFile) -> None:
    """Read every record with its checksum. Exit code 1 when something is damaged. The core may be running."""
    from gatehouse.journal import verify
    from gatehouse.settings import load_settings

    raise typer.Exit(0 if verify(load_settings(config).journal.path) else 1)


@journal_app.command("stat")
def journal_stat(config: ConfigFile) -> None:
    """How much there is, and how far each reader has come."""
    from gatehouse.journal import stat
    from gatehouse.settings import load_settings

    stat(load_settings(config).journal.path)


@journal_app.command("dump")
def journal_dump(
    config: ConfigFile,
    start: Annotated[int, typer.Option("--from", min=1, help="First record.")] = 1,
    count: Annotated[Optional[int], typer.Option(min=1, help="So many at most.")] = None,  # noqa: UP045
) -> None:
    """Records as JSON, one a line."""
    from gatehouse.journal import dump
    from gatehouse.settings import load_settings

    dump(load_settings(config).journal.path, start, count)


@audit_app.command("verify")
def audit_verify(
    config: ConfigFile,
    anchor: Annotated[
        str, typer.Option(help="Also that this row is there, as ID:HASH from the log's 'audit anchor'.")
    ] = "",
) -> None:
    """Check that nothing on record was changed, taken out or added behind our back. Exit code 1 when something was."""
    from api.audit import Anchor
    from gatehouse.record import open_audit
    from gatehouse.settings import load_settings

    number, _, sealed = anchor.partition(":")
    if anchor and not (re.fullmatch("[0-9]{1,18}", number) and sealed):
        raise typer.BadParameter("--anchor is a row's id and hash, like 812:9f3c…")
    faults = open_audit(load_settings(config)).faults(Anchor(int(number), sealed) if anchor else None)
    for fault in faults:
        typer.echo(fault)
    typer.echo("the record is damaged" if faults else "the record is whole")
    raise typer.Exit(1 if faults else 0)


@audit_app.command("export")
def audit_export(config: ConfigFile) -> None:
    """Every row as JSON, one a line, oldest first."""
    import json

    from gatehouse.record import open_audit
    from gatehouse.settings import load_settings

    for row in open_audit(load_settings(config)).rows():
        typer.echo(json.dumps(row, ensure_ascii=False))


@audit_app.command("purge")
def audit_purge(
    config: ConfigFile,
    keep_days: Annotated[int, typer.Option(min=1, help="Rows younger than this stay.")],
) -> None:
    """Delete old rows, and leave one that says so, from which the rest still verifies.

    A stretch without any row counts as a month: a clock that stands years ahead takes nothing with it.
    """
    from api.ages import old_before_ms
    from gatehouse.record import open_audit
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock
    from telemetry.database import open_database

    settings = load_settings(config)
    record = open_audit(settings)
    with open_database(settings.database.url).connect() as db:
        before_ms = old_before_ms(db, SystemClock().now_ms(), keep_days * 86_400_000)
    count = record.purge("system", before_ms)
    typer.echo(f"{count} rows purged")


@register_app.command("rotate")
def register_rotate(
    config: ConfigFile,
    lost: Annotated[
        bool, typer.Option("--lost", help="The key file is lost for good: begin a new one; old visits stay unreadable.")
    ] = False,
) -> None:
    """Seal every visit with a new key. Old keys go when no copy that may still be kept needs them."""
    from api.register.store import open_register
    from gatehouse.record import open_audit
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    settings = load_settings(config)
    register = open_register(settings.visitor_register, SystemClock())
    if lost:
        register.begin_anew()
        told = "the key was lost; a new one was begun"
    else:
        sealed, dropped = register.rotate()
        told = f"{sealed} rows sealed with a new key, {dropped} old keys dropped"
    open_audit(settings).record("system", "register-rotate", "key", told)
    typer.echo(f"{told}; keep a copy of {settings.visitor_register.key_file} safe, apart from copies of the register")


@register_app.command("purge")
def register_purge(
    config: ConfigFile,
    clock_is_right: Annotated[
        bool,
        typer.Option("--clock-is-right", help="It is not wrong, although it stands days away from where it was."),
    ] = False,
) -> None:
    """Take out what is older than register.keep_days now; the API does so every hour by itself."""
    from api.register.store import open_register
    from api.register.upkeep import purge
    from gatehouse.record import open_audit
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    settings = load_settings(config)
    register = open_register(settings.visitor_register, SystemClock())
    if clock_is_right:
        register.believe_clock()
    count = purge(register, open_audit(settings), "system")
    typer.echo(f"{count} visits purged; their counts stay")
    belief = register.look_at_clock()
    if belief.doubted_ms is not None:
        from_ms = belief.counted_from_ms()
        typer.echo(
            f"the clock is not believed: age is counted from {datetime.fromtimestamp(from_ms / 1000, UTC):%Y-%m-%d}. "
            "Set the clock right; or, if it is, say --clock-is-right",
            err=True,
        )


@register_app.command("copy")
def register_copy(
    target: Annotated[Path, typer.Argument(help="A file that does not exist yet.")], config: ConfigFile
) -> None:
    """Copy the register as it stands, sealed. Without its key the copy tells nobody anything."""
    from api.register.store import open_register
    from gatehouse.record import open_audit
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    if target.exists():
        raise BadConfiguration(f"{target} exists: a copy is made into a new file")
    settings = load_settings(config)
    open_register(settings.visitor_register, SystemClock()).copy_to(str(target))
    open_audit(settings).record("system", "register-copy", "all gates", "done")
    typer.echo(f"{target}: the register, sealed; the key {settings.visitor_register.key_file} is not in it")


@register_app.command("reason")
def register_reason(note: Annotated[str, typer.Argument(help="As in the audit: note …")], config: ConfigFile) -> None:
    """The words of a read's reason, what was searched for and which visits were shown."""
    from api.register.store import open_register
    from gatehouse.record import open_audit
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    settings = load_settings(config)
    text = open_register(settings.visitor_register, SystemClock()).note(note)
    open_audit(settings).record("system", "register-reason", note, "not there" if text is None else "shown")
    typer.echo("there is no such note, or it is purged" if text is None else text)


@rules_app.command("test")
def rules_test(
    files: Annotated[list[Path], typer.Argument(help="Files of tests.", exists=True, dir_okay=False)],
) -> None:
    """Play tests of rules in virtual time. Exit code 1 when one fails."""
    from alerts.rule_tests import report
    from gatehouse.rule_tests import run_file

    outcomes = [outcome for file in files for outcome in run_file(file)]
    for line in report(outcomes):
        typer.echo(line)
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    typer.echo(f"{len(outcomes)} tests, {failed} failed")
    raise typer.Exit(1 if failed else 0)


@app.command("score")
def score(
    given: Annotated[
        list[Path], typer.Argument(help="Scenarios or folders of them; or TRUTH.jsonl ALARMS.jsonl.", exists=True)
    ],
    district: Annotated[Path, typer.Option(help="Folder with catalogue/, rules/, world.yaml.")] = _DISTRICT,
    out: Annotated[Optional[Path], typer.Option(help="Write readings, truth and alarms of each there.")] = None,  # noqa: UP045
) -> None:
    """Play scenarios through the engine, or compare recorded alarms with the truth. Exit code 1: not as stated."""
    from firmware_sim.district import District
    from firmware_sim.story import Story
    from rich.console import Console

    from gatehouse.rehearsal import rehearse, scenario_rules, score_files, show, show_rules

    console = Console()
    if [path.suffix for path in given] == [".jsonl", ".jsonl"]:
        compared = score_files(given[0], given[1])
        show_rules(compared.rules, console)
        for fault in compared.faults:
            typer.echo(fault)
        raise typer.Exit(0 if compared.is_good else 1)
    files = [file for path in given for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    if not files:
        raise typer.BadParameter("there is no scenario (*.yaml) there")
    declared = District.load(district)
    rules = scenario_rules(district, declared)
    rehearsals = [
        rehearse(declared, rules, file.stem, Story.load(file, declared), None if out is None else out / file.stem)
        for file in files
    ]
    show(rehearsals, console)
    raise typer.Exit(0 if all(one.score.is_good for one in rehearsals) else 1)


PkiFolder = Annotated[Path, typer.Option("--pki", help="The authority's folder; keep it safe and off the network.")]


@pki_app.command("make")
def pki_make(
    config: ConfigFile,
    host: Annotated[list[str], typer.Option(help="What the broker is called by: a name or an address; repeat it.")],
    pki: PkiFolder = Path("pki"),
) -> None:
    """Make what is missing: the authority, and certificates for the broker, the core, the API and every gateway."""
    from gatehouse.identities import make
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    for line in make(load_settings(config), pki, host, SystemClock()):
        typer.echo(line)


@pki_app.command("page")
def pki_page(
    gateway_name: Annotated[str, typer.Argument(metavar="GATEWAY", help="As in the catalogue.")],
    config: ConfigFile,
    host: Annotated[list[str], typer.Option(help="What tablets call it by: an address or a name; repeat it.")],
    pki: PkiFolder = Path("pki"),
) -> None:
    """Make the certificate of a gateway's own page (`local_page`)."""
    from gatehouse.identities import make_page
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock

    made = make_page(load_settings(config), pki, gateway_name, host, SystemClock())
    typer.echo(f"{made}: copy it to where `local_page.certificate` says, readable by the gateway's user alone")


@pki_app.command("renew")
def pki_renew(
    names: Annotated[Optional[list[str]], typer.Argument(help="Identities; all that end within 30 days.")] = None,  # noqa: UP045
    pki: PkiFolder = Path("pki"),
) -> None:
    """Make certificates anew, with new keys. The old ones hold until their end; a lost one is to be revoked."""
    from gatehouse.identities import renew
    from telemetry.clock import SystemClock

    for line in renew(pki, names or [], SystemClock()):
        typer.echo(line)


@pki_app.command("revoke")
def pki_revoke(
    name: Annotated[str, typer.Argument(help="An identity; `pki list` shows them.")],
    pki: PkiFolder = Path("pki"),
    config: Annotated[Optional[Path], typer.Option(help="The server's configuration file; with --broker.")] = None,  # noqa: UP045
    broker: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The folder that `broker-config` wrote, where the broker reads it: written anew."),
    ] = None,
    restart: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="A command that restarts the broker, e.g. 'systemctl restart mosquitto': run at the end."),
    ] = None,
) -> None:
    """Put every certificate of an identity on the revocation list, and end the session that it has at the broker."""
    import shlex
    import subprocess

    from gatehouse.access import withdraw
    from gatehouse.pki import Authority
    from gatehouse.settings import load_settings
    from telemetry.clock import SystemClock
    from telemetry.errors import BadConfiguration

    if broker is not None and config is None:
        raise BadConfiguration("--broker needs --config: who may do what follows from the catalogue")
    if restart is not None and broker is None:
        raise BadConfiguration(
            "--restart needs --broker: a broker that is restarted with the old list lets it in again"
        )
    count = Authority(pki, SystemClock()).revoke(name)
    typer.echo(f"{name}: {count} certificates revoked in {pki / 'crl.pem'}")
    if broker is None or config is None:
        typer.echo("write the broker's folder anew (gatehouse broker-config), put it in place and restart the broker:")
        typer.echo("a reload takes what it may do, also from a session that stands; only a restart reads the list")
        return
    withdraw(load_settings(config), pki, broker)
    typer.echo(f"{broker}: the access list and what is revoked are written anew")
    if restart is None:
        typer.echo("restart the broker now: until then a session that stands goes on, and new ones are let in")
        return
    try:
        subprocess.run(shlex.split(restart), check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - whoever calls us says what to run
    except (OSError, subprocess.CalledProcessError) as error:
        raise BadConfiguration(f"the broker was not restarted, restart it now: {error}") from error
    typer.echo("the broker was restarted: the session is over, and the certificate is refused")


@pki_app.command("list")
def pki_list(pki: PkiFolder = Path("pki")) -> None:
    """Every certificate that was ever made, and until when it is valid. Ends with 1 when one in use ends within 30 days."""
    from gatehouse.identities import listing
    from telemetry.clock import SystemClock

    lines, is_well = listing(pki, SystemClock())
    for line in lines:
        typer.echo(line)
    if not is_well:
        raise typer.Exit(1)


@app.command("broker-config")
def broker_config(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="Folder to write; it is all that the broker needs.")],
    pki: PkiFolder = Path("pki"),
    at: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Where the folder will stand on the broker's machine, if elsewhere."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8883,
    bind: Annotated[str, typer.Option(help="Address to listen on; all when not given.")] = "",
) -> None:
    """Write Mosquitto's configuration and access list from the catalogue: nobody may do what is not written there."""
    from gatehouse.access import write_broker
    from gatehouse.settings import load_settings

    for line in write_broker(load_settings(config), pki, out, at or out.resolve(), port, bind):
        typer.echo(line)


@user_app.command("add")
def user_add(
    name: str,
    config: ConfigFile,
    role: Annotated[
        list[str], typer.Option("--role", help="administrator, guard, engineer, manager, viewer or registrar.")
    ],
    site: Annotated[Optional[list[str]], typer.Option("--site", help="Only these sites; all when not given.")] = None,  # noqa: UP045
) -> None:
    """Make a user, or give one a new password. The password is read from GATEHOUSE_PASSWORD, or asked, or made."""
    from api.access import Role
    from gatehouse.record import open_accounts
    from gatehouse.settings import load_settings

    settings = load_settings(config)
    try:
        roles = [Role(each) for each in role]
    except ValueError as error:
        raise BadConfiguration(f"{error}; roles are {', '.join(r.value for r in Role)}") from error
    _check_sites(settings, site or ())
    password, made = _new_password()
    open_accounts(settings).add_user(name, password, roles, site)
    typer.echo(f"user {name}: {', '.join(role)}" + (f"; password {made}" if made else ""))


@user_app.command("set")
def user_set(
    name: str,
    config: ConfigFile,
    role: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--role", help="Instead of all roles they have; at --site, or at all sites."),
    ] = None,
    site: Annotated[Optional[list[str]], typer.Option("--site", help="Only these sites; all when not given.")] = None,  # noqa: UP045
    new_password: Annotated[bool, typer.Option("--new-password", help="As with `user add`.")] = False,
    drop_second_factor: Annotated[
        bool, typer.Option("--drop-second-factor", help="For somebody who lost telephone and recovery codes.")
    ] = False,
) -> None:
    """Change somebody; their sessions end. Nobody can take the last administrator away."""
    from api.access import Grant, Role
    from gatehouse.record import open_accounts
    from gatehouse.settings import load_settings

    if not role and (site or not (new_password or drop_second_factor)):
        raise BadConfiguration(
            "say what is to be otherwise: --role (with --site), --new-password, --drop-second-factor"
        )
    settings = load_settings(config)
    accounts = open_accounts(settings)
    if accounts.one(name) is None:
        raise BadConfiguration(f"there is no user '{name}'; `gatehouse user list` shows them")
    _check_sites(settings, site or ())
    try:
        where: list[str | None] = [*site] if site else [None]
        grants = frozenset(Grant(Role(each), at) for each in role or [] for at in where)
    except ValueError as error:
        raise BadConfiguration(f"{error}; roles are {', '.join(r.value for r in Role)}") from error
    password, made = _new_password() if new_password else ("", "")
    if drop_second_factor:
        accounts.drop_second_factor("system", name)
    if role or password:
        accounts.change("system", name, grants if role else None, password or None, None)
    typer.echo(f"user {name}: changed" + (f"; password {made}" if made else ""))


@user_app.command("remove")
def user_remove(name: str, config: ConfigFile) -> None:
    """Forget somebody, with their sessions, tokens and PIN. What they did stays on record."""
    from gatehouse.record import open_accounts
    from gatehouse.settings import load_settings

    open_accounts(load_settings(config)).remove("system", name)
    typer.echo(f"user {name}: removed")


@user_app.command("list")
def user_list(config: ConfigFile) -> None:
    """Everybody with what was granted to them, one a line."""
    from gatehouse.record import open_accounts
    from gatehouse.settings import load_settings

    for user in open_accounts(load_settings(config)).users():
        told = sorted(f"{each.role} at {each.site or 'all sites'}" for each in user.grants)
        typer.echo(f"{user.name}: {', '.join(told) or 'nothing'}")


@user_app.command("guards")
def user_guards(
    site: Annotated[str, typer.Argument(help="The compound, as in the catalogue.")],
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="Copy it to where `local_page.guards` of the site's gateway says.")] = Path(
        "guards.yaml"
    ),
) -> None:
    """Write the file of who decides at a gateway's own page: the guards of a site, each with the hash of their PIN."""
    from gatehouse.guards import write_guards
    from gatehouse.migrate import migrate
    from gatehouse.settings import load_settings
    from telemetry.database import open_database

    settings = load_settings(config)
    _check_sites(settings, [site])
    migrate(settings.database.url)
    names = write_guards(open_database(settings.database.url), site, out)
    typer.echo(f"{out}: {', '.join(names) or 'nobody: a guard chooses a PIN on the page of their account'}")


@user_app.command("disable")
def user_disable(name: str, config: ConfigFile) -> None:
    """Let somebody in no more, and end their sessions. What they did stays on record."""
    from gatehouse.record import open_accounts
    from gatehouse.settings import load_settings

    accounts = open_accounts(load_settings(config))
    if accounts.one(name) is None:
        raise BadConfiguration(f"there is no user '{name}'; `gatehouse user list` shows them")
    accounts.change("system", name, None, None, True)
    typer.echo(f"user {name}: disabled")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def sim(context: typer.Context) -> None:
    """The simulated district, a field of devices for any other system, or recorded data as if it were measured now."""
    from firmware_sim.__main__ import app as sim_app

    arguments = context.args
    if arguments and arguments[0] != "field" and "--district" not in arguments and "--help" not in arguments:
        arguments = [*arguments, "--district", str(Path(__file__).parent / "district")]
    sim_app(arguments, prog_name="gatehouse sim")


def main() -> None:
    """Run the command; what an operator has to mend leaves as one message, not as a traceback."""
    try:
        app()
    except BadConfiguration as error:
        typer.echo(f"gatehouse: {error}", err=True)
        sys.exit(2)
    except (BadInput, Unavailable) as error:
        typer.echo(f"gatehouse: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:  # of no file: nothing that a message about one would help
            raise
        typer.echo(f"gatehouse: {os.fsdecode(error.filename)}: {error.strerror}", err=True)
        sys.exit(1)


def _check_sites(settings: Settings, sites: Iterable[str]) -> None:
    """Raises BadConfiguration for one that is misspelt: what is granted there would be granted nowhere."""
    from telemetry.catalogue import Catalogue

    wanted = list(sites)
    known = [each.id for each in Catalogue.load(settings.catalogue).sites] if wanted else []
    for site in wanted:
        if site not in known:
            raise BadConfiguration(f"there is no site '{site}' in the catalogue; there are {', '.join(known)}")


def _new_password() -> tuple[str, str]:
    """A password, from GATEHOUSE_PASSWORD, asked, or made; and again what was made, to be shown."""
    password = os.environ.get("GATEHOUSE_PASSWORD", "")
    if password:
        return password, ""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True)), ""
    made = secrets.token_urlsafe(12)
    return made, made


def _seconds(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        return float(number) * units[unit]
    except ValueError as error:
        raise typer.BadParameter("write a duration like 180s, 3m or 1h") from error


if __name__ == "__main__":
    main()
