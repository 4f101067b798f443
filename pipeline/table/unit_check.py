"""Two looks at the file of one committed unit: at all of it, and at its footer alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.errors import UserError
from pipeline.plan.generations import UnitRef
from pipeline.plan.store import planned_unit
from pipeline.quantities import counted
from pipeline.table import layout
from pipeline.table.check import UNTOLD, contradictions
from pipeline.table.footers import counts_in, is_rewritten, said_of
from pipeline.table.holding import Gone
from pipeline.table.task import TaskRecord
from pipeline.table.unit_file import read_unit


@dataclass(frozen=True, slots=True)
class Committed:
    """A unit that is committed for a task, and what its file is compared with."""

    output: str
    task: str
    unit: UnitRef
    size: int
    """Bytes of its file, as listed."""
    record: TaskRecord | None
    gone: Gone

    @property
    def file(self) -> str:
        """URI of its file."""
        return layout.unit_file(self.output, self.task, self.unit.name)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found."""

    rows: int = 0
    errors: int = 0
    """Rows with an error that readers see."""
    problems: tuple[str, ...] = ()
    lost: int = 0
    """Planned rows that it lacks since newer ones were there, which are pending by now."""
    unsure: int = 0
    """Rows with an error besides, of which it is not known whether readers see them."""
    forgotten: int = 0
    """Rows of forgotten recordings, none of which should be there; by its footer, those that can be no others."""


Look: TypeAlias = Callable[[Committed], Looked]


def whole(each: Committed) -> Looked:
    """Read the file with the checksums of its pages, and compare every row with the plan."""
    try:
        table = read_unit(each.file)
    except UserError as error:
        return Looked(problems=(str(error).partition(": ")[2],))
    unit = planned_unit(each.output, each.unit)
    problems = tuple(contradictions(table, unit, each.record, each.gone))
    ids, failed = table.column("id").to_pylist(), table.column("error").is_valid().to_pylist()
    unseen = each.gone.of_unit(unit.name)
    lost = each.gone.spare(unit.name, rewritten=True) - unseen - set(ids)
    errors = sum(error and id not in unseen for id, error in zip(ids, failed, strict=True))
    barred = sum(id in each.gone.barred(unit.name) for id in ids)
    return Looked(table.num_rows, errors, problems, len(lost), forgotten=barred)


def by_footer(each: Committed) -> Looked:
    """Read the end of the file alone: whether it is there and says as many rows as the plan has for it.

    That its pages are whole, and which recordings its rows are of, it does not prove.
    """
    try:
        footer = said_of(each.file, each.size)
    except UserError as error:
        return Looked(problems=(str(error).partition(": ")[2],))
    told = counts_in(footer)
    if told is None:
        return Looked(problems=("its footer says nothing of its rows. Delete it; the next run does that unit again.",))
    rows, errors = told
    most = each.unit.count - len(each.gone.barred(each.unit.name))
    shown = each.unit.count - len(each.gone.of_unit(each.unit.name))
    rewritten = is_rewritten(footer)
    least = each.unit.count - len(each.gone.spare(each.unit.name, rewritten=rewritten))
    unsure = max(0, min(errors, rows - shown))
    if least <= rows <= most:
        return Looked(rows, errors - unsure, lost=max(0, shown - rows), unsure=unsure)
    wanted = f"{least}" if least == most else f"{least} to {most}"
    problem = f"its footer says {rows} rows, the plan has {wanted} for it"
    if rewritten and rows < least:
        problem = f"lacks {counted(least - rows, 'row')} {UNTOLD}"
    barred = min(each.unit.count, rows) - most
    return Looked(rows, errors - unsure, (problem,), unsure=unsure, forgotten=max(0, barred))
