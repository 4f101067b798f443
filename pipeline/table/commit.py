"""Commit a unit: its Parquet file, made whole in memory, put under its name unless somebody was first.

The file is the commit. There is no second object that could disagree with it, nothing is deleted, and a glob
of the folder is right at every moment.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.put import put_if_absent
from pipeline.table import layout, schema

Outcome = Literal["won", "taken"]

FOOTER = "voxmill."
"""Every key of the footer that is ours begins with this."""


def commit(
    output: str, task: str, unit_name: str, table: pa.Table, footer: Mapping[str, str], *, ids: Sequence[str]
) -> Outcome:
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
        "won" when this call made the file; "taken" when the unit was committed already, maybe by an
        earlier try of this very call whose answer was lost. Either way the unit is committed.

    Raises:
        ValueError: the rows are not the unit's; a bug, for which nothing is written.
        StorageFault, UserError: the file could not be written; the unit stays pending.
    """
    problem = contradiction(unit_name, table, ids)
    if problem:
        raise ValueError(f"{layout.unit_file(output, task, unit_name)}: not committed, {problem}")
    data = encode(table, {"attempt": uuid.uuid4().hex, **footer})
    return "won" if put_if_absent(layout.unit_file(output, task, unit_name), data) else "taken"


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


def encode(table: pa.Table, footer: Mapping[str, str]) -> bytes:
    """Whole Parquet file of some rows, zstd, with checksums, and `footer`, rows and errors in its metadata. Pure."""
    errors = table.num_rows - table.column("error").null_count
    told = {**footer, "rows": str(table.num_rows), "errors": str(errors)}
    metadata = {
        **(table.schema.metadata or {}),
        **{f"{FOOTER}{key}".encode(): told[key].encode() for key in told},
    }
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())
