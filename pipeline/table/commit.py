"""Commit a unit: its Parquet file, made whole in memory, put under its name unless somebody was first.

The file is the commit. There is no second object that could disagree with it, nothing is deleted, and a glob
of the folder is right at every moment. What was to be forgotten meanwhile is taken out again.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.plan.forgotten import forgotten
from pipeline.storage.put import put_if_absent
from pipeline.table import layout, schema
from pipeline.table.encode import encode
from pipeline.table.rewrite import rewrite


def commit(
    output: str, task: str, unit_name: str, table: pa.Table, footer: Mapping[str, str], *, ids: Sequence[str]
) -> int:
    """Commit the rows of one unit.

    Args:
        output: folder of the table.
        task: name of the task's folder below it.
        unit_name: the unit, as the plan names it.
        table: one row for each recording of the unit, in the plan's order, with the schema of the task.
        footer: what is written about this attempt: device, versions, timings; `rows`, `errors` and `attempt`
            are added.
        ids: ids of the unit's recordings, in the plan's order.

    Returns:
        Bytes of the file that this call made; 0 when the unit was committed already, maybe by an earlier try of
        this very call whose answer was lost. Either way the unit is committed.

    Raises:
        ValueError: the rows are not the unit's; a bug, for which nothing is written.
        StorageFault, UserError: the file could not be written; the unit stays pending.
    """
    problem = contradiction(unit_name, table, ids)
    if problem:
        raise ValueError(f"{layout.unit_file(output, task, unit_name)}: not committed, {problem}")
    uri = layout.unit_file(output, task, unit_name)
    data = encode(table, {"attempt": uuid.uuid4().hex, **footer})
    size = len(data) if put_if_absent(uri, data) else 0
    # Only now, see `plan.forgotten`: what is forgotten while a unit is at work is taken out by one of both.
    if any(forgotten(output).mask(table)):
        rewrite(output, uri)
    return size


def contradiction(unit_name: str, table: pa.Table, ids: Sequence[str]) -> str | None:
    """Say why these rows cannot be the unit's; None where they can. Pure."""
    if schema.VERSION_KEY not in (table.schema.metadata or {}):
        return "the rows have no schema version; make their schema with table.schema.schema"
    if table.num_rows != len(ids):
        return f"{table.num_rows} rows for {len(ids)} planned recordings"
    found = table.column("id").to_pylist()
    for row, (got, wanted) in enumerate(zip(found, ids, strict=True)):
        if got != wanted:
            return f"row {row} has the id {got!r} where the plan has {wanted!r}"
    units = set(table.column("unit").to_pylist()) - {unit_name}
    return f"rows name another unit, {units.pop()!r}" if units else None
