"""A copy of a running district that a bare machine can start from, and the start from it.

A backup is a folder: the configuration with the folders it names, every table of the SQL database as rows, the journal's
segments, the embedded history's files, and a manifest with the checksum of each. Nothing is stopped for it. What makes
the parts fit together is their order: the database first (its place in the journal is then never past the journal's
end), then the journal, then history (which then holds everything up to its cursor in that copy of the journal). Where
the core worked on while we copied and the parts do not fit all the same, they are copied again.
A history in InfluxDB is not copied: `influx backup` is made for that. Nor are keys and certificates: `not_in_it`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import msgspec
import sqlalchemy as sa
from rich.console import Console
from rich.progress import Progress

from alerts.notify.mail import MailSettings
from alerts.store import memory
from gatehouse.migrate import migrate
from gatehouse.schema import metadata
from gatehouse.settings import PREFIX, Settings, load_settings
from gatehouse.tables import put_rows, require_empty, rows_of
from ingest.history.loop import CURSOR as HISTORY_CURSOR
from ingest.history.parquet_files import CHANGED, parts_of
from ingest.history.settings import ParquetSettings
from telemetry import journal_files
from telemetry.clock import Clock, SystemClock
from telemetry.database import open_database, parse_url, snapshot
from telemetry.disk import sync_folder
from telemetry.errors import BadConfiguration, BadInput, Unavailable

FORMAT = 2
_UNSEALED = 1  # of before manifests were sealed
_ATTEMPTS_MAX = 5
_MANIFEST = "manifest.json"
_AHEAD_MAX_MS = 3_600_000  # of a backup on another machine's clock
_DECLARED = tuple(name for name, field in Settings.model_fields.items() if field.annotation is Path)
"""The settings that name a folder of declarations: `catalogue`, `rules`, `people` and their like, also those to come."""


class _Manifest(msgspec.Struct):
    format: int
    made: str
    history: str  # "parquet", or "influxdb": not in here
    files: dict[str, str]  # path within the backup -> SHA-256
    seal: str = ""  # SHA-256 of all this

    def sealed(self) -> str:
        """What `seal` must be."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(self, seal=""))).hexdigest()


class _DoesNotFit(Exception):
    """The parts were copied too far apart in time."""


