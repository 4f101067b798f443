"""The rows of a table that can be compared, and why others cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.evaluation.files import RowNames

ALWAYS = ("id", "key", "recording", "span", "spans", "start", "duration", "reference", "metadata", "error")
"""Columns that every comparison may look at."""
NO_REFERENCE = "without a reference"


@dataclass(frozen=True, slots=True)
class Compared:
    """The rows with a result and, where references are needed, with a reference."""

    rows: pa.Table
    references: Sequence[Any]
    """One a row."""
    names: RowNames
    """All rows of the table by id and key, the others too."""
    places: NDArray[np.int64]
    """Row of the table -> row here; -1 for one that cannot be compared."""
    left_out: dict[str, int]
    """Why others are left out -> how many rows."""

    def column(self, name: str) -> list[Any]:
        """Values of a column, one a row."""
        values: list[Any] = self.rows.column(name).to_pylist()
        return values


def compared(table: pa.Table, references: Sequence[Any], *, result: str, lacking: str, needed: bool = True) -> Compared:
    """Part the rows that can be compared from the others.

    Args:
        table: every row.
        references: one a row; None where there is none.
        result: column that is null where the task found nothing.
        lacking: what to call a row without a result: "without a transcript".
        needed: whether a row without a reference is left out.
    """
    failed = _mask(pc.is_valid(table.column("error")))
    empty = _mask(pc.is_null(table.column(result))) & ~failed
    unknown = np.array([each is None for each in references], dtype=bool) & ~failed & ~empty & needed
    kept = np.flatnonzero(~(failed | empty | unknown))
    places = np.full(table.num_rows, -1, dtype=np.int64)
    places[kept] = np.arange(len(kept))
    reasons = {"with an error": failed, lacking: empty, NO_REFERENCE: unknown}
    return Compared(
        table.take(pa.array(kept)),
        [references[int(row)] for row in kept],
        RowNames.of(table),
        places,
        {why: int(rows.sum()) for why, rows in reasons.items()},
    )


def _mask(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    values: NDArray[np.bool_] = column.to_numpy()
    return values
