"""A gateway's file and environment: what is wrong is named, what is misspelt refuses to start."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.drivers import DRIVERS
from gateway.drivers.http_push.settings import HttpPushSettings
from gateway.drivers.modbus_tcp.settings import ModbusTcpSettings
from gateway.exports import EXPORTS
from gateway.settings import (
    CoilSettings,
    GatewaySettings,
    LocalAlarmSettings,
    OutputSettings,
    SpoolSettings,
    UplinkSettings,
    load_settings,
)
from telemetry.errors import BadConfiguration

FILE = """\
site: compound-1
gateway: gw-compound-1
broker: {host: 127.0.0.1, port: 1883}
spool: {path: spool/gw-compound-1, size_max_mb: 2000}
uplink: {window_frames: 32, resend_after_s: 5}
drivers:
  - driver: modbus-tcp
    host: 127.0.0.1
    port: 5021
    every_s: 2
    timeout_s: 1
    profiles:
      drain-level: [{metric: level, function: input, address: 0, type: int16, scale: 0.001, invalid: [32767, -32768]}]
    devices:
      - {device: mh-1-1-level, unit: 1, profile: drain-level}
  - driver: http-push
    host: 127.0.0.1
    port: 8101
    devices:
      - {device: gate-1-lane-1-scanner, serial: SCN-0101}
    fields: {temperature: skin_temperature, ambient: ambient_temperature}
