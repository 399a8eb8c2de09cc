"""`make fuzz N=1000000`: so many damaged messages for each codec. Exit code 1 when one crashes, hangs or reads too far."""

from __future__ import annotations

import time
from typing import Annotated, Optional

import typer

from tests.fuzz.codecs import targets
from tests.fuzz.run import fuzz


def main(
    inputs: Annotated[int, typer.Option(help="For each codec.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn by chance.")] = 1,
    only: Annotated[Optional[list[str]], typer.Option(help="These codecs.")] = None,  # noqa: UP045
) -> None:
    """Damage, decode, count."""
    is_well = True
    typer.echo(f"{'codec':28}{'inputs':>12}{'CPU s':>9}{'longest ms':>12}  crashes, hangs, read too far")
    for target in targets():
        if only and target.name not in only:
            continue
        began_s = time.process_time()
        outcome = fuzz(target, inputs, seed)
        took_s = time.process_time() - began_s
        typer.echo(f"{target.name:28}{inputs:>12,}{took_s:>9.1f}{1e3 * outcome.longest_s:>12.1f}  {len(outcome.found)}")
        for each in outcome.found:
            typer.echo(f"  {each.error}\n    {each.data.hex()}", err=True)
        is_well &= not outcome.found
    raise typer.Exit(0 if is_well else 1)


if __name__ == "__main__":
    typer.run(main)
