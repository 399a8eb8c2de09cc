"""Which alarms are found, missed and extra, one statement and one alarm at a time. Plain tuples, times in any unit."""

Statement = tuple[str, str, str | None, int, int, int | None, int | None, bool]
"""(claim, rule, device, from, until, must stay open until, the harm it must come before, is a gap)."""
Alarm = tuple[str, str, int, int | None]
"""(rule, device, raised, closed)."""


def counts(statements: list[Statement], alarms: list[Alarm]) -> dict[str, int]:
    """How many are found, missed, extra, gaps that are still there, and gaps that are none any more."""
    result = {"found": 0, "missed": 0, "extra": 0, "gaps": 0, "closed": 0}
    for claim, rule, device, start, until, open_until, harm, gap in statements:
        hits = 0
        for alarm_rule, alarm_device, raised, closed in alarms:
            if alarm_rule != rule or (device is not None and alarm_device != device):
                continue
            if raised < start or raised > until:
                continue
            if claim == "must" and open_until is not None and closed is not None and closed < open_until:
                continue
            if claim == "must" and harm is not None and raised >= harm:
                continue
            hits += 1
        if claim == "must" and not gap:
            result["found" if hits else "missed"] += 1
        elif claim == "must":
            result["closed" if hits else "gaps"] += 1
        elif claim == "must-not" and gap:
            result["gaps" if hits else "closed"] += 1
    for alarm_rule, alarm_device, raised, _ in alarms:
        is_covered = is_forbidden = False
        for claim, rule, device, start, until, _, _, gap in statements:
            if rule == alarm_rule and (device is None or device == alarm_device) and start <= raised <= until:
                is_covered = True
                if claim == "must-not" and not gap:
                    is_forbidden = True
        if is_forbidden or not is_covered:
            result["extra"] += 1
    return result
