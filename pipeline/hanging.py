"""A run that hangs in its own process: it ends with words and code 4 instead of hanging for ever."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from pipeline.asked import Asked
from pipeline.overdue import unmoved
from pipeline.quantities import show_seconds
from pipeline.summary import PARTIAL
from pipeline.table import lease


@contextlib.contextmanager
def storage_watched(asked: Asked, doing: str) -> Iterator[None]:
    """End the run where storage answers nothing for `--stall-timeout` while the block is at work.

    Requests to a store have timeouts of their own; a mounted folder whose server is gone has none.
    """
    seconds = asked.config.stall_timeout
    held = f"held by storage, which answered nothing for {show_seconds(seconds)} while {doing}"
    with unmoved(seconds, lambda: leave(asked, f"{held}; --stall-timeout gives it longer")):
        yield


def leave(
    asked: Asked, held: str, *, goes_on: str = "", pools: str = "", last: Callable[[], object] = lambda: None
) -> None:
    """End this process, for nothing else ends what hangs in it.

    Args:
        asked: the run.
        held: what holds it, for its record too.
        goes_on: how the same command goes on.
        pools: what did the work, for its record.
        last: is done last, to leave nothing behind; must not hang.
    """
    try:
        asked.console.show_cursor()
        asked.say(f"stopped: {held}. The same command goes on{goes_on}")
        # Before that a run has written nothing, nor is it known that it may.
        if asked.admitted:
            asked.write_end(PARTIAL, stopped=held, pools=pools)
            lease.release(asked.output, asked.name)
    finally:
        try:
            last()
        finally:
            os._exit(PARTIAL)
