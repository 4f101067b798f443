"""Ids that somebody may have meant who wrote one that is not planned."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

SHORTEST = 3
"""Letters of a name by which others are taken for like it."""


def similar(ids: pa.ChunkedArray, wanted: str) -> list[str]:
    """Those of some ids that hold the wanted one, or else the name at its end; upper and lower case are one."""
    name = wanted.rpartition("::")[2].rpartition("/")[2].partition(".")[0]
    for part in (wanted, name if len(name) >= SHORTEST else wanted):
        found: list[str] = ids.filter(pc.match_substring(ids, part, ignore_case=True)).to_pylist()
        if found:
            return found
    return []
