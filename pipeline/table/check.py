"""What the rows of a committed unit must be. Pure: values in, sentences out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import Unit
from pipeline.quantities import counted
from pipeline.table import results
from pipeline.table.commit import contradiction as unlike_plan
from pipeline.table.encode import FOOTER
from pipeline.table.footers import is_rewritten
from pipeline.table.holding import Gone
from pipeline.table.schema import MODEL_KEY, difference, planned_columns
from pipeline.table.task import TaskRecord

REMEDY = "`forget OUTPUT --yes` takes what is left of them out"
UNTOLD = (
    "taken out of it, of which nothing tells any more. Restore _forgotten/ from a backup, or the last file of _plan/ "
    "where that is gone. Delete it, to have it made anew, only if nothing was ever forgotten"
)
_AGAIN = "Delete it; the next run does that unit again."
_ROUNDING = 1e-6
"""Seconds by which two times may differ for reasons of float arithmetic."""


def contradictions(table: pa.Table, unit: Unit, record: TaskRecord | None, gone: Gone) -> Iterator[str]:
    """Everything in which a committed file is not what it must be.

    Args:
        table: the file, as it was read.
        unit: what the plan says it holds.
        record: of the task, where it is there.
        gone: which of the planned rows it may lack.
    """
    declared = record.schema if record is not None else None
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
    rewritten = is_rewritten(table.schema.metadata or {})
    expected = gone.expected(unit.name, list(versions), held, rewritten=rewritten)
    if rewritten and (missing := [id for id in expected if id not in held]):
        yield f"lacks {counted(len(missing), 'row')} {UNTOLD}"
        expected = [id for id in expected if id in held]
    problem = unlike_plan(unit.name, table, expected)
    checks = [_footer(table), _errors(table)]
    if problem:
        checks.insert(0, iter([problem]))
    elif table.column("version").to_pylist() != [versions[id] for id in expected]:
        checks.insert(0, iter(["the versions of its recordings are not those of the plan"]))
    else:
        checks.insert(0, _planned(table, unit, gone.barred(unit.name)))
    if record is not None:
        checks += [_model(table, record), results.contradictions(table, record.task)]
    for each in itertools.chain(*checks, _words(table)):
        yield f"{each}. {_AGAIN}"


def _planned(table: pa.Table, unit: Unit, barred: frozenset[str]) -> Iterator[str]:
    """Rows of the right recordings must say of them what the plan does, which lacks texts of forgotten ones."""
    ids = table.column("id").to_pylist()
    planned = {each.id: each for each in unit.recordings}
    rows = table.filter(pa.array([id not in barred for id in ids], pa.bool_()))
    columns = planned_columns(unit.name, [planned[id] for id in ids if id not in barred])
    # Decoding may know better where the audio starts, and a corpus that has moved is read where it lies.
    told = [name for name in columns if name not in ("start", "source") and name in rows.column_names]
    for name in told:
        if not rows.column(name).equals(pa.chunked_array([columns[name]])):
            yield f"its column {name} is not what the plan has"


def _model(table: pa.Table, record: TaskRecord) -> Iterator[str]:
    """Every row must be of the model that the folder is for: a unit has the same name in the folder of another one."""
    told = (table.schema.metadata or {}).get(MODEL_KEY, record.model_hash.encode()).decode(errors="replace")
    hashes = {told, *pc.struct_field(table.column("model"), "hash").unique().to_pylist()}
    if others := sorted(str(each) for each in hashes - {record.model_hash}):
        yield f"its labels are of another model ({others[0][:4]}…, the record says {record.model_hash[:4]}…)"


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
