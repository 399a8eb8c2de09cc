"""Scenarios in which rivals are known to fail, by their numbers in the list of competitor scenarios.

What the others do is from their documentation and code, not from running them here. S12 (schedules) is in test_calendar.
"""

from functools import cache

import pytest

from alerts.alarm import What
from alerts.engine import Engine
from alerts.program import Program
from alerts.rule import Severity
from telemetry.journal import Kind
from tests.alerts.stage import MANHOLES, T0, Stage, program

LEVEL = """
rules:
  - id: full
    type: level
    class: drain
    name: Full
    metric: level
    levels: [{severity: high, at_least: 1.0}, {severity: critical, at_least: 1.8}]
    deadband: 0.1
    masked_by: [{rule: full, along: downstream, settle_s: 30}]
"""
MINUTES = 60


@cache
def made(rules: str) -> Program:
    return program(MANHOLES, rules)


def lasting(raise_after_s: int = 0, clear_after_s: int = 0) -> Program:
    return made(LEVEL + f"    raise_after_s: {raise_after_s}\n    clear_after_s: {clear_after_s}\n")


def with_silence(more: str = "") -> Program:
    silent = "  - {id: silent, type: silence, class: sensor, name: Silent, metric: level, after_s: 60, severity: low}\n"
    return made(LEVEL + more + silent)


@pytest.mark.parametrize("crash_at", range(1, 12))
def test_s1_a_crash_at_seven_of_ten_minutes_pending_costs_no_credit(crash_at: int) -> None:
    """Prometheus keeps `for` over a restart only from ten minutes on, and then adds up to the grace period."""
    stage = Stage(lasting(raise_after_s=600), crash_at=crash_at)
    for minute in range(11):
        stage.read(minute * MINUTES, low=1.2)
    alarm = stage.open("full")
    assert (alarm.onset_ms, alarm.raised_ms) == (T0, T0 + 600_000)


def test_s2_a_sensor_that_dies_resolves_nothing_and_its_silence_is_urgent() -> None:
    """Prometheus and Grafana resolve the alarm of a series that is gone, and Grafana sends that it is resolved."""
    stage = Stage(with_silence())
    stage.read(0, low=1.2, high=0.1)
    for second in range(1, 200):
        stage.read(second, high=0.1)
        stage.wait(second, second)
    assert stage.open("full").is_open
    assert stage.open("silent").severity is Severity.CRITICAL


def test_s3_what_ended_behind_a_shelf_and_comes_again_is_told() -> None:
    """Alertmanager and Grafana: resolved while silenced and fired again is not notified until repeat_interval."""
    stage = Stage(lasting())
    stage.read(0, low=1.2)
    stage.act(1, "shelve", "full", note="cleaning", until_ms=T0 + 60_000)
    stage.read(30, low=0.2)
    stage.wait(31, 61)
    stage.read(62, low=1.2)
    assert stage.told("full")[-1] == "reopened"


def test_s4_an_alarm_of_five_seconds_is_told_with_its_end() -> None:
    """Alertmanager never notifies what is resolved before group_wait, thirty seconds."""
    stage = Stage(lasting())
    stage.read(0, low=1.2)
    stage.read(5, low=0.2)
    assert stage.told("full") == ["raised", "returned"]


def test_s5_resolved_and_fired_again_within_minutes_is_seen_as_such() -> None:
    """Alertmanager: invisible inside group_interval, five minutes."""
    stage = Stage(lasting())
    stage.read(0, low=1.2)
    stage.read(60, low=0.2)
    stage.read(120, low=1.2)
    assert stage.told("full") == ["raised", "returned", "reopened"]
    assert len(stage.alarms) == 1


def test_what_is_back_at_the_end_of_the_window_is_another_alarm() -> None:
    for gap_s, told in ((299, "reopened"), (300, "raised")):
        stage = Stage(lasting())
        stage.read(0, low=1.2)
        stage.read(10, low=0.2)
        stage.read(10 + gap_s, low=1.2)
        assert stage.told("full") == ["raised", "returned", told]


@pytest.mark.parametrize("crash_at", range(2, 6))
def test_s6_a_shelf_survives_a_kill_at_any_record(crash_at: int) -> None:
    """Alertmanager snapshots silences every fifteen minutes and has no log of writes."""
    stage = Stage(lasting(), crash_at=crash_at)
    stage.read(0, low=1.2)
    stage.act(1, "shelve", "full", note="cleaning", until_ms=T0 + 60_000)
    stage.read(2, low=0.2)
    stage.read(3, low=1.2)
    stage.wait(4, 10)
    assert stage.told("full") == ["raised", "masked", "returned", "(reopened: shelved)"]


@pytest.mark.parametrize("crash_at", range(2, 8))
def test_s7_a_symptom_stays_masked_by_its_cause_over_a_restart(crash_at: int) -> None:
    """Alertmanager's inhibition is a race after each restart: cause and symptom arrive separately."""
    stage = Stage(lasting(), crash_at=crash_at)
    stage.read(0, low=1.2)
    stage.read(1, high=1.2)
    for second in range(2, 8):
        stage.read(second, low=1.2, high=1.2)
    assert stage.told("full", "high") == ["(raised: cause)"]


