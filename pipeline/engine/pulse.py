"""Whether a cluster's head and the raylet of this machine are there: without either Ray ends a driver, silently."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.corpus import Seconds
from pipeline.summary import PARTIAL

EVERY: Seconds = 3.0
"""Between two looks."""
LOST: Seconds = 20.0
"""Without an answer, after which a head is taken to be gone; one that is started anew on the same port may be back."""
RAYLET_EVERY: Seconds = 1.0
RAYLET_LOST: Seconds = 2.5
"""The same of a raylet, which never comes back. Ray ends its driver when the head has missed it for about 13 s."""
LAST: Seconds = 10.0
"""After which a process that still waits for a raylet that is gone is ended, before Ray does that without a word."""
RAYLET_GONE = "Ray is gone from this machine (its raylet does not answer any more)"


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


@contextmanager
def last_words(
    raylet: str | None, *, before: Callable[[], object], say: Callable[[str], object], last: Seconds = LAST
) -> Iterator[None]:
    """End the process as an interrupted run ends, where the raylet is gone and the block hangs in Ray.

    Args:
        raylet: where it listens.
        before: is done first, to leave nothing behind; must not hang.
        say: shows a line, in another thread.
        last: seconds that the block has, to end by itself.
    """
    pulse, over = Pulse(raylet, every=min(RAYLET_EVERY, last), lost=last), threading.Event()

    def watch() -> None:
        while not over.wait(min(RAYLET_EVERY, last)):
            if pulse.gone:
                before()
                goes_on = "what is committed stays, the same command goes on from there"
                say(f"stopped by a fault: {RAYLET_GONE}: {goes_on}")
                os._exit(PARTIAL)

    threading.Thread(target=watch, name="voxmill-last-words", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        pulse.end()
