"""`make faults SEEDS=200 FIRST=1`: many runs of the simulated world, each a seed. The last line says how many went wrong.

A run that went wrong prints its seed, then the same run with fewer and fewer faults, as long as it still goes wrong.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from tests.sim.world import Verdict, run


def main(
    seeds: Annotated[int, typer.Option(help="How many runs.")] = 200,
    first: Annotated[int, typer.Option(help="The first seed.")] = 1,
    jobs: Annotated[int, typer.Option(help="How many at once.")] = os.cpu_count() or 1,
) -> None:
    """Run seeds; exit code 1 when any invariant was violated."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        # What a set is walked in decides nothing, and this is how we would notice if it did.
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"}
        )
    began_s = time.monotonic()
    bad: list[Verdict] = []
    totals = [0, 0, 0, 0.0]
    context = multiprocessing.get_context("spawn")
    with (
        Progress(console=Console(stderr=True), transient=True) as progress,
        context.Pool(jobs, maxtasksperchild=200) as pool,
    ):
        task = progress.add_task("seeds", total=seeds)
        for verdict in pool.imap_unordered(run, range(first, first + seeds)):
            progress.advance(task)
            totals[0] += verdict.readings
            totals[1] += verdict.alarms
            totals[2] += verdict.crashes
            totals[3] += verdict.simulated_s
            if not verdict.is_good:
                bad.append(verdict)
                _say(verdict)
    for verdict in bad[:3]:
        smaller = shrink(verdict)
        typer.echo(f"seed {verdict.seed} made smaller:")
        _say(smaller)
    took_s = time.monotonic() - began_s
    readings, alarms, crashes, simulated_s = totals
    typer.echo(
        f"{readings:,} readings, {alarms:,} alarms, {crashes:,} crashes; {simulated_s / 3600:,.1f} simulated hours in "
        f"{took_s:,.0f} s: {simulated_s / 3600 / took_s:.3f} hours a second"
    )
    typer.echo(f"{seeds} seeds, {len(bad)} violations")
    raise typer.Exit(1 if bad else 0)


def shrink(verdict: Verdict) -> Verdict:
    """The same seed with as few faults as still make it go wrong: leave out halves, then quarters, then one by one."""
    faults, best = list(verdict.faults), verdict
    size = max(1, len(faults) // 2)
    while True:
        for start in range(0, len(faults), size):
            fewer = faults[:start] + faults[start + size :]
            tried = run(verdict.seed, fewer)
            if not tried.is_good:
                faults, best = fewer, tried
                break
        else:
            if size == 1:
                return best
            size = max(1, size // 2)


def _say(verdict: Verdict) -> None:
    typer.echo(f"seed {verdict.seed} went wrong:")
    for violation in verdict.violations[:8]:
        typer.echo(f"    {violation}")
    for fault in verdict.faults:
        typer.echo(f"    {fault}")


if __name__ == "__main__":
    typer.run(main)
