"""What a manifest or a link names and is not there, or closed: it may be there for another node, or the next night."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from pipeline.corpus import MISSING_VERSIONS, Recording
from pipeline.plan.ids import digests
from pipeline.plan.known import Known
from pipeline.sources import check_folders

MISSING = frozenset(map(hash, MISSING_VERSIONS))
"""As `known.text_hashes` has them."""
_LOOKED_AT = 2
"""Sources of a folder by which it is judged: one that is closed may be closed by itself."""


def vanished(
    rows: Sequence[Recording], places: np.ndarray, known: Known, remembered: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find listed rows without audio of which the plan has audio: what was heard must not give way to an error.

    Args:
        rows: as listed.
        places: (N,) int64 of them in the known index, -1 for those that it does not have.
        known: that index.
        remembered: (N,) bool which rows are not forgotten; of those that are, nothing is told.

    Returns:
        (N,) bool which rows they are, and (M,) int64 places of what the plan has of them, spans too.
    """
    missing = np.array([row.missing for row in rows], dtype=bool) & remembered
    whole = missing & (places >= 0)
    whole[whole] = ~np.isin(known.contents[places[whole]], list(MISSING))
    cut = [row for row in np.flatnonzero(missing).tolist() if rows[row].id in known.spans]
    spans = known.find(digests([span for row in cut for span in known.spans[rows[row].id]]))
    found = whole.copy()
    found[cut] = True
    return found, np.concatenate((places[whole], spans[spans >= 0]))


def folder_of(source: str) -> str:
    """The folder of a source, whose URI is canonical: cut off, for there may be a hundred million."""
    return source.rpartition("/")[0]


def check_new(tables: Iterable[pa.Table], *, emptied: Collection[str], reached: Collection[str]) -> None:
    """Believe what is planned as missing where this node looks into its folder.

    Args:
        tables: `source` and `version` of what is planned, with at least one row that is missing.
        emptied: folders of what is known and not there any more.
        reached: folders of what is listed and there.

    Raises:
        StorageFault: a folder of which nothing is there is out of reach.
    """
    missing: dict[str, dict[str, None]] = {}
    for source, version in _sources(tables):
        if version in MISSING_VERSIONS and (folder := folder_of(source)) not in reached:
            some = missing.setdefault(folder, {})
            if len(some) < _LOOKED_AT:
                some[source] = None
    lost = {folder: list(some) for folder, some in missing.items()}
    # One wrong line among good ones is no reason to plan nothing.
    alone = {folder for folder, some in lost.items() if len(some) == 1 and folder not in emptied} if reached else ()
    check_folders({folder: some for folder, some in lost.items() if folder not in alone})


def _sources(tables: Iterable[pa.Table]) -> Iterator[tuple[str, str]]:
    for table in tables:
        yield from zip(table.column("source").to_pylist(), table.column("version").to_pylist(), strict=True)
