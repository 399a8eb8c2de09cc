"""The outcomes of `ingest/history/influx.py`, and setting it up, where a real InfluxDB 2 can be brought to them."""

import csv
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from influxdb_client import InfluxDBClient, Permission, PermissionResource
from influxdb_client.client.write_api import SYNCHRONOUS
from pydantic import SecretStr

from gatehouse.bring import bring
from gatehouse.foreign import Mapping
from gatehouse.init import init
from gatehouse.reingest import reingest
from gatehouse.settings import Settings, load_settings
from ingest.history.history import Aggregate, Refused, SeriesPlace, StoreAway, series_places
from ingest.history.influx import InfluxWriter
from ingest.history.influx_reader import InfluxReader
from ingest.history.influx_rollups import CURSOR, InfluxBringer, InfluxRollups
from ingest.history.influx_setup import set_up
from ingest.history.loop import CURSOR as HISTORY_CURSOR
from ingest.history.settings import InfluxSettings
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import SystemClock
from telemetry.errors import BadConfiguration
from telemetry.journal import Journal, Kind, Record
from telemetry.series import SeriesRegistry
from tests import district, servers
from tests.ingest.rows import Row, batch_of
from tests.oracles import rollups as oracle
from tests.payloads import FAMILIES, TEXTS

pytestmark = pytest.mark.integration

SERIES = [
    SeriesPlace("mh-1", "level", "drain-level", "mh-1", "east"),
    SeriesPlace("meter", "energy", "room-meter", "room", "west"),
    SeriesPlace("meter", "power", "room-meter", "room", "west"),
]
T0 = 1_795_000_000_000
HOUR = 3_600_000
TOKEN = "a-token-for-tests-and-nothing-else"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InfluxSettings, int]]:
    """An InfluxDB that nobody has used, as `gatehouse init` leaves it, and its process."""
    folder = tmp_path_factory.mktemp("influx-new")
    program = servers.influxd_program()
    if program is None:
        servers.missing("influxd (InfluxDB 2)", "run deploy/influxdb/build.sh, which builds and caches it")
        raise AssertionError
    port = servers.free_port()
    settings = InfluxSettings(url=f"http://127.0.0.1:{port}", token=SecretStr(TOKEN), keep_raw_days=30)
    with servers.process(servers.influxd_command(program, folder, port), folder / "influxd.log") as running:
        servers.wait_until(lambda: servers.answers(f"{settings.url}/health"), what="influxd")
        done = set_up(settings)
        assert re.search(r"was new: user gatehouse, password \S{16}", done[0])
        assert done[1:] == ["bucket gatehouse: keeps for 30 days", "bucket gatehouse-rollups: made, keeps for ever"]
        yield settings, running.pid


@pytest.fixture
def made(server: tuple[InfluxSettings, int]) -> InfluxSettings:
    return server[0]


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def write(settings: InfluxSettings, batch: ReadingBatch) -> list[Refused]:
    return sorted(InfluxWriter(settings, SERIES).write(batch, 1, 1))


def stored(settings: InfluxSettings, series: int, start_ms: int, end_ms: int) -> list[float]:
    place = SERIES[series]
    curve = InfluxReader(settings).read(place.kind, place.device, place.metric, start_ms, end_ms, None, Aggregate.MEAN)
    return [float(value) for value in curve.value]


def bucket(settings: InfluxSettings, name: str, **given: int) -> InfluxSettings:
    """The same server, another bucket."""
    changed = settings.model_copy(update={"bucket": name, "keep_raw_days": None, **given})
    set_up(changed)
    return changed


