from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gatehouse.scoring import Claim, Harmed, Raised, Stated, score
from tests.oracles.scoring import counts

MUST = Stated(Claim.MUST, "level", "a", 10, 20)
NOT = Stated(Claim.MUST_NOT, "level", None, 0, 100)

times = st.sampled_from([9, 10, 11, 19, 20, 21, 30])
rules, devices = st.sampled_from(["level", "rate"]), st.sampled_from(["a", "b"])
alarms = st.lists(st.builds(Raised, rules, devices, times, st.none() | times), max_size=6)
statements = st.lists(
    st.builds(
        Stated,
        st.sampled_from(list(Claim)),
        rules,
        st.none() | devices,
        times,
        times,
        st.none() | times,
        st.none(),
        st.sampled_from([None, "a reason"]),
    ),
    max_size=5,
)
harmed = st.none() | times


@given(statements, alarms, harmed)
def test_the_scorer_agrees_with_its_slow_twin(stated: list[Stated], raised: list[Raised], harm_ms: int | None) -> None:
    if harm_ms is not None:
        stated = [replace(s, before="overflow", device="a") if s.claim is Claim.MUST else s for s in stated]
    harms = [] if harm_ms is None else [Harmed("overflow", "a", harm_ms)]
    # A harm from before a statement is not its harm.
    expected = counts(
        [
            (
                s.claim.value,
                s.rule,
                s.device,
                s.from_ms,
                s.until_ms,
                s.open_until_ms,
                harm_ms if s.before is not None and harm_ms is not None and harm_ms >= s.from_ms else None,
                s.gap is not None and s.claim is not Claim.MAY,
            )
            for s in stated
        ],
        [(r.rule, r.device, r.raised_ms, r.closed_ms) for r in raised],
    )
    result = score(stated, raised, harms)
    of = list(result.rules.values())
    closed = sum(fault.startswith("gap closed") for fault in result.faults)
    found = {name: sum(getattr(one, name) for one in of) for name in ("found", "missed", "extra", "gaps")}
    assert {**found, "closed": closed} == expected


def test_delay_counts_from_the_cause_and_lead_to_the_harm() -> None:
    stated = [replace(MUST, from_ms=10_000, until_ms=60_000, before="overflow")]
    result = score(stated, [Raised("level", "a", 15_000)], [Harmed("overflow", "a", 50_000)])
    assert (result.is_good, result.of("level").delay_s, result.of("level").lead_s) == (True, 5.0, 35.0)


def test_an_alarm_after_the_harm_is_missed() -> None:
    result = score([replace(MUST, before="overflow")], [Raised("level", "a", 15)], [Harmed("overflow", "a", 12)])
    assert (result.of("level").found, result.of("level").missed) == (0, 1)


def test_an_alarm_that_closes_too_early_is_missed() -> None:
    assert not score([replace(MUST, open_until_ms=40)], [Raised("level", "a", 15, 39)]).is_good
    assert score([replace(MUST, open_until_ms=40)], [Raised("level", "a", 15, 40)]).is_good


def test_what_must_not_be_is_extra_even_where_it_may() -> None:
    may = replace(NOT, claim=Claim.MAY)
    assert score([may], [Raised("level", "b", 15)]).is_good
    assert score([may, NOT], [Raised("level", "b", 15)]).of("level").extra == 1


def test_a_gap_that_is_none_any_more_is_a_fault() -> None:
    gap = replace(MUST, gap="not yet")
    assert score([gap], []).is_good
    assert "gap closed" in score([gap], [Raised("level", "a", 15)]).faults[0]
    tolerated = replace(NOT, gap="not yet")
    assert score([tolerated], [Raised("level", "a", 15)]).is_good
    assert "gap closed" in score([tolerated], []).faults[0]