"""


def written(folder: Path, text: str = FILE) -> Path:
    file = folder / "gw.yaml"
    file.write_text(text)
    return file


def refusal(folder: Path, text: str = FILE, **environment: str) -> str:
    with pytest.raises(BadConfiguration) as caught:
        load_settings(written(folder, text), environment)
    return str(caught.value)


def test_a_file_is_read_and_each_driver_gets_its_own_settings(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path), {})
    modbus, push = settings.drivers
    assert isinstance(modbus, ModbusTcpSettings) and isinstance(push, HttpPushSettings)
    assert modbus.profiles["drain-level"].points[0].invalid == (32767, -32768)
    assert push.fields["ambient"] == "ambient_temperature"
    assert settings.uplink.window_frames == 32


def test_the_spool_lies_beside_the_file_unless_its_path_is_absolute(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert load_settings(file, {}).spool.path == tmp_path / "spool/gw-compound-1"
    assert load_settings(file, {"GATEWAY__SPOOL__PATH": "/var/spool"}).spool.path == Path("/var/spool")


@pytest.mark.parametrize(
    ("wrong", "right", "line", "words"),
    [
        ("port: 1883", "port: 99999", 3, "broker.port"),
        ("host: 127.0.0.1\n    port: 5021", "host: 127.0.0.1\n    prot: 5021", 9, "drivers[0].prot: unknown field"),
        ("unit: 1,", "unit: 256,", 15, "drivers[0].devices[0].unit"),
        ("type: int16", "type: int17", 13, "drivers[0].profiles.drain-level[0].type"),
        ("driver: http-push", "driver: ftp-push", 16, "(found 'ftp-push')"),
        ("    fields: {temp", "    felder: {temp", 16, "drivers[1].fields: is missing"),
        ("site: compound-1", "site: Compound 1", 1, "site"),
        ("broker: {host: 127.0.0.1", "broker: {host: broker..site", 3, "broker.host"),
        (
            "host: 127.0.0.1\n    port: 5021",
            "host: http://plc/\n    port: 5021",
            8,
            "drivers[0].host: 'http://plc/' is",
        ),
        ("host: 127.0.0.1\n    port: 8101", "host: 0.0.0.0 \\n\n    port: 8101", 17, "drivers[1].host"),
        ("device: gate-1-lane-1-scanner", "device: mh-1-1-level", 16, "'mh-1-1-level' is read by modbus-tcp"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_field(
    tmp_path: Path, wrong: str, right: str, line: int, words: str
) -> None:
    assert wrong in FILE
    message = refusal(tmp_path, FILE.replace(wrong, right, 1))
    assert f"gw.yaml:{line}:" in message
    assert words in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = FILE.replace("port: 1883", "port: x").replace("unit: 1,", "unit: x,")
    assert len(refusal(tmp_path, text).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "[]", "drivers: 3\nsite: s\ngateway: g", "drivers: [3]\nsite: s\ngateway: g"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    assert "gw.yaml:" in refusal(tmp_path, text)


def test_two_drivers_at_one_address_are_refused(tmp_path: Path) -> None:
    start = FILE.index("  - driver: modbus")
    entry = FILE[start : FILE.index("  - driver: http")]
    text = FILE + entry.replace("mh-1-1-level", "mh-1-2-level")
    assert "stands twice" in refusal(tmp_path, text)


def test_the_environment_replaces_what_the_file_says(tmp_path: Path) -> None:
    settings = load_settings(
        written(tmp_path),
        {
            "GATEWAY__BROKER__HOST": "broker.site",
            "GATEWAY__BROKER__PORT": "8883",
            "GATEWAY__BROKER__USERNAME": "gw",
            "GATEWAY__BROKER__PASSWORD": "12345",
            "GATEWAY__SPOOL__SIZE_MAX_MB": "10",
            "GATEWAY__UPLINK__RESEND_AFTER_S": "2.5",
            "GATEWAY__DRAIN_ON_STOP_S": "3",
            "HOME": "/root",
        },
    )
    broker = settings.broker
    assert (broker.host, broker.port, broker.username) == ("broker.site", 8883, "gw")
    assert broker.password is not None and broker.password.get_secret_value() == "12345"
    assert "12345" not in repr(settings)
    assert (settings.spool.size_max_mb, settings.uplink.resend_after_s, settings.drain_on_stop_s) == (10, 2.5, 3)


def test_a_rate_of_a_device_that_nobody_reads_is_named(tmp_path: Path) -> None:
    rates = "rates: [{device: mh-1-1-level, counter: level, metric: level_rate}]"
    assert load_settings(written(tmp_path, f"{FILE}\n{rates}"), {}).rates[0].per_s == 3600
    message = refusal(tmp_path, f"{FILE}\n{rates.replace('mh-1-1', 'mh-9-9')}")
    assert "rates[0].device: no driver of this gateway reads 'mh-9-9-level'" in message
    message = refusal(tmp_path, f"{FILE}\n{rates.replace('counter: level', 'counter: levle')}")
    assert "rates[0].counter: of 'mh-1-1-level' no 'levle' is read" in message
    alarm = "{rule: r, device: mh-1-1-level, metric: level_rate, at_least: 1, output: l}"
    file = f"{FILE}\n{rates}\noutputs: {{l: {{file: f}}}}\nlocal_alarms: [{alarm}]"
    assert load_settings(written(tmp_path, file), {}).local_alarms[0].metric == "level_rate"


SERIES = "[{device: mh-1-1-level, metric: level, name: L}]"
EXPORT = f"exports: [{{export: home-assistant, broker: {{host: h}}, client_id: c, series: {SERIES}}}]"


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ("home-assistant", "home-helper", "exports[0].export: must name an export: home-assistant"),
        ("mh-1-1-level", "mh-9-level", "no driver of this gateway reads 'mh-9-level'"),
        ("metric: level, name", "metric: levle, name", "exports[0].series[0].metric: of 'mh-1-1-level' no 'levle'"),
        ("metric: level, name", "metrik: level, name", "exports[0].series[0].metrik"),
        ("[{export", "3 #[{export", "must be a list"),
    ],
)
def test_a_mistake_in_an_export_is_named(tmp_path: Path, wrong: str, right: str, words: str) -> None:
    assert load_settings(written(tmp_path, f"{FILE}\n{EXPORT}"), {}).exports[0].export == "home-assistant"
    assert words in refusal(tmp_path, f"{FILE}\n{EXPORT.replace(wrong, right, 1)}")


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_the_configuration_on_an_exports_page_is_one(name: str, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "gateway" / "exports" / name.replace("-", "_") / "README.md").read_text()
    (shown, *_) = [part for part in page.split("```yaml\n")[1:] if part.startswith("exports:")]
    settings = load_settings(written(tmp_path, f"{FILE}\n{shown.split('```')[0]}"), {})
    assert [export.export for export in settings.exports] == [name]


@pytest.mark.parametrize(
    "variable", ["GATEWAY__BROKR__HOST", "GATEWAY__BROKER__PASWORD", "GATEWAY__BROKER", "GATEWAY__DRIVERS", "GATEWAY__"]
)
def test_a_misspelt_variable_refuses_to_start(tmp_path: Path, variable: str) -> None:
    message = refusal(tmp_path, **{variable: "secret"})
    assert f"{variable} is no setting" in message and "GATEWAY__BROKER__HOST" in message
    assert "secret" not in message


def test_a_wrong_value_in_the_environment_is_named_by_its_variable(tmp_path: Path) -> None:
    assert refusal(tmp_path, GATEWAY__BROKER__PORT="many").startswith("GATEWAY__BROKER__PORT")


def test_every_driver_has_its_page() -> None:
    folder = Path(__file__).parents[2] / "gateway" / "drivers"
    for name, kind in DRIVERS.items():
        page = (folder / name.replace("-", "_") / "README.md").read_text()
        assert f"driver: {name}" in page
        assert kind.settings.model_fields["driver"].is_required()


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    page = text[text.index("## A gateway") :]
    models = (
        (GatewaySettings, ""),
        (SpoolSettings, "spool."),
        (UplinkSettings, "uplink."),
        (OutputSettings, ""),
        (CoilSettings, ""),
        (LocalAlarmSettings, ""),
    )
    named = {"device", "metric"}  # shown in the example
    for model, prefix in models:
        for name in model.model_fields:
            assert name in named or f"`{prefix}{name}." in page or f"`{prefix}{name}`" in page, f"{prefix}{name}"


LOCAL = """
outputs:
  lamp: {modbus: {host: 10.0.0.31, unit: 2, coil: 7}}
  siren: {file: pins/17, on: high, off: 0}
