"""Watching over work in this process that may never come back."""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from pipeline.corpus import Seconds

_MORE: Seconds = 60.0
"""After which work that does not even let a thread of Python run is ended by the system, with code 1."""

_TICK: Seconds = 1.0
"""How often is looked whether anything moves."""


@contextlib.contextmanager
def watched(seconds: Seconds, over: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call `over`, in another thread, once the block is at work for so long since it last called what is given here."""
    beaten, ended, arming = threading.Event(), threading.Event(), threading.Lock()

    def watch() -> None:
        while beaten.wait(seconds):
            beaten.clear()
            if ended.is_set():
                return
        over()

    def beat() -> None:
        with arming:
            # Nobody would cancel what a thread arms that comes late.
            if not ended.is_set():
                faulthandler.dump_traceback_later(seconds + _MORE, exit=True, file=sys.__stderr__ or 2)
        beaten.set()

    thread = threading.Thread(target=watch, name="overdue", daemon=True)
    thread.start()
    try:
        beat()
        yield beat
    finally:
        with arming:
            ended.set()
            faulthandler.cancel_dump_traceback_later()
        beaten.set()
        thread.join()


_steps = itertools.count(1)
_last_step = 0
_beside: ContextVar[bool] = ContextVar("_beside", default=False)


def moved() -> None:
    """Note that something in this process moves, as an answer of storage does; cheap, from any thread."""
    global _last_step  # noqa: PLW0603
    if not _beside.get():
        _last_step = next(_steps)


@contextlib.contextmanager
def beside() -> Iterator[None]:
    """Let nothing count as movement that this thread does in the block: what it does by the clock, whatever hangs."""
    token = _beside.set(True)
    try:
        yield
    finally:
        _beside.reset(token)


_bounded: set[object] = set()


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Count the block as movement for as long as it runs: what it waits for has bounds of its own."""
    mine = object()
    _bounded.add(mine)
    try:
        yield
    finally:
        _bounded.discard(mine)


@contextlib.contextmanager
def unmoved(seconds: Seconds, over: Callable[[], None]) -> Iterator[None]:
    """Call `over`, in another thread, once nothing has `moved` for so long within the block."""
    ended = threading.Event()

    def watch() -> None:
        seen, last = _last_step, time.monotonic()
        while not ended.wait(min(_TICK, seconds)):
            if (now := _last_step) != seen or _bounded:
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
