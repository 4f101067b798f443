"""Ids that come more than once among the rows of a published set, found by digests: 16 bytes a row in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from pipeline.plan.ids import digests


def id_digests(rows: pa.Table) -> bytes:
    """Digests of the ids of some rows, one behind the other. Pure."""
    return digests(rows.column("id").to_pylist()).tobytes()


def doubled(every: bytearray) -> np.ndarray:
    """Those digests that come more than once; sorts the given ones in place, for a copy would take as much again.

    Returns:
        (N,) array of dtype `S16`, sorted, no two equal.
    """
    found = np.frombuffer(every, dtype="S16")
    found.sort()
    return np.unique(found[1:][found[1:] == found[:-1]])


def rows_of(twice: np.ndarray, parts: Iterable[pa.Table]) -> tuple[int, str]:
    """How many rows have one of these ids, and the first such id; "" where none has."""
    count, example = 0, ""
    for part in parts:
        ids: Sequence[str] = part.column("id").to_pylist()
        places = np.flatnonzero(np.isin(digests(ids), twice))
        count += len(places)
        if len(places) and not example:
            example = ids[int(places[0])]
    return count, example
