"""The demonstration's two weeks under the district's own rules: whenever it is started, what is expected and no more."""

from pathlib import Path

import pytest
from firmware_sim.district import District
from firmware_sim.past import build_past

from alerts.backtest import Trial
from alerts.rules import InferredRule, SilenceRule
from gatehouse.backtest import read_rules
from gatehouse.verdict import RaisedAlarm, match
from telemetry.batch import ReadingBatch
from telemetry.series import ONLINE, SeriesRegistry

DISTRICT = Path(__file__).parents[2] / "gatehouse" / "district"
# Two starts at which somebody drew more than 150 litres in a quarter of an hour.
STARTS_MS = (1_800_159_394_948, 1_799_848_138_017)
SEED = 1  # the demonstration's own


@pytest.mark.parametrize("end_ms", STARTS_MS)
def test_the_past_raises_what_is_expected_of_it_and_no_more(end_ms: int) -> None:
    district = District.load(DISTRICT)
    past = build_past(district, end_ms, SEED)
    declared = [rule for file in sorted((DISTRICT / "rules").glob("*.yaml")) for rule in read_rules(file)]
    rules = [rule for rule in declared if not isinstance(rule, SilenceRule | InferredRule)]
    catalogue = district.catalogue
    registry = SeriesRegistry([*catalogue.metric, *((gateway.id, ONLINE) for gateway in catalogue.gateways)])
    trial = Trial(rules, catalogue, registry)
    for _, columns in past:
        series = registry.look_up("\n".join(columns.names))
        trial.take(ReadingBatch(series[columns.index], columns.time_ms, columns.value, columns.quality, columns.keys))
    raised = [
        RaisedAlarm(str(number), one.rule, one.device, one.key, one.onset_ms, one.end_ms)
        for number, one in enumerate(trial.finish())
    ]
    tried = {rule.id for rule in rules}
    assert match([entry for entry in past.alarms if entry.rule in tried], raised) == ([], [])
    assert {"room-leak", "forbidden-heater", "drain-level"} <= {alarm.rule for alarm in raised}