def test_s8_a_thousand_at_once_are_a_thousand() -> None:
    """Prometheus: over a rule's limit all of its alerts vanish, without a word."""
    names = [f"d{n}" for n in range(1000)]
    devices = "".join(f"  - {{id: {name}, kind: level, place: lower, gateway: gw}}\n" for name in names)
    stage = Stage(program(MANHOLES + devices, LEVEL.replace("masked_by", "# masked_by")))
    stage.read(0, **dict.fromkeys(names, 1.2))
    assert sum(step.what is What.RAISED and step.quiet is None for step in stage.steps) == 1000


def test_s9_what_flaps_and_then_gets_worse_is_told() -> None:
    """Kapacitor's flapping returns before any event, also from INFO to CRITICAL."""
    stage = Stage(made(LEVEL + "    flap_slot_s: 10\n    reopen_within_s: 0\n"))
    for second in range(0, 400, 10):
        stage.read(second, low=1.2 if second % 20 else 0.2)
    assert "flapping" in stage.told("full")
    calm = len(stage.told("full"))
    stage.read(401, low=1.9)
    assert stage.told("full")[calm:] == ["severity-up"]


def test_s9_what_flaps_is_told_once_and_ends_when_it_has_rested() -> None:
    stage = Stage(made(LEVEL + "    flap_slot_s: 10\n    reopen_within_s: 0\n"))
    for second in range(0, 400, 10):
        stage.read(second, low=1.2 if second % 20 else 0.2)
    told = stage.told("full")
    assert told.count("flapping") == 1
    assert told[-1] == "flapping", "from there on it is held open"
    for second in range(400, 1100, 50):
        stage.read(second, low=0.2)
    assert stage.told("full")[-2:] == ["steady", "returned"]


@pytest.mark.parametrize("is_seen", [False, True])
def test_what_flaps_and_must_be_seen_rests_and_then_stays_until_somebody_has_seen_it(is_seen: bool) -> None:
    latch = "    flap_slot_s: 10\n    reopen_within_s: 0\n    latch: until-acknowledged\n"
    stage = Stage(made(LEVEL + latch))
    for second in range(0, 410, 10):
        stage.read(second, low=1.2 if second % 20 else 0.2)
    calm = len(stage.told("full"))
    if is_seen:
        stage.act(401, "acknowledge", "full")
    for second, value in ((410, 1.2), (420, 0.2), *((second, 0.2) for second in range(450, 1100, 50))):
        stage.read(second, low=value)
    if is_seen:
        assert stage.told("full")[calm:] == ["acknowledged", "steady", "returned"]
    else:
        assert stage.told("full")[calm:] == ["steady", "latched"]
        stage.act(1101, "acknowledge", "full")
        assert not list(stage.engine.open_alarms)


def test_s10_what_recovers_while_it_is_inhibited_has_recovered() -> None:
    """Kapacitor returns before storing an inhibited event: the OK is lost for ever."""
    stage = Stage(lasting())
    stage.read(0, low=1.2)
    stage.read(1, high=1.2)
    stage.read(2, high=0.2)
    stage.read(3, low=0.2)
    stage.wait(4, 60)
    assert stage.told("full", "high") == ["(raised: cause)", "returned"]
    assert not list(stage.engine.open_alarms)


def test_s11_one_reading_an_hour_late_does_not_last_an_hour() -> None:
    """ThingsBoard: duration = now of the server − time of the reading; one late sample satisfies an hour."""
    stage = Stage(lasting(raise_after_s=3600))
    stage.readings([(0, 0, 1.2, 0)], known=3600)
    stage.wait(3601, 3700)
    assert not stage.steps


def test_s13_one_reading_of_doubtful_time_makes_no_later_one_ignored() -> None:
    """ThingsBoard: a future-dated reading makes correct later ones be dropped. Here it counts from arrival, as suspect."""
    stage = Stage(lasting())
    stage.readings([(0, 10, 1.2, 1)], known=10)
    stage.read(11, low=0.2)
    assert stage.told("full") == ["raised", "returned"]


def test_s14_an_edit_of_another_rule_is_no_transition() -> None:
    """Grafana: an edit resets instances to Normal; provisioned rules were reset at each restart."""
    stage = Stage(with_silence())
    stage.read(0, low=1.2, high=0.1)
    saved = stage.engine.save()
    edited = Engine(with_silence("    advice: Look.\n"))
    assert not edited.load(saved, T0 + 1000).transitions
    assert [alarm.id for alarm in edited.open_alarms] == [alarm.id for alarm in stage.engine.open_alarms]


@pytest.mark.parametrize("crash_at", range(1, 6))
def test_s15_an_off_delay_goes_on_over_a_restart(crash_at: int) -> None:
    """Prometheus loses keep_firing_for at a restart."""
    stage = Stage(lasting(clear_after_s=120), crash_at=crash_at)
    for second, value in ((0, 1.2), (30, 0.2), (60, 0.2), (149, 0.2), (150, 0.2)):
        stage.read(second, low=value)
    assert stage.alarms[stage.steps[0].alarm].closed_ms == T0 + 150_000


