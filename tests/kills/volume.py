"""A small disk of its own that runs full and is freed again. Needs the right to mount."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

SIZE_MB = 48  # more than what SQLite's log may hold before it is folded back, and little to fill


class Volume:
    """A tmpfs. Everything on it is gone with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def mount(self) -> str:
        """Make it; why not, when it cannot be."""
        self.path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(self.path)]
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except OSError as error:
            return str(error)
        return made.stderr.strip() if made.returncode else ""

    def fill(self) -> None:
        """Not a byte is left."""
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
                while file.write(b"\0" * size) == size:
                    pass

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], capture_output=True, timeout=10, check=False)
