"""The scores of dormitory and general detectors run, on data where there is some and on what they draw themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.detection import appliances, cost, plots_dormitory, river, water
from bench.report import Report
from telemetry.errors import BadConfiguration

DATASETS = Path(__file__).parents[2] / "shared" / "datasets"


def test_every_detector_has_a_cost() -> None:
    report = cost.run(series=20, moments=3)
    assert len(report.tables[0].rows) == len(cost.GENERAL) + len(cost.DORMITORY)


def test_every_plot_is_that_of_a_page() -> None:
    for name in plots_dormitory.PLOTS:
        assert f"]({name}.svg)" in (plots_dormitory.FOLDER / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("run", [water.run, appliances.run, river.run])
def test_a_missing_data_set_is_named(
    run: Callable[[], Report], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEHOUSE_DATASETS", str(tmp_path / "datasets"))
    with pytest.raises(BadConfiguration, match="no data set in"):
        run()


@pytest.mark.skipif(not DATASETS.is_dir(), reason="labelled data is not beside the project: ../shared/datasets")
def test_the_scores_run_on_a_little_of_the_data() -> None:
    assert appliances.run(rooms=4).figure("false alarms per room-day") == 0
    assert river.run(files=1).tables
    assert water.run(users=1).figure("share of labelled leaks found") == 1
