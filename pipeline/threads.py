"""Pools of threads that wait for storage, and for which nobody waits who was asked to end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from pipeline import stopping


@contextlib.contextmanager
def threads(count: int, name: str, *, first: Callable[[], None] | None = None) -> Iterator[ThreadPoolExecutor]:
    """Have a pool of threads while the block runs; at its end all are waited for.

    After a signal they are left alone: a request to storage that does not answer may take a minute, and who sends
    signals gives less. They end with the process.

    Args:
        count: of threads.
        name: how their names begin.
        first: is called by each as it starts.
    """
    pool = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=first)
    try:
        yield pool
    except BaseException:
        stopped = stopping.asked()
        pool.shutdown(wait=not stopped, cancel_futures=stopped)
        raise
    pool.shutdown()
