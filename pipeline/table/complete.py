"""Claim in `_SUCCESS` that tasks are complete, where they are."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import UserError
from pipeline.plan.generations import numbers
from pipeline.plan.store import units
from pipeline.plan.success import read_success, write_success
from pipeline.table.done import pending


def mark_success(output: str, tasks: Sequence[str]) -> bool:
    """Write `_SUCCESS` if every unit of the plan is committed for each of these tasks.

    Looks again, because another run may have planned more meanwhile. Other tasks that were claimed complete
    for the same generation stay claimed.

    Returns:
        True when the claim was written.
    """
    planned = units(output)
    if any(pending(output, task, planned) for task in tasks):
        return False
    return mark_listed(output, tasks, generation=max((unit.generation for unit in planned), default=0))


def mark_listed(output: str, tasks: Sequence[str], *, generation: int) -> bool:
    """Write `_SUCCESS` where every unit up to a generation has just been listed, unless more is planned by now.

    Returns:
        True when the claim stands there.
    """
    if generation == 0 or len(numbers(output)) != generation:
        return False
    before = _claimed(output, generation)
    if not set(tasks) <= set(before):
        write_success(output, generation=generation, tasks=sorted({*tasks, *before}))
    return True


def _claimed(output: str, generation: int) -> Sequence[str]:
    """Tasks that are claimed complete for a generation already; a damaged claim is none, for it is written anew."""
    try:
        before = read_success(output)
    except UserError:
        return ()
    return before.tasks if before and before.generation == generation else ()