def test_setting_up_again_changes_only_what_differs(
    made: InfluxSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the register of these settings stands where one is
    config = Settings(history=made, database={"url": f"sqlite:///{tmp_path}/g.db"})  # type: ignore[arg-type]
    assert [line for line in init(config) if line.startswith("bucket")] == [
        "bucket gatehouse: keeps for 30 days",
        "bucket gatehouse-rollups: keeps for ever",
    ]
    other = made.model_copy(update={"org": "second", "keep_rollup_days": 900})
    assert set_up(other) == [
        "organisation second: made",
        "bucket gatehouse: made, keeps for 30 days",
        "bucket gatehouse-rollups: made, keeps for 900 days",
    ]
    assert set_up(other.model_copy(update={"keep_rollup_days": None}))[-1] == (
        "bucket gatehouse-rollups: changed, keeps for ever"
    )
    with pytest.raises(BadConfiguration, match="GATEHOUSE_INFLUXDB_TOKEN"):
        set_up(made.model_copy(update={"token": SecretStr("wrong")}))
    assert set_up(made.model_copy(update={"token": SecretStr("wrong")}), TOKEN)


def test_lines_that_cannot_be_parsed_are_named(made: InfluxSettings) -> None:
    settings = bucket(made, "parse")
    beyond = 2**63 // 10**6 + 10  # milliseconds that no nanosecond clock can hold
    time_ms = np.arange(T0, T0 + 1000)
    time_ms[[3, 700]] = beyond, beyond + 1
    batch = ReadingBatch(np.zeros(1000, np.uint32), time_ms, np.arange(1000.0), np.zeros(1000, np.uint8))
    refused = write(settings, batch)
    assert [each.row for each in refused] == [3, 700]
    assert all("time outside range" in each.why for each in refused)
    assert stored(settings, 0, T0, T0 + 2000) == [v for v in range(1000) if v not in (3, 700)]


def test_what_is_older_than_the_retention_is_quarantined(made: InfluxSettings) -> None:
    settings = bucket(made, "short", keep_raw_days=1)
    now = now_ms()
    ages_ms = np.random.default_rng(1).permutation(np.concatenate([np.arange(40) + 30 * HOUR, np.arange(60)]))
    batch = ReadingBatch(np.zeros(100, np.uint32), now - ages_ms, np.arange(100.0), np.zeros(100, np.uint8))
    refused = write(settings, batch)
    assert [each.row for each in refused] == np.flatnonzero(ages_ms > HOUR).tolist()
    assert "40 points outside retention policy" in refused[0].why
    assert sorted(stored(settings, 0, now - HOUR, now + 1)) == np.flatnonzero(ages_ms < HOUR).tolist()


def test_a_field_of_another_type_costs_only_its_own_readings(made: InfluxSettings) -> None:
    settings = bucket(made, "types")
    with InfluxDBClient(settings.url, TOKEN, org=settings.org) as client:
        api = client.write_api(write_options=SYNCHRONOUS)
        api.write(settings.bucket, record=f"room-meter,device=old power=5i {T0}", write_precision="ms")
    series = (np.arange(300) % 3).astype(np.uint32)
    batch = ReadingBatch(series, T0 + np.arange(300), np.arange(300.0), np.zeros(300, np.uint8))
    refused = write(settings, batch)
    assert [each.row for each in refused] == np.flatnonzero(series == 2).tolist()
    assert "field type conflict" in refused[0].why
    assert stored(settings, 0, T0, T0 + 1000) == np.flatnonzero(series == 0).tolist()
    assert stored(settings, 1, T0, T0 + 1000) == np.flatnonzero(series == 1).tolist()


def one() -> ReadingBatch:
    return ReadingBatch(np.zeros(1, np.uint32), np.array([T0]), np.ones(1), np.zeros(1, np.uint8))


def test_a_wrong_token_one_that_may_only_read_and_a_missing_bucket_need_an_administrator(made: InfluxSettings) -> None:
    with InfluxDBClient(made.url, TOKEN, org=made.org) as client:
        org = client.organizations_api().find_organizations(org=made.org)[0].id
        may_read = Permission("read", PermissionResource(type="buckets", org_id=org))
        reader = client.authorizations_api().create_authorization(org, [may_read]).token
    for change, what in (
        ({"token": SecretStr("wrong")}, "answers 401"),
        ({"token": SecretStr(reader)}, "answers 40"),
        ({"bucket": "nowhere"}, "`gatehouse init`"),
        ({"org": "nobody"}, "`gatehouse init`"),
    ):
        with pytest.raises(StoreAway, match=what) as caught:
            write(made.model_copy(update=change), one())
        assert caught.value.needs, what


def test_hours_that_are_over_are_rolled_up_and_what_is_late_follows(made: InfluxSettings, tmp_path: Path) -> None:
    settings = bucket(made, "rolled")
    journal = Journal(tmp_path / "journal")
    start_ms = T0 // HOUR * HOUR
    told: list[list[tuple[int, float, int]]] = [[] for _ in SERIES]
    writer, made_up = InfluxWriter(settings, SERIES), np.random.default_rng(3)

    def keep(now_ms: int, rows: list[Row]) -> None:
        batch = batch_of(rows)
        last = journal.append([Record(Kind.READINGS, now_ms, encode_batch(batch))])
        assert not writer.write(batch, last, last)
        journal.set_cursor(HISTORY_CURSOR, last)
        for series, time_ms, value, quality in rows:
            told[series].append((time_ms, value, quality))

    def check() -> None:
        reader = InfluxReader(settings)  # a new one has read no mark yet
        for series, place in enumerate(SERIES):
            for every_ms in (60_000, 900_000, HOUR, 2 * HOUR, 7 * HOUR, 90_000):
                for how in Aggregate:
                    span = (start_ms + 30 * 60_000 + 1, start_ms + 5 * HOUR + 1000)
                    curve = reader.read(place.kind, place.device, place.metric, *span, every_ms, how)
                    found = list(zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True))
                    assert found == oracle.steps(told[series], *span, every_ms, how.value)
                    worst: dict[int, int] = {}
                    for time_ms, _, quality in told[series]:
                        if span[0] <= time_ms < span[1] and quality < 2:
                            step_ms = time_ms // every_ms * every_ms
                            worst[step_ms] = max(quality, worst.get(step_ms, 0))
                    assert dict(zip(curve.time_ms.tolist(), curve.quality.tolist(), strict=True)) == worst

    def rollups() -> InfluxRollups:
        return InfluxRollups(journal, settings, SERIES)

    rows = [
        (series, start_ms + minute * 60_000 + series, float(made_up.integers(0, 9)), int(made_up.choice(some)))
        for minute in range(5 * 60 + 20)
        for some in [[0, 0, 0, 2] if minute // 60 == 2 else [0, 0, 1, 2]]  # the third hour is beyond doubt
        for series in range(len(SERIES))
    ]
    keep(start_ms + 5 * HOUR + 20 * 60_000, rows)
    check()
    loop = rollups()
    while loop.step():
        pass
    assert not loop.step()
    reader = InfluxReader(settings)
    windows = reader.windows("room-meter", ["meter"], "energy", start_ms, start_ms + 9 * HOUR, "1h")
    assert len(windows) == 5  # the sixth hour is not over
    assert reader._rolled_ms() == start_ms + 5 * HOUR
    check()
    # Killed here, another goes on from its cursor; a late reading and one that was told before change their hour.
    late = [(1, start_ms + HOUR + 90_001, 1000.0, 0), (1, start_ms + HOUR + 60_001, 2000.0, 0)]
    keep(start_ms + 5 * HOUR + 21 * 60_000, late)
    keep(start_ms + 5 * HOUR + 23 * 60_000, [(0, start_ms + 5 * HOUR + 22 * 60_000, 1.0, 0)])
    loop = rollups()
    while loop.step():
        pass
    loop.step()
    check()
    assert journal.cursor(CURSOR) < journal.last  # the hour that is not over must be read again after a crash


def test_what_is_brought_is_stored_and_rolled_up_at_once(made: InfluxSettings) -> None:
    settings = bucket(made, "brought")
    start_ms = T0 // HOUR * HOUR
    time_ms = start_ms + np.arange(0, 3 * HOUR, 60_000)
    batch = ReadingBatch(np.ones(180, np.uint32), time_ms, np.arange(180.0), np.zeros(180, np.uint8))
    for _ in range(2):  # done again it replaces itself
        assert InfluxBringer(settings, SERIES).bring(batch, "import-x-000000") == []
    windows = InfluxReader(settings).windows("room-meter", ["meter"], "energy", start_ms, start_ms + 9 * HOUR, "1h")
    assert windows.count.tolist() == [60, 60, 60]
    assert windows.grown.tolist() == [59.0, 59.0, 59.0]
    assert stored(settings, 1, start_ms, start_ms + 9 * HOUR) == list(range(180))


def test_days_are_made_anew_from_the_journal_and_from_what_influxdb_holds(made: InfluxSettings, tmp_path: Path) -> None:
    history = bucket(made, "anew")
    config = district.write_district(tmp_path)
    settings = load_settings(config, {}).model_copy(update={"history": history})
    day = T0 // (24 * HOUR)
    catalogue = Catalogue.load(settings.catalogue)
    journal = Journal(settings.journal.path)
    registry = SeriesRegistry.open(journal, catalogue)
    series = registry.index["meter", "energy"]
    places = series_places(registry, catalogue)

    def hour(number: int) -> ReadingBatch:
        time_ms = day * 24 * HOUR + number * HOUR + np.arange(60) * 60_000
        return ReadingBatch(np.full(60, series, np.uint32), time_ms, np.arange(60.0), np.zeros(60, np.uint8))

    journal.append(
        [Record(Kind.READINGS, T0, encode_batch(hour(3))), Record(Kind.READINGS, T0, encode_batch(hour(30)))]
    )
    journal.set_cursor(HISTORY_CURSOR, 2)
    journal.close()
    assert not InfluxWriter(history, places).write(hour(1), 0, 0)  # of a time that the journal has forgotten
    assert reingest(settings, range(day, day + 1), None, SystemClock(), lambda done, total: None) == (60, [])
    windows = InfluxReader(history).windows("room-meter", ["meter"], "energy", day * 24 * HOUR, T0 + 48 * HOUR, "1h")
    assert [(t - day * 24 * HOUR) // HOUR for t in windows.time_ms.tolist()] == [1, 3]
    assert windows.grown.tolist() == [59.0, 59.0]


def test_a_server_that_hangs_is_waited_for_and_a_replay_doubles_nothing(server: tuple[InfluxSettings, int]) -> None:
    made, pid = server
    settings = bucket(made, "hangs").model_copy(update={"timeout_ms": 300})
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreAway, match="timed out"):
            write(settings, one())
    finally:
        os.kill(pid, signal.SIGCONT)
    settings = settings.model_copy(update={"timeout_ms": 10_000})
    assert write(settings, one()) == write(settings, one()) == []
    assert stored(settings, 0, T0, T0 + 1) == [1.0]


def test_no_payload_reaches_influxdb_as_anything_but_a_refusal(made: InfluxSettings, tmp_path: Path) -> None:
    """Each text of the corpus as device, metric, value, time and quality of a CSV, and as a line of line protocol."""
    settings = bucket(made, "besieged")
    settings = settings.model_copy(update={"rollup_bucket": "besieged"})
    config = load_settings(district.write_district(tmp_path), {}).model_copy(update={"history": settings})
    with InfluxDBClient(settings.url, TOKEN, org=settings.org) as client:
        before = {each.name for each in client.buckets_api().find_buckets_iter()}
        row = ["level-1", "level", str(T0), "0.5", "good"]
        file = tmp_path / "texts.csv"
        with file.open("w", newline="", encoding="utf-8", errors="replace") as opened:
            sheet = csv.writer(opened)
            sheet.writerows([["device", "metric", "time", "value", "quality"], row])
            for text in TEXTS:
                for column in range(5):
                    if text.strip() and text != "-0":  # an empty quality is a good one, and that is a number
                        sheet.writerow([*row[:column], text, *row[column + 1 :]])
        outcome = bring(config, file, "csv", Mapping(), tmp_path / "texts.refused.csv", SystemClock())
        with (tmp_path / "texts.refused.csv").open(newline="", encoding="utf-8") as opened:
            refused = list(csv.DictReader(opened))
        assert outcome.kept == 1 and outcome.refused == len(refused) > 4 * len(TEXTS)
        assert not [
            each for each in refused if each["row"].startswith(tuple("=+-@\t\r")) or each["detail"][:1] in "=+-@"
        ]
        lines = tmp_path / "texts.lp"
        good = f"drain-level,device=level-1 level=0.5 {T0 * 1_000_000}"
        of_lines = [*FAMILIES["line_protocol"], *FAMILIES["flux"]]
        texts = [f"drain-level,device={text} level=1 {T0}" for text in of_lines]
        texts += [f"drain-level,device=level-1 level={text} {T0}" for text in of_lines]
        texts += [f"drain-level,device=level-1 {text}=1 {T0}" for text in of_lines]
        lines.write_text("\n".join([good, *of_lines, *texts]), encoding="utf-8")
        bring(config, lines, "line-protocol", Mapping(), tmp_path / "lines.refused.csv", SystemClock())
        found = client.query_api().query(
            'from(bucket: "besieged") |> range(start: 0) |> filter(fn: (r) => not exists r.every)'
        )
        held = {
            (r.get_measurement(), r["device"], r.get_field(), r.get_value()) for table in found for r in table.records
        }
        assert held == {("drain-level", "level-1", "level", 0.5)}
        assert {each.name for each in client.buckets_api().find_buckets_iter()} == before
