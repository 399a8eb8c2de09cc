import json
from pathlib import Path

import numpy as np
import pytest
import typer

from alerts.rulebook import STATE, RuleBook
from alerts.rules import load_rules
from gatehouse.instants import instant_ms
from gatehouse.settings import load_settings
from ingest.history.history import series_places
from ingest.history.parquet import ParquetWriter
from ingest.history.settings import ParquetSettings
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.catalogue import Catalogue
from telemetry.clock import SystemClock
from telemetry.journal import Journal, Kind, Record
from telemetry.series import SeriesRegistry
from tests import district
from tests.gatehouse_command.test_command import run

MINUTE = 60_000


def write_past(folder: Path) -> tuple[Path, str]:
    """A district with an hour of one series in history and journal; (its configuration, a level rule of that series)."""
    file = district.write_district(folder)
    settings = load_settings(file)
    catalogue = Catalogue.load(settings.catalogue)
    rule = next(r for r in load_rules(settings.rules, catalogue) if r.type == "level" and not r.is_per_passage)
    journal = Journal(settings.journal.path)
    registry = SeriesRegistry.open(journal, catalogue)
    names = [(d, m) for d, m in registry.names if m == rule.metric and (d, m) in catalogue.metric]
    names = [n for n in names if rule.kinds is None or catalogue.device[n[0]].kind in rule.kinds]
    names = [n for n in names if rule.devices is None or n[0] in rule.devices]
    start_ms = SystemClock().now_ms() // MINUTE * MINUTE - 120 * MINUTE
    times = start_ms + MINUTE * np.arange(60, dtype=np.int64)
    value = np.where((np.arange(60) > 20) & (np.arange(60) < 50), 1e6, 0.0)
    series = np.full(60, registry.index[names[0]], np.uint32)
    batch = ReadingBatch(series, times, value, np.zeros(60, np.uint8))
    assert isinstance(settings.history, ParquetSettings)
    list(ParquetWriter(settings.history.folder, series_places(registry, catalogue)).write(batch, 1, 1))
    journal.append([Record(Kind.READINGS, int(times[-1]), encode_batch(batch))])
    journal.close()
    return file, rule.id


def test_a_rule_is_tried_on_the_history_and_on_the_journal(tmp_path: Path) -> None:
    config, rule = write_past(tmp_path)
    for more in ((), ("--journal",)):
        data, picture = tmp_path / "found.json", tmp_path / "found.svg"
        command = (
            "backtest",
            "--config",
            config,
            "--rule",
            rule,
            "--since",
            "1d",
            "--json",
            data,
            "--picture",
            picture,
        )
        done = run(*command, *more, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads(data.read_text())
        assert found["tried"]["alarms"] == found["difference"]["both"] == 1
        assert "raised by both 1" in done.stdout
        assert "<svg" in picture.read_text()


def test_the_version_in_force_is_what_people_have_made_of_it(tmp_path: Path) -> None:
    """A limit that was put out of reach over HTTP is what a back-test compares with, not that of the files."""
    config, name = write_past(tmp_path)
    settings = load_settings(config)
    catalogue = Catalogue.load(settings.catalogue)
    files = load_rules(settings.rules, catalogue)
    rule = next(r for r in files if r.id == name)
    document = rule.model_dump(mode="json", by_alias=True)
    document |= {"levels": [{"severity": "high", "at_least": 1e9}], "relative_to": None}
    journal = Journal(settings.journal.path)
    announced = RuleBook(files, None)
    changed, why_not = announced.take(
        "c1", {"rule_id": name, "seq": announced.version(name), "document": document}, catalogue
    )
    assert changed is not None, why_not
    journal.append([], {STATE: changed.kept()})
    journal.close()
    data = tmp_path / "found.json"
    command = ("backtest", "--config", config, "--rule", name, "--since", "1d", "--json", data)
    assert run(*command, folder=tmp_path).returncode == 0
    assert json.loads(data.read_text())["tried"]["alarms"] == 0


def test_a_rule_that_there_is_not_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    config = district.write_district(tmp_path)
    done = run("backtest", "--config", config, "--rule", "nonsense", folder=tmp_path)
    assert done.returncode == 2
    assert "there is no rule 'nonsense'" in done.stderr


def test_figures_are_printed_beside_their_reference(tmp_path: Path) -> None:
    done = run("figures", "--config", district.write_district(tmp_path), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "standing now" in done.stdout


def test_instants_are_read_as_people_write_them() -> None:
    now_ms = 1_795_000_000_000
    assert now_ms - instant_ms("90d", now_ms) == 90 * 86_400_000
    assert instant_ms("1970-01-02", now_ms) == 86_400_000
    with pytest.raises(typer.BadParameter, match="write 90d"):
        instant_ms("99999999999999d", now_ms)  # more than a database can compare with
    with pytest.raises(typer.BadParameter, match="90d"):
        instant_ms("soon", now_ms)
