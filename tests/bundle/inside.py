"""Runs inside the Debian root, as root, with Debian's Python alone. What it finds it writes to results.json beside it.

Nothing of ours may be imported here: whatever works, works from the bundle.
"""

import contextlib
import http.cookiejar
import json
import os
import re
import shutil
import socket
import subprocess
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SETTINGS, OPT, STATE = Path("/etc/gatehouse"), Path("/opt/gatehouse"), Path("/var/lib/gatehouse")
CONFIG = SETTINGS / "gatehouse.yaml"
PASSWORD = "a password for tests"
API = "http://127.0.0.1:8080"
UNITS = ("gatehouse-core", "gatehouse-api", "gatehouse-gateway")
# What the broker is told in these tests comes from a client with the certificate of the gateway that none of them runs.
PUBLISH = """
import json, ssl, sys, time
import paho.mqtt.client as paho
device, metric, first, count, value, pause = sys.argv[1:]
client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="gw-west", protocol=paho.MQTTv311)
client.tls_set("/etc/gatehouse/pki/ca.crt", "/etc/gatehouse/pki/gw-west.pem", "/etc/gatehouse/pki/gw-west.pem")
client.connect("localhost", 8883)
client.loop_start()
for n in range(int(first), int(first) + int(count)):
    reading = {"device": device, "metric": metric, "time": n * 1000, "value": float(value)}
    client.publish("gatehouse/v1/west/gw-west/readings", json.dumps(reading), qos=1).wait_for_publish(30)
    time.sleep(float(pause))
client.disconnect()
"""

found: dict[str, Any] = {}


