"""Whether the head of the cluster is still there: Ray ends a driver whose head is gone, without a word."""

from __future__ import annotations

import socket
import threading
import time

from pipeline.corpus import Seconds

EVERY: Seconds = 3.0
"""Between two looks."""
LOST: Seconds = 20.0
"""Without an answer, after which a head is taken to be gone; one that is started anew on the same port may be back."""


class Pulse:
    """Asks, in a thread of its own, whether anything listens at an address; one that never did says nothing."""

    def __init__(self, address: str | None, *, every: Seconds = EVERY, lost: Seconds = LOST) -> None:
        host, _, port = (address or "").rpartition(":")
        self._where = (host.strip("[]"), int(port or 0))
        self._every, self._lost = every, lost
        self._silent: Seconds = 0.0
        self._answered = False
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="voxmill-pulse", daemon=True).start()

    @property
    def gone(self) -> bool:
        """Whether nothing has answered for too long."""
        return self._answered and self._silent > self._lost

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            began = time.monotonic()
            try:
                socket.create_connection(self._where, timeout=self._every).close()
                self._silent, self._answered = 0.0, True
            except OSError:
                # Not by the clock: of a driver that was held up itself nobody knows whether its head is gone.
                self._silent += self._every + min(self._every, time.monotonic() - began)
