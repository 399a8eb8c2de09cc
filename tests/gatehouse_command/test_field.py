"""`gatehouse gateway read | probe | relay` against meters behind a TCP serial server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gatehouse.__main__ import app
from gateway.settings import load_settings
from telemetry.catalogue import CatalogueFile
from telemetry.errors import BadConfiguration, Unavailable
from tests.gateway.meters.devices import meter_645
from tests.gateway.meters.test_line import Requests
from tests.gateway.meters.wire import Answer, Device
from tests.gateway.support import free_port

METER = meter_645("000000000161", {"00010000": bytes.fromhex("76170300"), "02010100": bytes.fromhex("ffff")}, delay_s=0)

GATEWAY = """\
site: s
gateway: g
broker: {{host: h}}
drivers:
  - driver: dlt645
    line: {{host: 127.0.0.1, tcp_port: {port}, quiet_ms: 1, answer_delay_ms: 50}}
    attempts: 1
    profiles: {{two: [{{metric: energy, item: "00010000"}}, {{metric: voltage, item: "02010100"}}]}}
    devices:
      - {{device: room-1, address: "161", profile: two, relay: {{password: "123456"}}}}
      - {{device: room-2, address: "162"}}
  - driver: http-push
    host: 127.0.0.1
    port: 8101
    devices: [{{device: gate-1, serial: S1}}]
    fields: {{temperature: skin_temperature}}
"""


MODBUS = """\
site: s
gateway: g
broker: {{host: h}}
drivers:
  - driver: modbus-tcp
    host: 127.0.0.1
    port: {port}
    profiles:
      a: [{{metric: level, function: holding, address: 0}}]
      b: [{{metric: level, function: holding, address: 9}}]
    devices: [{{device: well, unit: 1, profile: a}}, {{device: other, unit: 1, profile: b}}]
"""


class Whole:
    """Requests that come in one piece, as over TCP on the loopback."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def take(self, data: bytes) -> bytes:
        answer = self._device(data)
        return answer.data if answer else b""


