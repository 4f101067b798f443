"""Units that a run has committed without hearing so: it was stopped, or its cluster failed, before receipts came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.receipts import Receipt, receipt_of_rows
from pipeline.table import layout
from pipeline.table.encode import FOOTER
from pipeline.table.unit_file import read_unit

_READERS = 8
"""Units read at the same time; no more of them are late than a cluster had at work."""


def late_receipts(output: str, task: str, run: str, units: Iterable[str]) -> Iterator[Receipt]:
    """Receipts of those of some units that a run has committed, as their files tell it; without times.

    Args:
        output: folder of the table.
        task: name of the task's folder below it.
        run: name of the run; what other runs have committed is theirs.
        units: names of committed units that the run has not heard of.

    Raises:
        StorageFault: a file cannot be read.
    """
    with ThreadPoolExecutor(_READERS, thread_name_prefix="late") as pool:
        for unit, rows in pool.map(lambda unit: (unit, _of_run(layout.unit_file(output, task, unit), run)), units):
            if rows is not None:
                yield receipt_of_rows(unit, task, rows)


def _of_run(file: str, run: str) -> pa.Table | None:
    """Rows of a unit's file; None where another run made it, or nobody can tell."""
    try:
        rows = read_unit(file)
    except UserError:
        return None
    return rows if (rows.schema.metadata or {}).get(f"{FOOTER}run".encode()) == run.encode() else None
