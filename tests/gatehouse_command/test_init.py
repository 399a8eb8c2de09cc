"""Six questions, or a file, lead to a district that the core starts from."""

import os
import pty
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from gatehouse import questions
from gatehouse.__main__ import app
from gatehouse.check import check_configuration
from gatehouse.questions import Answers, ask, read_answers, write_district
from gatehouse.record import open_accounts
from gatehouse.settings import load_settings
from ingest.history.settings import InfluxSettings
from telemetry.catalogue import Catalogue
from telemetry.clock import SystemClock
from telemetry.errors import BadConfiguration, BadInput, Unavailable
from tests import servers

ANSWERS = """
compounds: [north, south]
timezone: Asia/Urumqi
broker: [localhost, 127.0.0.1]
history: parquet
backups: copies
administrator: li
"""


def test_a_file_of_answers_becomes_a_district_without_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUSE_PASSWORD", "a phrase of some length")
    file = tmp_path / "answers.yaml"
    file.write_text(ANSWERS)
    config = tmp_path / "district" / "gatehouse.yaml"
    done = CliRunner().invoke(app, ["init", "--config", str(config), "--answers", str(file)])
    assert done.exit_code == 0, done.output
    assert check_configuration(config)[1] == []
    settings = load_settings(config, {})
    assert settings.watch.backups == config.parent / "copies"
    assert [user.name for user in open_accounts(settings).users()] == ["li"]
    assert (config.parent / "pki" / "gw-south.pem").stat().st_mode & 0o077 == 0
    assert config.stat().st_mode & 0o007 == 0
    assert "timezone: Asia/Urumqi" in (config.parent / "catalogue" / "district.yaml").read_text(encoding="utf-8")
    assert f"certfile {config.parent}/broker/broker.pem" in (config.parent / "broker" / "mosquitto.conf").read_text()
    again = CliRunner().invoke(app, ["init", "--config", str(config)])  # a second time it makes ready what is there
    assert again.exit_code == 0 and "tables are as this version needs them" in again.output
    refused = CliRunner().invoke(app, ["init", "--config", str(config), "--answers", str(file)])
    assert isinstance(refused.exception, BadConfiguration) and "exists already" in str(refused.exception)


def test_every_setting_of_the_written_file_has_a_comment_above_its_section(tmp_path: Path) -> None:
    write_district(tmp_path / "gatehouse.yaml", Answers(compounds=("a",), broker=("localhost",)), SystemClock())
    text = (tmp_path / "gatehouse.yaml").read_text(encoding="utf-8")
    for block in text.strip().split("\n\n"):
        assert block.startswith("#"), block


def test_a_wrong_answer_in_a_file_is_named_with_file_line_and_field(tmp_path: Path) -> None:
    file = tmp_path / "answers.yaml"
    for change, said in (
        ("timezone: Asia/Nowhere", "answers.yaml:3: timezone: .*no such time zone"),
        ("history: ftp://x", "answers.yaml:5: history: .*write parquet, or"),
        ("compounds: [North]", r"answers.yaml:2: compounds\[0\]"),
        ("broker: ['x:y:']", "answers.yaml:4: broker"),
        ("colour: red", "answers.yaml:.*colour: unknown field"),
    ):
        field = change.split(":")[0]
        text = re.sub(rf"(?m)^{field}:.*$", change, ANSWERS) if f"{field}:" in ANSWERS else ANSWERS + change
        file.write_text(text)
        with pytest.raises(BadConfiguration, match=said):
            read_answers(file)


def test_without_a_terminal_and_without_a_file_it_says_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", "--config", str(tmp_path / "gatehouse.yaml")])
    assert isinstance(done.exception, BadConfiguration) and "--answers FILE" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_exists_is_touched(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    with pytest.raises(BadConfiguration, match="rules exists already"):
        write_district(tmp_path / "gatehouse.yaml", Answers(compounds=("a",), broker=("localhost",)), SystemClock())
    assert [each.name for each in tmp_path.iterdir()] == ["rules"]


def test_an_init_that_fails_leaves_nothing_in_the_way_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, config = tmp_path / "answers.yaml", tmp_path / "district" / "gatehouse.yaml"
    file.write_text(ANSWERS)
    (config.parent / "people").mkdir(parents=True)
    (config.parent / "people" / "duty.yaml").touch()
    arguments = ["init", "--config", str(config), "--answers", str(file)]
    monkeypatch.setenv("GATEHOUSE_PASSWORD", "short")
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, BadInput), done.output
    assert {each.name for each in config.parent.iterdir()} <= {"people", "data"}
    monkeypatch.setenv("GATEHOUSE_PASSWORD", "a phrase of some length")
    monkeypatch.setattr(questions, "write_broker", lambda *_: (_ for _ in ()).throw(BadConfiguration("no room")))
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, BadConfiguration) and str(done.exception) == "no room"
    assert {each.name for each in config.parent.iterdir()} <= {"people", "data"}
    monkeypatch.undo()
    monkeypatch.setenv("GATEHOUSE_PASSWORD", "a phrase of some length")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert (config.parent / "people" / "duty.yaml").exists()
    assert [user.name for user in open_accounts(load_settings(config, {})).users()] == ["li"]


def test_a_folder_that_init_made_goes_again_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE__METRICS__PORT", "none")
    config = tmp_path / "district" / "gatehouse.yaml"
    with pytest.raises(BadConfiguration, match="GATEHOUSE__METRICS__PORT"):
        write_district(config, Answers(compounds=("a",), broker=("localhost",)), SystemClock())
    assert list(tmp_path.iterdir()) == []


