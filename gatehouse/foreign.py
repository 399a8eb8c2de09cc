"""Files of a previous system as rows: CSV, Parquet, InfluxDB line protocol. What stands in them is not judged here.

A mapping says what their columns are called and what we call their devices and metrics:

    columns: {device: sensor, time: ts, value: reading}    # device, metric, time, value, quality: ours → theirs
    values: {power: active_w, energy: total_kwh}           # instead of metric and value: a column for each metric
    fixed: {metric: level}                                 # what is the same in every row
    devices: {PUMP-7: mh-1-level}                          # theirs → ours; others keep their name
    metrics: {lvl: level}
    time_unit: ms                                          # of times that are numbers: s, ms, us or ns
    zone: Asia/Shanghai                                    # of times without a zone: text, Parquet's timestamps

In line protocol a field is a metric and the tag `device` the device, unless `columns.device` names another tag;
`METRIC_quality` is a metric's quality, and times are ns unless the mapping says otherwise.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from telemetry.declaration import read_document, validate
from telemetry.errors import BadConfiguration, Unavailable

ROWS_AT_ONCE = 50_000
Column = Literal["device", "metric", "time", "value", "quality"]
TimeUnit = Literal["s", "ms", "us", "ns"]
_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
FORMATS = {".csv": "csv", ".parquet": "parquet", ".lp": "line-protocol", ".txt": "line-protocol"}


class Mapping(BaseModel):
    """What a file calls things."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[Column, str] = {}
    values: dict[str, str] = {}
    fixed: dict[Literal["device", "metric", "quality"], str] = {}
    devices: dict[str, str] = {}
    metrics: dict[str, str] = {}
    time_unit: TimeUnit | None = None
    zone: str | None = None

    def column(self, name: Column) -> str:
        """What the file calls one of our columns."""
        return self.columns.get(name, name)


class Place(NamedTuple):
    """Where to go on reading."""

    offset: int = 0  # bytes; of Parquet rows
    row: int = 0  # lines read, or rows


@dataclass(slots=True)
class Rows:
    """A piece of a file. Axis: N rows, as they stand there; None where there is nothing."""

    number: list[int] = field(default_factory=list)  # line of the file from 1, or row of Parquet from 1
    device: list[Any] = field(default_factory=list)
    metric: list[Any] = field(default_factory=list)
    time: list[Any] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)
    quality: list[Any] = field(default_factory=list)
    broken: list[tuple[int, str, str]] = field(default_factory=list)  # line, why, text: what is no row at all
    end: Place = field(default_factory=lambda: Place())

    def add(self, number: int, device: Any, metric: Any, time: Any, value: Any, quality: Any) -> None:
        """One row."""
        self.number.append(number)
        self.device.append(device)
        self.metric.append(metric)
        self.time.append(time)
        self.value.append(value)
        self.quality.append(quality)


def load_mapping(file: Path | None, columns: Sequence[str], fixed: Sequence[str]) -> Mapping:
    """From a YAML file, and OURS=THEIRS over it. Raises BadConfiguration."""
    mapping = Mapping() if file is None else validate(read_document(file), Mapping)
    changed = mapping.model_dump()
    for name, given in (("columns", columns), ("fixed", fixed)):
        for each in given:
            ours, equals, theirs = each.partition("=")
            if not equals:
                raise BadConfiguration(f"'{each}': write OURS=THEIRS, like time=ts")
            changed[name][ours] = theirs
    try:
        return Mapping.model_validate(changed)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors(include_url=False))
        raise BadConfiguration("the mapping cannot be: " + "; ".join(lines)) from error


def format_of(path: Path) -> str:
    """By the file's name. Raises BadConfiguration."""
    found = FORMATS.get(path.suffix)
    if found is None:
        raise BadConfiguration(
            f"{path}: say what it is with --format, one of {', '.join(sorted(set(FORMATS.values())))}"
        )
    return found


