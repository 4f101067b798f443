"""Embeddings of a table's rows as one array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation.rows import Compared


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings and whose they are."""

    values: NDArray[np.float32]
    """(N, E)."""
    rows: NDArray[np.int64]
    """(N,) number of the compared row that each belongs to."""
    empty: int
    """Segments without an embedding, which are not among these."""


def of_recordings(found: Compared) -> Vectors:
    """The embedding of each row; raises as `of_segments`."""
    column = found.rows.column("embedding").combine_chunks()
    return _checked(found, column, np.arange(len(column)))


def of_segments(found: Compared) -> Vectors:
    """The embeddings of all segments of all rows.

    Raises:
        UserError: an embedding has a value that is no finite number.
    """
    column = found.rows.column("segments").combine_chunks()
    embeddings = pc.struct_field(pc.list_flatten(column), "embedding")
    return _checked(found, embeddings, pc.list_parent_indices(column).to_numpy().astype(np.int64))


def _checked(found: Compared, embeddings: pa.FixedSizeListArray, rows: NDArray[np.int64]) -> Vectors:
    there = embeddings.is_valid().to_numpy(zero_copy_only=False)
    # Of a list without a value nothing is left by flattening.
    values = embeddings.flatten().to_numpy(zero_copy_only=False).reshape(int(there.sum()), embeddings.type.list_size)
    rows = rows[there]
    wrong = rows[~np.isfinite(values).all(axis=1)]
    if len(wrong):
        raise UserError(
            f"{found.column('id')[wrong[0]]}: its embedding has values that are no finite numbers. "
            "Embed the archive again under another --name"
        )
    return Vectors(values, rows, int((~there).sum()))