local_alarms:
  - {rule: fever, device: gate-1-lane-1-scanner, metric: skin_temperature, at_least: 37.3, per_passage: true, output: lamp}
  - {rule: drain-level, device: mh-1-1-level, metric: level, at_least: 1.4, clear: 1.3, output: siren}
"""


def test_local_alarms_and_their_outputs_are_read(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, FILE + LOCAL), {})
    assert settings.outputs["siren"].file == tmp_path / "pins/17"
    assert (settings.outputs["siren"].on, settings.outputs["siren"].off) == ("high", "0")
    lamp = settings.outputs["lamp"].modbus
    assert lamp is not None and (lamp.host, lamp.port, lamp.unit, lamp.coil) == ("10.0.0.31", 502, 2, 7)
    fever, drain = settings.local_alarms
    assert fever.per_passage and fever.limit == 37.3 and drain.clear == 1.3


@pytest.mark.parametrize(
    ("wrong", "right", "line", "words"),
    [
        ("output: lamp", "output: lmap", 6, "local_alarms[0].output: there is no output 'lmap'"),
        (
            "device: mh-1-1-level, metric: level, at",
            "device: mh-9, metric: level, at",
            7,
            "no driver of this gateway reads",
        ),
        (
            "metric: level, at",
            "metric: levle, at",
            7,
            "local_alarms[1].metric: of 'mh-1-1-level' no 'levle' is read; there are: level",
        ),
        ("at_least: 37.3, ", "", 6, "give either 'at_least' or 'at_most'"),
        ("at_least: 1.4, clear: 1.3", "at_least: 1.4, clear: 1.5", 7, "'clear' must not lie above"),
        ("at_least: 1.4, clear: 1.3", "at_most: 1.4, clear: 1.3", 7, "'clear' must not lie below"),
        ("at_least: 1.4, clear: 1.3", "at_most: .nan", 7, "local_alarms[1].at_most"),
        ("per_passage: true", "per_passage: true, for_s: 5", 6, "'for_s' say nothing with 'per_passage'"),
        ("file: pins/17, ", "", 4, "give either 'file' or 'modbus'"),
        ("coil: 7", "coil: 70000", 3, "outputs.lamp.modbus.coil"),
        ("host: 10.0.0.31", "host: relay..site", 3, "outputs.lamp.modbus.host"),
        ("rule: fever", "rule: Fever", 6, "local_alarms[0].rule"),
    ],
)
def test_a_mistake_in_a_local_alarm_is_named(tmp_path: Path, wrong: str, right: str, line: int, words: str) -> None:
    assert wrong in LOCAL
    message = refusal(tmp_path, FILE + LOCAL.replace(wrong, right, 1))
    assert f"gw.yaml:{line + len(FILE.splitlines())}:" in message
    assert words in message


def test_two_drivers_cannot_share_a_line(tmp_path: Path) -> None:
    """Each would hear the answers to the other."""
    line = "line: {port: /dev/ttyUSB0}"
    other = f"""
  - driver: dlt645
    {line}
    devices: [{{device: room-1, address: "161"}}]
  - driver: cjt188
    {line}
    devices: [{{device: water-1, address: "78330011223344"}}]
