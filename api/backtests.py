"""Back-tests in the background: one at a time, in a process of its own at the lowest priority, so that no alarm waits.

A small queue; when it is full a request is refused with 429. Jobs and their results live in memory, the newest few.
"""

import multiprocessing
import os
import queue
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts.rules import Rule
from telemetry.errors import BadConfiguration, Unavailable

QUEUE_MAX = 3
_KEPT_MAX = 20
_JOB_MAX_S = 1800.0

Run = Callable[["Wanted"], dict[str, Any]]
"""Does the work, in the other process: it can be pickled."""


class Wanted(BaseModel):
    """Which rules, over which time; `rules` are changed or new ones to try."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: tuple[str, ...] = Field(default=(), max_length=20)
    rules: tuple[Rule, ...] = Field(default=(), max_length=20)
    start: int = Field(ge=0, lt=2**53)
    end: int = Field(ge=0, lt=2**53)


@dataclass(slots=True)
class Job:
    """One request."""

    id: str
    wanted: Wanted
    user: str
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    result: dict[str, Any] | None = None
    error: str | None = None

    def as_data(self) -> dict[str, Any]:
        return {"id": self.id, "state": self.state, "result": self.result, "error": self.error}


class Backtests:
    """The queue and its only worker."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: queue.Queue[Job] = queue.Queue(QUEUE_MAX)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        threading.Thread(target=self._work, name="backtests", daemon=True).start()

    def submit(self, wanted: Wanted, user: str) -> Job | None:
        """A new job; None when the queue is full."""
        job = Job(uuid.uuid4().hex, wanted, user)
        with self._lock:
            try:
                self._waiting.put_nowait(job)
            except queue.Full:
                return None
            self._jobs[job.id] = job
            while len(self._jobs) > _KEPT_MAX:
                self._jobs.popitem(last=False)
        return job

    def find(self, name: str) -> Job | None:
        """A job of the newest few."""
        with self._lock:
            return self._jobs.get(name)

    def _work(self) -> None:
        context = multiprocessing.get_context("spawn")
        while True:
            job = self._waiting.get()
            job.state = "running"
            mine, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_in_process, args=(self._run, job.wanted, theirs), daemon=True)
            process.start()
            theirs.close()
            try:
                if mine.poll(_JOB_MAX_S):
                    job.result, job.error = mine.recv()
                else:
                    job.error = f"not done within {_JOB_MAX_S / 60:.0f} minutes: take less time or fewer rules"
            except EOFError:
                job.error = "the process ended before it was done"
            process.terminate()
            process.join()
            job.state = "failed" if job.error is not None else "done"


def _in_process(run: Run, wanted: Wanted, answer: Connection) -> None:
    os.nice(19)
    try:
        answer.send((run(wanted), None))
    except (BadConfiguration, Unavailable) as error:
        answer.send((None, str(error)))
