"""A program as a process that is killed, held and started again, as whoever supervises it would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

RESTART_AFTER_S = 0.5


class Program:
    """One program. While `keep` runs it is running, unless it was just killed or is held."""

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        self.name = name
        self.killed_s: list[float] = []  # monotonic
        self.exits = 0  # by itself
        self._command = [str(part) for part in command]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._start_s = 0.0
        self._held_until_s: float | None = None

    @property
    def is_up(self) -> bool:
        """Whether it runs and is not held."""
        return self._process is not None and self._process.poll() is None and self._held_until_s is None

    async def keep(self) -> None:
        """Start it whenever it does not run; for ever."""
        while True:
            now_s = time.monotonic()
            if self._held_until_s is not None and now_s >= self._held_until_s:
                self.let_go()
            if self._process is not None and self._process.poll() is not None:
                self.exits += 1
                self._note(f"ended by itself with {self._process.returncode}")
                self._process, self._start_s = None, now_s + RESTART_AFTER_S
            if self._process is None and now_s >= self._start_s:
                self._start()
            await asyncio.sleep(0.05)

    def kill(self, back_after_s: float) -> None:
        """No warning, no chance to tidy up."""
        self.killed_s.append(time.monotonic())
        self._note(f"killed, back in {back_after_s:.1f} s")
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._process, self._held_until_s = None, None
        self._start_s = time.monotonic() + back_after_s

    def hold(self, for_s: float) -> None:
        """It stands still, its connections open."""
        self._note(f"held for {for_s:.1f} s")
        self._signal(signal.SIGSTOP)
        self._held_until_s = time.monotonic() + for_s

    def let_go(self) -> None:
        """The end of being held."""
        if self._held_until_s is not None:
            self._held_until_s = None
            self._signal(signal.SIGCONT)

    def save(self) -> None:
        """Mosquitto: write what is remembered to disk now."""
        self._signal(signal.SIGUSR1)

    async def stop(self, within_s: float = 20.0) -> None:
        """An orderly end; `keep` must be over."""
        self.let_go()
        self._signal(signal.SIGTERM)
        if self._process is not None:
            try:
                await asyncio.to_thread(self._process.wait, within_s)
            except subprocess.TimeoutExpired:
                self._note("had to be killed")
                self.abandon()

    def abandon(self) -> None:
        """Gone, whatever it was doing."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def _start(self) -> None:
        self._note("started")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._log.parent,
                start_new_session=True,
            )

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _note(self, what: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"--- {time.strftime('%H:%M:%S')} {self.name} {what}\n")
