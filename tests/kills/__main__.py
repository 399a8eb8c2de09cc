"""`make kills N=50`: real processes killed under load. The last line says what was lost, stored twice, missed or doubled."""

from __future__ import annotations

from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.progress import Progress

from tests.kills.run import missing, plans, run


def main(
    kills: Annotated[int, typer.Option(help="How many kills and holds.")] = 50,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn by chance.")] = 1,
    history: Annotated[Optional[str], typer.Option(help="parquet or influxdb; both by turns.")] = None,  # noqa: UP045
    planted: Annotated[Optional[str], typer.Option(help="Run with a known bug, which must be found.")] = None,  # noqa: UP045
) -> None:
    """Kill, heal, compare; exit code 1 when anything is not as it must be."""
    if history not in (None, "parquet", "influxdb"):
        raise typer.BadParameter("parquet or influxdb", param_hint="--history")
    made = plans(kills, seed, history, planted)
    if (what := missing(made)) is not None:
        typer.echo(what, err=True)
        raise typer.Exit(2)
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("kills", total=kills)
        verdict = run(
            made,
            lambda line: progress.console.print(line, markup=False, highlight=False, soft_wrap=True),
            lambda what: progress.update(task, advance=1, description=what),
        )
    typer.echo(
        f"{kills} kills: lost {verdict.lost}, twice {verdict.twice}, missed {verdict.missed}, doubled {verdict.doubled}"
    )
    raise typer.Exit(0 if verdict.is_good else 1)


if __name__ == "__main__":
    typer.run(main)