def backup(config: Path, target: Path, clock: Clock | None = None) -> None:
    """Copy the district of a configuration file into a new folder. The core and the API may be running.

    Raises BadConfiguration when the folder exists, Unavailable when something cannot be read or written.
    """
    settings = load_settings(config)
    url = parse_url(settings.database.url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise BadConfiguration(
            f"database.url: {url.database} is not there, so there is nothing to back up:"
            f" the core was never started with {config}, or this is not what it was started with"
        )
    if target.exists():
        raise BadConfiguration(f"{target} exists: a backup is made into a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as made:
        folder = Path(made) / "backup"
        try:
            for attempt in range(_ATTEMPTS_MAX):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(mode=0o700)  # passwords' hashes, second factors and tokens are in it
                try:
                    _copy_all(config, settings, folder)
                    break
                # The journal was trimmed, or history merged, meanwhile.
                except (_DoesNotFit, FileNotFoundError, journal_files.SegmentGone) as error:
                    if attempt + 1 == _ATTEMPTS_MAX:
                        raise Unavailable(f"the parts changed faster than they could be copied: {error}") from error
            store = "parquet" if isinstance(settings.history, ParquetSettings) else "influxdb"
            _seal(folder, store, (clock or SystemClock()).now_ms())
            folder.rename(target)
            sync_folder(target.parent)
        except (OSError, apsw.Error, sa.exc.SQLAlchemyError) as error:
            raise Unavailable(f"backup to {target}: {error}") from error


def restore(source: Path, config: Path) -> Settings:
    """Put a backup where a configuration file says; the file and its folders come from the backup when there is none.

    Raises BadInput when the backup is not whole, BadConfiguration when something already stands where it would go.
    """
    _check_whole(source)
    try:
        with contextlib.ExitStack() as undone:  # what broke off halfway must not stand in the way of the next attempt
            if not config.exists():
                config.parent.mkdir(parents=True, exist_ok=True)
                declared = [name for name in _DECLARED if (source / "config" / name).is_dir()]
                for name in declared:
                    if (config.parent / name).exists():
                        raise BadConfiguration(f"{config.parent / name} exists already: restore into an empty folder")
                for name in declared:
                    undone.callback(shutil.rmtree, config.parent / name, ignore_errors=True)
                    shutil.copytree(source / "config" / name, config.parent / name)
                undone.callback(config.unlink, missing_ok=True)
                _write_config(source, config, declared)
            settings = load_settings(config)
            parts = {"journal": settings.journal.path}
            if isinstance(settings.history, ParquetSettings):
                parts["history"] = settings.history.folder
            for place in parts.values():
                if place.exists() and any(place.iterdir()):
                    raise BadConfiguration(
                        f"{place} is not empty: a backup is restored onto a bare machine"
                        " (if what is there is of a restore that was cut off, delete it)"
                    )
            migrate(settings.database.url)
            for name, place in parts.items():
                if not (source / name).is_dir():
                    continue  # the history of a backup may be in InfluxDB
                undone.callback(_empty, place)
                shutil.copytree(source / name, place, dirs_exist_ok=True)
                for path in [place.parent, place, *place.rglob("*")]:
                    sync_folder(path) if path.is_dir() else _sync_file(path)
            _load_tables(settings.database.url, source / "database")  # all of them, or none
            undone.pop_all()
    except (OSError, sa.exc.SQLAlchemyError) as error:
        raise Unavailable(f"restoring {source}: {error}") from error
    return settings


def not_in_it(settings: Settings) -> str:
    """One sentence: what a backup of this district lacks, and a bare machine needs."""
    register, tls = settings.visitor_register, settings.broker.tls
    held = [settings.watch.pki] if tls is None else [settings.watch.pki, tls.ca, tls.certificate, tls.key]
    mails = (channel for channel in settings.channels.values() if isinstance(channel, MailSettings))
    certificates = [str(each) for each in (*held, *(mail.ca_file for mail in mails)) if each is not None]
    shown = ", ".join(dict.fromkeys(certificates)) or "the folder of `gatehouse pki`"
    parts = [
        "the visitor register (`gatehouse register copy`)",
        f"its key ({register.key_file})",
        f"certificates and keys ({shown})",
        "the broker's own files",
        f"what the environment sets ({PREFIX}*) and the secrets that it names as `file:`",
    ]
    if not isinstance(settings.history, ParquetSettings):
        parts.append("history, which is in InfluxDB (`influx backup`)")
    return f"Not in it, and to be kept elsewhere: {', '.join(parts[:-1])}, and {parts[-1]}."


def newest_ms(folder: Path, now_ms: int) -> int | None:
    """When the newest whole backup in a folder was made, epoch milliseconds; None where there is none.

    One from the future was made by a clock that stood ahead: it is no sign that any is made still.
    """
    made = []
    for manifest in folder.glob(f"*/{_MANIFEST}"):
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):  # of something else, or being deleted
            said = msgspec.json.decode(manifest.read_bytes(), type=_Manifest).made
            made.append(round(datetime.fromisoformat(said).timestamp() * 1000))
    return max((one for one in made if one <= now_ms + _AHEAD_MAX_MS), default=None)


def _copy_all(config: Path, settings: Settings, folder: Path) -> None:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        (folder / "config").mkdir()
        shutil.copy(config, folder / "config" / "gatehouse.yaml")
        for name in _DECLARED:
            declared: Path = getattr(settings, name)
            if declared.is_dir():
                shutil.copytree(declared, folder / "config" / name)
        judged, snapshot = _save_tables(settings.database.url, folder / "database", progress)
        first, last, history_cursor = _copy_journal(settings.journal.path, folder / "journal", progress)
        if last < judged or (judged and first > snapshot + 1):
            raise _DoesNotFit("the alarms need journal records that were trimmed meanwhile")
        if isinstance(settings.history, ParquetSettings):
            _copy_history(settings.history.folder, folder / "history", history_cursor, progress)


def _save_tables(url: str, folder: Path, progress: Progress) -> tuple[int, int]:
    """Every table as rows; (how far alarms had come, how far the engine's snapshot had)."""
    folder.mkdir()
    task = progress.add_task("database", total=len(metadata.sorted_tables))
    engine = open_database(url)
    with snapshot(engine) as db:
        known = set(sa.inspect(db).get_table_names())
        for table in metadata.sorted_tables:
            if table.name in known:
                with (folder / f"{table.name}.msgpack").open("wb") as file:
                    for rows in rows_of(db, table):
                        block = msgspec.msgpack.encode(rows)
                        file.write(len(block).to_bytes(4, "little") + block)
            progress.advance(task)
        row = db.execute(sa.select(memory.c.cursor, memory.c.snapshot_cursor)).first()
    engine.dispose()
    return (0, 0) if row is None else (row.cursor, row.snapshot_cursor)


def _load_tables(url: str, folder: Path) -> None:
    engine = open_database(url)
    with engine.begin() as db:
        require_empty(db)
        for table in metadata.sorted_tables:
            file = folder / f"{table.name}.msgpack"
            if file.exists():
                put_rows(db, table, _blocks(file))
    engine.dispose()


def _blocks(file: Path) -> Iterator[list[list[Any]]]:
    with file.open("rb") as opened:
        while size := opened.read(4):
            yield msgspec.msgpack.decode(opened.read(int.from_bytes(size, "little")))


def _copy_journal(source: Path, target: Path, progress: Progress) -> tuple[int, int, int]:
    """Every segment as it stands; (first record, last record, history's place)."""
    target.mkdir()
    files = journal_files.segment_files(source)
    task = progress.add_task("journal", total=len(files))
    for _, path in files:
        # SQLite's own copy: it takes in what still stands in the write-ahead log, and a writer may go on meanwhile.
        connection = journal_files.open_segment(path)
        copy = apsw.Connection(str(target / path.name))
        try:
            with copy.backup("main", connection, "main") as running:
                while not running.done:
                    running.step(1000)
            copy.pragma("journal_mode", "delete")
        finally:
            copy.close()
            connection.close()
        progress.advance(task)
    found = journal_files.summary(target)
    return found.first, found.last, found.cursors.get(HISTORY_CURSOR, 0)


def _copy_history(source: Path, target: Path, cursor: int, progress: Progress) -> None:
    target.mkdir()
    chosen = []
    for folder in sorted(source.glob("kind=*/day=*")):
        for part in parts_of(folder):
            if part.first <= cursor < part.last:
                raise _DoesNotFit(f"{part.path.name} was merged meanwhile")
            if part.last <= cursor:
                chosen.append(part.path)
    # Where readings have been let go of, rollups are all there is of them.
    chosen += [*sorted(source.glob("rollup=*/kind=*/month=*/*.parquet")), *source.glob("kept.json")]
    chosen += source.glob(f"kind=*/day=*/{CHANGED}*")
    task = progress.add_task("history", total=len(chosen))
    for path in chosen:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, copy)  # a finished file is never written to again
        except OSError:
            shutil.copy2(path, copy)
        progress.advance(task)