def read(path: Path, form: str, mapping: Mapping, start: Place) -> Iterator[Rows]:
    """The rows after `start`. Raises BadConfiguration when the mapping does not fit, Unavailable when it cannot be read."""
    readers = {"csv": _read_csv, "parquet": _read_parquet, "line-protocol": _read_lines}
    try:
        with path.open("rb") as file:
            yield from readers[form](file, path, mapping, start)
    except (OSError, pa.ArrowException) as error:
        raise Unavailable(f"reading {path}: {error}") from error


def length_of(path: Path, form: str) -> int:
    """What `Place.offset` comes to at the end. Raises Unavailable."""
    try:
        return int(pq.read_metadata(path).num_rows) if form == "parquet" else path.stat().st_size
    except (OSError, pa.ArrowException) as error:
        raise Unavailable(f"reading {path}: {error}") from error


class _Lines:
    """The lines of a file as text, counted."""

    def __init__(self, file: BinaryIO, start: Place) -> None:
        self._file = file
        self._file.seek(start.offset)
        self.offset, self.row = start

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            raise StopIteration
        self.offset += len(line)
        self.row += 1
        return line.decode(errors="replace")

    @property
    def place(self) -> Place:
        return Place(self.offset, self.row)


def _read_csv(file: BinaryIO, path: Path, mapping: Mapping, start: Place) -> Iterator[Rows]:
    head = _Lines(file, Place())
    header = [name.strip().removeprefix("\ufeff") for name in next(csv.reader(head), [])]
    at = _columns(path, header, mapping)
    lines = _Lines(file, start if start.offset else head.place)
    reader = csv.reader(lines)
    rows = Rows()
    while True:
        number = lines.row + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            rows.broken.append((number, f"broken CSV: {error}", ""))
            continue
        if cells is None:
            break
        if not cells:
            continue
        if len(cells) != len(header):
            why = f"{len(cells)} columns where the first line has {len(header)}"
            rows.broken.append((number, why, ",".join(cells)))
        else:
            _add(rows, number, cells, at, mapping)
        if len(rows.number) + len(rows.broken) >= ROWS_AT_ONCE:
            rows.end = lines.place
            yield rows
            rows = Rows()
    rows.end = lines.place
    yield rows


