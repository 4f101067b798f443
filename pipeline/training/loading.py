"""Items of batches in their order, prepared ahead by threads or when they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from pipeline.training.dataset import Dataset, Item

AHEAD = 4
"""Batches that are prepared ahead of the one that is trained on."""

Batch = list[Item | None]


def load(dataset: Dataset, planned: Sequence[tuple[int, ...]], *, epoch: int, threads: int) -> Generator[Batch]:
    """The items of each batch; how many threads there are changes none of them."""
    if threads == 0:
        for indices in planned:
            yield [dataset.item(epoch, index) for index in indices]
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="load") as pool:
        coming = ([pool.submit(dataset.item, epoch, index) for index in indices] for indices in planned)
        waiting: deque[list[Future[Item | None]]] = deque(islice(coming, AHEAD))
        try:
            while waiting:
                yield [each.result() for each in waiting.popleft()]
                waiting.extend(islice(coming, 1))
        finally:
            for futures in waiting:
                for each in futures:
                    each.cancel()
