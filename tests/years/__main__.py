"""`python -m tests.years [--months N] [--first 2026-12]`: the figures of years; exit code 1 where a hand was needed."""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from tests.years.run import Outcome, years
from tests.years.verdict import mistakes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--first", default="2026-12", help="the first month")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory() as name, years(Path(name), date.fromisoformat(f"{given.first}-01"), given.months) as made:
        outcome = made.run()
    show(outcome)
    wrong = mistakes(outcome)
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


def show(outcome: Outcome) -> None:
    """As a table for docs/reliability.md."""
    print("| | " + " | ".join(f"month {census.month}" for census in outcome.censuses) + " |")
    print("|---|" + "--:|" * len(outcome.censuses))
    for name in sorted({name for census in outcome.censuses for name in census.figures()}):
        values = [census.figures().get(name, 0) for census in outcome.censuses]
        if any(values):
            print(
                f"| {name} | "
                + " | ".join(f"{value:,.1f}" if value % 1 else f"{value:,.0f}" for value in values)
                + " |"
            )
    for name in (
        "readings",
        "restarts",
        "trims",
        "backups",
        "renewed",
        "nights",
        "told_by_night",
        "told_at_noon",
        "reports",
    ):
        print(f"{name}: {getattr(outcome, name)}")
    print(f"bills: {len(outcome.bills)}, {outcome.bills[0]} to {outcome.bills[-1]}")
    print(f"(readings due, missing) on odd days: {outcome.day_hours}")
    print(f"system alarms (True: stands at the end): {outcome.system_alarms}")
    print(f"took {outcome.took_s:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
