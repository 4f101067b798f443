"""Watching over work in this process that may never come back."""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import threading
from collections.abc import Callable, Iterator

from pipeline.corpus import Seconds

_MORE: Seconds = 60.0
"""After which work that does not even let a thread of Python run is ended by the system, with code 1."""


@contextlib.contextmanager
def watched(seconds: Seconds, over: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call `over`, in another thread, once the block is at work for so long since it last called what is given here."""
    beaten, ended = threading.Event(), threading.Event()

    def watch() -> None:
        while beaten.wait(seconds):
            beaten.clear()
            if ended.is_set():
                return
        over()

    def beat() -> None:
        faulthandler.dump_traceback_later(seconds + _MORE, exit=True, file=sys.__stderr__ or 2)
        beaten.set()

    thread = threading.Thread(target=watch, name="overdue", daemon=True)
    thread.start()
    try:
        beat()
        yield beat
    finally:
        faulthandler.cancel_dump_traceback_later()
        ended.set()
        beaten.set()
        thread.join()
