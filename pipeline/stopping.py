"""SIGTERM and Ctrl-C end a run cleanly: what is committed stays, the rest is pending."""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 5.0
"""Seconds in which the clean end is not interrupted: Ctrl-C twice, or `timeout`, which signals a process and its group;
another signal after that cuts it short."""
LOST = 1.0
"""Seconds after which whoever still works was not reached: what is raised in a finaliser is thrown away by Python."""


class Stopped(BaseException):
    """Somebody asked the run to end; like KeyboardInterrupt, no handler of errors may swallow it."""


class _Asked:
    """The last signal that was obeyed, in whatever block that was."""

    at: float | None = None
    how: str = ""
    depth: int = 0
    event = threading.Event()


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` in the main thread on SIGTERM or SIGINT while the block runs.

    Enter it after `ray.init()`, which puts a SIGTERM handler of its own in place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    _Asked.depth += 1
    try:
        yield
    except Stopped as stop:
        # Generators in the frames that it came through end now, while nobody waits for their threads.
        traceback.clear_frames(stop.__traceback__)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _Asked.depth -= 1
        if not _Asked.depth:
            _Asked.at = None
            _Asked.event.clear()


def check() -> None:
    """Raise `Stopped` where a signal has come and what it raised was lost; for loops that wait in the main thread."""
    if _Asked.at is not None and time.monotonic() - _Asked.at > LOST:
        raise Stopped(_Asked.how)


def asked() -> bool:
    """Whether a signal has come in the block that is stoppable now."""
    return _Asked.event.is_set()


def waited(seconds: float) -> bool:
    """Wait; in threads beside the main one, which the signal does not reach, no longer than until it comes.

    Returns:
        False where the time is not over: the run is asked to end, and what waits holds it up.
    """
    if threading.current_thread() is not threading.main_thread():
        return not _Asked.event.wait(seconds)
    time.sleep(seconds)
    return True


def _stop(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _Asked.at is not None and now - _Asked.at < GRACE:
        return
    _Asked.at, _Asked.how = now, f"by {signal.Signals(number).name}"
    _Asked.event.set()
    raise Stopped(_Asked.how)
