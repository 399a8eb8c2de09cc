"""What doctor finds on a gateway's box, each with the thing really so; it needs no server package and changes nothing."""

import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gatehouse import box
from gatehouse.__main__ import app
from gatehouse.finding import Finding, State
from gatehouse.pki import BROKER, Authority
from gateway.settings import load_settings
from telemetry.clock import Clock, ManualClock, SystemClock
from tests import servers
from tests.gateway.test_without_numpy import ABSENT

DAY_MS = 86_400_000


@contextmanager
def listening(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Somebody who takes connections, and waits to be told who it is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    link, _ = server.accept()
                    held.append(link)
                    if context is not None:
                        held[-1] = context.wrap_socket(link, server_side=True)
                except ssl.SSLError:
                    link.close()
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for link in held:
            link.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A box with all that it needs: its own certificate, the authority's, and a line."""
    authority = Authority(tmp_path / "office", SystemClock())
    authority.create("district")
    authority.issue("gw-east")
    authority.issue(BROKER, ["localhost"])
    pki = tmp_path / "pki"
    pki.mkdir()
    for name in ("ca.crt", "gw-east.pem"):
        (pki / name).write_bytes((tmp_path / "office" / name).read_bytes())
    (pki / "gw-east.pem").chmod(0o600)
    return tmp_path


def server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "office" / "ca.crt")
    context.load_cert_chain(folder / "office" / f"{BROKER}.pem")
    context.load_verify_locations(folder / "office" / "crl.pem")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def write(folder: Path, port: int, **more: Any) -> Path:
    file = folder / "gateway.yaml"
    broker = {"host": "localhost", "port": port}
    broker |= {"tls": {"ca": "pki/ca.crt", "certificate": "pki/{client_id}.pem"}}
    document = {
        "site": "east",
        "gateway": "gw-east",
        "broker": broker,
        "drivers": more.pop("drivers", None) or _drivers(),
    }
    file.write_text(yaml.safe_dump(document | more))
    return file


def _drivers() -> list[dict[str, Any]]:
    devices = [{"device": "meter", "unit": 1, "profile": "sdm630"}]
    return [{"driver": "modbus-tcp", "host": "127.0.0.1", "devices": devices}]


def unwell(file: Path, about: str, clock: Clock | None = None) -> list[Finding]:
    return [f for f in box.examine(file, clock or SystemClock()) if f.about == about and f.state is not State.WELL]


def check(file: Path, about: str, state: State, *said: str, clock: Clock | None = None) -> None:
    found = unwell(file, about, clock)
    fitting = [f for f in found if f.state is state and f.do and all(word in f"{f.what} {f.do}" for word in said)]
    assert len(fitting) == 1, found


def test_a_box_that_is_well_says_so_and_ends_with_0(folder: Path) -> None:
    with listening(server_context(folder)) as port:
        file = write(folder, port)
        before = sorted(folder.rglob("*"))
        done = CliRunner().invoke(app, ["doctor", "--config", str(file), "--json"])
        assert (done.exit_code, {f["state"] for f in json.loads(done.output)}) == (0, {"well"}), done.output
        assert sorted(folder.rglob("*")) == before


def test_every_mistake_in_the_gateways_file_is_a_finding(folder: Path) -> None:
    file = write(folder, 1, spol={}, uplink={"window_kb": 0})
    assert {f.about for f in box.examine(file, SystemClock())} == {"configuration"}
    done = CliRunner().invoke(app, ["doctor", "--config", str(file)])
    assert done.exit_code == 2 and "gateway.yaml:" in done.output and "window_kb" in done.output


def test_who_answers_at_the_brokers_address(folder: Path) -> None:
    file = write(folder, servers.free_port())
    check(file, "broker", State.WRONG, "refused", "spool")
    assert CliRunner().invoke(app, ["doctor", "--config", str(file)]).exit_code == 2
    with listening() as port:
        write(folder, port, broker={"host": "127.0.0.1", "port": port})
        check(file, "broker", State.SOON, "broker.tls")
        assert CliRunner().invoke(app, ["doctor", "--config", str(file)]).exit_code == 1