def _seal(folder: Path, history: str, now_ms: int) -> None:
    """Make every file durable and write down its checksum; the manifest comes last."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        else:
            files[str(path.relative_to(folder))] = _digest(path)
            _sync_file(path)
    made = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds")
    manifest = folder / _MANIFEST
    said = _Manifest(FORMAT, made, history, files)
    said.seal = said.sealed()
    manifest.write_bytes(msgspec.json.format(msgspec.json.encode(said)))
    _sync_file(manifest)
    sync_folder(folder)


def _check_whole(source: Path) -> None:
    try:
        manifest = msgspec.json.decode((source / _MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, ValueError, msgspec.MsgspecError) as error:  # a value error: it is no text
        raise BadInput("not-a-backup", f"{source / _MANIFEST}: {error}") from error
    if manifest.format not in (_UNSEALED, FORMAT):
        raise BadInput(
            "other-version", f"{source} is a backup of format {manifest.format}; this Gatehouse reads {FORMAT}"
        )
    if manifest.format != _UNSEALED and manifest.seal != manifest.sealed():
        raise BadInput("damaged-backup", f"{source / _MANIFEST} is not what was written: take another backup")
    for path in source.glob("*/**/*"):
        if path.is_file() and str(path.relative_to(source)) not in manifest.files:
            raise BadInput("damaged-backup", f"{path} is nothing that was backed up: take it out, or another backup")
    for name, digest in manifest.files.items():
        path = source / name
        if not path.is_file() or _digest(path) != digest:
            raise BadInput("damaged-backup", f"{path} is missing or not what was backed up: take another backup")


def _write_config(source: Path, config: Path, declared: list[str]) -> None:
    """The configuration file, pointing to the folders beside it, and for nobody's eyes who could not read it before."""
    kept_file = source / "config" / "gatehouse.yaml"
    lines = kept_file.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.partition(":")[0] not in declared]
    if kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    config.touch(mode=0o600)
    shutil.copymode(kept_file, config)
    config.write_text("".join(kept + [f"{name}: {name}\n" for name in declared]), encoding="utf-8")


def _empty(place: Path) -> None:
    """Delete what is in a folder; it may be where a disk is mounted, and stays."""
    for path in place.glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
