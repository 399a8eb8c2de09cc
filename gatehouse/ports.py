"""Ports of this machine that nobody uses."""

from __future__ import annotations

import socket
from random import SystemRandom

_FIRST, _LAST = (
    15_000,
    32_767,
)  # what is above, systems give to whoever connects to somebody: between choice and use, too
_chance = SystemRandom()
_given: set[int] = set()


def free_port() -> int:
    """One that is free on 127.0.0.1, and that this process is not told a second time."""
    while True:
        port = _chance.randint(_FIRST, _LAST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
