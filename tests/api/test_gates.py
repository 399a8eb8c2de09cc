"""The gate as its guard sees it: lanes, the second measurement, a decision by one of two guards, and the hand-over."""

from api.access import Role
from tests.api.test_app import PASSWORD, World, act, ask, database_with_users, world

__all__ = ["database_with_users", "world"]
SKIN = "scanner/skin_temperature"


def fever(world: World) -> dict[str, str]:
    world.readings((SKIN, 36.4, 400), (SKIN, 36.5, 30), ("scanner/ambient_temperature", 21.0, 20), (SKIN, 38.4, 5))
    return world.log_in("guard")


def alarm_of(world: World) -> dict[str, object]:
    found: dict[str, object] = world.client.get("/api/v1/alarms?state=open&class=fever").json()["items"][0]
    return found


def test_a_lane_shows_its_last_person_the_limit_and_why_the_air_and_the_hour(world: World) -> None:
    fever(world)
    assert [gate["id"] for gate in world.client.get("/api/v1/gates").json()["items"]] == ["lane"]
    gate = world.client.get("/api/v1/gates/lane").json()
    (lane,) = gate["lanes"]
    assert (lane["last"]["value"], lane["ambient"]["value"], lane["state"]) == (38.4, 21.0, "ok")
    (limit,) = lane["limits"]
    assert (limit["rule"], limit["type"]) == ("fever", "level")
    assert [level["at_least"] for level in limit["levels"]] == [37.3, 38.0]
    assert (lane["hour"]["count"], len(lane["hour"]["counts"])) == (3, 12)
    assert [alarm["class"] for alarm in gate["alarms"]] == ["fever"]
    assert gate["alarms"][0]["recheck"] is None


def test_somebody_of_another_site_sees_no_gate(world: World) -> None:
    world.log_in("manager")
    assert world.client.get("/api/v1/gates").json()["items"] == []
    assert world.client.get("/api/v1/gates/lane").status_code == 404
    assert world.client.get("/api/v1/gates/mh-1").status_code == 404


def test_measured_again_typed_in_and_decided_with_a_name(world: World) -> None:
    headers = fever(world)
    found = alarm_of(world)
    asked = act(world, headers, str(found["id"]), "recheck", seq=found["seq"]).json()
    assert asked["recheck"]["due_ms"] - asked["recheck"]["asked_ms"] == 180_000
    assert asked["acknowledged_by"] == "guard"
    wrong = act(world, headers, str(found["id"]), "measure", seq=asked["seq"], value=366, method="ear")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "value")
    measured = act(world, headers, str(found["id"]), "measure", seq=asked["seq"], value=36.6, method="ear").json()
    assert (measured["recheck"]["value"], measured["recheck"]["measured_by"]) == (36.6, "guard")
    done = act(world, headers, str(found["id"]), "dispose", seq=measured["seq"], disposition="admit").json()
    assert (done["state"], done["disposition"], done["transitions"][-1]["actor"]) == ("closed", "admit", "guard")


def test_the_second_guard_is_told_who_decided_and_what(world: World) -> None:
    world.accounts.add_user("chen", PASSWORD, [Role.GUARD], ["east"])
    fever(world)
    found = alarm_of(world)
    headers = world.log_in("chen")
    note = "38.6 by ear"
    act(world, headers, str(found["id"]), "dispose", seq=found["seq"], disposition="refuse", note=note)
    headers = world.log_in("guard")
    late = act(world, headers, str(found["id"]), "dispose", seq=found["seq"], disposition="admit")
    assert late.status_code == 409
    (step,) = late.json()["since"]
    assert (step["actor"], step["what"], step["disposition"], step["note"]) == ("chen", "disposed", "refuse", note)


def test_nobody_is_refused_without_a_reason(world: World) -> None:
    headers = fever(world)
    found = alarm_of(world)
    answer = act(world, headers, str(found["id"]), "dispose", seq=found["seq"], disposition="refuse")
    assert answer.status_code == 422


def test_a_shift_goes_from_one_signature_to_the_next_and_says_what_is_left(world: World) -> None:
    headers = fever(world)
    first = world.client.get("/api/v1/gates/lane/handover").json()
    assert [alarm["class"] for alarm in first["open"]] == ["fever"]
    assert first["passages"] == [{"place": "lane", "count": 3}]
    world.clock.advance(60)
    found = alarm_of(world)
    act(world, headers, str(found["id"]), "dispose", seq=found["seq"], disposition="refer", note="to the clinic")
    signed = ask(world, headers, "POST", "gates/lane/handover", since=first["since_ms"], note="Lane is slow").json()
    (kept,) = signed["signed"]
    assert (kept["guard"], kept["note"], kept["document"]["decisions"]) == ("guard", "Lane is slow", 1)
    assert signed["decisions"] == []
    assert signed["since_ms"] == kept["signed_ms"]
    again = ask(world, headers, "POST", "gates/lane/handover", since=first["since_ms"], note="")
    assert (again.status_code, again.json()["signed"]["guard"]) == (409, "guard")


def test_a_gate_is_handed_over_by_its_guards_only(world: World) -> None:
    headers = world.log_in("engineer")
    assert ask(world, headers, "POST", "gates/lane/handover", since=0).status_code == 403
