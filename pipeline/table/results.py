"""Whether rows hold what their task makes: a result or the reason why there is none, and numbers that are numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RESULTS: Mapping[str, str] = {"transcribe": "text", "classify": "score", "frames": "frames", "embed": "embedding"}
"""Task -> its column that is null only in a row with an error, or with a warning where there was too little to hear."""
_SURE = ("transcribe", "frames")
"""Tasks that say something of however little audio."""


def contradictions(table: pa.Table, task: str) -> Iterator[str]:
    """Everything in which the results of a unit's rows are none that the task makes; nothing of an unknown task.

    Args:
        table: the file, of a schema that fits the task's.
        task: what is done: `transcribe`.
    """
    name = RESULTS.get(task)
    if name is None:
        return
    failed, silent = pc.is_valid(table.column("error")), _nulls(table, name)
    excused = failed if task in _SURE else pc.or_(failed, _warned(table))
    if count := _count(pc.and_(silent, pc.invert(excused))):
        yield f"{count:,} rows have neither {name} nor error"
    made = pc.invert(silent)
    if task == "transcribe":
        made = pc.or_(made, pc.invert(_nulls(table, "words")))
    if count := _count(pc.and_(failed, made)):
        yield f"{count:,} rows have a {'text or words' if task == 'transcribe' else name} and an error"
    if name in table.column_names and (count := _endless(table.column(name).combine_chunks())):
        yield f"{count:,} rows have no finite number as their {name}"


def _endless(values: pa.Array) -> int:
    """How many of (N,) numbers, or of (N,) vectors of E, are not finite; those that are null are none of them."""
    there = values.drop_null()
    if pa.types.is_floating(there.type):
        return int((~np.isfinite(there.to_numpy(zero_copy_only=False))).sum())
    if not pa.types.is_fixed_size_list(there.type) or not pa.types.is_floating(there.type.value_type):
        return 0
    # A number that is null becomes NaN.
    numbers = there.flatten().to_numpy(zero_copy_only=False).reshape(len(there), there.type.list_size)
    return int((~np.isfinite(numbers)).any(axis=1).sum())


def _nulls(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    if name not in table.column_names:
        return pa.repeat(pa.scalar(True), table.num_rows)
    return pc.is_null(table.column(name))


def _warned(table: pa.Table) -> pa.ChunkedArray:
    return pc.greater(pc.fill_null(pc.list_value_length(table.column("warnings")), 0), 0)


def _count(wrong: pa.ChunkedArray | pa.Array) -> int:
    return pc.sum(wrong).as_py() or 0
