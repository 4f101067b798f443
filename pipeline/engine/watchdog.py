"""Items of a generator that may hang, so that who wants them waits no longer than is sensible. No Ray."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Hashable
from typing import Generic, TypeVar

from pipeline import stopping
from pipeline.corpus import Seconds
from pipeline.overdue import within

TICK: Seconds = 0.5
"""How often the one who waits looks at the clock."""
PATIENCE: Seconds = 20.0
"""In which a generator that was told to end must have done so; then it is left alone."""

T = TypeVar("T")


class Stalled(Exception):
    """Nothing came, and nothing moved, for too long."""


class Lost(Exception):
    """What items come from is gone, with which a generator could end; the message says what."""


class Looks(Generic[T]):
    """Looks at something again and again, in a thread of its own: a cluster that does not answer holds up nobody."""

    def __init__(self, look: Callable[[], T], *, every: Seconds) -> None:
        self.seen: T | None = None
        """What was seen last."""
        self._look, self._every = look, every
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="voxmill-looks", daemon=True).start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            with contextlib.suppress(Exception):
                self.seen = self._look()


def watched(
    items: Generator[T],
    *,
    stall: Seconds,
    signs: Callable[[], Hashable],
    end: Callable[[], None],
    idle: Callable[[Seconds], None] = lambda seconds: None,
) -> Generator[T]:
    """Items of a generator, until it ends or stalls.

    Args:
        items: runs in another thread.
        stall: seconds without an item and without another sign of life.
        signs: what changes as long as anything moves; must answer at once.
        end: makes the generator end; called from yet another thread, again and again until it has.
        idle: is told every `TICK` how long nothing has moved; may raise `Lost`.

    Raises:
        Stalled: the generator was ended, as far as that was possible.
        Lost: nobody waits for the generator, which does not end any more.
    """
    found: queue.SimpleQueue[_Found[T]] = queue.SimpleQueue()
    pump = threading.Thread(target=_pump, args=(items, found), name="voxmill-receipts", daemon=True)
    pump.start()
    last, before = time.monotonic(), signs()
    ended = False
    try:
        while True:
            try:
                item = found.get(timeout=TICK)
            except queue.Empty:
                stopping.check()
                now = signs()
                if now != before:
                    last, before = time.monotonic(), now
                if time.monotonic() - last >= stall:
                    raise Stalled from None
                idle(time.monotonic() - last)
                continue
            ended = not item.items
            if item.error is not None:
                raise item.error
            if ended:
                return
            yield from item.items
            last = time.monotonic()
    except Lost:
        ended = True
        raise
    finally:
        if not ended:
            _end(pump, end)


class _Found(Generic[T]):
    """One item, the end, or an error."""

    def __init__(self, *items: T, error: BaseException | None = None) -> None:
        self.items, self.error = items, error


def _pump(items: Generator[T], found: queue.SimpleQueue[_Found[T]]) -> None:
    try:
        for item in items:
            found.put(_Found(item))
        found.put(_Found())
    except BaseException as error:  # noqa: BLE001
        found.put(_Found(error=error))


def _end(pump: threading.Thread, end: Callable[[], None]) -> None:
    """Have the generator end, but wait for that no longer than `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while pump.is_alive() and time.monotonic() < deadline:
        within(deadline - time.monotonic(), end)
        pump.join(timeout=TICK)