def run(*command: str | Path, fails: bool = False, password: str = "") -> str:
    """What the command said; an error when it fails, or does not although it should."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, "GATEHOUSE_PASSWORD": password},
    )
    said = done.stdout + done.stderr
    assert bool(done.returncode) == fails, f"{command}: {done.returncode}\n{said}"
    return said


def wait(condition: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(OSError, LookupError, AssertionError):
            if value := condition():
                return value
        time.sleep(0.2)
    raise AssertionError(f"waited in vain for {what}")


def as_user(*command: str | Path, password: str = "") -> str:
    return run("runuser", "-u", "gatehouse", "--", *command, password=password)


def unpack(name: str) -> Path:
    run("tar", "-xf", HERE / name, "-C", "/root")
    return next(Path("/root").glob("gatehouse-*")).rename(Path("/root") / name.split(".")[0])


def there_is_no_network() -> None:
    assert [path.name for path in Path("/sys/class/net").iterdir()] == ["lo"]
    try:
        socket.create_connection(("192.0.2.1", 443), 3)
    except OSError as error:
        found["a connection out"] = str(error)
    else:
        raise AssertionError("there is a network")


def what_is_not_whole_or_not_signed_is_refused(bundle: Path) -> None:
    changes: dict[str, Callable[[Path], object]] = {
        "wheel": lambda b: _spoil(next((b / "wheels").glob("numpy-*"))),
        "sums": lambda b: _spoil(b / "SHA256SUMS"),
        "file": lambda b: (b / "wheels" / "more.whl").write_text("more"),
        "signature": lambda b: shutil.copy(HERE / "stranger.asc", b / "SHA256SUMS.asc"),
    }
    for name, change in changes.items():
        spoilt = Path("/root/spoilt")
        shutil.rmtree(spoilt, ignore_errors=True)
        shutil.copytree(bundle, spoilt)
        change(spoilt)
        found[f"refused: {name}"] = run("python3", spoilt / "install.py", "server", fails=True).splitlines()[-1]
        shutil.rmtree(spoilt)
    assert not OPT.exists()


def _spoil(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def install_server(bundle: Path) -> None:
    began = time.monotonic()
    said = run("sh", "-c", f"umask 077 && python3 {bundle}/install.py server")
    found["server installed in s"] = round(time.monotonic() - began)
    assert "signature: good" in said
    found["server installed MB"] = _size_mb(OPT / "current")


def make_site() -> None:
    """As docs/install.md says under “The first start”."""
    for name in ("catalogue", "rules"):
        shutil.rmtree(SETTINGS / name)
        shutil.copytree(HERE / "site" / name, SETTINGS / name)
    CONFIG.write_text(
        CONFIG.read_text() + "channels: {pager: {url: 'http://127.0.0.1:9/', allow_networks: [127.0.0.0/8]}}\n"
    )
    run("gatehouse", "check", "--config", CONFIG)
    pki, broker = SETTINGS / "pki", Path("/etc/mosquitto/gatehouse")
    run("gatehouse", "pki", "make", "--config", CONFIG, "--pki", pki, "--host", "localhost")
    run("gatehouse", "broker-config", "--config", CONFIG, "--pki", pki, "--out", broker, "--at", broker)
    run("chown", "-R", "mosquitto:", broker)
    run("chown", "-R", "gatehouse:", pki)
    run("chown", "root:", pki / "ca.pem")
    drop_in = Path("/etc/systemd/system/mosquitto.service.d/gatehouse.conf")
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Service]\nExecStart=\nExecStart=/usr/sbin/mosquitto -c {broker}/mosquitto.conf\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "mosquitto")
    as_user("gatehouse", "init", "--config", CONFIG)
    roles = [part for role in ("guard", "engineer", "manager") for part in ("--role", role)]
    as_user("gatehouse", "user", "add", "li", *roles, "--config", CONFIG, password=PASSWORD)
    run("systemctl", "enable", "--now", "gatehouse-core", "gatehouse-api")
    wait(lambda: urllib.request.urlopen("http://127.0.0.1:9108/health/ready", timeout=2), "the core")
    wait(lambda: urllib.request.urlopen(f"{API}/health/ready", timeout=2), "the API")


def install_gateway(bundle: Path) -> None:
    """On the same machine, with its port for scanners."""
    run("python3", bundle / "install.py", "gateway")
    file = SETTINGS / "gateway.yaml"
    text = file.read_text().replace("broker.site", "localhost").replace("compound-1", "east").replace("gw-gw", "gw")
    entry = "drivers:\n  - driver: http-push\n    port: 8101\n    fields: {temperature: skin_temperature}\n"
    entry += "    devices: [{device: scanner, serial: S1}]\n"
    file.write_text(text.replace("drivers: []\n", entry))
    run("systemctl", "enable", "--now", "gatehouse-gateway")
    wait(lambda: socket.create_connection(("127.0.0.1", 8101), 1), "the gateway's port")


class Client:
    """Somebody at the screens."""

    def __init__(self) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._open = urllib.request.build_opener(jar).open
        self._csrf = ""
        self._csrf = self.ask("/api/v1/session", {"name": "li", "password": PASSWORD})["csrf"]

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self._csrf}
        with self._open(urllib.request.Request(API + path, data, headers), timeout=10) as answer:
            return json.load(answer)

    def stored(self, device: str, metric: str) -> list[tuple[int, float]]:
        curve = self.ask(f"/api/v1/readings?device={device}&metric={metric}&start=0&end={2**42}")
        return list(zip(curve["time_ms"], curve["value"], strict=True))

    def alarms(self) -> dict[str, tuple[str, str | None]]:
        """What is open, and who has acknowledged it."""
        items = self.ask("/api/v1/alarms?state=all")["items"]
        return {item["id"]: (item["severity"], item["acknowledged_by"]) for item in items if item["class"] == "fever"}


def publish(
    device: str, metric: str, first_s: int, count: int, value: float, pause_s: float
) -> subprocess.Popen[bytes]:
    arguments = [device, metric, first_s, count, value, pause_s]
    return subprocess.Popen([OPT / "current/bin/python", "-c", PUBLISH, *(str(a) for a in arguments)])


def push(passage: str, temperature: float) -> None:
    """A person at the gate, as the scanner tells it: again until it is answered with 200."""
    body = json.dumps({"serial": "S1", "passage": passage, "temperature": temperature}).encode()
    request = urllib.request.Request(
        "http://127.0.0.1:8101/push", body, {"Content-Type": "application/json"}, method="POST"
    )
    wait(lambda: urllib.request.urlopen(request, timeout=5).status == 200, "the gateway to take a passage")


def one_reading_goes_all_the_way(client: Client) -> None:
    push("p1", 38.6)
    wait(lambda: len(client.stored("scanner", "skin_temperature")) == 1, "the reading in the API")
    (alarm,) = wait(client.alarms, "the alarm")
    seq = client.ask(f"/api/v1/alarms/{alarm}")["seq"]
    client.ask(f"/api/v1/alarms/{alarm}/acknowledge", {"seq": seq})
    wait(lambda: client.alarms()[alarm][1] == "li", "the acknowledgement")


def switch(what: Callable[[], Any], stored_s: range) -> None:
    """Readings and passages keep coming while a version is switched; none may be missing, and nothing else changed."""
    client = Client()
    before, alarms = client.stored("scanner", "skin_temperature"), client.alarms()
    publishing = publish("meter", "energy", stored_s.start, len(stored_s), 5.0, 0.2)
    said = what()
    push(f"during-{stored_s.start}", 36.5)
    assert publishing.wait(300) == 0
    client = Client()
    wait(lambda: {t // 1000 for t, _ in client.stored("meter", "energy")} >= set(range(FIRST_S, stored_s.stop)), "all")
    wait(lambda: len(client.stored("scanner", "skin_temperature")) == len(before) + 1, "the passage meanwhile")
    assert set(before) <= set(client.stored("scanner", "skin_temperature"))
    assert client.alarms() == alarms
    for unit in UNITS:
        assert run("systemctl", "is-active", unit).strip() == "active"
    found[f"switched, readings {stored_s.start} to {stored_s.stop - 1} kept"] = said.splitlines()[-1]


def _size_mb(folder: Path) -> int:
    return int(run("du", "-smL", folder).split()[0])


def _memory_mb(unit: str) -> float:
    pid = run("systemctl", "show", "--property=MainPID", "--value", unit).strip()
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return round(int(fields["VmRSS"].split()[0]) / 1000, 1)


def _exposure(unit: str) -> float:
    """As systemd sees the unit that it runs."""
    last = run("systemd-analyze", "security", "--no-pager", unit).strip().splitlines()[-1]
    return float(re.findall(r"\d+\.\d", last)[0])


FIRST_S = int(time.time()) - 3600


def main() -> None:
    there_is_no_network()
    SETTINGS.mkdir()
    shutil.copy(HERE / "release.gpg", SETTINGS)
    first = unpack("first.tar.gz")
    what_is_not_whole_or_not_signed_is_refused(first)
    install_server(first)
    make_site()
    install_gateway(first)
    client = Client()
    one_reading_goes_all_the_way(client)
    found["memory MB"] = {unit: _memory_mb(unit) for unit in UNITS}
    found["exposure, of 10"] = {unit: _exposure(unit) for unit in UNITS}
    schema = as_user("gatehouse", "migrate", "--config", CONFIG).strip()
    newer = unpack("next.tar.gz")
    switch(lambda: run("python3", newer / "install.py", "server"), range(FIRST_S, FIRST_S + 150))
    assert (OPT / "current").readlink().name == "0.1.1"
    assert as_user("gatehouse", "migrate", "--config", CONFIG).strip() == "schema next"
    found["refused: older"] = run("python3", first / "install.py", "server", fails=True).splitlines()[-1]
    switch(lambda: run("python3", OPT / "current/install.py", "back"), range(FIRST_S + 150, FIRST_S + 300))
    assert (OPT / "current").readlink().name == "0.1.0"
    assert as_user("gatehouse", "migrate", "--config", CONFIG).strip() == schema
    found["refused: back twice"] = run("python3", OPT / "current/install.py", "back", fails=True).splitlines()[-1]
    found["backups"] = sorted(path.name for path in (STATE / "backups").iterdir())
    shutil.rmtree(OPT / "0.1.0")
    (OPT / "current").unlink()
    for unit in UNITS:
        run("systemctl", "stop", unit)
        (Path("/etc/systemd/system") / f"{unit}.service").unlink()
    shutil.move(CONFIG, SETTINGS / "set-aside.yaml")
    run("python3", first / "install.py", "gateway")
    found["gateway alone installed MB"] = _size_mb(OPT / "current")
    run("systemctl", "start", "gatehouse-gateway")
    wait(lambda: socket.create_connection(("127.0.0.1", 8101), 1), "the gateway alone")
    found["gateway alone memory MB"] = _memory_mb("gatehouse-gateway")


if __name__ == "__main__":
    try:
        main()
        found["well"] = True
    except BaseException:
        found["failed"] = traceback.format_exc()
        for name in (*UNITS, "mosquitto"):
            found[f"log of {name}"] = subprocess.run(
                ["journalctl", "-u", name, "-n", "40", "--no-pager", "-o", "cat"], capture_output=True, text=True
            ).stdout
    (HERE / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))
    subprocess.run(["systemctl", "poweroff"])
