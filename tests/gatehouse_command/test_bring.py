"""`gatehouse import` and `gatehouse export`, as somebody uses them who comes from another system."""

import csv
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from influxdb_client import Point, WritePrecision

from gatehouse import foreign
from gatehouse.bring import Outcome, bring
from gatehouse.export import Wanted, export, formula_safe
from gatehouse.foreign import Mapping, Place, load_mapping
from gatehouse.settings import Settings, load_settings
from ingest.history.history import Aggregate, catalogue_places
from ingest.history.parquet import ParquetWriter
from ingest.history.parquet_reader import ParquetReader
from telemetry.batch import ReadingBatch
from telemetry.catalogue import Catalogue
from telemetry.clock import ManualClock
from telemetry.errors import BadConfiguration
from tests import district
from tests.servers import gatehouse

T0 = 1_700_000_000_000 // 86_400_000 * 86_400_000
NOW = ManualClock(T0 + 30 * 86_400_000)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(district.write_district(tmp_path), {})


def brought(settings: Settings, path: Path, mapping: Mapping | None = None) -> tuple[Outcome, list[list[str]]]:
    """What became of it, and the report's rows."""
    report = path.with_suffix(".refused.csv")
    outcome = bring(settings, path, foreign.format_of(path), mapping or Mapping(), report, NOW)
    with report.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["line", "reason", "detail", "row"]
    assert not path.with_suffix(".refused.csv.state").exists()
    return outcome, rows


def kept(settings: Settings, device: str, metric: str) -> list[tuple[int, float, int]]:
    kinds = {"level-1": "drain-level", "level-2": "drain-level", "meter": "room-meter"}
    reader = ParquetReader(settings.history.folder)  # type: ignore[union-attr]
    curve = reader.read(kinds[device], device, metric, T0, T0 + 40 * 86_400_000, None, Aggregate.LAST)
    return [(int(t) - T0, float(v), int(q)) for t, v, q in zip(curve.time_ms, curve.value, curve.quality, strict=True)]


