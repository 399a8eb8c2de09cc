"""What an administrator asks of a journal: is it whole, what is in it, show me."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from telemetry import frames, journal_files
from telemetry.batch import decode_arrival
from telemetry.journal import Kind, Stored

_SERIES = "series/"  # where `telemetry.series` keeps its names


def verify(folder: Path) -> bool:
    """Read every record and its checksum; say what is wrong. True when nothing is."""
    files = journal_files.segment_files(folder)
    is_whole = True
    count = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=sum(path.stat().st_size for _, path in files))
        expected: int | None = None
        for first, path in files:
            if expected is not None and first != expected:
                is_whole = False
                typer.echo(f"{path.name}: records {expected} to {first - 1} are missing before it")
            checked = journal_files.check_segment(path, first)
            count += checked.count
            if checked.damaged_from is not None:
                is_whole = False
                typer.echo(f"{path.name}: damaged from record {checked.damaged_from} on: {checked.detail}")
            expected = None if checked.last is None else checked.last + 1
            progress.advance(task, path.stat().st_size)
    for damage in journal_files.summary(folder).damages:
        typer.echo(
            f"known before: records {damage.first} to {damage.last} of segment {damage.segment}: {damage.detail}"
        )
    typer.echo(f"{folder}: {count:,} records in {len(files)} segments: {'whole' if is_whole else 'DAMAGED'}")
    return is_whole


def stat(folder: Path) -> None:
    """How much there is and how far its readers are."""
    found = journal_files.summary(folder)
    console = Console()
    console.print(
        f"{folder}: records {found.first:,} to {found.last:,}, {found.segment_count} segments, "
        f"{found.size_bytes / 1e6:,.1f} MB"
    )
    if found.last >= found.first:
        oldest = next(iter(journal_files.records_from(folder, found.first)), None)
        newest = next(iter(journal_files.records_from(folder, found.last)), None)
        if oldest is not None and newest is not None:
            console.print(f"from {_instant(oldest.time_ms)} to {_instant(newest.time_ms)}")
    table = Table("reader", "has read", "behind", box=None)
    for name, offset in found.cursors.items():
        table.add_row(name, f"{offset:,}", f"{found.last - offset:,}")
    console.print(table)
    for damage in found.damages:
        console.print(f"damaged: records {damage.first} to {damage.last}: {damage.detail}")


def dump(folder: Path, start: int, count_max: int | None) -> None:
    """Records as JSON, one a line."""
    names = {
        int(key.removeprefix(_SERIES)): value.decode()
        for key, value in journal_files.summary(folder).state.items()
        if key.startswith(_SERIES)
    }
    for number, record in enumerate(journal_files.records_from(folder, start)):
        if number == count_max:
            return
        shown = {"offset": record.offset, "kind": record.kind.name.lower(), "time": _instant(record.time_ms)}
        content = _SHOWN[record.kind](record, names)
        sys.stdout.buffer.write(msgspec.json.encode(shown | content) + b"\n")


def _readings(record: Stored, names: Mapping[int, str]) -> dict[str, Any]:
    batch, behind = decode_arrival(record.payload)
    columns = (batch.series.tolist(), batch.time_ms.tolist(), batch.value.tolist(), batch.quality.tolist())
    rows = [
        [names.get(series, str(series)), time_ms, value, quality, batch.keys.get(number)]
        for number, (series, time_ms, value, quality) in enumerate(zip(*columns, strict=True))
    ]
    return {"readings": rows, "behind": behind}


def _frame(record: Stored, _names: Mapping[int, str]) -> dict[str, Any]:
    frame = frames.decode(frames.encode("-", "-", record.offset, 1, record.payload))
    lines = frame.names.split("\n")
    rows = [
        [lines[line], time_ms, value, quality, frame.keys.get(number)]
        for number, (line, time_ms, value, quality) in enumerate(
            zip(frame.index, frame.time_ms, frame.value, frame.quality, strict=True)
        )
    ]
    return {"readings": rows, "gaps": frame.gaps}


def _json(record: Stored, _names: Mapping[int, str]) -> dict[str, Any]:
    return {"content": msgspec.Raw(record.payload)}


_SHOWN: dict[Kind, Callable[[Stored, Mapping[int, str]], dict[str, Any]]] = {
    Kind.READINGS: _readings,
    Kind.BACKLOG: _readings,
    Kind.FRAME: _frame,
    Kind.TICK: lambda record, names: {"content": record.payload.decode()},
    Kind.COMMAND: _json,
    Kind.REJECTS: _json,
    Kind.RULES: _json,
    Kind.GAPS: _json,
}


def _instant(time_ms: int) -> str:
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