"""
    message = refusal(tmp_path, FILE.rstrip() + other)
    assert "'/dev/ttyUSB0' is used by dlt645 /dev/ttyUSB0" in message


SCANNER = """
  - driver: hikvision
    device: {device}
    host: {host}
    username: gateway
    password: secret-one
    bookmark: lane.bookmark
    site_key: 5f0c7d1e9a3b4c685f0c7d1e9a3b4c68
"""
SENSORS = """
  - driver: senml
    broker: {{host: 10.0.0.5}}
    client_id: {client_id}
    topics: [a]
    devices: [{{device: mh-8, quantities: [{{name: a, metric: level}}]}}]
  - driver: sparkplug
    broker: {{host: 10.0.0.5}}
    client_id: gw-sensors
    devices: [{{device: mh-9, group: g, node: n, quantities: [{{name: a, metric: level}}]}}]
"""


def test_two_drivers_cannot_share_a_bookmark(tmp_path: Path) -> None:
    """Each would take what the other has read for read."""
    first = SCANNER.format(device="lane-1", host="10.0.0.1")
    load_settings(written(tmp_path, FILE.rstrip() + first), {})
    message = refusal(tmp_path, FILE.rstrip() + first + SCANNER.format(device="lane-2", host="10.0.0.2"))
    assert "drivers[3].bookmark: 'lane.bookmark' is used by hikvision 10.0.0.1:80; give each its own" in message


def test_two_who_share_a_broker_cannot_share_a_name_there(tmp_path: Path) -> None:
    """The broker would end the connection of one whenever the other comes."""
    load_settings(written(tmp_path, FILE.rstrip() + SENSORS.format(client_id="gw-senml")), {})
    message = refusal(tmp_path, FILE.rstrip() + SENSORS.format(client_id="gw-sensors"))
    assert "drivers[3].client_id: 'gw-sensors at 10.0.0.5:1883' is used by senml 10.0.0.5:1883" in message
    export = EXPORT.replace("client_id: c", "client_id: gw-sensors").replace("host: h", "host: 10.0.0.5")
    both = FILE.rstrip() + SENSORS.format(client_id="gw-senml") + export
    assert "exports[0].client_id: 'gw-sensors at 10.0.0.5:1883' is used by sparkplug" in refusal(tmp_path, both)


@pytest.mark.parametrize("name", DRIVERS)
def test_the_configuration_on_a_drivers_page_is_one(name: str, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "gateway" / "drivers" / name.replace("-", "_") / "README.md").read_text()
    (shown, *_) = [part for part in page.split("```yaml\n")[1:] if part.startswith("drivers:")]
    head = "site: s\ngateway: g\nbroker: {host: h}\n"
    own = shown.split("```")[0].replace("<openssl rand -hex 32>", "5f0c7d1e9a3b4c68" * 4)  # as the page says
    settings = load_settings(written(tmp_path, head + own), {})
    assert [driver.driver for driver in settings.drivers] == [name]
