import pytest

from tests.starts.run import start


# Somebody draws more than 150 litres in a quarter of an hour; a scanner's crowd is 0.3 °C warmer than usual.
@pytest.mark.parametrize("end_ms", [1_800_159_394_948, 1_797_272_836_288])
def test_the_past_and_three_minutes_of_life_raise_what_is_due_and_no_more(end_ms: int) -> None:
    outcome = start(end_ms)
    assert (outcome.missed, outcome.extra) == ([], [])
    raised = {alarm.rule for alarm in outcome.raised}
    assert {"room-leak", "forbidden-heater", "drain-level", "drain-forecast", "fever"} <= raised
