"""The billing kernel: it agrees with its slow twin, and adds up whatever the readings are."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.detectors.registers import Growth
from api.contract import Named
from api.documents.document import Language
from api.dormitories.bill import Bill, Measured, Slot, accounts, corrected, forgotten, make_bill
from api.dormitories.building import Building, days_of
from api.dormitories.printed import printed
from api.dormitories.tariff import Tariff, Version, priced, shared
from api.dormitories.use import Exchange, Register, used
from tests.oracles import bills as oracle

HOUR = 3_600_000
MONTH = date(2026, 2, 1)
DAYS = days_of(MONTH)
EDGES = [day * 24 * HOUR for day in range(len(DAYS) + 1)]
SLOTS = tuple(Slot(day, 12) for day in range(len(DAYS)))

# Registers on and beside what decides: the jitter of 2, nine tenths of the modulus of 1000, the rate of 60 an hour.
values = st.sampled_from([0, 1, 3, 5, 60, 61, 120, 500, 502, 503, 560, 899, 900, 901, 950, 998, 999])
gaps = st.sampled_from([1, HOUR // 2, HOUR, 2 * HOUR, 2 * HOUR + 1, 5 * HOUR])
histories = st.lists(st.tuples(gaps, values), min_size=2, max_size=25)
edge_lists = st.lists(st.integers(0, 60), min_size=2, max_size=6, unique=True).map(
    lambda found: [at * HOUR for at in sorted(found)]
)
registers = st.sampled_from(
    [
        Register(),
        Register(most_per_h=Fraction(60)),
        Register(modulus=1000, most_per_h=Fraction(60)),
        Register(exchanges=(Exchange(3 * HOUR, 950, 1), Exchange(9 * HOUR))),
        Register(exchanges=(Exchange(5 * HOUR, 500, 5), Exchange(3 * HOUR, 502, 1))),
        Register(most_per_h=Fraction(60), exchanges=(Exchange(3 * HOUR, 560, 1),)),
    ]
)


def timed(history: list[tuple[int, int]]) -> list[tuple[int, int]]:
    at, found = 0, []
    for gap, value in history:
        at += gap
        found.append((at, value))
    return found


@given(histories, edge_lists, registers)
def test_what_was_used_is_what_single_digits_say(
    history: list[tuple[int, int]], edges: list[int], register: Register
) -> None:
    exchanges = [(each.time_ms, each.old_last, each.new_first) for each in register.exchanges]
    expected = oracle.used(timed(history), edges, register.modulus, register.most_per_h, exchanges)
    found = used(timed(history), edges, register)
    assert (list(found.digits), list(found.estimated)) == expected


@given(histories, edge_lists, registers, st.randoms(use_true_random=False))
def test_neither_the_order_of_readings_nor_repeated_ones_matter(
    history: list[tuple[int, int]], edges: list[int], register: Register, random: Any
) -> None:
    readings = timed(history)
    mixed = readings + readings[::2]
    random.shuffle(mixed)
    assert used(mixed, edges, register) == used(readings, edges, register)


@given(histories, edge_lists, registers)
def test_an_edge_more_changes_no_sum(history: list[tuple[int, int]], edges: list[int], register: Register) -> None:
    whole = used(timed(history), [edges[0], edges[-1]], register)
    assert sum(used(timed(history), edges, register).digits) == whole.digits[0]


@pytest.mark.parametrize(
    ("readings", "register", "kind", "digits"),
    [
        ([(0, 990), (HOUR, 10)], Register(modulus=1000, most_per_h=Fraction(60)), Growth.ROLLOVER, 20),
        ([(0, 990), (HOUR, 10)], Register(), Growth.UNEXPLAINED, None),
        ([(0, 100), (HOUR, 4), (2 * HOUR, 110)], Register(), Growth.RETURNED, 10),
        ([(0, 100), (2 * HOUR, 7)], Register(exchanges=(Exchange(HOUR, 104, 2),)), Growth.REPLACED, 9),
        ([(0, 100), (2 * HOUR, 7)], Register(exchanges=(Exchange(HOUR),)), Growth.REPLACED, None),
        (
            [(0, 100), (2 * HOUR, 7)],
            Register(exchanges=(Exchange(HOUR, 104, 2), Exchange(HOUR + 1, 3, 6))),
            Growth.REPLACED,
            6,
        ),
        (
            [(0, 100), (2 * HOUR, 7)],
            Register(exchanges=(Exchange(HOUR, 1040, 2),), most_per_h=Fraction(60)),
            Growth.REPLACED,
            None,
        ),
        ([(0, 100), (HOUR, 900)], Register(most_per_h=Fraction(60)), Growth.LEAP, None),
    ],
)
def test_each_step_that_is_no_plain_growth_is_listed(
    readings: list[tuple[int, int]], register: Register, kind: Growth, digits: int | None
) -> None:
    found = used(readings, [0, 2 * HOUR], register).breaks[-1]
    assert (found.kind, found.digits) == (kind, digits)


def test_what_was_counted_over_a_pause_is_estimated_and_split_by_time() -> None:
    found = used([(0, 0), (10 * HOUR, 100)], [0, 4 * HOUR, 10 * HOUR], Register())
    assert (found.digits, found.estimated, found.is_whole) == ((40, 60), (40, 60), True)


weights = st.lists(st.integers(0, 5), min_size=1, max_size=8).filter(any)


@given(st.integers(-500, 500), weights)
def test_shares_add_up_and_are_as_the_twin_says(total: int, weighing: list[int]) -> None:
    parts = shared(total, weighing)
    assert sum(parts) == total
    assert parts == oracle.shared(total, weighing)
    assert all(part == 0 for part, weight in zip(parts, weighing, strict=True) if weight == 0)


@given(
    st.integers(0, 420),
    st.integers(0, 12),
    st.sampled_from(["half-up", "half-even", "down"]),
    st.sampled_from(["room", "bed"]),
    st.sampled_from([Decimal(0), Decimal("0.3")]),
)
def test_steps_cost_what_single_digits_cost(
    digits: int, beds: int, rounding: Any, per: Any, allowance: Decimal
) -> None:
    steps = [{"up_to": "1", "price": "0.4883"}, {"up_to": "2.5", "price": "0.5"}, {"price": "0.785"}]
    declared = {"starts": MONTH, "per": per, "rounding": rounding, "allowance": allowance, "steps": steps}
    version = Version.model_validate(declared)
    months = Fraction(beds, 4)
    scale = months if per == "bed" else 1
    free = int(allowance * 100 * beds / 4)
    expected = oracle.step_fen(
        digits, free, [int(100 * scale), int(250 * scale), None], ["0.4883", "0.5", "0.785"], 100, rounding
    )
    lines = priced(version, digits, (), months, 100)
    assert {line.number - 1: line.fen for line in lines if line.kind == "step" and line.digits} == expected
    assert sum(line.digits for line in lines) == digits


def tariff(**more: Any) -> Tariff:
    version = {"starts": "2026-01-01", "steps": [{"up_to": 1, "price": "0.4883"}, {"price": "0.7883"}], **more}
    declared = {"id": "electricity", "name": "E", "metric": "energy", "unit": "kWh", "versions": [version]}
    return Tariff.model_validate(declared)


def building(*occupied: dict[str, Any]) -> Building:
    return Building.model_validate({"place": "d", "tariffs": ["electricity"], "beds": 4, "occupied": occupied})


ROOMS = ["r1", "r2"]
meter_readings = st.lists(st.tuples(st.integers(-30, 29 * 24), st.integers(0, 400)), max_size=12).map(
    lambda found: [(hour * HOUR, value) for hour, value in found]
)


@given(
    st.lists(meter_readings, min_size=4, max_size=4),
    st.sampled_from(["separate", "by-bed", "by-use"]),
    st.sampled_from(["room", "bed"]),
    st.lists(st.tuples(st.sampled_from(ROOMS), st.integers(1, 4), st.integers(0, 27), st.integers(0, 27)), max_size=5),
)
def test_a_bill_adds_up_for_any_readings(meters: list[Any], public: Any, per: Any, stays: list[Any]) -> None:
    occupied = [
        {"rooms": [room], "beds": [bed], "moved_in": DAYS[min(a, b)], "moved_out": DAYS[max(a, b)]}
        for room, bed, a, b in stays
    ]
    uses = [used(readings, EDGES, Register()) for readings in meters]
    hours = [{"name": "noon", "begin": 11, "end": 14, "surcharge": "-0.0333"}]
    made_of = tariff(public=public, per=per, allowance="0.2", hours=hours)
    measured = Measured(made_of, SLOTS, {"r1": uses[:1], "r2": uses[1:2]}, uses[2:3], uses[3:])
    bill = make_bill(building(*occupied), MONTH, ROOMS, [measured])
    assert bill == make_bill(building(*occupied), MONTH, ROOMS, [measured])
    for room in bill.rooms:
        for use in room.uses:
            assert sum(line.fen for line in use.lines) == use.fen == sum(share.fen for share in use.shares)
            assert sum(Decimal(line.quantity) for line in use.lines if line.kind != "hours") == Decimal(use.quantity)
        assert sum(bed.fen for bed in room.beds) == sum(
            share.fen + share.public_fen for u in room.uses for share in u.shares
        )
    (of_house,) = bill.public
    assert of_house.main is not None
    assert of_house.difference is not None
    parts = (of_house.rooms, of_house.common, of_house.difference)
    assert sum(Decimal(part) for part in parts) == Decimal(of_house.main)
    assert sum(accounts(bill).values()) == bill.fen
    spread = sum(share.public_fen for room in bill.rooms for use in room.uses for share in use.shares)
    assert spread == of_house.spread_fen
    assert spread in ((0,) if public == "separate" else (0, of_house.fen))


def test_who_moves_in_late_pays_for_their_days_and_nobody_for_empty_ones() -> None:
    # One kWh more each day; one bed from the 3rd on, a second one from the 16th.
    flat = tariff(steps=[{"price": "2"}])
    registers = [(edge, 100 * day * (day + 1) // 2) for day, edge in enumerate(EDGES)]
    use = used(registers, EDGES, Register())
    house = building(
        {"rooms": ["r1"], "beds": [1], "moved_in": DAYS[2]}, {"rooms": ["r1"], "beds": [2], "moved_in": DAYS[15]}
    )
    bill = make_bill(house, MONTH, ["r1"], [Measured(flat, SLOTS, {"r1": [use]}, [], [])])
    alone, together = 200 * sum(range(3, 16)), 100 * sum(range(16, 29))
    beds = [(bed.bed, bed.fen) for bed in bill.rooms[0].beds]
    assert beds == [(1, alone + together), (2, together), (None, 200 * (1 + 2))]
    assert bill.public[0].main is None
    assert bill.public[0].difference is None


def test_a_corrected_reading_is_a_line_of_its_own_and_asked_once() -> None:
    def month(last: int) -> Bill:
        use = used([(0, 0), (EDGES[-1], last)], EDGES, Register())
        return make_bill(building(), MONTH, ["r1"], [Measured(tariff(), SLOTS, {"r1": [use]}, [], [])])

    charged = accounts(month(100))
    (line,) = corrected("2026-02", month(110), charged)
    assert (line.month, line.room, line.bed, line.fen) == ("2026-02", "r1", None, 8)
    charged["electricity", "r1", None] += line.fen
    assert corrected("2026-02", month(110), charged) == []
    with_line = make_bill(building(), date(2026, 3, 1), ["r1"], [], [line])
    assert [(bed.fen, bed.correction_fen, bed.due_fen) for bed in with_line.rooms[0].beds] == [(0, 8, 8)]


@pytest.mark.parametrize("readings_of_the_other", [[], [(0, 0), (EDGES[-1], 100)]])
def test_a_room_whose_meter_has_gone_is_forgotten_also_where_its_readings_never_covered_the_month(
    readings_of_the_other: list[tuple[int, int]],
) -> None:
    def month(readings: list[tuple[int, int]]) -> Bill:
        rooms = {"r1": [used(readings, EDGES, Register())], "r2": [used(readings_of_the_other, EDGES, Register())]}
        return make_bill(building(), MONTH, ["r1", "r2"], [Measured(tariff(), SLOTS, rooms, [], [])])

    part = [(0, 0), (EDGES[-2], 100)]
    assert forgotten(month(part), month([])) == {"electricity"}
    assert forgotten(month([]), month(part)) == set()
    assert forgotten(month(part), month([(0, 0), (EDGES[-1], 0)])) == set()


@pytest.mark.parametrize(("language", "between"), [("en", "; "), ("zh", "；")])
def test_what_is_wrong_with_the_main_meter_is_on_the_bill(language: Language, between: str) -> None:
    main = used([(0, 0), (EDGES[1], 900), (EDGES[-2], 10)], EDGES, Register())
    bill = make_bill(building(), MONTH, [], [Measured(tariff(), SLOTS, {}, [], [main])])
    assert [(step.kind, step.counted) for step in bill.public[0].breaks] == [("unexplained", None)]
    names: dict[str, Named] = {"d": {"en": "House", "zh": "楼"}}
    public = printed(bill, language, names, None).tables[2]
    assert str(public.rows[0][-1]).count(between) == 1  # not whole, and a step that nobody knows


def test_other_inputs_have_another_hash() -> None:
    uses = [used([(0, 0), (EDGES[-1], last)], EDGES, Register()) for last in (100, 101)]
    hashes = {
        make_bill(
            building(), MONTH, ["r1"], [Measured(tariff(public_price=price), SLOTS, {"r1": [use]}, [], [])]
        ).inputs_hash
        for use in uses
        for price in ("0.5", "0.6")
    }
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"starts": "2026-01-02"}, "first day"),
        ({"steps": [{"up_to": 5, "price": 1}]}, "only the last"),
        ({"steps": [{"up_to": 5, "price": 1}, {"up_to": 5, "price": 1}, {"price": 2}]}, "must grow"),
        (
            {
                "hours": [
                    {"name": "a", "begin": 22, "end": 6, "surcharge": 0},
                    {"name": "b", "begin": 5, "end": 8, "surcharge": 0},
                ]
            },
            "two of",
        ),
    ],
)
def test_a_tariff_that_cannot_be_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        tariff(**wrong)
