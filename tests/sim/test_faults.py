"""The simulated district under a few seeds, and what it would find. `make faults` runs many more."""

import multiprocessing

import pytest

from tests.sim import every_crash, planted
from tests.sim.__main__ import shrink
from tests.sim.faults import Fault
from tests.sim.world import run

# Where each planted bug was found first. When a change of the simulation moves them: `python -m tests.sim.planted`.
FOUND_AT = {
    "acknowledge_before_durable": 4,
    "cursor_before_effect": 7,
    "duplicates_known_in_memory_only": 9,
    "spool_trusts_the_broker": 5,
    "gateway_promises_before_its_disk": 9,
    "no_sync": 4,
    "facts_after_records": 9,
    "delivered_before_it_is": 4,
    "frames_out_of_turn": 5,
    "plain_readings_are_never_remembered": 1,
    "backlog_is_not_judged": 1,
    "alarms_forgotten_over_a_restart": 4,
    "told_only_while_it_is_open": 1,
    "local_alarms_forgotten_over_a_cut": 3,
    "thinned_without_a_word": 11,
    "persons_are_thinned": 11,
    "thinned_after_it_was_sent": 27,
    "counted_before_its_cursor": 67,
}


@pytest.mark.parametrize("seed", range(1, 11))
def test_whatever_fails_each_reading_is_there_once_and_each_alarm_as_it_should_be(seed: int) -> None:
    verdict = run(seed)
    assert verdict.is_good, f"make faults SEEDS=1 FIRST={seed}: {verdict.violations} {[str(f) for f in verdict.faults]}"
    assert verdict.readings > 100 and verdict.alarms > 10


@pytest.mark.parametrize(
    "fault",
    [
        Fault(20, "cut", "gw-east", 120, 0),  # more than a minute: what is new goes first, the backlog behind it
        Fault(20, "cut", "core", 120, 0),
        Fault(20, "broker-crash", "broker", 100, 1),
        Fault(20, "half-open", "gw-east", 100, 0),
        Fault(20, "disk-full", "core", 90, 0),
        Fault(20, "clock-steps", "core", 60, 4),
        Fault(20, "clock-steps", "gw-east", 60, 5),
        Fault(15, "outage-fills-disk", "gw-east", 120, 0),
    ],
    ids=lambda fault: f"{fault.kind} {fault.where}",
)
def test_a_long_outage_of_one_part_hides_nothing(fault: Fault) -> None:
    verdict = run(3, [fault])
    assert verdict.is_good, verdict.violations


def test_a_core_that_starts_while_its_clock_is_years_ahead_forgets_nothing() -> None:
    verdict = run(3, [Fault(20, "clock-steps", "core", 60, 4), Fault(30, "kill", "core", 5, 0)])
    assert verdict.is_good, verdict.violations


def test_a_share_of_all_crash_points_of_a_short_run() -> None:
    """`make crashes` takes all of them."""
    for point in every_crash.points(1)[::53]:
        verdict = every_crash.crash(1, point)
        assert verdict.is_good, (point, verdict.violations)
        assert verdict.crashes == 1, point


def test_the_same_seed_is_the_same_run() -> None:
    """Whatever else its process has done."""
    with multiprocessing.get_context("spawn").Pool(1) as other:
        first = other.apply(run, (4,))
    run(1)
    second = run(4)
    assert (first.readings, first.alarms, first.crashes, first.simulated_s) == (
        second.readings,
        second.alarms,
        second.crashes,
        second.simulated_s,
    )


@pytest.mark.parametrize("bug", planted.BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    with planted.BUGS[bug]():
        assert not run(FOUND_AT[bug]).is_good


def test_a_run_that_goes_wrong_is_made_smaller_and_still_goes_wrong() -> None:
    with planted.BUGS["cursor_before_effect"]():
        verdict = run(FOUND_AT["cursor_before_effect"])
        smaller = shrink(verdict)
    assert not smaller.is_good
    assert 0 < len(smaller.faults) < len(verdict.faults)
