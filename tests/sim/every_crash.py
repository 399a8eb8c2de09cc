"""Every crash point of a short run: the power of each node goes at each step of its disk, with what was not synced kept,
lost and torn; and at each commit of the core's database, before and after it. `make crashes` runs all, CI a share of them.

The run has some ten frames of the gateways and a few alarms; then everything heals, and every invariant is judged as in
`make faults`.
"""

from __future__ import annotations

import multiprocessing
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from tests.sim.disk import Unsynced
from tests.sim.world import CrashPoint, Verdict, run

MEASURE_UNTIL_S = 12.0


def points(seed: int) -> list[CrashPoint]:
    """All of a seed's run, after one without a crash has counted them."""
    calm = run(seed, [], MEASURE_UNTIL_S)
    assert calm.is_good, calm.violations
    found = [
        CrashPoint(node, number, unsynced)
        for node, steps in sorted(calm.steps.items())
        if node != "commits"
        for number in range(steps)
        for unsynced in Unsynced
    ]
    for number in range(1, calm.steps["commits"] + 1):
        found += [CrashPoint("core", number, side, at_commit=True) for side in (Unsynced.LOST, Unsynced.KEPT)]
    return found


def crash(seed: int, point: CrashPoint) -> Verdict:
    """The seed's run with its one crash."""
    return run(seed, [], MEASURE_UNTIL_S, point)


def _crash(given: tuple[int, CrashPoint]) -> tuple[CrashPoint, list[str], int]:
    verdict = crash(*given)
    return given[1], verdict.violations, verdict.crashes


def main(
    seed: Annotated[int, typer.Option(help="Which run.")] = 1,
    every: Annotated[int, typer.Option(help="Only every n-th point.")] = 1,
    jobs: Annotated[int, typer.Option(help="How many at once.")] = os.cpu_count() or 1,
) -> None:
    """Crash at every point; exit code 1 when any invariant was violated."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        typer.echo("start it with PYTHONHASHSEED=0, so that a point is the same point every time", err=True)
        raise typer.Exit(2)
    chosen = points(seed)[::every]
    bad = crashes = 0
    with (
        Progress(console=Console(stderr=True), transient=True) as progress,
        multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=400) as pool,
    ):
        task = progress.add_task("crash points", total=len(chosen))
        for point, violations, count in pool.imap_unordered(_crash, [(seed, point) for point in chosen], chunksize=4):
            progress.advance(task)
            crashes += count
            if violations:
                bad += 1
                typer.echo(f"{point}: {violations[:3]}")
    typer.echo(f"{len(chosen)} crash points, {crashes} crashes, {bad} violations")
    raise typer.Exit(1 if bad else 0)


if __name__ == "__main__":
    typer.run(main)
