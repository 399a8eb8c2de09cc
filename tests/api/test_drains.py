"""Drains over HTTP: water, forecast, what explains what, storms, and cleaning."""

from pathlib import Path
from typing import Any

import pytest

from alerts.calendar import Hours, Schedule, Season
from api.access import Role
from api.drains.network import Network, Node, cards, networks
from telemetry.catalogue import Catalogue
from tests import district
from tests.api.test_app import PASSWORD, World, act, database_with_users, world

__all__ = ["database_with_users", "world"]
HOUR_S, DAY_S = 3600, 86_400
UPPER, LOWER, RAIN = "level-1/level", "level-2/level", "gauge/rain_rate"
GAUGE = """
kinds:
  - id: rain-gauge
    name: Rain gauge
    metrics: [{id: rain_rate, name: Rain, unit: mm/h}]
places: [{id: roof, name: Roof, kind: weather, site: east}]
devices: [{id: gauge, kind: rain-gauge, place: roof, gateway: gw-east}]
"""


@pytest.fixture(autouse=True)
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The forecast's alarm waits before it ends, as in a new district."""
    declared = district.RULES.replace("    raise_count: 2\n", "    raise_count: 2\n    clear_after_s: 300\n", 1)
    assert "clear_after_s: 300" in declared
    monkeypatch.setattr(district, "RULES", declared)


@pytest.fixture(autouse=True)
def gauge(tmp_path: Path) -> None:
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "catalogue" / "gauge.yaml").write_text(GAUGE, encoding="utf-8")


def get(world: World, path: str, status: int = 200) -> Any:
    answer = world.client.get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def rising(world: World) -> None:
    """The lower manhole fills by 2 cm in ten seconds, for three minutes, in the rain."""
    world.readings((UPPER, 0.1, 200), *((LOWER, 0.9 - 0.002 * s, s) for s in range(190, 0, -10)))
    world.readings((UPPER, 0.1, 1), *((RAIN, 30.0, s) for s in range(600, 0, -60)))


def test_a_network_stands_in_the_order_of_the_flow_with_water_rain_and_forecast(world: World) -> None:
    world.log_in("viewer")
    assert [each["id"] for each in get(world, "drains")["items"]] == ["drains"]
    rising(world)
    found = get(world, "drains/drains")
    assert [each["id"] for each in found["manholes"]] == ["mh-1", "mh-2"]
    upper, lower = found["manholes"]
    assert (lower["health"], upper["health"]) == ("ok", "ok")
    assert (lower["level"]["value"], lower["depth_m"], upper["downstream"]) == (pytest.approx(0.88), 1.0, "mh-2")
    # 2 mm a second: what is missing to 97 cm takes three quarters of a minute.
    assert lower["forecast"]["minutes"] == pytest.approx(0.75, abs=0.2)
    assert upper["forecast"] is None
    assert found["rain"]["rate_mm_h"] == 30.0
    assert found["rain"]["hour_mm"] == pytest.approx(5.0, abs=5.0)
    assert found["overflow_share"] == 0.97


def test_water_that_falls_is_not_foreseen_to_overflow_while_the_alarm_that_foresaw_it_waits_to_end(
    world: World,
) -> None:
    world.log_in()
    world.readings(*((LOWER, 0.9 - 0.0005 * s, s) for s in range(400, 200, -10)))
    (alarm,) = [one for one in get(world, "alarms")["items"] if one["rule_type"] == "forecast"]
    lower = get(world, "drains/drains")["manholes"][1]
    assert lower["forecast"]["basis"] == "readings"
    world.readings(*((LOWER, 0.8 - 0.001 * (200 - s), s) for s in range(200, 0, -10)))
    (still,) = [one for one in get(world, "alarms")["items"] if one["rule_type"] == "forecast"]
    assert (still["state"], still["forecast"]) == ("open", alarm["forecast"])
    assert get(world, "drains/drains")["manholes"][1]["forecast"] is None


def test_somebody_of_another_site_sees_no_drains(world: World) -> None:
    world.log_in("manager")
    assert get(world, "drains")["items"] == []
    for path in ("drains/drains", "drains/drains/storms", "drains/drains/storms/0", "drains/drains/cleaning-plan"):
        get(world, path, 404)
    get(world, "cleaning-jobs?network=drains", 404)
    assert get(world, "cleaning-jobs")["items"] == []


