"""`python -m tests.starts [--starts N] [--first DATE] [--seed K]`: N instants of ten weeks; exit code 1 if one is wrong."""

from __future__ import annotations

import argparse
import random
import sys
from datetime import UTC, datetime

from rich.progress import track

from tests.starts.run import start

_TEN_WEEKS_MS = 70 * 86_400_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=60)
    parser.add_argument("--first", default="2026-12-01", help="the first day")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    first_ms = round(datetime.fromisoformat(given.first).replace(tzinfo=UTC).timestamp() * 1000)
    rng, wrong = random.Random(given.seed), 0
    for _ in track(range(given.starts), "starts"):
        end_ms = first_ms + rng.randrange(_TEN_WEEKS_MS)
        outcome = start(end_ms)
        wrong += bool(outcome.missed or outcome.extra)
        for title, lines in (("missed", outcome.missed), ("extra", outcome.extra)):
            for line in lines:
                print(f"past ends at {end_ms}: {title}: {line}")
    print(f"{given.starts - wrong} of {given.starts} starts as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
