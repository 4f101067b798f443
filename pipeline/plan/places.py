"""Two recordings under one id: which id it is, where both are, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.storage.paths import redact


def twice(id: str, one: str, other: str) -> UserError:
    """Error for an id that one listing has twice, at two places or at the same."""
    if one == other:
        return UserError(
            f"{redact(one)}: the id {redact(id)} is listed twice. "
            "Name each source once, and give each line of a manifest its own id."
        )
    return UserError(
        f"two recordings have the id {redact(id)}: {redact(one)} and {redact(other)}. "
        "Plan them in runs of their own, each with its own --corpus NAME; "
        "where a line of a manifest gives the id, give the line another one."
    )


def moved(id: str, now: str, before: str) -> UserError:
    """Error for an id whose content differs from the planned one and lies at another place."""
    return UserError(
        f"the id {redact(id)} was planned from {redact(before)} "
        f"and now stands for other content at {redact(now)}. Give the new source its own --corpus NAME, or, where a "
        "line of a manifest gives the id, the line another one; if the corpus has moved, keep sizes and times of its "
        "files."
    )


def twice_in_draft(tables: Iterable[pa.Table], rows: list[int]) -> UserError:
    """Error for the rows of a draft that have one id, given two of their numbers."""
    found: list[tuple[str, str]] = []
    first = 0
    for table in tables:
        here = [row - first for row in rows if first <= row < first + table.num_rows]
        found += [(table.column("id")[row].as_py(), table.column("source")[row].as_py()) for row in here]
        first += table.num_rows
    (id, one), (_, other) = found
    return twice(id, one, other)