def test_a_sensor_that_is_not_heard_is_never_fine(world: World) -> None:
    world.log_in()
    assert [each["health"] for each in get(world, "drains/drains")["manholes"]] == ["never", "never"]
    world.readings((UPPER, 0.1, 901), (LOWER, 0.1, 10))
    assert [each["health"] for each in get(world, "drains/drains")["manholes"]] == ["silent", "ok"]


def test_one_card_a_cause_with_what_follows_folded_under_it(world: World) -> None:
    world.log_in()
    rising(world)
    (card,) = get(world, "drains/drains")["cards"]
    assert card["cause"]["place"] == "mh-2"
    assert card["cause"]["severity"] == "critical"
    assert {each["why"] for each in card["consequences"]} == {"same-place"}


def alarm(name: str, place: str, device: str, severity: str = "high", **more: Any) -> dict[str, Any]:
    return {
        "id": name, "place": place, "device": device, "severity": severity, "class": "drain", "masks": [],
        "onset_ms": 0, **more,
    }  # fmt: skip


def network(tmp_path: Path, lower_invert_m: float) -> Network:
    found = networks(Catalogue.load(tmp_path / "catalogue"))["drains"]
    upper, lower = found.nodes
    moved = lower.drain.model_copy(update={"invert_m": lower_invert_m})
    return Network(found.place, found.site, (upper, Node(lower.place, moved, lower.device)), found.gauge)


@pytest.mark.parametrize(("invert_m", "is_folded"), [(-0.5, True), (-0.51, False)])
def test_water_that_backs_up_is_a_consequence_and_water_that_does_not_reach_is_none(
    world: World, tmp_path: Path, invert_m: float, is_folded: bool
) -> None:
    upper, lower = alarm("a", "mh-1", "level-1", "critical"), alarm("b", "mh-2", "level-2")
    found = cards(network(tmp_path, invert_m), [upper, lower], {"mh-1": 1.9, "mh-2": 0.5})
    assert [card.cause["id"] for card in found] == (["b"] if is_folded else ["a", "b"])
    assert [each for card in found for each in card.consequences] == ([(upper, "backs-up")] if is_folded else [])


def test_a_dead_sensor_is_a_card_of_its_own_and_what_rules_explain_is_folded(world: World, tmp_path: Path) -> None:
    water, dead = alarm("a", "mh-2", "level-2"), alarm("s", "mh-2", "level-2", "medium", **{"class": "sensor"})
    found = cards(network(tmp_path, -1), [water, dead], {})
    assert [card.cause["id"] for card in found] == ["a", "s"]
    masked = dead | {"masks": [{"id": "g", "kind": "cause"}]}
    gateway = alarm("g", "", "gw-east", "medium", **{"class": "gateway"})
    found = cards(network(tmp_path, -1), [water, masked, gateway], {})
    assert [(card.cause["id"], card.consequences) for card in found] == [("a", ()), ("g", ((masked, "rule"),))]


def test_the_flood_season_is_told_with_the_rules_that_it_switches(world: World) -> None:
    world.log_in()
    assert get(world, "drains/drains")["seasons"] == []
    parts = world.client.app.state.parts  # type: ignore[attr-defined]
    season = Season(**{"from": "05-01", "to": "10-15"})
    schedule = Schedule(id="flood-season", weekly=(Hours(),), seasons=(season,))
    rules = [rule | {"schedule": "flood-season"} for rule in parts.rules.in_force() if rule["id"] == "drain-rise"]
    object.__setattr__(parts, "schedules", (schedule,))
    parts.rules.in_force = lambda: rules
    (found,) = get(world, "drains/drains")["seasons"]
    assert (found["id"], found["is_on"]) == ("flood-season", False)  # it is November
    assert [rule["id"] for rule in found["rules"]] == ["drain-rise"]
    assert found["changes_ms"] > world.clock.now_ms()