def test_a_history_that_is_away_leaves_a_district_that_a_second_init_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, config = tmp_path / "answers.yaml", tmp_path / "district" / "gatehouse.yaml"
    file.write_text(ANSWERS.replace("parquet", "http://127.0.0.1:1"))
    monkeypatch.delenv("GATEHOUSE_PASSWORD", raising=False)
    done = CliRunner().invoke(app, ["init", "--config", str(config), "--answers", str(file)])
    assert isinstance(done.exception, Unavailable)
    assert "user li: administrator; password" in done.output  # made, and shown only now
    again = CliRunner().invoke(app, ["init", "--config", str(config), "--answers", str(file)])
    assert isinstance(again.exception, BadConfiguration) and "without --answers" in str(again.exception)
    assert isinstance(CliRunner().invoke(app, ["init", "--config", str(config)]).exception, Unavailable)


def test_what_cannot_be_is_asked_again_and_nothing_typed_takes_the_usual() -> None:
    typed = iter(["North Gate", "north, south", "Nowhere", "", "", "ftp://x", "http://influx:8086", "", "li"])
    said: list[str] = []
    given = ask(lambda question, usual: next(typed) or usual, said.append)
    assert given.compounds == ("north", "south")
    assert (given.timezone, given.history, given.backups) == ("Asia/Shanghai", "http://influx:8086", "backups")
    assert given.administrator == "li" and len(given.broker) == 1
    assert [line.split(":")[0] for line in said] == ["'North Gate'", "'Nowhere'", "'ftp"]
    assert len(questions._QUESTIONS) == 6


def test_an_influxdb_gets_a_token_of_its_own_or_the_one_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers(compounds=("a",), broker=("localhost",), history="http://localhost:8086")
    monkeypatch.delenv("GATEHOUSE_INFLUXDB_TOKEN", raising=False)
    write_district(tmp_path / "one" / "gatehouse.yaml", answers, SystemClock())
    assert re.search(r"token: '[\w-]{40,}'", (tmp_path / "one" / "gatehouse.yaml").read_text())
    monkeypatch.setenv("GATEHOUSE_INFLUXDB_TOKEN", "given-by-hand")
    write_district(tmp_path / "two" / "gatehouse.yaml", answers, SystemClock())
    assert "token: 'given-by-hand'" in (tmp_path / "two" / "gatehouse.yaml").read_text()


def test_an_answer_stands_in_the_files_as_it_was_given_whatever_yaml_would_make_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUSE_INFLUXDB_TOKEN", "it's 'given' #by hand")
    answers = Answers(compounds=("no", "1"), broker=("10",), history="http://localhost:8086", backups="*copies: 7")
    write_district(tmp_path / "gatehouse.yaml", answers, SystemClock())
    settings = load_settings(tmp_path / "gatehouse.yaml", {})
    assert isinstance(settings.history, InfluxSettings)
    assert settings.history.token.get_secret_value() == "it's 'given' #by hand"
    assert (settings.broker.host, settings.watch.backups) == ("10", tmp_path / "*copies: 7")
    assert [site.id for site in Catalogue.load(settings.catalogue).sites] == ["no", "1"]


@pytest.mark.parametrize(("compounds", "said"), [(["a", "b", "a"], "a: twice"), (["a" * 63], "at most 60")])
def test_compounds_that_cannot_all_have_a_gateway_are_a_wrong_answer(compounds: list[str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Answers(compounds=tuple(compounds), broker=("localhost",))


@pytest.mark.integration
def test_six_answers_typed_at_a_terminal_start_a_core_at_a_closed_broker(tmp_path: Path) -> None:
    config = tmp_path / "gatehouse.yaml"
    typed = ["Wrong Name", "north", "", "localhost", "", "", "li", "a phrase of some length", "a phrase of some length"]
    shown = at_a_terminal(servers.gatehouse("init", "--config", config), tmp_path, typed)
    assert "6/6" in shown and "user li: administrator" in shown and "a phrase" not in shown
    port, metrics = servers.free_port(), servers.free_port()
    conf = tmp_path / "broker" / "mosquitto.conf"
    conf.write_text(conf.read_text().replace("listener 8883", f"listener {port} localhost"))
    core = servers.gatehouse("core", "--config", config)
    elsewhere = {"GATEHOUSE__BROKER__PORT": str(port), "GATEHOUSE__METRICS__PORT": str(metrics)}
    with (
        servers.secure_mosquitto(tmp_path / "broker", port),
        servers.process(core, tmp_path / "core.log", **elsewhere),
    ):
        servers.wait_until(lambda: servers.answers(f"http://127.0.0.1:{metrics}/health/ready"), what="the core")


def at_a_terminal(command: Sequence[str | Path], folder: Path, typed: list[str]) -> str:
    """Type an answer whenever a question stands there; what the terminal showed."""
    master, slave = pty.openpty()
    child = subprocess.Popen(command, cwd=folder, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    shown, seen = "", 0
    try:
        while True:
            try:
                shown += os.read(master, 4096).decode()
            except OSError:
                break  # it has ended, and its terminal with it
            if typed and re.search(r": $", shown[seen:]):
                seen = len(shown)
                os.write(master, typed.pop(0).encode() + b"\n")
    finally:
        os.close(master)
        status = child.wait()
    assert status == 0, shown
    assert not typed, shown
    return shown
