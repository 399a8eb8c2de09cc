"""A back-test drawn: alarms a day, and one of the alarms with its readings."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from alerts.backtest import BacktestReport, Occurrence
from gatehouse.settings import Settings
from ingest.history.history import Aggregate
from ingest.history.parquet_reader import ParquetReader
from ingest.history.settings import ParquetSettings
from telemetry.catalogue import Catalogue

_AROUND_MS = 3 * 3_600_000
_SHOWN_MAX_MS = 2 * 86_400_000


def draw(settings: Settings, report: BacktestReport, file: Path) -> None:
    """Write the picture; its ending says whether PNG or SVG."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    days, example = figure.subplots(2, 1)
    _days(report, days)
    _example(settings, report, example)
    with matplotlib.rc_context({"svg.hashsalt": "gatehouse"}):
        figure.savefig(file, dpi=110)


def _days(report: BacktestReport, axes: Axes) -> None:
    for counted, label, offset, colour in (
        (report.in_force, "in force", -0.2, "#9aa5b1"),
        (report.tried, "tried", 0.2, "#1f6feb"),
    ):
        if counted is not None:
            places = [date.fromisoformat(day).toordinal() - 719_163 + offset for day in counted.per_day]
            axes.bar(places, list(counted.per_day.values()), width=0.4, label=label, color=colour)
    axes.xaxis_date()
    axes.set_ylabel("alarms a day")
    axes.set_title(", ".join(report.rules))
    if axes.containers:
        axes.legend()


def _example(settings: Settings, report: BacktestReport, axes: Axes) -> None:
    """The longest alarm that only one version has, else the longest of all."""
    differing = [] if report.difference is None else [*report.difference.only_new, *report.difference.only_old]
    of_longest = [one for one in report.longest if one.key is None]
    chosen = max(differing, key=lambda one: (one.end_ms or report.end_ms) - one.onset_ms, default=None)
    chosen = chosen or (of_longest[0] if of_longest else None)
    if chosen is None:
        axes.set_axis_off()
        return
    end_ms = min(chosen.end_ms or report.end_ms, chosen.onset_ms + _SHOWN_MAX_MS)
    _curve(settings, chosen, chosen.onset_ms - _AROUND_MS, end_ms + _AROUND_MS, axes)
    axes.axvspan(_at(chosen.onset_ms), _at(end_ms), color="#d1242f", alpha=0.15)
    axes.set_title(f"{chosen.device} / {chosen.metric}: {chosen.rule}, {chosen.severity}")


def _curve(settings: Settings, chosen: Occurrence, start_ms: int, end_ms: int, axes: Axes) -> None:
    catalogue = Catalogue.load(settings.catalogue)
    device = catalogue.device.get(chosen.device)
    if device is None or not isinstance(settings.history, ParquetSettings):
        return
    reader = ParquetReader(settings.history.folder)
    curve = reader.read(device.kind, chosen.device, chosen.metric, start_ms, end_ms, None, Aggregate.LAST)
    axes.plot([_at(t) for t in curve.time_ms.tolist()], curve.value.tolist(), linewidth=0.8)
    metric = catalogue.metric.get((chosen.device, chosen.metric))
    axes.set_ylabel(metric.unit if metric else "")


def _at(time_ms: int) -> float:
    """Matplotlib's days."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).timestamp() / 86_400