def storm(world: World) -> None:
    """An hour of rain that ended two hours ago; the lower manhole overflows for a while, the upper one was not heard."""
    start_s = 3 * HOUR_S
    minutes = range(120)
    world.readings(
        *((RAIN, 24.0 if m < 60 else 0.0, start_s - 60 * m) for m in minutes),
        *((LOWER, 0.1 + 0.9 * min(m, 120 - m) / 60, start_s - 60 * m) for m in minutes),
    )


def test_a_storm_is_found_from_rain_and_reported_with_peak_lead_and_response(world: World) -> None:
    world.log_in("engineer")
    assert get(world, "drains/drains/storms")["items"] == []
    storm(world)
    (shown,) = get(world, "drains/drains/storms")["items"]
    assert shown["depth_mm"] == pytest.approx(24.0, rel=0.1)
    assert (shown["heard"], shown["is_over"]) == (1.0, False)
    told = get(world, f"drains/drains/storms/{shown['start_ms']}")
    assert told["storm"] == shown
    upper, lower = told["manholes"]
    assert (upper["peak_m"], upper["readings"], upper["share"]) == (None, 0, None)
    assert (lower["before_m"], lower["peak_m"]) == (pytest.approx(0.1, abs=0.1), pytest.approx(1.0))
    assert lower["share"] == pytest.approx(1.0)
    assert shown["start_ms"] < lower["overflow_ms"] <= lower["peak_ms"]
    # All of it came at once, so that the alarm was known after the peak: a lead below nothing says so.
    assert lower["lead_peak_s"] < 0
    assert lower["lead_peak_s"] == (lower["peak_ms"] - lower["alarm_ms"]) / 1000
    assert (lower["response_s"], lower["work"]) == (None, [])
    get(world, f"drains/drains/storms/{shown['start_ms'] + 1}", 404)
    get(world, "drains/drains/storms/-1", 404)


def test_how_fast_somebody_answered_is_from_the_first_alarm_to_the_first_acknowledgement(world: World) -> None:
    headers = world.log_in("engineer")
    rising(world)
    world.readings((RAIN, 30.0, 0))
    found = next(a for a in get(world, "alarms?state=open")["items"] if a["rule"] == "drain-level")
    world.clock.advance(90)
    act(world, headers, found["id"], "acknowledge", seq=found["seq"], note="grating cleared by hand")
    (shown,) = get(world, "drains/drains/storms")["items"]
    lower = get(world, f"drains/drains/storms/{shown['start_ms']}")["manholes"][1]
    assert lower["acknowledged_by"] == "engineer"
    assert [(done["what"], done["note"]) for done in lower["work"]] == [("acknowledged", "grating cleared by hand")]
    assert lower["response_s"] == (lower["acknowledged_ms"] - lower["alarm_ms"]) / 1000 >= 90


def nights(
    world: World, first: int, last: int, rise_m: float, base_m: float = 0.1, *, is_gauge_heard: bool = True
) -> None:
    """Hourly levels from `first` days ago to `last` days ago, without rain."""
    hours = range(first * 24, last * 24, -1)
    world.readings(*((LOWER, base_m + rise_m * (first - hour / 24), hour * HOUR_S) for hour in hours))
    if is_gauge_heard:
        world.readings(*((RAIN, 0.0, hour * HOUR_S) for hour in hours))


def test_pipes_are_ranked_by_when_silt_fills_half_of_them(world: World) -> None:
    world.log_in()
    nights(world, 20, 0, 0.002)
    lower, upper = get(world, "drains/drains/cleaning-plan")["items"]
    assert (lower["place"], upper["place"]) == ("mh-2", "mh-1")
    assert lower["rise_m_30d"] == pytest.approx(0.06, rel=0.1)
    # It stands at 13.6 cm; half of a pipe of 30 cm is 15.
    assert lower["days_to_half"] == pytest.approx(7, abs=3)
    assert (upper["base_m"], upper["days_to_half"], upper["nights"]) == (None, None, 0)


def test_a_night_in_which_the_gauge_was_not_heard_is_not_known_to_be_dry(world: World) -> None:
    world.log_in()
    nights(world, 20, 8, 0.002)
    nights(world, 7, 0, 0.0, base_m=0.8, is_gauge_heard=False)  # it may be rain
    (lower,) = [each for each in get(world, "drains/drains/cleaning-plan")["items"] if each["place"] == "mh-2"]
    assert lower["base_m"] == pytest.approx(0.12, abs=0.01)


