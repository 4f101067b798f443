"""Units that a run has committed without hearing so: it was stopped, or its cluster failed, before receipts came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.receipts import Receipt, receipt_of_rows
from pipeline.table import layout
from pipeline.table.encode import FOOTER
from pipeline.table.footers import footer_of
from pipeline.table.unit_file import read_unit
from pipeline.threads import threads

_READERS = 16
"""Units looked at at the same time; of a run's own, no more are late than a cluster had at work."""


def late_receipts(output: str, task: str, run: str, sizes: Mapping[str, int]) -> Iterator[Receipt]:
    """Receipts of those of some units that a run has committed, as their files tell it; without times.

    Args:
        output: folder of the table.
        task: name of the task's folder below it.
        run: name of the run; what other runs have committed is theirs, and only their footers are read.
        sizes: bytes of the files of committed units that the run has not heard of.

    Raises:
        StorageFault: a file cannot be read.
    """

    def look(unit: str) -> tuple[str, pa.Table | None]:
        file = layout.unit_file(output, task, unit)
        return unit, _rows(file) if _is_of(run, file, sizes[unit]) else None

    with threads(_READERS, "late") as pool:
        for unit, rows in pool.map(look, sizes):
            if rows is not None:
                yield receipt_of_rows(unit, task, rows, size=sizes[unit])


def _is_of(run: str, file: str, size: int) -> bool:
    """Whether a run made a unit's file; not where nobody can tell."""
    try:
        told = footer_of(file, size) or {}
    except PermissionError:
        return False
    return told.get(f"{FOOTER}run".encode()) == run.encode()


def _rows(file: str) -> pa.Table | None:
    """Rows of a unit's file; None where they cannot be read."""
    try:
        return read_unit(file)
    except UserError:
        return None
