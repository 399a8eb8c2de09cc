"""A server that never comes to an end, and never stops either."""

import socket
import threading
from collections.abc import Callable


class Dripping:
    """On the loopback; answers a byte every few milliseconds, without end once `begin` is out."""

    def __init__(self, begin: bytes, drip: bytes, *, waits: bool = True) -> None:
        self._waits = waits  # to be spoken to first
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._begin, self._drip, self.left = begin, drip, threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        there, _ = self._listener.accept()
        with there:
            if self._waits:
                there.recv(65536)
            try:
                there.sendall(self._begin)
                while not self.left.wait(0.02):
                    there.sendall(self._drip)
            except OSError:
                self.left.set()

    def is_left_by(self, work: Callable[[], None]) -> bool:
        """Whether `work`, which talks to it, ends by itself; within ten seconds, of which it needs less than one."""
        working = threading.Thread(target=work)
        working.start()
        working.join(10)
        is_over = not working.is_alive()
        self.stop()
        working.join()
        return is_over

    def stop(self) -> None:
        self.left.set()
        self._listener.close()
        self._thread.join()
