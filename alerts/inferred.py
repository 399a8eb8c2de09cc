"""Causes that no device reports: most meters of one bus fall silent together, so it is the bus.

When at least `at_least` and `share` of what hangs on a node (a gateway, a place) have an open alarm of the rules named in
`of`, and the newest of these came within `within_s` of each other, the node gets an alarm of its own. It is over when less
than half of that many are left. Source: reference/alarms.md §3.5 (inferred parent).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from alerts.alarm import Alarm, Effects, What
from alerts.book import AlarmBook
from alerts.program import InferredPlan, Program


class Inferred:
    """What alarms of many come to together."""

    def __init__(self, program: Program, book: AlarmBook) -> None:
        self._book = book
        self._plans = program.inferred
        self._of = {program.rules[number].id for plan in self._plans for number in plan.of}

    def judge(self, now_ms: int, effects: Effects) -> None:
        """After alarms began or ended: does that make one of a node, or end it?"""
        if not self._plans:
            return
        changed = [effects.alarms[t.alarm] for t in effects.transitions if t.what is What.RAISED or t.what.is_end]
        changed = [alarm for alarm in changed if alarm.rule in self._of]
        if not changed:
            return
        for plan in self._plans:
            for node in sorted({plan.node[s] for s in self._series(plan, changed)}):
                self._judge_node(plan, node, now_ms, effects)

    def _series(self, plan: InferredPlan, alarms: Iterable[Alarm]) -> Iterable[int]:
        for alarm in alarms:
            series = plan.series.get((alarm.device, alarm.metric))
            if series is not None:
                yield series

    def _judge_node(self, plan: InferredPlan, node: str, now_ms: int, effects: Effects) -> None:
        members = plan.members[node]
        down = [
            alarm
            for series in members
            for rule in plan.of
            if (alarm := self._book.open.get((rule, series, None))) is not None
        ]
        needed = max(plan.at_least, math.ceil(plan.share * len(members)))
        where = (plan.rule, members[0], node)
        known = self._book.open.get(where)
        if known is not None:
            if len(down) < needed / 2:
                self._book.close(known, What.RETURNED, now_ms, now_ms, "most-are-back", effects)
            return
        newest = sorted((alarm.raised_ms for alarm in down), reverse=True)[:needed]
        if len(newest) == needed and newest[0] - newest[-1] <= plan.within_ms:
            onset_ms = min(alarm.onset_ms for alarm in down)
            self._book.raise_(
                where, plan.severity, onset_ms, now_ms, now_ms, float(len(down)), effects, reason="many-together"
            )
