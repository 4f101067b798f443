"""The output folder and its promise: every planned recording ends as exactly one row of one file."""

from pipeline.table.complete import mark_listed
from pipeline.table.done import Standing, committed, pending, standing
from pipeline.table.presence import require_plan
from pipeline.table.read import Table, read_table
from pipeline.table.runs import newest_runs, write_run
from pipeline.table.task import TaskRecord, compare, declare
from pipeline.table.totals import Count, Totals, add_known, read_known, totals, write_known

__all__ = [
    "Count",
    "Standing",
    "Table",
    "TaskRecord",
    "Totals",
    "add_known",
    "committed",
    "compare",
    "declare",
    "mark_listed",
    "newest_runs",
    "pending",
    "read_known",
    "read_table",
    "require_plan",
    "standing",
    "totals",
    "write_known",
    "write_run",
]
