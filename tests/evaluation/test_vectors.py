"""Embeddings out of Arrow: nulls, slices, segments."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.evaluation.files import RowNames
from pipeline.evaluation.rows import Compared
from pipeline.evaluation.vectors import of_recordings, of_segments

VECTOR = pa.list_(pa.float32(), 2)
SEGMENTS = pa.list_(pa.struct([("start", pa.float64()), ("embedding", VECTOR)]))


def segments(*vectors: list[float] | None) -> list[dict[str, object]]:
    return [{"start": 0.0, "embedding": each} for each in vectors]


def rows() -> Compared:
    """Rows 2 to 4 of five, in two chunks."""
    table = pa.table(
        {
            "id": list("abcde"),
            "embedding": pa.array([[9, 9], [1, 2], [3, 4], [5, 6], [8, 8]], VECTOR),
            "segments": pa.array(
                [segments([9, 9]), segments([1, 1], [2, 2]), [], segments(None, [3, 3]), segments([8, 8])], SEGMENTS
            ),
        }
    )
    sliced = pa.concat_tables([table.slice(1, 2), table.slice(3, 1)])
    return Compared(sliced, [None] * 3, RowNames([], [], []), np.arange(3), {})


def test_recordings() -> None:
    found = of_recordings(rows())
    assert found.values.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert found.values.dtype == np.float32
    assert found.rows.tolist() == [0, 1, 2]


def test_segments_know_their_rows() -> None:
    found = of_segments(rows())
    assert found.values.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert found.rows.tolist() == [0, 0, 2]
    assert found.empty == 1
