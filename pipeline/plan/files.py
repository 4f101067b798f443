"""Which files, tars and manifest lines the plan has whole, at which version: they need not be opened again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.plan.spans import whole_id
from pipeline.sources import Content


@dataclass(frozen=True, slots=True)
class FileIndex:
    """One entry for each name, about 33 bytes: what was planned of it last."""

    names: np.ndarray
    """(F,) int64 hashes of `name_of`, sorted, no two equal."""
    contents: np.ndarray
    """(F,) int64 hashes, see `known.content_hashes`."""
    sources: np.ndarray
    """(F,) int64 hashes."""
    rows: np.ndarray
    """(F,) int32 newest rows of that version; 0 where the last look did not come to its end."""

    def find(self, name: str) -> int:
        """Place of a name, -1 where the plan does not have it."""
        wanted = hash(name)
        place = int(self.names.searchsorted(wanted))
        return place if place < len(self.names) and int(self.names[place]) == wanted else -1

    def rows_of(self, name: str, content: Content) -> int:
        """Rows of a name that is planned whole with this content, else 0; see `sources.RowsPlanned`."""
        place = self.find(name)
        return int(self.rows[place]) if place >= 0 and int(self.contents[place]) == hash(content) else 0


def name_of(id: str, member: str | None, spans: int) -> str:
    """What a row is looked up by, as `sources.Unchanged` has it: the id of a whole recording, "TAR::" for a member."""
    whole = whole_id(id) if spans > 1 else id
    return whole if member is None else whole.removesuffix(member)


def name_hashes(ids: Iterable[str], members: Iterable[str | None], spans: Iterable[int]) -> np.ndarray:
    """(N,) int64 hashes of the names of rows; see `known.text_hashes`."""
    return np.fromiter(map(hash, map(name_of, ids, members, spans)), dtype=np.int64)


def last_rows(names: np.ndarray, doubted: np.ndarray) -> np.ndarray:
    """(N,) bool: the last row of each name that is not doubted; given (N,) and (M,) hashes in plan order.

    Rows are put in this order, so who finds the last one in the plan knows that none is missing before it.
    """
    last = np.zeros(len(names), dtype=bool)
    _, backwards = np.unique(names[::-1], return_index=True)
    last[len(names) - 1 - backwards] = True
    return last & ~np.isin(names, doubted)


def index_files(
    names: np.ndarray, contents: np.ndarray, sources: np.ndarray, closing: np.ndarray, newest: np.ndarray
) -> tuple[FileIndex, np.ndarray]:
    """Index of all rows of a plan, in its order, and the place of each newest row's name in it.

    A name counts as known by its last row alone: that must close it. So a look that broke off, whatever came
    before, is done again.

    Args:
        names: (N,) int64 hashes.
        contents: (N,) int64 hashes.
        sources: (N,) int64 hashes.
        closing: (N,) bool, rows that were the last of a whole look.
        newest: (K,) row numbers that nothing superseded.
    """
    unique, backwards, places = np.unique(names[::-1], return_index=True, return_inverse=True)
    last = len(names) - 1 - backwards
    places = places[::-1].astype(np.int32)[newest]
    current = contents[last]
    same = places[contents[newest] == current[places]]
    rows = np.bincount(same, minlength=len(unique)).astype(np.int32)
    return FileIndex(unique, current, sources[last], np.where(closing[last], rows, 0).astype(np.int32)), places
