"""Watching over work in this process that may never come back."""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Iterator

from pipeline.corpus import Seconds

_MORE: Seconds = 60.0
"""After which work that does not even let a thread of Python run is ended by the system, with code 1."""

_TICK: Seconds = 1.0
"""How often is looked whether anything moves."""


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


@contextlib.contextmanager
def unmoved(seconds: Seconds, moves: Callable[[], int], over: Callable[[], None]) -> Iterator[None]:
    """Call `over`, in another thread, once what `moves` counts has stood still for so long within the block."""
    ended = threading.Event()

    def watch() -> None:
        seen, last = moves(), time.monotonic()
        while not ended.wait(min(_TICK, seconds)):
            if (now := moves()) != seen:
                seen, last = now, time.monotonic()
            elif time.monotonic() - last >= seconds:
                over()
                return

    thread = threading.Thread(target=watch, name="unmoved", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def within(seconds: Seconds, work: Callable[[], object]) -> bool:
    """Do it, but wait for it no longer than so long; what fails fails in silence.

    Returns:
        Whether it is over.
    """
    thread = threading.Thread(target=_quietly, args=(work,), name="within", daemon=True)
    thread.start()
    thread.join(timeout=max(0.0, seconds))
    return not thread.is_alive()


def _quietly(work: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):
        work()
