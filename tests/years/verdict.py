"""What must hold after months of operation; shared by the test and the command."""

from __future__ import annotations

from tests.years import run
from tests.years.run import Outcome

RECORDS = {
    "alarm", "transition", "notice", "command", "audit", "dormitory_bill", "report", "register_count",
    "engine_memory",
}  # fmt: skip
"""Tables that are the record of what happened and are kept for as long as the district: they grow with what happens."""
_PER_MONTH_MAX = 200  # rows that such a table may gain, in a district in which so little happens
_GROWS_MAX = 1.25  # of what is not a record, from the middle of the time to its end


def mistakes(outcome: Outcome) -> list[str]:
    """A line for each thing that is not as it must be; [] is well."""
    wrong = []
    for name, are_open in outcome.system_alarms.items():
        if any(are_open):
            wrong.append(f"'{name}' stands at the end: somebody's hand would be needed")
    alarms = {name.partition("/")[0] for name in outcome.system_alarms}
    if alarms != {"disk-low", "certificate-ends"}:
        wrong.append(
            f"alarms about the machine: {sorted(alarms)}, where one of the disk and those of certificates are due"
        )
    if len(outcome.bills) != outcome.months - 1:
        wrong.append(f"{len(outcome.bills)} bills of {outcome.months - 1} months")
    if outcome.nights != outcome.told_by_night or outcome.told_at_noon:
        wrong.append(
            f"{outcome.nights} nights, told of {outcome.told_by_night}, and {outcome.told_at_noon} times at noon"
        )
    for day, (due, missing) in outcome.day_hours.items():
        if missing or due != {"03": 23, "10": 25, "02": 24}[day[5:7]]:
            wrong.append(f"{day}: {due} readings due, {missing} missing")
    is_long = outcome.months >= 12  # before, the journal of so small a district is not full
    if outcome.renewed == 0 or (is_long and not outcome.trims) or outcome.restarts < outcome.months - 1:
        said = f"{outcome.renewed} renewals, {outcome.trims} trims, {outcome.restarts} restarts"
        wrong.append(f"{said}: it did not go through what it should")
    if outcome.raw_days > run.KEEP_RAW_DAYS + 2:
        wrong.append(f"history holds readings of {outcome.raw_days} days, where {run.KEEP_RAW_DAYS} are to be kept")
    return wrong + _growth(outcome)


def _growth(outcome: Outcome) -> list[str]:
    wrong = []
    middle, last = (outcome.censuses[at].figures() for at in (len(outcome.censuses) // 2 - 1, -1))
    between = outcome.censuses[-1].month - outcome.censuses[len(outcome.censuses) // 2 - 1].month
    for name, now in last.items():
        then, kind = middle.get(name, 0), name.partition(" of ")[2]
        if kind in RECORDS:
            if now - then > _PER_MONTH_MAX * between:
                wrong.append(f"{name}: {then:.0f} → {now:.0f} in {between} months")
        elif outcome.months >= 12 and now > _GROWS_MAX * then + _SLACK.get(name, 3):
            wrong.append(f"{name}: {then:.1f} → {now:.1f} in {between} months")
    return wrong


_SLACK = {"files of certificates": 10, "rows of session": 0, "MB of databases": 10, "MB of memory": 40}
"""What may come on top: certificates that were renewed stay on record, records make a database larger."""
