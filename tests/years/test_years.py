"""Two months of operation, with 29 February and a change of the clocks in them; `make years` goes through two years."""

from datetime import date
from pathlib import Path

import pytest

from tests.years.run import years
from tests.years.verdict import mistakes


def test_two_months_need_no_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.years.run.SEGMENT_BYTES", 100_000)
    monkeypatch.setattr("tests.years.run.KEEP_RAW_DAYS", 20)
    with years(tmp_path, date(2028, 2, 1), 2, certificates_left_days=50) as made:
        outcome = made.run()
    assert mistakes(outcome) == []
    assert outcome.day_hours == {"2028-02-29": (24, 0), "2028-03-26": (23, 0)}
    assert outcome.system_alarms["disk-low/journal"] == [False]
    assert outcome.bills == ["2028-02"] and outcome.reports["day"] >= 58
