"""Many jobs at once, their results in order, in bounded memory."""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from pipeline.threads import threads

T = TypeVar("T")
Job = Callable[[], Iterable[T]]

_BATCH = 256


def in_order(jobs: Iterable[Job[T]], *, workers: int, batches: int = 16) -> Iterator[T]:
    """Run jobs on threads ahead of the reader and yield the items of the first, then of the second, ...

    At most `workers` jobs are open, each at most `batches` times 256 items ahead. An error of a job is raised
    where its items would have come. A reader that stops early stops the jobs.
    """
    stop = threading.Event()
    waiting = iter(jobs)
    with threads(workers, "in-order") as pool:
        opened: deque[tuple[queue.Queue[list[T]], Future[None]]] = deque()
        try:
            while True:
                for job in itertools.islice(waiting, workers - len(opened)):
                    results: queue.Queue[list[T]] = queue.Queue(batches)
                    opened.append((results, pool.submit(_run, job, results, stop)))
                if not opened:
                    return
                results, done = opened[0]
                while batch := results.get():
                    yield from batch
                done.result()
                opened.popleft()
        finally:
            stop.set()


def _run(job: Job[T], results: queue.Queue[list[T]], stop: threading.Event) -> None:
    try:
        items = iter(job())
        while batch := list(itertools.islice(items, _BATCH)):
            if not _put(results, batch, stop):
                return
    finally:
        _put(results, [], stop)


def _put(results: queue.Queue[list[T]], batch: list[T], stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            results.put(batch, timeout=0.2)
        except queue.Full:
            continue
        return True
    return False
