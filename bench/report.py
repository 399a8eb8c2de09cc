"""What a measurement says: tables with the goal beside the figure, on the screen and as JSON with the machine's facts."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table as RichTable

RESULTS = Path(__file__).parent / "results"
Cell = str | int | float | None

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table:
    """Figures under one title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is aimed at and what was found. No threshold: a goal that is missed is a figure like any other."""

    what: str
    goal: str
    figure: float
    is_met: bool


def machine() -> dict[str, str | int | float]:
    """What a figure must be read with; taken before the work, so that the load is the neighbours'."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count() or 0,
        "cpu": models[0] if models else platform.processor(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_before": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@dataclass(slots=True)
class Report:
    """The outcome of one module."""

    name: str
    question: str
    parameters: dict[str, Cell]
    machine: dict[str, str | int | float] = field(default_factory=machine)
    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)  # what medians were taken of; in the file only

    def figure(self, what: str) -> float:
        """What was found for a goal."""
        return next(goal.figure for goal in self.goals if goal.what == what)

    def save(self, folder: Path = RESULTS) -> Path:
        """Keep it as folder/NAME.json."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        return path

    def show(self, console: Console) -> None:
        """Print it."""
        console.rule(f"{self.name}: {self.question}")
        facts = ", ".join(f"{name} {value}" for name, value in {**self.machine, **self.parameters}.items())
        console.print(facts, style="dim", highlight=False)
        for table in self.tables:
            console.print(_rich(table))
        if self.goals:
            goals = [(g.what, g.goal, g.figure, "yes" if g.is_met else "no") for g in self.goals]
            console.print(_rich(Table("goals", ("what", "goal", "figure", "met"), goals)))
        for note in self.notes:
            console.print(f"· {note}", highlight=False)


def steps(items: Sequence[T], doing: str) -> Iterable[T]:
    """Go through items behind a progress bar, on a terminal only."""
    console = Console(stderr=True)
    return track(items, doing, console=console, transient=True, disable=not console.is_terminal)


def _rich(table: Table) -> RichTable:
    made = RichTable(title=table.title, title_justify="left")
    for number, column in enumerate(table.columns):
        made.add_column(column, justify="left" if number == 0 else "right")
    for row in table.rows:
        made.add_row(*(shown(cell) for cell in row))
    return made


def shown(cell: Cell) -> str:
    """A figure as people read it."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}" if abs(cell) >= 0.001 else "0"
    return f"{cell:,}" if isinstance(cell, int) else cell
