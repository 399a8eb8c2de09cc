"""One limit on one series, an observation at a time, in plain ifs (reference/alarms.md §3.3, C1-C7)."""

from dataclasses import dataclass, field

PAUSE_MAX_MS = 3_600_000


@dataclass
class Condition:
    raise_at: float
    clear_below: float
    raise_after_ms: int
    raise_count: int
    clear_after_ms: int
    raise_of: int = 0  # of the last so many; in a row where it is not more than raise_count
    clear_count: int = 1
    state: str = "normal"
    since_ms: int = 0
    breached: list[bool] = field(default_factory=list)  # since it waits, oldest first
    quiet: int = 0  # in a row

    @property
    def has_enough(self) -> bool:
        """Whether m of the last n readings breached."""
        return sum(self.breached[-max(self.raise_of, self.raise_count) :]) >= self.raise_count

    def wait(self, until_ms: int, last_ms: int, hold_max_ms: int) -> int | None:
        """Time passes up to an observation, which it does not see: when it fired, if it did."""
        due_ms = self.since_ms + self.raise_after_ms
        if self.state != "pending" or not self.has_enough or not self.breached[-1]:
            return None
        if due_ms >= until_ms or due_ms > last_ms + hold_max_ms:
            return None
        self.state, self.since_ms = "firing", due_ms
        return due_ms

    def pause(self, time_ms: int, last_ms: int | None) -> None:
        """The next reading after the last one: through a long silence nothing has lasted."""
        must_last_ms = {"pending": self.raise_after_ms, "clearing": self.clear_after_ms}.get(self.state, 0)
        if must_last_ms and last_ms is not None and time_ms - last_ms > max(PAUSE_MAX_MS, must_last_ms):
            self.since_ms = time_ms

    def observe(self, value: float, time_ms: int) -> None:
        if self.state in ("normal", "pending"):
            self.breached.append(value >= self.raise_at)
            if value < self.raise_at:
                recent = self.breached[-self.raise_of :] if self.raise_of > self.raise_count else []
                if not any(recent):
                    if self.state == "pending":
                        self.since_ms = time_ms
                    self.state = "normal"
                    self.breached = []
                return
            waited = time_ms - self.since_ms if self.state == "pending" else 0
            if waited >= self.raise_after_ms and self.has_enough:
                self.state, self.since_ms = "firing", time_ms
            elif self.state == "normal":
                self.state, self.since_ms = "pending", time_ms
            return
        if value >= self.clear_below:
            self.quiet = 0
            if self.state == "clearing":
                self.state, self.since_ms = "firing", time_ms
            return
        self.quiet = self.quiet + 1 if self.state == "clearing" else 1
        waited = time_ms - self.since_ms if self.state == "clearing" else 0
        if waited >= self.clear_after_ms and self.quiet >= self.clear_count:
            self.state, self.since_ms = "normal", time_ms
            self.breached = []
        elif self.state == "firing":
            self.state, self.since_ms = "clearing", time_ms
