"""Whether a folder is a table at all, and whether the plan of its units is still there."""

from __future__ import annotations

from pipeline.errors import StorageFault, UserError
from pipeline.plan import layout as plan_layout
from pipeline.plan.generations import numbers
from pipeline.quantities import counted
from pipeline.storage.listing import list_names
from pipeline.storage.paths import redact
from pipeline.storage.retry import at_once, unreachable
from pipeline.table import layout
from pipeline.table.done import unit_sizes
from pipeline.table.task import tasks


def require_table(output: str) -> None:
    """Go on where a run has written something.

    Raises:
        UserError: there is no table.
        StorageFault: the folder cannot be listed.
    """
    try:
        names = list_names(output)
    except NotADirectoryError as error:
        raise UserError(f"{redact(output)}: there is no table here, it is a file. {_REMEDY}") from error
    if not {f"{plan_layout.PLAN_FOLDER}/", f"{layout.RUNS_FOLDER}/"} & set(names) and not tasks(output):
        raise UserError(f"{redact(output)}: there is no table here. {_REMEDY}")


def look_for_table(output: str) -> None:
    """Require a table before any work: a wrong endpoint answers in seconds.

    Raises:
        UserError: there is no table, or the endpoint is none.
        StorageFault: a disk or a connection fails, or a store answers that it is busy.
    """
    try:
        with at_once():
            require_table(output)
    except StorageFault as fault:
        raise unreachable(fault) from fault


def require_plan(output: str) -> None:
    """Go on where something is planned, or no task has been begun either.

    Raises:
        UserError: a task is there, with units or with its record alone, and the plan is not.
        StorageFault: a folder cannot be listed.
    """
    if numbers(output):
        return
    left = {name: len(unit_sizes(output, name)) for name in tasks(output)}
    # A run that begins just now plans before it leaves a record: only what still has no plan has lost it.
    if not left or numbers(output):
        return
    name, count = next(((name, count) for name, count in left.items() if count), next(iter(left.items())))
    has = f"{counted(count, 'unit')} of it" if count else "a record that was made after it"
    anew = "" if count else f" To begin anew, remove {redact(layout.task_folder(output, name))}."
    raise UserError(
        f"{redact(plan_layout.plan_folder(output))}: the plan is gone, and {name} has {has}. "
        f"Restore the folder from a backup; without it nobody knows what is missing.{anew}"
    )


_REMEDY = "Name the output folder of a run."
