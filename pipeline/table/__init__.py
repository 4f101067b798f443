"""The output folder and its promise: every planned recording ends as exactly one row of one file."""

from pipeline.table.complete import mark_success
from pipeline.table.done import committed, pending
from pipeline.table.footers import Totals, totals
from pipeline.table.presence import require_plan
from pipeline.table.read import Table, read_table
from pipeline.table.runs import write_run
from pipeline.table.task import TaskRecord, compare, declare

__all__ = [
    "Table",
    "TaskRecord",
    "Totals",
    "committed",
    "compare",
    "declare",
    "mark_success",
    "pending",
    "read_table",
    "require_plan",
    "totals",
    "write_run",
]
