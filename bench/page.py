"""Writes docs/performance.md and its plot from the reports in bench/record, one file a measurement: nobody edits it by hand.

`python -m bench NAME … --record` measures, keeps the reports there and writes the page anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.report import shown

RECORD = Path(__file__).parent / "record"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
PLOT = PAGE.with_suffix(".svg")
LADDER = "ladder"
_TOP = """# Performance

Written by `python -m bench --record` from the reports in `bench/record`; do not edit it, measure again. What a
measurement asks, and what it leaves out, stands on top of its module in `bench/`. The machines are small, virtual and shared:
read ratios, not digits. A goal that is missed is a figure like any other. What is found in labelled data:
[detection](detection.md); what is promised about losing nothing: [reliability](reliability.md).
"""


def write(record: Path = RECORD, page: Path = PAGE) -> None:
    """The page, and the plot of the ladder where it was measured."""
    reports = read(record)
    page.write_text(render(reports), encoding="utf-8")
    if LADDER in reports:
        draw(reports[LADDER], page.with_suffix(".svg"))


def read(record: Path = RECORD) -> dict[str, dict[str, Any]]:
    """The reports that are kept, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(record.glob("*.json"))}


def render(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page."""
    parts = [_TOP, "## Goals\n", _table(("what", "goal", "figure", "met", "measured by"), list(_goals(reports)))]
    for name, report in reports.items():
        parts += [f"## {name}: {report['question']}\n", f"`python -m bench {name}`, {_facts(report)}\n"]
        if name == LADDER:
            parts.append(f"![Where a reading's time goes]({PLOT.name})\n")
        for table in report["tables"]:
            parts += [f"**{table['title']}**\n", _table(table["columns"], table["rows"])]
        parts += [f"{note[0].upper()}{note[1:]}.\n" for note in report["notes"]]
    return "\n".join(parts)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """The ladder as bars: CPU of each rung, per million readings, one bar a case."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "ladder"  # the same bytes for the same figures
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3))
    starts: dict[str, float] = {}
    for rung, values in _rungs(report).items():
        names = list(values)
        lefts = [starts.get(name, 0.0) for name in names]
        axes.barh(names, list(values.values()), left=lefts, label=rung)
        starts |= {name: left + value for (name, value), left in zip(values.items(), lefts, strict=True)}
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds per million readings")
    axes.legend(fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.25))
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def _rungs(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Rung -> case -> CPU seconds per million readings; of the first table, without its sum and what stands beside it."""
    table = report["tables"][0]
    rungs = [row for row in table["rows"] if row[0] != "InfluxDB" and not str(row[0]).startswith("the chain")]
    return {row[0]: dict(zip(table["columns"][1:], map(float, row[1:]), strict=True)) for row in rungs}


def _goals(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for name, report in reports.items():
        for goal in report["goals"]:
            met = "yes" if goal["is_met"] else "**no**"
            yield goal["what"], goal["goal"], shown(goal["figure"]), met, f"[{name}](#{_anchor(name, report)})"


def _anchor(name: str, report: Mapping[str, Any]) -> str:
    heading = f"{name}: {report['question']}".lower()
    return "".join(c for c in heading if c.isalnum() or c in " -_").replace(" ", "-")


def _facts(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    given = ", ".join(f"{name} {shown(value)}" for name, value in report["parameters"].items())
    where = (
        f"{machine['cores']} cores ({machine['cpu']}), Python {machine['python']}, load before {machine['load_before']}"
    )
    return f"{machine['date'][:10]}, {where}; {given}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    lines += ["| " + " | ".join(shown(cell).replace("|", "/") for cell in row) + " |" for row in rows]
    return os.linesep.join(lines).replace(os.linesep, "\n") + "\n"
