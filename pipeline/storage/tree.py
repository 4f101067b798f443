"""Walking a tree of folders depth first, with the next folders of every level already being listed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.storage.entry import Entry, Folder
from pipeline.threads import threads

LOOK_AHEAD = 16
"""Folders listed at once, ahead of the reader, on every level of a tree."""

Items = list[Entry | Folder]
Lister = Callable[[Folder], Items]


def walk(list_folder: Lister, root: Folder) -> Iterator[Entry]:
    """Yield the entries below `root` in the order that `list_folder` gives the items of each folder.

    Memory is bounded by the listings of `LOOK_AHEAD` folders a level. An error of a listing is raised at its place.
    """
    with threads(LOOK_AHEAD, "walk") as pool:
        levels = [_Level(pool, list_folder, list_folder(root))]
        try:
            while levels:
                item = levels[-1].next()
                if item is None:
                    levels.pop()
                elif isinstance(item, Entry):
                    yield item
                else:
                    levels.append(_Level(pool, list_folder, item.result()))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Level:
    """The items of one folder in order; folders come as listings that were started a little ahead."""

    def __init__(self, pool: ThreadPoolExecutor, list_folder: Lister, items: Items) -> None:
        self._items = iter(items)
        self._folders = (pool.submit(list_folder, item) for item in items if isinstance(item, Folder))
        self._started: deque[Future[Items]] = deque()

    def next(self) -> Entry | Future[Items] | None:
        item = next(self._items, None)
        if not isinstance(item, Folder):
            return item
        while len(self._started) <= LOOK_AHEAD and (future := next(self._folders, None)):
            self._started.append(future)
        return self._started.popleft()
