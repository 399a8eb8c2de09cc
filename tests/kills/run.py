"""So many kills in rounds, each with its own kind of broker, history and disk."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from tests import servers
from tests.kills.round import Plan, Round, Say
from tests.kills.verdict import Verdict

KILLS_PER_ROUND = 17
DISKS = (None, "core", "gw-east")


def plans(kills: int, seed: int, history: str | None, planted: str | None = None) -> list[Plan]:
    """Rounds of like size that add up to `kills`."""
    count = max(1, round(kills / KILLS_PER_ROUND))
    made = []
    for number in range(count):
        made.append(
            Plan(
                seed=seed * 1000 + number,
                planted=planted,
                kills=kills // count + (number < kills % count),
                history=history or ("influxdb" if number % 3 == 2 else "parquet"),
                is_persistent=number % 2 == 0,
                kills_broker=number % 3 != 1,
                small_disk=DISKS[(number + number // 3) % 3],
            )
        )
    return made


def missing(made: list[Plan]) -> str | None:
    """The program that these rounds need and that is not there, with how to get it."""
    if servers.mosquitto_program() is None:
        return "mosquitto is missing: apt-get install mosquitto"
    if any(plan.history == "influxdb" for plan in made) and servers.influxd_program() is None:
        return "influxd (InfluxDB 2) is missing: run deploy/influxdb/build.sh, or ask for --history parquet"
    return None


def run(made: list[Plan], say: Say, on_kill: Say) -> Verdict:
    """All rounds. The folder of one that went wrong, with every log, is kept."""
    total = Verdict()
    for number, plan in enumerate(made, 1):
        folder = Path(tempfile.mkdtemp(prefix=f"kills-{plan.seed}-"))
        folder.chmod(0o755)
        say(f"round {number} of {len(made)}: {plan}")
        done = Counter[str]()

        def struck(what: str, done: Counter[str] = done) -> None:
            done[what] += 1
            on_kill(what)

        verdict = asyncio.run(Round(plan, folder, say, struck).run())
        say("    " + ", ".join(f"{what} {count}" for what, count in sorted(done.items())))
        for violation in verdict.violations:
            say(f"    {violation}")
        say(
            f"    {verdict.readings:,} readings stored, {verdict.promised:,} promised; {verdict.alarms:,} alarms, "
            f"{verdict.notices:,} notices"
        )
        if verdict.is_good:
            shutil.rmtree(folder)
        else:
            say(f"    the logs are in {folder}")
        total.add(verdict)
    return total