def _read_parquet(source: BinaryIO, path: Path, mapping: Mapping, start: Place) -> Iterator[Rows]:
    with pq.ParquetFile(source) as file:
        at = _columns(path, file.schema_arrow.names, mapping)
        names = list(dict.fromkeys(file.schema_arrow.names[number] for number in at.values() if number is not None))
        here = {column: None if n is None else names.index(file.schema_arrow.names[n]) for column, n in at.items()}
        row = 0
        rows_at_once = max(1, ROWS_AT_ONCE // max(1, len(mapping.values)))  # of a wide file each holds so many readings
        for batch in file.iter_batches(batch_size=rows_at_once, columns=names):
            first, row = row, row + len(batch)
            if row <= start.offset:
                continue
            rows = Rows(end=Place(row, row))
            columns = [_plain(batch.column(name)) for name in names]
            for number, cells in enumerate(zip(*columns, strict=True), first + 1):
                if number > start.offset:
                    _add(rows, number, cells, here, mapping)
            yield rows


def _plain(column: pa.Array) -> list[Any]:
    """Times as numbers of nanoseconds, which no conversion can misread; those without a zone as text, which asks for one."""
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            column = column.cast(pa.string())
        else:
            each_ns = _NANOSECONDS[column.type.unit]
            return [None if at is None else Nanoseconds(at * each_ns) for at in column.cast(pa.int64()).to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


class Nanoseconds(int):
    """A time that knows its unit."""


def _columns(path: Path, header: Sequence[str], mapping: Mapping) -> dict[str, int | None]:
    """Where each of our columns stands; metrics of a wide file by `values METRIC`."""
    at: dict[str, int | None] = {}
    wanted: list[tuple[str, str]] = [("time", mapping.column("time")), ("quality", mapping.column("quality"))]
    wanted += [("device", mapping.column("device"))]
    if mapping.values:
        wanted += [(f"values {metric}", column) for metric, column in mapping.values.items()]
    else:
        wanted += [("metric", mapping.column("metric")), ("value", mapping.column("value"))]
    for name, column in wanted:
        if column in header:
            at[name] = header.index(column)
        elif name == "quality" or name in mapping.fixed:
            at[name] = None
        else:
            raise BadConfiguration(
                f"{path}: there is no column '{column}' for {name}; there are {', '.join(header)}. "
                f"Say what it is called with --column {name.split()[0]}=… or in a mapping"
            )
    return at


def _add(rows: Rows, number: int, cells: Sequence[Any], at: dict[str, int | None], mapping: Mapping) -> None:
    def cell(name: Any) -> Any:
        where = at[name]
        return mapping.fixed.get(name) if where is None else cells[where]

    device, time, quality = cell("device"), cell("time"), cell("quality")
    device = mapping.devices.get(device, device)
    if not mapping.values:
        metric = cell("metric")
        rows.add(number, device, mapping.metrics.get(metric, metric), time, cell("value"), quality)
        return
    for metric in mapping.values:
        value = cell(f"values {metric}")
        if value not in (None, ""):  # a wide file has a cell for everything, whether it was measured or not
            rows.add(number, device, metric, time, value, quality)


# --- line protocol ------------------------------------------------------------------------------------------------------

_FIELD = re.compile(r'((?:[^,= \\]|\\.)+)=("(?:[^"\\]|\\.)*"|(?:[^, \\]|\\.)+)')
_LINE = re.compile(
    r"(?P<measurement>(?:[^, \\]|\\.)+)(?P<tags>(?:,(?:[^,= \\]|\\.)+=(?:[^,= \\]|\\.)+)*) "
    r'(?P<fields>(?:[^,= \\]|\\.)+=(?:"(?:[^"\\]|\\.)*"|[^, "]+)(?:,(?:[^,= \\]|\\.)+=(?:"(?:[^"\\]|\\.)*"|[^, "]+))*)'
    r"(?: (?P<time>-?\d+))?"
)


def _read_lines(file: BinaryIO, path: Path, mapping: Mapping, start: Place) -> Iterator[Rows]:
    lines = _Lines(file, start)
    rows = Rows()
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            _add_line(rows, lines.row, text, mapping)
        if len(rows.number) + len(rows.broken) >= ROWS_AT_ONCE:
            rows.end = lines.place
            yield rows
            rows = Rows()
    rows.end = lines.place
    yield rows


def _add_line(rows: Rows, number: int, text: str, mapping: Mapping) -> None:
    match = _LINE.fullmatch(text)
    if match is None:
        rows.broken.append((number, "not line protocol", text))
        return
    tags = {_unescaped(name): _unescaped(value) for name, value in _FIELD.findall(match["tags"])}
    fields = {_unescaped(name): value for name, value in _FIELD.findall(match["fields"])}
    device = tags.get(mapping.column("device"), mapping.fixed.get("device"))
    device = None if device is None else mapping.devices.get(device, device)
    for name, value in fields.items():
        base, _, suffix = name.rpartition("_")
        if suffix == "quality" and base in fields:
            continue
        quality = fields.get(f"{name}_quality", mapping.fixed.get("quality"))
        rows.add(
            number,
            device,
            mapping.metrics.get(name, name),
            None if match["time"] is None else int(match["time"]),
            _field_value(value),
            quality.rstrip("iu") if isinstance(quality, str) and quality[:1].isdigit() else quality,
        )


def _field_value(text: str) -> Any:
    if text[0] == '"':
        return text
    if text in ("t", "T", "true", "True", "TRUE"):
        return 1.0
    if text in ("f", "F", "false", "False", "FALSE"):
        return 0.0
    return text[:-1] if text[-1] in "iu" and text[:-1].lstrip("-").isdigit() else text


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)
