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
        UserError: there is no table, or nobody answers.
    """
    try:
        with at_once():
            require_table(output)
    except StorageFault as fault:
        raise unreachable(fault) from fault


def require_plan(output: str) -> None:
    """Go on where something is planned, or nothing is committed either.

    Raises:
        UserError: units are there and their plan is not.
        StorageFault: a folder cannot be listed.
    """
    if numbers(output):
        return
    for name in tasks(output):
        count = len(unit_sizes(output, name))
        if count:
            raise UserError(
                f"{redact(plan_layout.plan_folder(output))}: the plan is gone, and {name} has "
                f"{counted(count, 'unit')} of it. "
                "Restore the folder from a backup; without it nobody knows what is missing."
            )


_REMEDY = "Name the output folder of a run."
