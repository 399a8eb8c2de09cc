"""One limit on one series, an observation at a time, in plain ifs (reference/alarms.md §3.3, C1-C7)."""

from dataclasses import dataclass


@dataclass
class Condition:
    raise_at: float
    clear_below: float
    raise_after_ms: int
    raise_count: int
    clear_after_ms: int
    state: str = "normal"
    since_ms: int = 0
    streak: int = 0

    def wait(self, until_ms: int, last_ms: int, hold_max_ms: int) -> int | None:
        """Time passes up to an observation, which it does not see: when it fired, if it did."""
        due_ms = self.since_ms + self.raise_after_ms
        if self.state != "pending" or self.streak < self.raise_count:
            return None
        if due_ms >= until_ms or due_ms > last_ms + hold_max_ms:
            return None
        self.state, self.since_ms = "firing", due_ms
        return due_ms

    def observe(self, value: float, time_ms: int) -> None:
        if self.state in ("normal", "pending"):
            if value < self.raise_at:
                self.streak = 0
                if self.state == "pending":
                    self.since_ms = time_ms
                self.state = "normal"
                return
            self.streak += 1
            waited = time_ms - self.since_ms if self.state == "pending" else 0
            if waited >= self.raise_after_ms and self.streak >= self.raise_count:
                self.state, self.since_ms = "firing", time_ms
            elif self.state == "normal":
                self.state, self.since_ms = "pending", time_ms
            return
        if value >= self.clear_below:
            self.streak += 1
            if self.state == "clearing":
                self.state, self.since_ms = "firing", time_ms
            return
        self.streak = 0
        waited = time_ms - self.since_ms if self.state == "clearing" else 0
        if waited >= self.clear_after_ms:
            self.state, self.since_ms = "normal", time_ms
        elif self.state == "firing":
            self.state, self.since_ms = "clearing", time_ms