def test_a_csv_is_brought_and_each_row_that_is_none_is_reported_with_its_line(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "old.csv"
    file.write_text(
        "device,metric,time,value,quality,note\n"
        f"level-1,level,{T0},0.25,,\n"
        'level-1,level,2023-11-14T09:00:00+08:00,0.5,suspect,"two\nlines"\n'
        "pump,level,1,1,,\n"
        "level-1,power,1,1,,\n"
        f"level-1,level,{T0 + 5},n/a,,\n"
        f"level-1,level,{T0 + 5},nan,,\n"
        "level-1,level,yesterday,1,,\n"
        "level-1,level,2023-11-14 08:00:00,1,,\n"
        f"level-1,level,{T0 + 5},1,perhaps,\n"
        f"level-1,level,{NOW.now_ms() + 10**9},1,,\n"
        "level-1,level\n"
        "\n"
        "=cmd(),level,1,1,,\n"
        f"level-1,level,{T0 + 9},99,,\n"
        f"meter,energy,{T0 / 1000 + 1}e3,7,2,",
        encoding="utf-8",
    )
    outcome, rows = brought(settings, file)
    assert [(int(row[0]), row[1]) for row in rows] == [
        (5, "unknown-device"),
        (6, "unknown-metric"),
        (7, "bad-value"),
        (8, "bad-value"),
        (9, "bad-time"),
        (10, "bad-time"),
        (11, "bad-quality"),
        (12, "time-ahead"),
        (13, "broken-row"),
        (15, "unknown-device"),
    ]
    assert rows[-1][3] == "'=cmd() level 1 1"
    assert (outcome.kept, outcome.refused) == (4, 10)
    assert kept(settings, "level-1", "level") == [(0, 0.25, 0), (9, 99.0, 2), (3_600_000, 0.5, 1)]
    assert kept(settings, "meter", "energy") == [(1000, 7.0, 2)]


def test_a_time_that_no_reading_can_have_costs_its_own_row_only(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    times = ["1970-01-01 00:00:00", "1899-12-30T00:00:00Z", "-1.5", "-1e30", "1e30", "--5", "9" * 5000]
    rows = "".join(f"level-1,level,{time},1\n" for time in times)
    file.write_text(f"device,metric,time,value\n{rows}level-1,level,{T0},0.25\n")
    outcome, refused = brought(settings, file, Mapping(zone="Asia/Shanghai"))
    assert [(int(row[0]), row[1]) for row in refused] == [
        *((line, "bad-time") for line in range(2, 6)),
        (6, "time-ahead"),
        (7, "bad-time"),
        (8, "bad-time"),
    ]
    assert outcome.kept == 1
    assert kept(settings, "level-1", "level") == [(0, 0.25, 0)]
    assert [path.parent.parent.name for path in tmp_path.rglob("*.parquet")] == ["kind=drain-level"]


def test_a_local_time_that_came_twice_or_never_is_refused_and_not_guessed(settings: Settings, tmp_path: Path) -> None:
    """Germany's clocks went back on 29 October 2023 and ahead on 26 March."""
    file = tmp_path / "old.csv"
    times = ["2023-10-29T02:30:00", "2023-10-29T02:30:00+01:00", "2023-10-29T03:00:00", "2023-03-26T02:30:00"]
    rows = "".join(f"level-1,level,{time},0.{number}\n" for number, time in enumerate(times))
    file.write_text(f"device,metric,time,value\n{rows}")
    outcome, refused = brought(settings, file, Mapping(zone="Europe/Berlin"))
    assert outcome.kept == 2
    why = "in Europe/Berlin as clocks were changed; give its offset"
    assert [row[:3] for row in refused] == [
        ["2", "bad-time", formula_safe(f"'{times[0]}' came twice {why}")],
        ["5", "bad-time", formula_safe(f"'{times[3]}' was skipped {why}")],
    ]


def test_a_refused_text_begins_no_row_of_the_report(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text(f'device,metric,time,value\n"pump\r=1+1",level,{T0},0.5\n', newline="")
    outcome, refused = brought(settings, file)
    assert outcome.refused == 1
    ((line, reason, _, row),) = refused
    assert (line, reason, row) == ("2", "unknown-device", f"pump\r=1+1 level {T0} 0.5")


def test_a_report_over_the_file_itself_is_refused(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text(f"device,metric,time,value\nlevel-1,level,{T0},0.5\n")
    before = file.read_bytes()
    (tmp_path / "link.csv").symlink_to(file)
    with pytest.raises(BadConfiguration, match="is the file to import"):
        bring(settings, file, "csv", Mapping(), tmp_path / "link.csv", NOW)
    assert file.read_bytes() == before


def test_a_very_wide_file_is_read_in_pieces_that_memory_holds(tmp_path: Path) -> None:
    file = tmp_path / "wide.parquet"
    names = [f"m{number}" for number in range(500)]
    table = pa.table({"device": ["meter"] * 1000, "time": [T0] * 1000, **{name: [1.0] * 1000 for name in names}})
    pq.write_table(table, file)
    mapping = Mapping(values={name: name for name in names})
    pieces = list(foreign.read(file, "parquet", mapping, Place()))
    assert sum(len(piece.number) for piece in pieces) == 500_000
    assert max(len(piece.number) for piece in pieces) <= foreign.ROWS_AT_ONCE
    rest = list(foreign.read(file, "parquet", mapping, pieces[3].end))  # goes on where it was
    assert sum(len(piece.number) for piece in rest) == sum(len(piece.number) for piece in pieces[4:])


def test_a_wide_file_with_other_names_is_mapped(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "wide.csv"
    file.write_text("when,unit,kw,kwh\n2023-11-15 08:00:00,R-1,1.5,10\n2023-11-15 08:01:00,R-1,,11\n")
    mapping_file = tmp_path / "map.yaml"
    mapping_file.write_text(
        "columns: {time: when, device: unit}\nvalues: {power: kw, energy: kwh}\n"
        "devices: {R-1: meter}\nzone: Asia/Shanghai\n"
    )
    outcome, rows = brought(settings, file, load_mapping(mapping_file, [], []))
    assert (outcome.kept, rows) == (3, [])
    midnight = 1_700_006_400_000 - T0
    assert kept(settings, "meter", "power") == [(midnight, 1.5, 0)]
    assert kept(settings, "meter", "energy") == [(midnight, 10.0, 0), (midnight + 60_000, 11.0, 0)]


def test_a_mapping_that_does_not_fit_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text("sensor,ts,v\nlevel-1,1,1\n")
    with pytest.raises(BadConfiguration, match="no column 'time' for time; there are sensor, ts, v"):
        brought(settings, file)
    with pytest.raises(BadConfiguration, match="like time=ts"):
        load_mapping(None, ["ts"], [])
    with pytest.raises(BadConfiguration, match=r"columns\.tme"):
        load_mapping(None, ["tme=ts"], [])
    with pytest.raises(BadConfiguration, match="zone 'Mars'"):
        brought(settings, file, Mapping(zone="Mars"))
    mapping = load_mapping(None, ["device=sensor", "time=ts", "value=v"], ["metric=level"])
    assert brought(settings, file, mapping.model_copy(update={"time_unit": "s"}))[0].kept == 1


def test_line_protocol_is_brought(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "old.lp"
    file.write_text(
        f"# a comment\ndrain-level,device=level-1,site=east level=0.5,level_quality=1i {T0}000000\n"
        f'room-meter,device=meter power=7i,energy=8u,door=t,label="a, b=c" {T0 + 1}000000\n'
        f"broken line here\nx,device=meter power=1 {T0 + 2}000000\nx,device=meter power=1\n"
    )
    outcome, rows = brought(settings, file)
    assert [(int(row[0]), row[1]) for row in rows] == [
        (3, "unknown-metric"), (3, "unknown-metric"), (4, "broken-row"), (6, "bad-time")
    ]  # fmt: skip
    assert outcome.kept == 4
    assert kept(settings, "level-1", "level") == [(0, 0.5, 1)]
    assert kept(settings, "meter", "power") == [(1, 7.0, 0), (2, 1.0, 0)]
    assert kept(settings, "meter", "energy") == [(1, 8.0, 0)]


NAMES = st.text(st.sampled_from("ab1 ,=-_é"), min_size=1, max_size=8).filter(lambda name: name.strip() == name)
FIELDS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**40), 2**40), st.booleans())


@given(NAMES, st.dictionaries(NAMES, NAMES, max_size=3), st.dictionaries(NAMES, FIELDS, min_size=1, max_size=4))
def test_lines_of_influxdbs_own_client_are_understood(
    measurement: str, tags: dict[str, str], fields: dict[str, float]
) -> None:
    point = Point(measurement).tag("device", "d,1 =x").time(T0, WritePrecision.MS)
    for name, tag in tags.items():
        point.tag(name, tag)
    for name, value in fields.items():
        point.field(name, value)
    wanted = {name: float(value) for name, value in fields.items() if not name.endswith("_quality")}
    rows = foreign.Rows()
    foreign._add_line(rows, 1, point.to_line_protocol(), Mapping())
    assert rows.broken == []
    assert dict(zip(rows.metric, map(float, rows.value), strict=True)) == wanted
    assert set(rows.device) <= {tags.get("device", "d,1 =x")}
    assert set(rows.time) <= {T0}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_parquet_without_a_zone_are_of_the_one_that_the_mapping_says(
    settings: Settings, tmp_path: Path, unit: str
) -> None:
    per_s = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    file = tmp_path / "old.parquet"
    time = pa.array([(T0 // 1000 + 9 * 3600) * per_s, None], pa.timestamp(unit))
    pq.write_table(
        pa.table({"device": ["level-1"] * 2, "metric": ["level"] * 2, "time": time, "value": [0.25, 1]}), file
    )
    assert [row[1] for row in brought(settings, file)[1]] == ["bad-time", "bad-time"]
    _, refused = brought(settings, file, Mapping(zone="Asia/Shanghai"))
    assert [row[:2] for row in refused] == [["2", "bad-time"]]
    assert kept(settings, "level-1", "level") == [(3_600_000, 0.25, 0)]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_time_of_parquet_that_no_reading_can_have_costs_its_own_row_only(
    settings: Settings, tmp_path: Path, zone: str | None
) -> None:
    file = tmp_path / "old.parquet"
    far_s = 253_402_300_799  # the end of the year 9999: no date, to many systems; more nanoseconds than 64 bits hold
    time = pa.array([T0 * 1000, far_s * 10**6, -far_s * 10**6], pa.timestamp("us", zone))
    pq.write_table(
        pa.table({"device": ["level-1"] * 3, "metric": ["level"] * 3, "time": time, "value": [0.25, 1, 1]}), file
    )
    _, refused = brought(settings, file, Mapping(zone="UTC"))
    assert [row[0] for row in refused] == ["2", "3"]
    assert kept(settings, "level-1", "level") == [(0, 0.25, 0)]


def test_parquet_goes_out_and_comes_in_again_the_same(settings: Settings, tmp_path: Path) -> None:
    made = np.random.default_rng(1)
    file = tmp_path / "old.csv"
    lines = [
        f"{device},{metric},{T0 + n * 60_000 + 7},{made.random()!r},{n % 3}"
        for device, metric in (("level-1", "level"), ("meter", "power"), ("meter", "energy"))
        for n in range(20_000)
    ]
    file.write_text("device,metric,time,value,quality\n" + "\n".join(lines))
    assert brought(settings, file)[0].kept == 60_000
    target = tmp_path / "all.parquet"
    wanted = Wanted(T0, T0 + 40 * 86_400_000)
    seen: list[tuple[int, int]] = []
    assert export(settings, target, "parquet", wanted, lambda *far: seen.append(far)) == 60_000
    assert seen[-1][0] == seen[-1][1] == len(seen)
    found = duckdb.sql(
        f"SELECT count(*), epoch_ms(min(time)), sum(quality), count(DISTINCT device || metric) FROM '{target}'"
    )
    assert found.fetchall() == [(60_000, T0 + 7, 59_997, 3)]
    other = load_settings(district.write_district(tmp_path / "other"), {})
    assert brought(other, target)[0].kept == 60_000
    for device, metric in (("level-1", "level"), ("meter", "power"), ("meter", "energy")):
        assert kept(other, device, metric) == kept(settings, device, metric)


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet"])
def test_what_is_exported_is_read_by_other_tools(settings: Settings, tmp_path: Path, form: str) -> None:
    file = tmp_path / "old.csv"
    file.write_text(f"device,metric,time,value\nlevel-1,level,{T0},-0.0625\nmeter,power,{T0 + 1},3\n")
    brought(settings, file)
    target = tmp_path / f"out.{form}"
    assert export(settings, target, form, Wanted(T0, T0 + 1000, kind="drain-level")) == 1
    assert [path.name for path in tmp_path.glob("out*")] == [target.name]
    if form == "csv":
        assert target.read_text().splitlines()[1] == (
            '"level-1","level","drain-level","mh-1","east","m",2023-11-14 00:00:00.000Z,-0.0625,0'
        )
        ((at, value),) = duckdb.sql(f"SELECT epoch_ms(time), value FROM '{target}'").fetchall()
    elif form == "parquet":
        ((at, value),) = duckdb.sql(f"SELECT epoch_ms(time), value FROM '{target}'").fetchall()
    else:
        table = pa.ipc.open_file(str(target)).read_all()
        at, value = table["time"].cast(pa.int64()).to_pylist()[0], table["value"].to_pylist()[0]
    assert (at, value) == (T0, -0.0625)
    with pytest.raises(BadConfiguration, match="no series"):
        export(settings, target, form, Wanted(T0, T0 + 1000, device="nobody"))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_text_is_a_formula(text: str) -> None:
    assert formula_safe(text) == f"'{text}"
    assert formula_safe("level-1") == "level-1"


def test_an_import_that_is_killed_goes_on_and_each_row_is_there_and_reported_once(tmp_path: Path) -> None:
    config = district.write_district(tmp_path)
    file = tmp_path / "old.csv"
    count = 200_000
    with file.open("w") as out:
        out.write("device,metric,time,value\n")
        for n in range(count):
            out.write(f"{'nobody' if n % 20_000 == 7 else 'level-1'},level,{T0 + n * 1000},{n}\n")
    command = [*gatehouse("import"), str(file), "--config", str(config)]
    state = tmp_path / "old.csv.refused.csv.state"
    for wanted in (0, 1):
        with subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as going:
            while going.poll() is None and not (state.exists() and f'"piece":{wanted + 1}' in state.read_text()):
                pass
            going.kill()
    assert state.exists(), "it was done before it could be killed"
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert f"{count - 10:,} readings kept, 10 refused" in done.stdout
    report = (tmp_path / "old.csv.refused.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in report[1:]] == [n * 20_000 + 9 for n in range(10)]
    reader = ParquetReader(load_settings(config, {}).history.folder)  # type: ignore[union-attr]
    span = (T0, T0 + count * 1000)
    curve = reader.read("drain-level", "level-1", "level", *span, None, Aggregate.LAST)
    assert curve.value.tolist() == [n for n in range(count) if n % 20_000 != 7]
    assert not state.exists()


def test_what_is_brought_is_rolled_up_by_the_core_and_its_own_readings_win(settings: Settings, tmp_path: Path) -> None:
    folder = settings.history.folder  # type: ignore[union-attr]
    places = catalogue_places(Catalogue.load(settings.catalogue))
    writer = ParquetWriter(folder, places)
    writer.start(0)
    writer.write(ReadingBatch(np.zeros(1, np.uint32), np.array([T0]), np.array([2.0]), np.zeros(1, np.uint8)), 1, 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ingest.history.parquet._ROLL_QUIET_S", 0.0)
        patched.setattr("ingest.history.parquet._LOOK_EVERY_S", 0.0)
        for _ in range(5):
            writer.tidy()
        reader = ParquetReader(folder)
        asked = ("drain-level", "level-1", "level", T0, T0 + 86_400_000, 86_400_000, Aggregate.MAX)
        assert reader.read(*asked).value.tolist() == [2.0]
        file = tmp_path / "old.csv"
        file.write_text(f"device,metric,time,value\nlevel-1,level,{T0},4.5\nlevel-1,level,{T0 + 1},4\n")
        for _ in range(2):  # done again it replaces itself
            brought(settings, file)
            assert reader.read(*asked).value.tolist() == [4.0]
        for _ in range(5):
            writer.tidy()
        assert not list(folder.glob("kind=*/day=*/changed-*"))
        assert reader.read(*asked).value.tolist() == [4.0]
    writer = ParquetWriter(folder, places)
    writer.start(1)  # a start of the core keeps what was brought
    assert kept(settings, "level-1", "level") == [(0, 2.0, 0), (1, 4.0, 0)]


def test_places_are_told_in_the_state_by_bytes_so_that_nothing_is_read_twice(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("device,metric,time,value\n" + "".join(f"a,b,{n},{n}\n" for n in range(120_000)))
    pieces = list(foreign.read(file, "csv", Mapping(), Place()))
    assert [len(piece.number) for piece in pieces] == [50_000, 50_000, 20_000]
    again = list(foreign.read(file, "csv", Mapping(), pieces[0].end))
    assert [piece.number for piece in again] == [piece.number for piece in pieces[1:]]
    assert pieces[-1].end.offset == file.stat().st_size
    table = tmp_path / "x.parquet"
    pq.write_table(pyarrow.csv.read_csv(file), table)
    pieces = list(foreign.read(table, "parquet", Mapping(), Place()))
    again = list(foreign.read(table, "parquet", Mapping(), pieces[0].end))
    assert [piece.value for piece in again] == [piece.value for piece in pieces[1:]]
