"""`python -m tests.kills.planted BUG core --config …`: the `gatehouse` command with one of the bugs of the simulation.

A run that does not find them proves nothing. (`no_sync` cannot be found: what a killed process wrote, the system keeps.)
"""

from __future__ import annotations

import sys

from gatehouse.__main__ import main
from tests.sim.planted import BUGS

if __name__ == "__main__":
    with BUGS[sys.argv.pop(1)]():
        main()