def test_a_certificate_that_was_revoked_or_is_another_authoritys_is_refused(folder: Path) -> None:
    Authority(folder / "office", SystemClock()).revoke("gw-east")
    with listening(server_context(folder)) as port:
        check(write(folder, port), "broker", State.WRONG, "pki list")
    other = Authority(folder / "other", SystemClock())
    other.create("elsewhere")
    (folder / "pki" / "ca.crt").write_bytes((folder / "other" / "ca.crt").read_bytes())
    with listening(server_context(folder)) as port:
        check(write(folder, port), "broker", State.WRONG, "authority")


def test_a_certificate_that_ends_has_ended_or_is_away(folder: Path) -> None:
    file, now_ms = write(folder, 1), SystemClock().now_ms()
    check(file, "certificates", State.SOON, "gw-east.pem ends on", clock=ManualClock(now_ms + 705 * DAY_MS))
    check(
        file, "certificates", State.WRONG, "has ended", "stays in the spool", clock=ManualClock(now_ms + 731 * DAY_MS)
    )
    past = ManualClock(0)
    assert {f.state for f in unwell(file, "clock", past)} == {State.SOON} and not unwell(file, "certificates", past)
    (folder / "pki" / "gw-east.pem").unlink()
    check(file, "certificates", State.WRONG, "gw-east.pem", "pki make")


def test_keys_that_others_can_read_and_one_that_has_no_business_here(folder: Path) -> None:
    file = write(folder, 1)
    assert unwell(file, "files") == []
    (folder / "pki" / "gw-east.pem").chmod(0o644)
    check(file, "files", State.WRONG, "chmod 600")
    (folder / "pki" / "ca.pem").write_bytes((folder / "office" / "ca.pem").read_bytes())
    check(file, "files", State.WRONG, "key of the authority")


def test_a_spool_that_is_full_or_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(folder, 1, spool={"path": "spool", "size_max_mb": 1})
    assert unwell(file, "spool") == []
    (folder / "spool").mkdir()
    (folder / "spool" / "lane").write_bytes(b"x" * 850_000)
    check(file, "spool", State.SOON, "core is reached")
    (folder / "spool" / "lane").write_bytes(b"x" * 1_000_000)
    check(file, "spool", State.WRONG, "full", "thinned")
    write(folder, 1, spool={"path": "gateway.yaml/spool"})
    check(file, "spool", State.WRONG, "cannot be written")
    write(folder, 1, spool={"path": "spool", "size_max_mb": 10**9})
    check(file, "disk", State.SOON, "spool.size_max_mb")


def test_a_spool_that_is_used_meanwhile_is_looked_at(folder: Path) -> None:
    file = write(folder, 1, spool={"path": "spool", "size_max_mb": 1})
    done = threading.Event()

    def use() -> None:
        while not done.is_set():
            lane = folder / "spool" / "lane"
            lane.mkdir(parents=True)
            for number in range(30):
                (lane / f"{number}").write_bytes(b"x")
            shutil.rmtree(lane)

    settings, gateway, interval_s = load_settings(file), threading.Thread(target=use), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    gateway.start()
    try:
        for _ in range(200):
            assert list(box._spool(settings)) == []
    finally:
        sys.setswitchinterval(interval_s)
        done.set()
        gateway.join()


def test_a_line_that_is_not_there_and_nothing_to_read(folder: Path) -> None:
    meter = _drivers()[0] | {"driver": "modbus-rtu", "line": {"port": "/dev/ttyNOTHERE"}}
    del meter["host"]
    check(write(folder, 1, drivers=[meter]), "configuration", State.WRONG, "/dev/ttyNOTHERE is not there")
    document = yaml.safe_load((folder / "gateway.yaml").read_text()) | {"drivers": []}
    (folder / "gateway.yaml").write_text(yaml.safe_dump(document))
    check(folder / "gateway.yaml", "configuration", State.SOON, "nothing is read")


def test_a_page_that_nobody_serves(folder: Path) -> None:
    (folder / "guards.json").write_text("{}")
    page = {"host": "127.0.0.1", "port": servers.free_port(), "guards": "guards.json"}
    check(write(folder, 1, local_page=page), "page", State.WRONG, "systemctl start")


def test_it_needs_no_server_package(folder: Path) -> None:
    file = write(folder, servers.free_port())
    names = (*ABSENT, "alembic", "cryptography")
    code = f"import sys\nfor name in {names!r}: sys.modules[name] = None\n"
    code += f"from gatehouse.__main__ import app\napp(['doctor', '--config', {str(file)!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "broker" in done.stdout, done.stderr