def plan(world: World, headers: dict[str, str], **body: Any) -> Any:
    wanted = {"network": "drains", "place": "mh-2", "planned": "2026-11-30", "crew": "Crew 2", **body}
    return world.client.post("/api/v1/cleaning-jobs", json=wanted, headers=headers)


def step(world: World, headers: dict[str, str], job: str, what: str, **body: Any) -> Any:
    return world.client.post(f"/api/v1/cleaning-jobs/{job}/{what}", json=body, headers=headers)


def test_a_job_is_planned_done_and_signed_off_and_its_effect_shows_in_the_nights(world: World) -> None:
    headers = world.log_in("engineer")
    nights(world, 20, 0, 0.002)
    job = plan(world, headers).json()
    assert (job["state"], job["created_by"]) == ("planned", "engineer")
    done = step(world, headers, job["id"], "done", seq=1, silt_m=0.12, left_m=0.01, note="sand").json()
    assert (done["state"], done["silt_m"], done["done_by"]) == ("done", 0.12, "engineer")
    late = step(world, headers, job["id"], "cancel", seq=1)
    assert (late.status_code, "done by now" in late.json()["detail"]) == (409, True)
    effect = get(world, f"cleaning-jobs/{job['id']}")
    assert effect["before_m"] == pytest.approx(0.135, abs=0.01)
    assert (effect["after_m"], effect["nights_after"]) == (None, 0)
    world.clock.advance(7 * DAY_S)
    headers = world.log_in("engineer")
    nights(world, 6, 0, 0.0, base_m=0.04)
    effect = get(world, f"cleaning-jobs/{job['id']}")
    assert effect["after_m"] == pytest.approx(0.04)
    lower = next(each for each in get(world, "drains/drains/cleaning-plan")["items"] if each["place"] == "mh-2")
    assert (lower["base_m"], lower["rise_m_30d"]) == (pytest.approx(0.04), None)
    assert lower["last_cleaned_ms"] == done["done_ms"]
    signed = step(world, headers, job["id"], "sign-off", seq=2).json()
    assert (signed["state"], signed["signed_by"]) == ("signed", "engineer")
    assert [each["id"] for each in get(world, "cleaning-jobs?state=signed")["items"]] == [job["id"]]


def test_jobs_come_in_pages_and_a_network_holds_no_more_than_can_be_a_plan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = world.log_in()
    monkeypatch.setattr("api.drains.cleaning.OPEN_MAX", 5)
    made = [plan(world, headers, note=str(n)).json()["id"] for n in range(5)]
    assert plan(world, headers).status_code == 409
    seen: list[str] = []
    cursor = ""
    while True:
        page = get(world, f"cleaning-jobs?limit=2{cursor}")
        seen += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == sorted(made)


def test_jobs_that_ended_leave_after_five_years(world: World) -> None:
    headers = world.log_in()
    job = plan(world, headers).json()["id"]
    step(world, headers, job, "cancel", seq=1)
    for _ in range(61):
        world.clock.advance(30 * DAY_S + 3600)
        world.accounts.record("li", "log-in", "here", "done")  # people are at work all the while
    world.clock.advance(30 * DAY_S)
    headers = world.log_in()
    plan(world, headers)
    get(world, f"cleaning-jobs/{job}", 404)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"place": "nowhere"}, 422),
        ({"network": "nowhere"}, 404),
        ({"planned": "soon"}, 422),
        ({"crew": "  "}, 422),
        ({"surprise": 1}, 422),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(world: World, body: dict[str, Any], status: int) -> None:
    assert plan(world, world.log_in("engineer"), **body).status_code == status


def test_an_engineer_of_another_site_plans_nothing_here(world: World) -> None:
    world.accounts.add_user("west-engineer", PASSWORD, [Role.ENGINEER], ["west"])
    assert plan(world, world.log_in("west-engineer")).status_code == 404
    assert plan(world, world.log_in("guard")).status_code == 403
