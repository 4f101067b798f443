"""What is committed, and what is left to do: the plan minus one listing of the task's folder."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.plan.generations import UnitRef
from pipeline.storage.listing import list_names
from pipeline.table import layout


def committed(output: str, task: str) -> set[str]:
    """Names of the units that are committed for a task; none where the folder does not exist.

    Raises:
        StorageFault, UserError: the folder cannot be listed.
    """
    names = list_names(layout.task_folder(output, task))
    return {unit for name in names if (unit := layout.unit_of(name)) is not None}


def pending(output: str, task: str, units: Sequence[UnitRef]) -> list[UnitRef]:
    """Units of the plan that are not committed for a task, in plan order."""
    done = committed(output, task)
    return [unit for unit in units if unit.name not in done]
