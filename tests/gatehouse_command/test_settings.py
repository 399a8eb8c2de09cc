from pathlib import Path

import pytest
from pydantic import BaseModel

from gatehouse.check import check_configuration
from gatehouse.settings import Settings, load_settings
from ingest.history.settings import InfluxSettings, ParquetSettings
from telemetry.errors import BadConfiguration
from tests import district


def test_the_demonstration_district_has_no_mistakes() -> None:
    import gatehouse

    assert gatehouse.__file__
    summary, mistakes = check_configuration(Path(gatehouse.__file__).parent / "district" / "gatehouse.yaml")
    assert mistakes == []
    assert "3 sites" in summary


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = district.write_district(tmp_path)
    settings = load_settings(file, {})
    assert settings.catalogue == tmp_path / "catalogue"
    assert settings.database.url == f"sqlite:///{tmp_path}/data/gatehouse.db"
    assert isinstance(settings.history, ParquetSettings)
    assert settings.history.folder == tmp_path / "data" / "history"


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    settings = load_settings(
        district.write_district(tmp_path),
        {
            "GATEHOUSE__BROKER__HOST": "broker.site",
            "GATEHOUSE__BROKER__PORT": "8883",
            "GATEHOUSE__HISTORY__STORE": "influxdb",
            "GATEHOUSE__HISTORY__TOKEN": f"file:{secret}",
            "ELSE": "x",
        },
    )
    assert (settings.broker.host, settings.broker.port) == ("broker.site", 8883)
    assert isinstance(settings.history, InfluxSettings)
    assert settings.history.token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GATEHOUSE__BROKR__HOST", "x", "there is no setting 'brokr'"),
        ("GATEHOUSE__BROKER__HOTS", "x", "GATEHOUSE__BROKER__HOTS"),
        ("GATEHOUSE__BROKER__PORT", "x", "GATEHOUSE__BROKER__PORT"),
        ("GATEHOUSE__HISTORY__TOKEN", "file:/nowhere", "No such file"),
    ],
)
def test_a_misspelt_or_wrong_variable_is_refused_by_name(tmp_path: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said):
        load_settings(district.write_district(tmp_path), {name: value})


def test_a_wrong_setting_names_file_line_and_field(tmp_path: Path) -> None:
    file = district.write_district(tmp_path)
    file.write_text("broker:\n  host: x\n  port: 99999\nhistory:\n  store: parquet\n  bucket: b\n")
    _, mistakes = check_configuration(file)
    assert mistakes == [
        f"{file}:3: broker.port: Input should be less than or equal to 65535 (found 99999)",
        f"{file}:6: history.bucket: unknown field; remove it or mend its spelling",
    ]


@pytest.mark.parametrize(
    ("change", "into", "said"),
    [
        ("metric: power", "metric: powr", "no kind has a metric 'powr'"),
        ("severity: critical, at_least: 38.0", "severity: dire, at_least: 38.0", "a severity is one of"),
        ("{severity: high, at_least: 1000}", "{severity: high}", "give either 'at_least' or 'at_most'"),
        ("at_least: 37.3}", "at_least: 37.3, clear: 38}", "must not lie above"),
        ("id: heater", "id: fever", "is taken"),
        ("type: forecast", "type: prophecy", "prophecy"),
        ("metric: power", "metric: power\n    relative_to: depth", "declares no 'drain'"),
        ("notify: [pager]", "notify: [siren]", "not among 'channels'"),
    ],
)
def test_a_mistake_in_a_rule_is_named(tmp_path: Path, change: str, into: str, said: str) -> None:
    file = district.write_district(tmp_path)
    rules = tmp_path / "rules" / "all.yaml"
    assert change in district.RULES
    rules.write_text(district.RULES.replace(change, into, 1), encoding="utf-8")
    _, mistakes = check_configuration(file)
    assert any(said in line for line in mistakes), mistakes


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "configuration.md").read_text(encoding="utf-8")

    def names(model: type[BaseModel], prefix: str = "") -> list[str]:
        found = []
        for attribute, field in model.model_fields.items():
            name = field.alias or attribute
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found += names(inner, f"{prefix}{name}.")
            else:
                found.append(f"{prefix}{name}")
        return found

    wanted = [name for name in names(Settings) if name != "history"]
    wanted += [f"history.{n}" for n in (*ParquetSettings.model_fields, *InfluxSettings.model_fields)]
    assert [name for name in wanted if f"`{name}`" not in text] == []


@pytest.mark.parametrize("section", ["database", "register"])
@pytest.mark.parametrize(
    ("url", "said"), [("postgresql://g:x@y:S3cret@db/g", "is not a URL"), ("mysql://g:S3cret@db/g", "'mysql'")]
)
def test_a_wrong_url_of_a_database_is_a_mistake_that_does_not_show_the_password(
    tmp_path: Path, section: str, url: str, said: str
) -> None:
    file = tmp_path / "gatehouse.yaml"
    file.write_text(f"{section}: {{url: '{url}'}}\n")
    _, mistakes = check_configuration(file)
    assert said in mistakes[0] and str(file) in mistakes[0] and f"{section}.url" in mistakes[0]
    assert "S3cret" not in mistakes[0]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("broker: {username: a, password: 48151623}", "broker.password"),
        ("history: {store: influxdb, url: 'http://db:8086', token: 48151623}", "history.token"),
        ("channels: {duty: {type: dingtalk, url: 'https://db', secret: 48151623}}", "channels.duty.secret"),
        ("channels: {duty: {type: dingtalk, url: 48151623}}", "channels.duty.url"),
    ],
)
def test_a_secret_that_does_not_fit_is_not_shown(tmp_path: Path, text: str, field: str) -> None:
    """A password of digits without quotes is a number in YAML."""
    file = tmp_path / "gatehouse.yaml"
    file.write_text(text + "\n")
    _, mistakes = check_configuration(file)
    assert any(f"{file}:1: {field}: " in mistake for mistake in mistakes)
    assert "48151623" not in "\n".join(mistakes)


def test_a_secret_may_stand_in_the_environment_alone(tmp_path: Path) -> None:
    file = tmp_path / "gatehouse.yaml"
    file.write_text("history: {store: influxdb, url: 'http://db:8086'}\n")
    history = load_settings(file, {"GATEHOUSE__HISTORY__TOKEN": "s3cret"}).history
    assert isinstance(history, InfluxSettings) and history.token.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"GATEHOUSE__BROKER": "x", "GATEHOUSE__BROKER__HOST": "y"}, "'broker' is set as a whole"),
        ({"GATEHOUSE__BROKER__PASSWORD": "file:{}/binary"}, "GATEHOUSE__BROKER__PASSWORD: the file cannot be read"),
    ],
)
def test_an_environment_that_cannot_be_read_is_said_by_its_name(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    file = district.write_district(tmp_path)
    with pytest.raises(BadConfiguration, match=said):
        load_settings(file, {name: value.format(tmp_path) for name, value in environment.items()})


def test_a_register_in_the_alarms_database_is_refused_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://gatehouse:S3cret@db/gatehouse"
    config = tmp_path / "gatehouse.yaml"
    config.write_text(f"catalogue: c\nrules: r\ndatabase: {{url: '{url}'}}\nregister: {{url: '{url}'}}\n")
    with pytest.raises(BadConfiguration, match=r"register\.url .*gatehouse:\*\*\*@db.* is database\.url") as raised:
        load_settings(config, {})
    assert "S3cret" not in str(raised.value)
