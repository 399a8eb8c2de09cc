import math

import numpy as np
import pytest
from firmware_sim.instruments import Ailment, Case, Instruments

HOUR_MS = 3_600_000


def shown(case: Case, values: list[float], every_ms: int = HOUR_MS) -> list[float | None]:
    """What an instrument with this ailment makes of a value at each hour."""
    instruments = Instruments(np.random.default_rng(1))
    instruments.add("a", "level", case)
    assert instruments.shown("b", "level", 5.0, 0) == 5.0, "no other instrument is ill"
    return [instruments.shown("a", "level", value, number * every_ms) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("how", "amount", "expected"),
    [
        (Ailment.SILENT, 0.0, [1.0, None, None, 4.0]),
        (Ailment.STUCK, 0.0, [1.0, 2.0, 2.0, 4.0]),
        (Ailment.OFFSET, 0.5, [1.0, 2.5, 3.5, 4.0]),
        (Ailment.DRIFT, 0.5, [1.0, 2.0, 3.5, 4.0]),
        (Ailment.ECHO, 9.0, [1.0, 9.0, 9.0, 4.0]),
        (Ailment.REGISTER, 7.0, [1.0, 7.0, 8.0, 4.0]),
    ],
)
def test_an_ailment_begins_and_ends(how: Ailment, amount: float, expected: list[float | None]) -> None:
    assert shown(Case(how, amount, HOUR_MS, 3 * HOUR_MS), [1.0, 2.0, 3.0, 4.0]) == expected


def test_a_register_rolls_over_at_its_modulus() -> None:
    case = Case(Ailment.REGISTER, 98.0, 0, None, modulus=100.0)
    assert shown(case, [10.0, 11.0, 12.0, 13.0]) == [98.0, 99.0, 0.0, 1.0]


def test_a_third_of_a_warm_up_is_left_after_its_time() -> None:
    first, later = shown(Case(Ailment.WARM_UP, -1.2, 0, None, over_ms=HOUR_MS), [36.0, 36.0])
    assert first == pytest.approx(34.8)
    assert later == pytest.approx(36 - 1.2 / math.e)


def test_noise_has_its_deviation_and_an_echo_its_share() -> None:
    noisy = [value for value in shown(Case(Ailment.NOISE, 0.5, 0, None), [3.0] * 4000) if value is not None]
    assert np.std(noisy) == pytest.approx(0.5, rel=0.05)
    assert shown(Case(Ailment.ECHO, 9.0, 0, None, share=0.1), [3.0] * 4000).count(9.0) == pytest.approx(400, rel=0.2)


def test_ailments_add_up() -> None:
    instruments = Instruments(np.random.default_rng(1))
    instruments.add("a", "level", Case(Ailment.OFFSET, 1.0, 0, None))
    instruments.add("a", "level", Case(Ailment.STUCK, 0.0, 0, None))
    assert [instruments.shown("a", "level", value, 0) for value in (1.0, 5.0)] == [2.0, 2.0]
