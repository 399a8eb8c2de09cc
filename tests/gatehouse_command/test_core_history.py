"""A core whose history refuses it says so: on /health/ready, and as an alarm that ends when history lets it in again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gatehouse.core import Core
from gatehouse.settings import load_settings
from ingest.history.history import StoreAway
from telemetry.batch import ReadingBatch, encode_batch
from telemetry.clock import ManualClock
from telemetry.database import open_database
from telemetry.journal import Kind, Record
from tests import district
from tests.ingest.test_influx import Server, said


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_an_administrator_hears_that_history_refuses_and_that_it_works_again(tmp_path: Path, server: Server) -> None:
    config = district.write_district(tmp_path)
    with config.open("a") as file:
        file.write(f"history: {{store: influxdb, url: 'http://127.0.0.1:{server.port}', token: old}}\n")
    settings = load_settings(config, {})
    clock = ManualClock()
    core = Core(settings, clock)
    database = open_database(settings.database.url)

    def judge() -> None:
        for _ in range(5):
            clock.advance(1)  # commands are looked for now and then
            core.alerts.step()

    def system_alarms() -> list[tuple[str, str | None]]:
        with database.connect() as db:
            rows = db.exec_driver_sql("SELECT rule, is_open FROM alarm WHERE class = 'system'").all()
        return [(rule, "open" if is_open else "closed") for rule, is_open in rows]

    batch = ReadingBatch(np.zeros(1, np.uint32), np.array([clock.now_ms()]), np.ones(1), np.zeros(1, np.uint8))
    core.journal.append([Record(Kind.READINGS, clock.now_ms(), encode_batch(batch))])
    server.judge = lambda lines: (401, {}, said("unauthorized", "unauthorized access"))
    with pytest.raises(StoreAway):
        core.history.step(is_stopping=True)
    for _ in range(3):  # told once, however often it looks
        core._tell_of_history()
        judge()
    assert system_alarms() == [("history-refuses", "open")]
    warnings = core.readiness()["warnings"]
    assert isinstance(warnings, list)
    assert [warning["code"] for warning in warnings] == ["history-refuses"]
    assert "history.token" in warnings[0]["detail"]
    server.judge = lambda lines: None
    core.history.step(is_stopping=True)
    core._tell_of_history()
    judge()
    assert system_alarms() == [("history-refuses", "closed")]
    assert core.readiness()["warnings"] == []
    core.journal.close()
