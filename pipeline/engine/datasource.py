"""Pending units as a Ray Data source: one row a unit, several units a read task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

MOST_READ_TASKS = 256
"""Ray starts 1,000 read tasks in 11 s and 10,000 in 16 s; fewer tasks of several units each start at once."""


class UnitSource(Datasource):
    """Reads units by their numbers.

    A read task carries numbers only; the worker finds its units in the plan. The count of rows a task yields is fixed,
    because Ray replays a task whose worker died and skips the rows that it has already handed on.
    """

    def __init__(self, units: Sequence[Any], read: Callable[[Any], pa.Table], *, tasks: int) -> None:
        """Source of `units`.

        Args:
            units: small references, one a unit.
            read: makes the row of one unit; runs on a worker.
            tasks: how many read tasks at the most.
        """
        self._shares = split(units, min(tasks, MOST_READ_TASKS))
        self._read = read

    def get_name(self) -> str:
        """Name of the stage in Ray's logs."""
        return "Units"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown before reading."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """One task for each share of the units."""
        return [_task(share, self._read) for share in self._shares]

    @property
    def num_tasks(self) -> int:
        """How many read tasks there are."""
        return len(self._shares)


def split(units: Sequence[Any], tasks: int) -> list[list[Any]]:
    """Shares of units for at most `tasks` tasks.

    Neighbours in the plan stay together, because they share its row groups.
    """
    tasks = min(tasks, len(units))
    bounds = [len(units) * index // tasks for index in range(tasks + 1)] if tasks else [0]
    return [list(units[start:stop]) for start, stop in zip(bounds, bounds[1:], strict=False)]


def _task(share: list[Any], read: Callable[[Any], pa.Table]) -> ReadTask:
    def rows() -> Iterable[pa.Table]:
        for unit in share:
            yield read(unit)

    return ReadTask(rows, BlockMetadata(num_rows=len(share), size_bytes=None, exec_stats=None, input_files=None))