@contextmanager
def serial_server(devices: Sequence[Device], cut: Callable[[Device], Requests | Whole] = Requests) -> Iterator[int]:
    """A TCP serial server in a thread, for a command that has a loop of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    port = free_port()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests = [cut(device) for device in devices]
        try:
            while data := await reader.read(4096):
                for one in requests:
                    writer.write(one.take(data))
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        ready.set()
        async with server:
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert ready.wait(10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def config(folder: Path, port: int) -> str:
    file = folder / "gw.yaml"
    file.write_text(GATEWAY.format(port=port), encoding="utf-8")
    return str(file)


def test_one_exchange_is_shown_in_hex_and_in_words(tmp_path: Path) -> None:
    with serial_server([METER]) as port:
        done = CliRunner().invoke(app, ["gateway", "read", "room-1", "--config", config(tmp_path, port)])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "→ fe fe fe fe 68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16" in lines
    assert "    to 000000000161: read 00010000" in lines
    assert "    from 000000000161: forward active energy 317.76 kWh" in lines
    assert "    from 000000000161: voltage not measured" in lines
    assert "317.76" in done.output and "not measured" in done.output


def test_a_unit_of_modbus_tcp_is_shown_too(tmp_path: Path) -> None:
    def unit(request: bytes) -> Answer | None:
        refused = b"\x00\x03" + request[6:7] + b"\x83\x02"
        answered = b"\x00\x05" + request[6:7] + b"\x03\x02\x00\x07"
        return Answer(request[:4] + (answered if request[9] == 0 else refused))

    with serial_server([unit], Whole) as port:
        file = tmp_path / "gw.yaml"
        file.write_text(MODBUS.format(port=port), encoding="utf-8")
        done = CliRunner().invoke(app, ["gateway", "read", "well", "--config", str(file)])
        refused = CliRunner().invoke(app, ["gateway", "read", "other", "--config", str(file)])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "→ 00 01 00 00 00 06 01 03 00 00 00 01" in lines
    assert "    to 1: function 3, 1 registers from 0 (0x0000)" in lines
    assert "    from 1: registers 0007" in lines
    assert refused.exit_code == 1 and "illegal data address" in refused.output


@pytest.mark.parametrize("said", ["0001", "000100000005010302", "485454502f312e3120343030"])
def test_what_is_cut_off_or_nonsense_is_shown_in_hex(tmp_path: Path, said: str) -> None:
    with serial_server([lambda _request: Answer(bytes.fromhex(said))], Whole) as port:
        file = tmp_path / "gw.yaml"
        file.write_text(MODBUS.format(port=port) + "    timeout_s: 0.2\n", encoding="utf-8")
        done = CliRunner().invoke(app, ["gateway", "read", "well", "--config", str(file)])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.exception
    lines = done.output.splitlines()
    assert lines[lines.index(f"← {bytes.fromhex(said).hex(' ')}") + 1] == "    no whole frame"


def test_a_register_is_shown_with_all_its_digits(tmp_path: Path) -> None:
    meter = meter_645("000000000161", {"00010000": bytes.fromhex("98765412"), "02010100": b"\xff\xff"}, delay_s=0)
    with serial_server([meter]) as port:
        done = CliRunner().invoke(app, ["gateway", "read", "room-1", "--config", config(tmp_path, port)])
    told = [line for line in done.output.splitlines() if "energy" in line]
    assert len(told) == 2 and all("125476.98" in line for line in told)  # in words, and in the table


def test_a_device_that_keeps_silent_is_a_failure(tmp_path: Path) -> None:
    with serial_server([METER]) as port:
        done = CliRunner().invoke(app, ["gateway", "read", "room-2", "--config", config(tmp_path, port)])
    assert done.exit_code == 1 and "no answer to 1 request" in done.output


@pytest.mark.parametrize(
    ("device", "words"), [("room-9", "on lines there are: room-1, room-2"), ("gate-1", "is read by http-push")]
)
def test_a_device_that_cannot_be_asked_is_told(tmp_path: Path, device: str, words: str) -> None:
    done = CliRunner().invoke(app, ["gateway", "read", device, "--config", config(tmp_path, free_port())])
    assert isinstance(done.exception, BadConfiguration) and words in str(done.exception)


def test_what_is_found_is_written_as_configuration_and_catalogue(tmp_path: Path) -> None:
    with serial_server([METER]) as port:
        arguments = ["--host", "127.0.0.1", "--tcp-port", str(port), "--place", "dorm-1", "--gateway", "gw-1"]
        done = CliRunner().invoke(app, ["gateway", "probe", "dlt645", *arguments, "--out", str(tmp_path / "found")])
    assert done.exit_code == 0, done.output
    catalogue = yaml.safe_load((tmp_path / "found" / "catalogue.yaml").read_text(encoding="utf-8"))
    assert [device.id for device in CatalogueFile.model_validate(catalogue).devices] == ["meter-000000000161"]
    drivers = (tmp_path / "found" / "drivers.yaml").read_text(encoding="utf-8")
    (tmp_path / "gw.yaml").write_text("site: s\ngateway: g\nbroker: {host: h}\n" + drivers, encoding="utf-8")
    (entry,) = load_settings(tmp_path / "gw.yaml", {}).drivers
    assert list(entry.device_names()) == ["meter-000000000161"]


def test_a_search_that_finds_nobody_or_has_no_line_says_so(tmp_path: Path) -> None:
    with serial_server([]) as port:
        done = CliRunner().invoke(app, ["gateway", "probe", "cjt188", "--host", "127.0.0.1", "--tcp-port", str(port)])
    assert done.exit_code == 1 and "nobody answered" in done.output
    done = CliRunner().invoke(
        app, ["gateway", "probe", "cjt188", "--host", "127.0.0.1", "--tcp-port", str(free_port())]
    )
    assert isinstance(done.exception, Unavailable)
    done = CliRunner().invoke(app, ["gateway", "probe", "cjt188"])
    assert isinstance(done.exception, BadConfiguration) and "either 'port'" in str(done.exception)
    assert CliRunner().invoke(app, ["gateway", "probe", "carrier-pigeon"]).exit_code == 2


def test_a_relay_is_switched_only_where_its_entry_allows_it_and_somebody_says_yes(tmp_path: Path) -> None:
    with serial_server([METER]) as port:
        file = config(tmp_path, port)
        command = ["gateway", "relay", "room-1", "trip", "--config", file]
        assert CliRunner().invoke(app, command, input="n\n").exit_code == 1
        done = CliRunner().invoke(app, command, input="y\n")
        assert done.exit_code == 0 and "trip acknowledged" in done.output
        done = CliRunner().invoke(app, ["gateway", "relay", "room-2", "trip", "--yes", "--config", file])
    assert isinstance(done.exception, BadConfiguration) and "no 'relay'" in str(done.exception)


def test_a_gateway_without_a_file_or_a_command_says_what_there_is() -> None:
    done = CliRunner().invoke(app, ["gateway"])
    assert done.exit_code == 2 and "--config" in done.output and "probe" in done.output
