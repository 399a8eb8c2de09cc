import threading
import time
from typing import Any

from api.backtests import Backtests, Wanted
from telemetry.clock import ManualClock
from tests.api.test_app import World

__all__ = ["database_with_users", "world"]
from tests.api.test_app import database_with_users, world


def _answers(wanted: Wanted) -> dict[str, Any]:
    return {"rules": list(wanted.rule)}


def _sleeps(_wanted: Wanted) -> dict[str, Any]:
    threading.Event().wait(60)
    return {}


def _wanted() -> Wanted:
    return Wanted(rule=("fever",), start=0, end=1000)


def test_a_job_runs_in_a_process_of_its_own_and_keeps_its_result() -> None:
    jobs = Backtests(_answers)
    job = jobs.submit(_wanted(), "li")
    assert job is not None
    until = time.monotonic() + 60
    while job.state in ("waiting", "running") and time.monotonic() < until:
        threading.Event().wait(0.05)
    assert (job.state, job.result) == ("done", {"rules": ["fever"]})
    assert jobs.find(job.id) is job


def test_a_full_queue_takes_no_more() -> None:
    jobs = Backtests(_sleeps)
    taken = [jobs.submit(_wanted(), "li") for _ in range(6)]
    assert 3 <= sum(job is not None for job in taken) <= 4
    assert taken[-1] is None


def test_a_back_test_without_a_rule_or_a_time_is_refused(world: World) -> None:
    csrf = world.log_in()
    for body in ({"start": 0, "end": 1000}, {"rule": ["fever"], "start": 1000, "end": 0}):
        assert world.client.post("/api/v1/rules/backtest", json=body, headers=csrf).status_code == 422
    assert world.client.get("/api/v1/rules/backtest/none").status_code == 404


def test_a_guard_may_not_try_rules(world: World) -> None:
    csrf = world.log_in("guard")
    body = {"rule": ["fever"], "start": 0, "end": 1000}
    assert world.client.post("/api/v1/rules/backtest", json=body, headers=csrf).status_code == 403


def test_figures_stand_beside_their_reference(world: World) -> None:
    assert isinstance(world.clock, ManualClock)
    world.log_in()
    found = world.client.get("/api/v1/figures").json()
    assert {figure["what"] for figure in found["alarms"]} >= {"alarms raised", "standing now", "priority high"}
    assert all(figure["reference"] for figure in found["alarms"])


def test_figures_of_one_site_count_nothing_of_another_and_only_who_sees_it_is_answered(world: World) -> None:
    world.readings(("scanner/skin_temperature", 39.0, 1))
    world.log_in()
    found = {site: world.client.get(f"/api/v1/figures?site={site}").json()["top_rules"] for site in ("east", "west")}
    assert [(share["what"], share["alarms"]) for share in found["east"]] == [("fever", 1)]
    assert found["west"] == []
    world.log_in("manager")  # of west
    assert world.client.get("/api/v1/figures?site=east").status_code == 404
    assert world.client.get("/api/v1/figures").json()["top_rules"] == []
