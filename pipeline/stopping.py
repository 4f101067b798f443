"""SIGTERM and Ctrl-C end a run cleanly: what is committed stays, the rest is pending."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """Somebody asked the run to end; like KeyboardInterrupt, no handler of errors may swallow it."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` in the main thread on SIGTERM or SIGINT while the block runs.

    Enter it after `ray.init()`, which puts a SIGTERM handler of its own in place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    # A second signal while stopping must not interrupt the clean end.
    signal.signal(number, signal.SIG_IGN)
    raise Stopped(f"by {signal.Signals(number).name}")
