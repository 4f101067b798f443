"""Claim in `_SUCCESS` that tasks are complete, where they are."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import UserError
from pipeline.plan.generations import numbers
from pipeline.plan.success import read_success, write_success


def mark_listed(output: str, tasks: Sequence[str], *, generation: int) -> bool:
    """Write `_SUCCESS` where every unit up to a generation has just been listed, unless more is planned by now.

    Other tasks that were claimed complete for the same generation stay claimed.

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
