"""What the rows of a committed unit must be. Pure: values in, sentences out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import Unit
from pipeline.quantities import counted
from pipeline.table.commit import contradiction as unlike_plan
from pipeline.table.encode import FOOTER
from pipeline.table.holding import Gone
from pipeline.table.schema import difference

_AGAIN = "Delete it; the next run does that unit again."
REMEDY = "`forget OUTPUT --yes` takes what is left of them out"
_ROUNDING = 1e-6
"""Seconds by which two times may differ for reasons of float arithmetic."""


def contradictions(table: pa.Table, unit: Unit, declared: pa.Schema | None, gone: Gone) -> Iterator[str]:
    """Everything in which a committed file is not what it must be.

    Args:
        table: the file, as it was read.
        unit: what the plan says it holds.
        declared: the schema of the task, where its record has it.
        gone: which of the planned rows it may lack.
    """
    problem = difference(table.schema, declared if declared is not None else table.schema)
    if problem:
        # Of columns that are not what they should be nothing can be said that helps.
        yield f"{problem}. {_AGAIN}"
        return
    versions = {each.id: each.version for each in unit.recordings}
    held = set(table.column("id").to_pylist())
    barred = len(held & gone.barred(unit.name))
    if barred:
        yield f"{counted(barred, 'row')} of forgotten recordings; {REMEDY}"
    expected = gone.expected(unit.name, list(versions), held)
    problem = unlike_plan(unit.name, table, expected)
    if not problem and table.column("version").to_pylist() != [versions[id] for id in expected]:
        problem = "the versions of its recordings are not those of the plan"
    for each in itertools.chain([problem] if problem else [], _footer(table), _errors(table), _words(table)):
        yield f"{each}. {_AGAIN}"


def _footer(table: pa.Table) -> Iterator[str]:
    metadata = table.schema.metadata or {}
    errors = table.num_rows - table.column("error").null_count
    for name, value in (("rows", table.num_rows), ("errors", errors)):
        told = metadata.get(f"{FOOTER}{name}".encode(), b"nothing").decode(errors="replace")
        if told != str(value):
            yield f"its footer says {name}={told}, it has {value}"


def _errors(table: pa.Table) -> Iterator[str]:
    stage, type, _ = table.column("error").flatten()
    nameless = pc.sum(pc.or_(pc.is_null(stage), pc.is_null(type))).as_py() or 0
    if nameless > table.column("error").null_count:
        yield f"{nameless - table.column('error').null_count:,} rows have an error without a stage or a type"
    if "text" not in table.column_names:
        return
    failed, silent = pc.is_valid(table.column("error")), pc.is_null(table.column("text"))
    for wrong, message in (
        (pc.and_(silent, pc.invert(failed)), "rows have neither text nor error"),
        (pc.and_(failed, pc.or_(pc.invert(silent), _worded(table))), "rows have a text or words and an error"),
    ):
        count = pc.sum(wrong).as_py() or 0
        if count:
            yield f"{count:,} {message}"


def _worded(table: pa.Table) -> pa.Array:
    if "words" not in table.column_names:
        return pa.repeat(pa.scalar(False), table.num_rows)
    return pc.is_valid(table.column("words"))


def _words(table: pa.Table) -> Iterator[str]:
    """Word times must rise, and lie inside the recording; a word may cross the seam between two spans."""
    if "words" not in table.column_names:
        return
    words = table.column("words").combine_chunks()
    if not pa.types.is_list(words.type) or not pa.types.is_struct(words.type.value_type):
        return
    rows = pc.list_parent_indices(words).to_numpy()
    if len(rows) == 0:
        return
    flat = words.flatten()
    starts, ends = (flat.field(name).to_numpy(zero_copy_only=False) for name in ("start", "end"))
    same = rows[1:] == rows[:-1]
    if (ends < starts).any() or (same & (starts[1:] < starts[:-1] - _ROUNDING)).any():
        yield "word times do not rise"
    first = table.column("start").to_numpy()[rows]
    last = first + table.column("duration").to_numpy()[rows]
    whole = table.column("spans").to_numpy()[rows] == 1
    outside = whole & ((starts < first - _ROUNDING) | (ends > last + _ROUNDING))
    if outside.any() or not np.isfinite(ends).all():
        yield f"{int(outside.sum()):,} words lie outside their recording"
