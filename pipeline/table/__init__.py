"""The output folder and its promise: every planned recording ends as exactly one row of one file."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.table.complete import mark_success
    from pipeline.table.done import committed, pending
    from pipeline.table.read import Table, read_table
    from pipeline.table.runs import write_run
    from pipeline.table.task import TaskRecord, declare

__all__ = [
    "Table",
    "TaskRecord",
    "committed",
    "declare",
    "mark_success",
    "pending",
    "read_table",
    "write_run",
]

_HOMES = {
    "Table": "read",
    "TaskRecord": "task",
    "committed": "done",
    "declare": "task",
    "mark_success": "complete",
    "pending": "done",
    "read_table": "read",
    "write_run": "runs",
}


def __getattr__(name: str) -> Any:
    # On first use, because the plan needs `layout` of this package, and most of this package needs the plan.
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
