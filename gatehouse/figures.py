"""`gatehouse figures`: alarm quality as a table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from alerts.figures import Figure
from alerts.record import figures_of
from gatehouse.migrate import migrate
from gatehouse.settings import Settings
from telemetry.database import open_database


def show_figures(settings: Settings, start_ms: int, end_ms: int, console: Console) -> None:
    """Count and print."""
    migrate(settings.database.url)
    found = figures_of(open_database(settings.database.url), start_ms, end_ms)
    for operator, rows in found.operators.items():
        console.print(_table(operator, rows))
    console.print(_table("alarms", found.alarms))
    top = Table("rule or instance", "alarms", "share", title="the most frequent", title_justify="left")
    for share in (*found.top_rules, *found.top_instances):
        top.add_row(share.what, f"{share.alarms:,}", f"{share.share:.1%}")
    console.print(top)
    if found.outcomes:
        columns = list(next(iter(found.outcomes.values())))
        said = Table("rule", *columns, title="what people said of them", title_justify="left")
        for rule, counted in found.outcomes.items():
            said.add_row(rule, *("–" if counted[c] is None else f"{counted[c]:g}" for c in columns))
        console.print(said)


def _table(title: str, rows: list[Figure]) -> Table:
    made = Table("figure", "value", "reference", "source", "met", title=title, title_justify="left")
    for row in rows:
        met = "–" if row.is_met is None else "yes" if row.is_met else "no"
        made.add_row(row.what, f"{row.value:,.4g} {row.unit}".strip(), row.reference, row.source, met)
    return made