def test_s16_a_device_that_never_said_anything_is_silent() -> None:
    """Kapacitor's deadman does not know of what has never sent a point."""
    stage = Stage(with_silence())
    stage.read(0, high=0.1)
    for second in range(1, 100):
        stage.read(second, high=0.1)
        stage.wait(second, second)
    alarm = stage.open("silent")
    assert (alarm.device, alarm.value) == ("low", None)


@pytest.mark.parametrize("action", ["close", "dispose"])
def test_a_silence_that_a_person_has_seen_to_is_told_again_only_after_as_long(action: str) -> None:
    stage = Stage(with_silence())
    stage.read(0, low=0.2, high=0.2)
    for second in range(1, 62):
        stage.read(second, high=0.2)
        stage.wait(second, second)
    assert stage.act(62, action, "silent", note="cable is cut", disposition="true") == ""
    for second in range(63, 119):
        stage.read(second, high=0.2)
        stage.wait(second, second)
    assert not list(stage.engine.open_alarms)
    for second in range(119, 124):
        stage.read(second, high=0.2)
        stage.wait(second, second)
    assert stage.open("silent").device == "low"


def test_s17_an_hour_of_our_own_absence_is_nobodys_silence() -> None:
    """Kapacitor's deadman fires for all after a restart; Zabbix had to learn it."""
    stage = Stage(with_silence())
    stage.read(0, low=0.2, high=0.2)
    stage.wait(1, 30)
    stage.wait(3600, 3659, hears=False)
    stage.take(Kind.TICK, 3660, b"connected")
    stage.read(3661, low=0.2, high=0.2)
    stage.wait(3661, 3700)
    assert not stage.steps


def test_s18_a_severity_falls_while_the_alarm_is_open() -> None:
    """ThingsBoard: only goes up."""
    stage = Stage(lasting())
    stage.read(0, low=1.9)
    stage.read(1, low=1.2)
    assert stage.told("full") == ["raised", "severity-down"]
    alarm = stage.open("full")
    assert (alarm.severity, alarm.severity_max) == (Severity.HIGH, Severity.CRITICAL)


def test_the_trace_of_kapacitor_with_the_one_difference_that_is_meant() -> None:
    """61 73 64 85 62 56 47 is INFO WARN WARN CRIT INFO INFO OK there: who leaves CRIT is what now *begins*.

    Here every level has its own hysteresis (C7, "up or hold at j"): at 62 the warning, which ends below 60, still holds.
    """
    levels = [("low", 60, 50), ("medium", 70, 60), ("critical", 80, 70)]
    text = ", ".join(f"{{severity: {name}, at_least: {up}, clear: {down}}}" for name, up, down in levels)
    rule = f"rules: [{{id: cpu, type: level, class: x, name: C, metric: level, levels: [{text}]}}]"
    stage = Stage(program(MANHOLES, rule))
    seen = []
    for second, value in enumerate((61, 73, 64, 85, 62, 56, 47)):
        stage.read(second, low=value)
        seen.append(next((alarm.severity.word for alarm in stage.engine.open_alarms), "ok"))
    assert seen == ["low", "medium", "medium", "critical", "medium", "low", "ok"]


NEARER = """
rules:
  - id: full
    type: level
    class: drain
    name: Full
    metric: level
    levels: [{severity: high, at_least: 1.0}]
    overrides:
      - {places: [upper], levels: [{severity: critical, at_least: 1.5}, {severity: low, at_least: 1.2}]}
"""


def test_limits_may_differ_by_place_and_the_nearest_holds() -> None:
    stage = Stage(made(NEARER))
    stage.read(0, low=1.1, high=1.1)
    assert [alarm.device for alarm in stage.engine.open_alarms] == ["low"]
    stage.read(1, high=1.6)
    assert stage.open("full", "high").severity is Severity.CRITICAL
    by_device = NEARER + "      - {devices: [high], levels: [{severity: medium, at_least: 1.0}]}\n"
    stage = Stage(made(by_device))
    stage.read(0, high=1.6)
    assert stage.open("full", "high").severity is Severity.MEDIUM


@pytest.mark.parametrize("value", [11.0, 1.0])
@pytest.mark.parametrize("crash_at", [2, 3])
def test_a_band_of_one_severity_keeps_its_two_limits_apart_over_a_crash(value: float, crash_at: int) -> None:
    limits = "levels: [{severity: high, at_least: 10}, {severity: high, at_most: 2}]"
    rule = f"rules: [{{id: band, type: level, class: x, name: B, metric: level, {limits}}}]"
    stage = Stage(program(MANHOLES, rule), crash_at=crash_at)
    stage.read(0, low=value)
    stage.read(1, low=value)
    stage.read(2, low=5.0)
    assert stage.told("band") == ["raised", "returned"]
