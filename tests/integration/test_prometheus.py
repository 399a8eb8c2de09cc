"""Every query of the dashboards and alert rules, run by a real Prometheus that scrapes a real district."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatehouse.doctor import examine
from gatehouse.finding import State
from gatehouse.identities import make
from gatehouse.settings import load_settings
from telemetry.clock import SystemClock
from tests import district, servers
from tests.integration.running import EAST, running

pytestmark = pytest.mark.integration

DEPLOY = servers.ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "gatehouse.rules.yml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
QUERIES = [
    (file.stem, target["expr"])
    for file in DASHBOARDS
    for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]
    for target in panel["targets"]
]
NEVER_HAPPENED = ("gatehouse_heartbeats_failed_total",)
"""Counters by label of what does not happen here: they are not there before it first happens."""


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        servers.missing("promtool", "apt-get install prometheus")
        raise AssertionError
    return found


def test_a_collector_of_opentelemetry_scrapes_what_prometheus_does() -> None:
    own = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    other = yaml.safe_load((DEPLOY / "opentelemetry" / "collector.yaml").read_text(encoding="utf-8"))
    jobs = other["receivers"]["prometheus"]["config"]["scrape_configs"]
    assert [(job["job_name"], job["static_configs"]) for job in jobs] == [
        (job["job_name"], job["static_configs"]) for job in own["scrape_configs"]
    ]
    named = set(
        other["service"]["pipelines"]["metrics"]["receivers"] + other["service"]["pipelines"]["metrics"]["exporters"]
    )
    assert named <= other["receivers"].keys() | other["exporters"].keys()


class Prometheus:
    """What it answers."""

    def __init__(self, port: int, processes: Sequence[str], config: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self.processes = processes  # where core and API answer /metrics
        self.config = config

    def ask(self, path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            said = json.load(answer)
        assert said["status"] == "success", said
        return said["data"]

    def query(self, expression: str) -> list[float]:
        return [float(each["value"][1]) for each in self.ask("query", query=expression)["result"]]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Looks at a district with a gateway, a reading or two, an alarm, a refusal, a wrong clock and a backup."""
    program = shutil.which("prometheus")
    if program is None:
        servers.missing("prometheus", "apt-get install prometheus")
        raise AssertionError
    folder = tmp_path_factory.mktemp("district")
    make(load_settings(district.write_district(folder), {}), folder / "pki", ["localhost"], SystemClock())
    made = folder / "copies" / "one"
    made.mkdir(parents=True)
    manifest = {"format": 1, "made": "2026-01-01T00:00:00+00:00", "history": "parquet", "files": {}}
    (made / "manifest.json").write_text(json.dumps(manifest))
    with pytest.MonkeyPatch.context() as patch, servers.mosquitto(folder) as broker:
        patch.setenv("GATEHOUSE__WATCH__PKI", str(folder / "pki"))
        patch.setenv("GATEHOUSE__WATCH__BACKUPS", str(folder / "copies"))
        with running(folder, broker) as run:
            port = servers.free_port()
            config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
            config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
            config["rule_files"] = [str(RULES)]
            for job, at in zip(config["scrape_configs"], (run.metrics_port, run.http.base_url.port), strict=True):
                job["static_configs"] = [{"targets": [f"127.0.0.1:{at}"]}]
            (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
            command: list[str | Path] = [program, "--config.file", folder / "prometheus.yml"]
            command += ["--storage.tsdb.path", folder / "tsdb", "--web.listen-address", f"127.0.0.1:{port}"]
            with servers.process(command, folder / "prometheus.log"):
                ours = [f"http://127.0.0.1:{at}/metrics" for at in (run.metrics_port, run.http.base_url.port)]
                asked = Prometheus(port, ours, run.config)
                servers.wait_until(lambda: asked.query("gatehouse_broker_connected") == [1.0], what="a first scrape")
                run.publish(f"{EAST}/status", {"state": "online", "epoch": "e", "spooled": 3, "oldest_ms": 1})
                level = {"device": "level-1", "metric": "level"}
                for number in range(3):
                    now_ms = SystemClock().now_ms()
                    run.publish(f"{EAST}/readings", level | {"time": now_ms, "value": 1.9})
                    run.publish(f"{EAST}/readings", level | {"time": now_ms + 10**7, "value": 1.0})
                    run.publish(f"{EAST}/readings", {"device": "nobody", "metric": "level", "value": 1})
                    servers.wait_until(
                        lambda n=number: asked.query("gatehouse_readings_total") >= [2.0 * (n + 1)],  # type: ignore[misc]
                        what="the readings in Prometheus",
                    )
                servers.wait_until(lambda: asked.query("gatehouse_history_rows_total") > [0.0], what="history")
                servers.wait_until(lambda: asked.query("gatehouse_notices_total"), what="a message in Prometheus")
                servers.wait_until(lambda: asked.query("gatehouse_gateway_spooled_frames"), what="the gateway's words")
                servers.wait_until(lambda: asked.query("gatehouse_completeness_ratio"), what="completeness")
                yield asked


@pytest.mark.parametrize(("dashboard", "expression"), QUERIES)
def test_a_query_of_a_dashboard_finds_something(prometheus: Prometheus, dashboard: str, expression: str) -> None:
    found = prometheus.query(expression)
    assert found or any(name in expression for name in NEVER_HAPPENED), f"{dashboard}: {expression} finds nothing"


def test_every_rule_is_evaluated_without_an_error_over_metrics_that_exist(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    servers.wait_until(lambda: all(rule["health"] == "ok" for rule in rules()), what="every rule to be evaluated")
    assert len(rules()) == len(yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"])
    known = set(prometheus.ask("label/__name__/values"))
    for rule in rules():
        used = set(re.findall(r"\bgatehouse_[a-z_]+\b", rule["query"]))
        assert used - known <= set(NEVER_HAPPENED), rule["name"]
    # The district's only backup is old, and a process outside says so as well as the core.
    assert prometheus.query('count(ALERTS{alertname="GatehouseBackupOld"})') == [1.0]
    assert prometheus.query('gatehouse_faults{alarm="backup-old"}') == [1.0]


def test_names_units_and_help_of_every_metric_are_as_prometheus_wants_them(prometheus: Prometheus) -> None:
    for process in prometheus.processes:
        with urllib.request.urlopen(process, timeout=10) as answer:
            exposed = answer.read()
        done = subprocess.run([promtool(), "check", "metrics"], input=exposed, capture_output=True, check=False)
        assert (done.returncode, done.stderr.decode()) == (0, ""), process


def test_doctor_finds_a_running_district_well_but_for_what_is_really_so(prometheus: Prometheus) -> None:
    found = examine(prometheus.config, SystemClock())
    wanting = {each.about: each.what for each in found if each.state is not State.WELL}
    assert wanting.keys() - {"files", "disk"} == {"broker", "backups"}  # those two are of the machine that tests
    assert "'insecure' is set" in wanting["broker"] and "hours old" in wanting["backups"]


def test_rules_are_well_formed_and_each_is_seen_to_fire() -> None:
    for command in (["check", "rules", RULES.name], ["test", "rules", "gatehouse.test.yml"]):
        done = subprocess.run([promtool(), *command], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tried = (RULES.parent / "gatehouse.test.yml").read_text(encoding="utf-8")
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules if f'"{rule["alert"]}"' not in tried] == []


def test_every_rule_leads_to_a_page_and_every_panel_says_what_it_shows() -> None:
    for rule in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]:
        page = rule["annotations"]["runbook"].replace("{{ $labels.alarm }}", "disk-low")
        assert (servers.ROOT / page).is_file(), rule["alert"]
    assert len(DASHBOARDS) == 3
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            assert panel["description"] and panel["fieldConfig"]["defaults"]["unit"], (file.name, panel["title"])
